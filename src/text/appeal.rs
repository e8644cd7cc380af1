//! An appeal (诉求) as the rest of the house may trust it: parsed once at the door.

use super::cleaning::{is_blank, is_mojibake};

/// The longest text that is accepted, in characters (Unicode scalar values).
pub const MAX_APPEAL_CHARS: usize = 20_000;

/// The longest id, in characters.
const MAX_ID_CHARS: usize = 128;
/// The longest type, district, channel, category level or department, in characters.
const MAX_NAME_CHARS: usize = 100;
/// The deepest category path, and the most departments that a dispatcher has in mind.
const MAX_LEVELS: usize = 8;

/// What a caller sends: nothing is checked yet. Empty strings mean "not given", since while someone types there is only text.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct AppealFields {
    /// The caller's own id of the appeal, echoed in the answer.
    pub id: String,
    /// The citizen's words as the operator typed them.
    pub text: String,
    /// RFC 3339 date-time or date of receipt.
    pub received_at: String,
    /// 咨询, 投诉, 求助, 建议, …
    pub appeal_type: String,
    /// The operator's subject path, broadest level first.
    pub category: Vec<String>,
    /// District (区, 县) that the appeal is about.
    pub district: String,
    /// Where it came in: phone, app, web, ….
    pub channel: String,
    /// The departments that the dispatcher has in mind, by id or name.
    pub proposed_departments: Vec<String>,
}

/// An appeal that exists is a good one. Its fields can be read, not written.
#[derive(Debug, Clone, PartialEq)]
pub struct Appeal {
    fields: AppealFields,
}

/// Why an appeal was refused: the field, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct AppealError {
    /// Path of the field, as in the proto: `text`, `category[2]`.
    pub field: String,
    /// The kind of mistake, for programs.
    pub code: AppealErrorCode,
    /// Lower-case English, no full stop.
    pub reason: String,
    /// The same for hotline staff.
    pub reason_zh: String,
}

/// The kinds of mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppealErrorCode {
    /// Nothing that could be read.
    Empty,
    /// More characters than allowed.
    TooLong,
    /// More entries than allowed.
    TooMany,
    /// A NUL in the text, or any control character in another field.
    ControlCharacter,
    /// The text was decoded with the wrong character set before it came here.
    BadEncoding,
    /// Not a date, or one that the calendar does not have.
    BadDate,
    /// A department that the loaded model does not know.
    UnknownDepartment,
}

impl AppealErrorCode {
    /// The code as programs read it, such as `TOO_LONG`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "EMPTY",
            Self::TooLong => "TOO_LONG",
            Self::TooMany => "TOO_MANY",
            Self::ControlCharacter => "CONTROL_CHARACTER",
            Self::BadEncoding => "BAD_ENCODING",
            Self::BadDate => "BAD_DATE",
            Self::UnknownDepartment => "UNKNOWN_DEPARTMENT",
        }
    }
}

impl Appeal {
    /// Parses what a caller sent. The short fields are trimmed; the text keeps every character in its place, white space in
    /// front included, because evidence is given as positions in it. White space at its end is cut.
    ///
    /// NUL in the text is refused, and a text of which more than a tenth is U+FFFD, since it was decoded wrongly. Other control
    /// and invisible characters of the text are let in, and [`clean`](super::clean()) deals with them. In the other fields every
    /// control character is refused. A text of nothing but punctuation is accepted: that it is too short is the router's to say.
    pub fn parse(fields: AppealFields) -> Result<Self, AppealError> {
        let fields = AppealFields {
            id: short("id", &fields.id, MAX_ID_CHARS)?,
            text: text(&fields.text)?,
            received_at: received_at(&fields.received_at)?,
            appeal_type: short("appeal_type", &fields.appeal_type, MAX_NAME_CHARS)?,
            category: list("category", &fields.category)?,
            district: short("district", &fields.district, MAX_NAME_CHARS)?,
            channel: short("channel", &fields.channel, MAX_NAME_CHARS)?,
            proposed_departments: list("proposed_departments", &fields.proposed_departments)?,
        };
        Ok(Self { fields })
    }

    /// An appeal of nothing but text.
    pub fn from_text(text: &str) -> Result<Self, AppealError> {
        Self::parse(AppealFields { text: text.to_owned(), ..AppealFields::default() })
    }

    /// All fields, within their limits.
    pub fn fields(&self) -> &AppealFields {
        &self.fields
    }
}

fn text(text: &str) -> Result<String, AppealError> {
    let text = text.trim_end();
    if text.contains('\0') {
        let reason = "contains a NUL character, remove it".to_owned();
        return Err(error("text", AppealErrorCode::ControlCharacter, reason, "含有空字符（NUL），请删除后重试".to_owned()));
    }
    let chars = text.chars().count();
    if chars > MAX_APPEAL_CHARS {
        return Err(too_long("text", chars, MAX_APPEAL_CHARS));
    }
    if is_mojibake(text) {
        let reason = "is full of replacement characters (U+FFFD), send it as utf-8".to_owned();
        return Err(error("text", AppealErrorCode::BadEncoding, reason, "乱码过多，请以 UTF-8 编码重新发送".to_owned()));
    }
    if is_blank(text) {
        let reason = "is empty, send the words of the appeal".to_owned();
        return Err(error("text", AppealErrorCode::Empty, reason, "内容为空，请填写诉求内容".to_owned()));
    }
    Ok(text.to_owned())
}

fn short(field: &str, value: &str, limit: usize) -> Result<String, AppealError> {
    let value = value.trim();
    if value.chars().any(char::is_control) {
        let reason = "contains a control character, remove it".to_owned();
        return Err(error(field, AppealErrorCode::ControlCharacter, reason, "含有控制字符，请删除后重试".to_owned()));
    }
    let chars = value.chars().count();
    if chars > limit { Err(too_long(field, chars, limit)) } else { Ok(value.to_owned()) }
}

/// Empty entries are left out: a form that has four boxes sends four.
fn list(field: &str, values: &[String]) -> Result<Vec<String>, AppealError> {
    let mut parsed = Vec::new();
    for (i, value) in values.iter().enumerate() {
        let value = short(&format!("{field}[{i}]"), value, MAX_NAME_CHARS)?;
        if !value.is_empty() {
            parsed.push(value);
        }
        if i >= MAX_LEVELS {
            let reason = format!("has {} entries, at most {MAX_LEVELS} are allowed", values.len());
            let reason_zh = format!("共{}项，最多{MAX_LEVELS}项，请精简后重试", values.len());
            return Err(error(field, AppealErrorCode::TooMany, reason, reason_zh));
        }
    }
    Ok(parsed)
}

fn received_at(value: &str) -> Result<String, AppealError> {
    let value = value.trim();
    if value.is_empty() || is_rfc3339(value) {
        return Ok(value.to_owned());
    }
    let reason = "is not an RFC 3339 date or date-time, write 2026-01-31 or 2026-01-31T08:30:00+08:00".to_owned();
    let reason_zh = "不是有效的日期，请写作 2026-01-31 或 2026-01-31T08:30:00+08:00".to_owned();
    Err(error("received_at", AppealErrorCode::BadDate, reason, reason_zh))
}

/// `2026-01-31`, or that with `T08:30:00`, an optional fraction and an offset (`Z` or `+08:00`).
fn is_rfc3339(value: &str) -> bool {
    let (date, time) = match value.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (value, None),
    };
    is_date(date) && time.is_none_or(is_time)
}

fn is_date(date: &str) -> bool {
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2)) else { return false };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

fn is_time(time: &str) -> bool {
    let (clock, offset) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => return false,
    };
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let fraction = fraction.is_none_or(|f| (1..=9).contains(&f.len()) && f.bytes().all(|b| b.is_ascii_digit()));
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts[..] else { return false };
    // A leap second is a second that exists.
    let clock = digits(hour, 2).is_some_and(|h| h < 24)
        && digits(minute, 2).is_some_and(|m| m < 60)
        && digits(second, 2).is_some_and(|s| s <= 60);
    let offset = matches!(offset, "Z" | "z")
        || offset[1..]
            .split_once(':')
            .is_some_and(|(h, m)| digits(h, 2).is_some_and(|h| h < 24) && digits(m, 2).is_some_and(|m| m < 60));
    clock && fraction && offset
}

fn digits(text: &str, length: usize) -> Option<u32> {
    (text.len() == length && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn too_long(field: &str, chars: usize, limit: usize) -> AppealError {
    let reason = format!("has {chars} characters, at most {limit} are allowed");
    error(field, AppealErrorCode::TooLong, reason, format!("共{chars}个字符，最多{limit}个，请精简后重试"))
}

fn error(field: &str, code: AppealErrorCode, reason: String, reason_zh: String) -> AppealError {
    AppealError { field: field.to_owned(), code, reason, reason_zh }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(fields: AppealFields) -> AppealError {
        Appeal::parse(fields).expect_err("a refusal")
    }

    fn text(text: impl Into<String>) -> AppealFields {
        AppealFields { text: text.into(), ..AppealFields::default() }
    }

    fn received(received_at: &str) -> AppealFields {
        AppealFields { received_at: received_at.to_owned(), ..text("路灯坏了") }
    }

    #[test]
    fn text_keeps_its_place_and_the_other_fields_are_trimmed() {
        let appeal = Appeal::parse(AppealFields {
            id: " a-1 ".into(),
            category: vec!["城市管理 ".into(), " ".into(), "路灯".into()],
            ..text("  路灯坏了\n ")
        });
        let appeal = appeal.expect("a good appeal");
        assert_eq!(appeal.fields().text, "  路灯坏了");
        assert_eq!(appeal.fields().id, "a-1");
        assert_eq!(appeal.fields().category, ["城市管理", "路灯"]);
    }

    #[test]
    fn only_a_text_with_nothing_to_see_is_empty() {
        for empty in ["", " \n\t", "\u{200b}\u{feff} ", "\u{7}\u{3000}"] {
            assert_eq!(refused(text(empty)).code, AppealErrorCode::Empty, "{empty:?}");
        }
        for short in ["？", "路灯", "a"] {
            assert!(Appeal::from_text(short).is_ok(), "{short}");
        }
    }

    #[test]
    fn twenty_thousand_characters_are_read_and_one_more_is_refused() {
        assert!(Appeal::from_text(&"灯".repeat(MAX_APPEAL_CHARS)).is_ok());
        let error = refused(text("灯".repeat(MAX_APPEAL_CHARS + 1)));
        assert_eq!(error.code, AppealErrorCode::TooLong);
        assert_eq!(error.to_string(), "text: has 20001 characters, at most 20000 are allowed");
        assert!(error.reason_zh.contains("20001"));
    }

    #[test]
    fn nul_and_a_wrong_character_set_are_refused_by_name() {
        assert_eq!(refused(text("路\0灯")).code, AppealErrorCode::ControlCharacter);
        assert_eq!(refused(text("\u{fffd}\u{fffd}路灯\u{fffd}坏了")).code, AppealErrorCode::BadEncoding);
        assert!(Appeal::from_text("路灯坏了很久没有人来修\u{fffd}").is_ok());
        assert!(Appeal::from_text("路\u{1}灯\u{202e}坏了").is_ok());
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let error = refused(AppealFields { id: "长".repeat(129), ..text("路灯坏了") });
        assert_eq!((error.field.as_str(), error.code), ("id", AppealErrorCode::TooLong));
        let error = refused(AppealFields { category: vec!["a".into(), "b\u{7}c".into()], ..text("路灯坏了") });
        assert_eq!((error.field.as_str(), error.code), ("category[1]", AppealErrorCode::ControlCharacter));
        let error = refused(AppealFields { proposed_departments: vec!["城管".into(); 9], ..text("路灯坏了") });
        assert_eq!((error.field.as_str(), error.code), ("proposed_departments", AppealErrorCode::TooMany));
        let error = refused(AppealFields { district: "区".repeat(101), ..text("路灯坏了") });
        assert_eq!(error.field, "district");
    }

    #[test]
    fn dates_that_the_calendar_has_are_accepted() {
        for good in [
            "",
            "2024-02-29",
            "2000-02-29",
            "2026-01-31T08:30:00Z",
            "2026-01-31t08:30:60.123456+08:00",
            "2026-01-31 08:30:00-00:30",
        ] {
            assert!(Appeal::parse(received(good)).is_ok(), "{good}");
        }
        for bad in [
            "2023-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-04-31",
            "26-01-01",
            "2026-1-1",
            "昨天",
            "2026-01-31T08:30:00",
            "2026-01-31T24:00:00Z",
            "2026-01-31T08:30Z",
            "2026-01-31T08:30:00.Z",
            "2026-01-31T08:30:00+0800",
            "2026-01-31T08:30:00é",
            "+026-01-01",
        ] {
            assert_eq!(refused(received(bad)).code, AppealErrorCode::BadDate, "{bad}");
        }
    }
}
