//! The columns of a table of rulings: a header in Chinese or by the field's own name, and how a cell is read and written.
//!
//! A cell of several entries has one a line, or separates them by `；`; words also by commas and `、`, as people write them, since
//! `路灯、坏` as one word would never occur; entries of texts (examples, basis, positions) only by lines. An entry of 依据 is
//! `法律|文号名称|第十四条|引文|2020-01-01`, one of 各方意见 `城管|意见|against`; parts at the end may be left out.

use super::ExchangeError;
use crate::rulings::{BasisDraft, PositionDraft, RulingDraft, RulingFault};
use crate::text::nearest;

/// What a cell says, or why nobody can tell any more.
pub(super) type Cell = Result<String, String>;

/// Which field each column of a file is.
pub(super) type Fields = Vec<Option<&'static str>>;

/// The way out where a spreadsheet took a text for something else.
pub(super) const AS_TEXT: &str = "format the column as text and enter it again";

/// Entries of a cell that are read: many more than a ruling may have, so that one with too many is told as such, and few enough that
/// a cell of millions costs nothing.
const MAX_CELL_ENTRIES: usize = 10_000;

/// Columns of numbers that are names: no digit of them may be lost.
const NUMBERS: [&str; 3] = ["id", "orders", "supersedes"];

/// Name of the field and header in Chinese, in the order in which they are written.
pub(super) const COLUMNS: [(&str, &str); 21] = [
    ("id", "编号"),
    ("scope", "类型"),
    ("status", "状态"),
    ("matter", "事项"),
    ("description", "说明"),
    ("lead", "主办单位"),
    ("supporting", "协办单位"),
    ("last_resort", "兜底单位"),
    ("excluded", "排除单位"),
    ("districts", "适用区"),
    ("body", "认定机构"),
    ("decided_on", "认定日期"),
    ("effective_from", "生效日期"),
    ("effective_to", "失效日期"),
    ("basis", "依据"),
    ("positions", "各方意见"),
    ("orders", "工单号"),
    ("examples", "示例诉求"),
    ("required_words", "必含词"),
    ("forbidden_words", "排除词"),
    ("supersedes", "替代"),
];

/// Chinese for what files hold in English, by field.
const VALUES: [(&str, &str, &str); 9] = [
    ("scope", "case", "个案"),
    ("scope", "standing", "类案"),
    ("status", "draft", "草稿"),
    ("status", "in_force", "有效"),
    ("status", "superseded", "已替代"),
    ("status", "withdrawn", "已撤回"),
    ("vote", "for", "赞成"),
    ("vote", "against", "反对"),
    ("vote", "abstained", "弃权"),
];

/// Reads the first row.
pub(super) fn header(cells: &[Cell]) -> Result<Fields, ExchangeError> {
    let mut fields = Vec::with_capacity(cells.len());
    for (i, cell) in cells.iter().enumerate() {
        let name = cell.as_ref().map_err(|reason| ExchangeError::Header(format!("column {}: {reason}", i + 1)))?.trim();
        let found = COLUMNS.iter().find(|(field, zh)| *field == name || *zh == name).map(|(field, _)| *field);
        if found.is_none() && !name.is_empty() {
            let names = COLUMNS.iter().flat_map(|(field, zh)| [*field, *zh]);
            let near = nearest(name, names).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            return Err(ExchangeError::Header(format!("column {}: {name:?} is not known{near}", i + 1)));
        }
        if found.is_some() && fields.contains(&found) {
            return Err(ExchangeError::Header(format!("column {}: {name:?} is there twice", i + 1)));
        }
        fields.push(found);
    }
    for (needed, zh) in [("matter", "事项"), ("lead", "主办单位"), ("scope", "类型")] {
        if !fields.contains(&Some(needed)) {
            return Err(ExchangeError::Header(format!("there is no column {needed} ({zh}), which every ruling needs")));
        }
    }
    Ok(fields)
}

/// Reads a row. What its cells say is checked later, with everything else; here only whether they still say it.
pub(super) fn draft(fields: &Fields, cells: &[Cell]) -> Result<RulingDraft, Vec<RulingFault>> {
    let mut draft = RulingDraft::default();
    let mut faults = Vec::new();
    for (field, cell) in fields.iter().zip(cells).filter_map(|(field, cell)| Some(((*field)?, cell))) {
        let cell = match cell {
            Ok(cell) => cell.trim(),
            Err(reason) => {
                faults.push(RulingFault { field: field.to_owned(), reason: reason.clone() });
                continue;
            }
        };
        if let Some(lost) = names(cell).iter().find(|name| NUMBERS.contains(&field) && is_shortened(name)) {
            let reason = format!("{lost:?} is a number as Excel shortens it, so its digits are lost; {AS_TEXT}");
            faults.push(RulingFault { field: field.to_owned(), reason });
        }
        let value = || english(field, cell);
        match field {
            "id" => draft.id = value(),
            "scope" => draft.scope = value(),
            "status" => draft.status = value(),
            "matter" => draft.matter = value(),
            "description" => draft.description = value(),
            "lead" => draft.lead = value(),
            "supporting" => draft.supporting = names(cell),
            "last_resort" => draft.last_resort = value(),
            "excluded" => draft.excluded = names(cell),
            "districts" => draft.districts = names(cell),
            "body" => draft.body = value(),
            "decided_on" => draft.decided_on = day(cell),
            "effective_from" => draft.effective_from = day(cell),
            "effective_to" => draft.effective_to = day(cell),
            "basis" => draft.basis = lines(cell).map(basis).collect(),
            "positions" => draft.positions = lines(cell).map(position).collect(),
            "orders" => draft.orders = names(cell),
            "examples" => draft.examples = lines(cell).map(str::to_owned).collect(),
            "required_words" => draft.required_words = words(cell),
            "forbidden_words" => draft.forbidden_words = words(cell),
            "supersedes" => draft.supersedes = value(),
            _ => {}
        }
    }
    if faults.is_empty() { Ok(draft) } else { Err(faults) }
}

/// Writes a row, in the order of [`COLUMNS`].
pub(super) fn cells(draft: &RulingDraft) -> Vec<String> {
    let one_line = |text: &String| text.replace(['\n', '\r'], " ");
    let of_basis = |one: &BasisDraft| parts(&[&one.level, &one.document, &one.article, &one.quote, &one.valid_from]);
    let of_position = |one: &PositionDraft| parts(&[&one.department, &one.statement, &chinese("vote", &one.vote)]);
    let joined = |entries: Vec<String>| entries.join("\n");
    let cell = |field: &str| match field {
        "id" => draft.id.clone(),
        "scope" => chinese("scope", &draft.scope),
        "status" => chinese("status", &draft.status),
        "matter" => draft.matter.clone(),
        "description" => draft.description.clone(),
        "lead" => draft.lead.clone(),
        "supporting" => draft.supporting.join("；"),
        "last_resort" => draft.last_resort.clone(),
        "excluded" => draft.excluded.join("；"),
        "districts" => draft.districts.join("；"),
        "body" => crate::rulings::Body::ALL
            .iter()
            .find(|(_, id, _)| *id == draft.body)
            .map_or_else(|| draft.body.clone(), |(.., zh)| (*zh).to_owned()),
        "decided_on" => draft.decided_on.clone(),
        "effective_from" => draft.effective_from.clone(),
        "effective_to" => draft.effective_to.clone(),
        "basis" => joined(draft.basis.iter().map(of_basis).collect()),
        "positions" => joined(draft.positions.iter().map(of_position).collect()),
        "orders" => draft.orders.join("；"),
        "examples" => joined(draft.examples.iter().map(one_line).collect()),
        "required_words" => draft.required_words.join("；"),
        "forbidden_words" => draft.forbidden_words.join("；"),
        "supersedes" => draft.supersedes.clone(),
        _ => String::new(),
    };
    COLUMNS.iter().map(|(field, _)| cell(field)).collect()
}

fn english(field: &str, cell: &str) -> String {
    let known = VALUES.iter().find(|(of, _, zh)| *of == field && *zh == cell);
    known.map_or_else(|| cell.to_owned(), |(_, value, _)| (*value).to_owned())
}

fn chinese(field: &str, value: &str) -> String {
    let known = VALUES.iter().find(|(of, english, _)| *of == field && *english == value);
    known.map_or_else(|| value.to_owned(), |(.., zh)| (*zh).to_owned())
}

fn lines(cell: &str) -> impl Iterator<Item = &str> {
    cell.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_CELL_ENTRIES)
}

fn names(cell: &str) -> Vec<String> {
    entries(cell, &['\n', '；', ';'])
}

fn words(cell: &str) -> Vec<String> {
    entries(cell, &['\n', '；', ';', '、', '，', ','])
}

fn entries(cell: &str, separators: &[char]) -> Vec<String> {
    cell.split(separators).map(str::trim).filter(|name| !name.is_empty()).take(MAX_CELL_ENTRIES).map(str::to_owned).collect()
}

/// `2.01801E+13`: what Excel leaves of 20180131000001 where it saves csv.
fn is_shortened(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((number, power)) = name.split_once("E+").or_else(|| name.split_once("e+")) else { return false };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    digits(whole) && digits(fraction) && digits(power)
}

/// A day as Excel writes it in China (`2026/1/2`, `2026-1-2`, `2026年1月2日`) as YYYY-MM-DD; anything else as it is, and it is told
/// later that it is no day.
fn day(cell: &str) -> String {
    let read = || {
        let plain = cell.strip_suffix('日').map(|day| day.replacen(['年', '月'], "-", 2));
        let plain = plain.unwrap_or_else(|| cell.replace('/', "-"));
        let (year, rest) = plain.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let number = |text: &str, most: usize| {
            let sound = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            sound.then(|| text.parse::<u16>().ok()).flatten()
        };
        let year = number(year, 4).filter(|_| year.len() == 4)?;
        Some(format!("{year:04}-{:02}-{:02}", number(month, 2)?, number(day, 2)?))
    };
    read().unwrap_or_else(|| cell.to_owned())
}

fn basis(entry: &str) -> BasisDraft {
    let mut parts = entry.split(['|', '｜']).map(|part| part.trim().to_owned());
    let mut next = || parts.next().unwrap_or_default();
    BasisDraft { level: next(), document: next(), article: next(), quote: next(), valid_from: day(&next()) }
}

fn position(entry: &str) -> PositionDraft {
    let mut parts = entry.split(['|', '｜']).map(|part| part.trim().to_owned());
    let mut next = || parts.next().unwrap_or_default();
    PositionDraft { department: next(), statement: next(), vote: english("vote", &next()) }
}

/// Parts of an entry; a bar or a line break within one would make two of it.
fn parts(parts: &[&str]) -> String {
    let clean: Vec<String> = parts.iter().map(|part| part.replace(['|', '\n', '\r'], " ")).collect();
    clean.join("|").trim_end_matches('|').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_excel_writes_them_and_what_is_none_is_left_to_be_told() {
        for text in ["2026-01-02", "2026/1/2", "2026-1-2", "2026/01/02", "2026年1月2日", "2026年01月02日"] {
            assert_eq!(day(text), "2026-01-02", "{text}");
        }
        for text in ["", "26/1/2", "1/2/2026", "2026年1月", "2026/1", "2026/1/2/3", "2026/001/2", "明年1月2日", "2026/+1/2"]
        {
            let told = day(text);
            assert!(told == text || told == text.replace('/', "-"), "{text} became {told}");
        }
        assert_eq!(basis("法律|《某法》|第一条||2020/1/1").valid_from, "2020-01-01");
    }

    #[test]
    fn a_number_that_was_shortened_is_told_from_names_with_an_e() {
        for text in ["2.01801E+13", "2E+13", "2.01801e+20"] {
            assert!(is_shortened(text), "{text}");
        }
        for text in ["E+13", "2.01801E13", "A2E+13", "2.E+13", "2E+", "O-2.1E+x", "20180131000001"] {
            assert!(!is_shortened(text), "{text}");
        }
    }

    #[test]
    fn words_are_separated_as_people_write_them_and_names_are_left_whole() {
        assert_eq!(words("路灯、坏，不亮,暗；黑;熄\n灭|熄灭"), ["路灯", "坏", "不亮", "暗", "黑", "熄", "灭|熄灭"]);
        assert_eq!(names("交通、港航局；城管"), ["交通、港航局", "城管"]);
    }
}
