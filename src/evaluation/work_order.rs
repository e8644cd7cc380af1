//! A past work order as hotlines export it: one JSON object a line. Training and replay read the same rows by the same rules.

use serde::Deserialize;

use crate::catalog::{Day, written_day};
use crate::text::{Appeal, AppealFields, json_line};

/// Longest line that is read, in bytes: 20,000 characters with their notes fit many times over.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// A row that can be used: its appeal was parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkOrder {
    /// The hotline's number of the order.
    pub order_id: String,
    /// What the citizen asked, with category and type where the row has them; nothing is proposed.
    pub appeal: Appeal,
    /// Department that finally handled it, if known.
    pub department: Option<String>,
    /// Whether another department than the one first asked handled it; `None` if unknown.
    pub rerouted: Option<bool>,
    /// Departments that the operator's instruction named.
    pub instructed: Vec<String>,
    /// Day on which the hotline took it in, if the row says one.
    pub received_on: Option<Day>,
}

#[derive(Deserialize)]
struct Row {
    order_id: Option<Id>,
    appeal: Option<String>,
    content: Option<String>,
    department: Option<String>,
    category: Option<OneOrMany>,
    appeal_type: Option<String>,
    district: Option<String>,
    channel: Option<String>,
    rerouted: Option<bool>,
    instructed: Option<OneOrMany>,
    received_on: Option<String>,
}

/// Exporters write text, a number, or a list for an id.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(serde_json::Number),
    Parts(Vec<String>),
}

impl Id {
    /// As it was written, but for blanks around it. A number that no integer holds has lost digits already.
    fn read(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.trim().to_owned()),
            Self::Number(number) if number.is_f64() => {
                Err("order_id is a number that is not kept to its last digit; write it in quotes".to_owned())
            }
            Self::Number(number) => Ok(number.to_string()),
            Self::Parts(parts) => Ok(parts.join("/")),
        }
    }
}

/// Exporters write a list, one string with slashes, or a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<String>),
    One(String),
    Number(serde_json::Number),
}

impl OneOrMany {
    fn list(self) -> Vec<String> {
        match self {
            Self::Many(parts) => parts,
            Self::One(path) => {
                path.split(['/', '>', '|']).map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
            }
            Self::Number(number) => vec![number.to_string()],
        }
    }
}

impl WorkOrder {
    /// How the error begins of a line that is not UTF-8: a file with many of them was saved in GBK.
    pub const NOT_UTF8: &str = "not UTF-8";

    /// Parses one line. The error says what is wrong with the row, never what the citizen wrote.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        if line.len() > MAX_LINE_BYTES {
            return Err(format!("line has {} bytes, at most {MAX_LINE_BYTES} are read", line.len()));
        }
        let line =
            std::str::from_utf8(line).map_err(|error| format!("{} at byte {}", Self::NOT_UTF8, error.valid_up_to() + 1))?;
        let row: Row = json_line(line).map_err(|fault| fault.to_string())?;
        let order_id = row.order_id.map(Id::read).transpose()?.filter(|id| !id.is_empty()).ok_or("order_id is missing")?;
        let text =
            row.appeal.filter(|text| !text.trim().is_empty()).or(row.content).ok_or("neither appeal nor content is there")?;
        let fields = AppealFields {
            text,
            category: row.category.map(OneOrMany::list).unwrap_or_default(),
            appeal_type: row.appeal_type.unwrap_or_default(),
            district: row.district.unwrap_or_default(),
            channel: row.channel.unwrap_or_default(),
            ..AppealFields::default()
        };
        let appeal = Appeal::parse(fields).map_err(|error| error.to_string())?;
        Ok(Self {
            order_id,
            appeal,
            department: row.department.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
            rerouted: row.rerouted,
            instructed: row.instructed.map(OneOrMany::list).unwrap_or_default(),
            received_on: row.received_on.as_deref().map_or(Ok(None), day)?,
        })
    }
}

/// A date as offices write it (`2018-03-01`, `2018/3/1`, `2018年3月1日`), or a time that begins with one. Nothing is none; what is
/// no day of the calendar is told, since an order without its day is missing wherever days count.
fn day(written: &str) -> Result<Option<Day>, String> {
    let date = written.trim().split([' ', 'T', '\u{3000}']).next().unwrap_or_default();
    if date.is_empty() {
        return Ok(None);
    }
    // As in rulings: another year is a slip of the pen.
    let day = written_day(date).filter(|day| (1900..=2200).contains(&chrono::Datelike::year(day)));
    let words = "received_on: is no day of the calendar from 1900 to 2200; write YYYY-MM-DD";
    day.map(Some).ok_or_else(|| words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_row_and_a_bare_one_are_read() -> Result<(), String> {
        let full = WorkOrder::parse(
            r#"{"order_id": "A1", "appeal": "路灯坏了", "content": "市民反映路灯坏了", "department": "城管", "category": "市政/路灯",
                "appeal_type": null, "rerouted": true, "instructed": ["供电"], "handling_note": "x"}"#.as_bytes(),
        )?;
        assert_eq!(full.appeal.fields().category, ["市政", "路灯"]);
        assert_eq!((full.department.as_deref(), full.rerouted), (Some("城管"), Some(true)));
        let bare = WorkOrder::parse(r#"{"order_id": 17, "content": "路灯坏了"}"#.as_bytes())?;
        assert_eq!((bare.order_id.as_str(), bare.appeal.fields().text.as_str()), ("17", "路灯坏了"));
        Ok(())
    }

    #[test]
    fn a_number_of_an_order_stays_as_it_is_written_or_is_refused() {
        let id = |id: &str| WorkOrder::parse(format!("{{\"order_id\": {id}, \"appeal\": \"路灯坏了\"}}").as_bytes());
        for (written, read) in [
            ("\" A|B/ 1 \"", "A|B/ 1"),
            ("\"A>B\"", "A>B"),
            ("18446744073709551615", "18446744073709551615"),
            ("-7", "-7"),
            ("[\"A\", \"1\"]", "A/1"),
        ] {
            assert_eq!(id(written).map(|order| order.order_id), Ok(read.to_owned()));
        }
        for number in ["201801310000123456789", "1.5"] {
            let error = id(number).expect_err("its digits would be lost");
            assert!(error.contains("write it in quotes"), "{error}");
        }
        assert_eq!(id("\"  \"").map(|order| order.order_id), Err("order_id is missing".to_owned()));
    }

    #[test]
    fn a_day_is_read_as_offices_write_it_and_what_is_none_is_told_by_its_field() {
        let read = |written: &str| {
            let row = serde_json::json!({"order_id": "A1", "appeal": "路灯坏了", "received_on": written});
            WorkOrder::parse(row.to_string().as_bytes()).map(|order| order.received_on.map(|day| day.to_string()))
        };
        for written in [
            "2018-03-01",
            " 2018/03/01 ",
            "2018/3/1",
            "2018-3-1",
            "2018年3月1日",
            "2018-03-01 08:30:00",
            "2018/3/1 8:30",
            "2018-03-01T08:30:00+08:00",
        ] {
            assert_eq!(read(written), Ok(Some("2018-03-01".to_owned())), "{written}");
        }
        for written in ["", "  "] {
            assert_eq!(read(written), Ok(None));
        }
        for written in
            ["20180301", "2018-02-30", "18-3-1", "2018-03", "2018-03-01-1", "2018/3-1", "1018-03-01", "+201-3-1", "昨天"]
        {
            let told = read(written).expect_err(written);
            assert!(told.starts_with("received_on: is no day") && !told.contains("昨天"), "{told}");
        }
    }

    #[test]
    fn a_bad_row_is_named_without_quoting_it() {
        for (line, reason) in [
            (&b"{\"order_id\": \"A1\", \"appeal\": \"\xff\"}"[..], "not UTF-8"),
            (b"{\"order_id\": \"A1\"", "cut off"),
            (b"[1, 2]", "not a JSON object"),
            (b"secret words", "not a JSON object"),
            (b"{\"appeal\": \"secret words\"}", "order_id is missing"),
            (b"{\"order_id\": \"A1\"}", "neither appeal nor content"),
            (b"{\"order_id\": \"A1\", \"appeal\": \"secret words\", \"rerouted\": \"secret\"}", "wrong type"),
        ] {
            let error = WorkOrder::parse(line).expect_err("a bad row");
            assert!(error.contains(reason), "{error:?} does not say {reason:?}");
            assert!(!error.contains("secret"), "{error:?} quotes the row");
        }
    }
}
