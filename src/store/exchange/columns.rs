//! The columns of a table of rulings: a header in Chinese or by the field's own name, and how a cell is read and written. What a cell
//! of several entries says, `entries` knows.

use super::ExchangeError;
use super::entries::{self, Entries};
use crate::rulings::{RulingDraft, RulingFault};
use crate::text::nearest;

/// What a cell says, or why nobody can tell any more.
pub(super) type Cell = Result<String, String>;

/// Which field each column of a file is.
pub(super) type Fields = Vec<Option<&'static str>>;

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
const VALUES: [(&str, &str, &str); 6] = [
    ("scope", "case", "个案"),
    ("scope", "standing", "类案"),
    ("status", "draft", "草稿"),
    ("status", "in_force", "有效"),
    ("status", "superseded", "已替代"),
    ("status", "withdrawn", "已撤回"),
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
        let put = cell.as_deref().map_err(String::clone).and_then(|cell| put(&mut draft, field, cell.trim()));
        if let Err(reason) = put {
            faults.push(RulingFault { field: field.to_owned(), reason });
        }
    }
    if faults.is_empty() { Ok(draft) } else { Err(faults) }
}

/// Puts what a cell says into its field.
fn put(draft: &mut RulingDraft, field: &str, cell: &str) -> Result<(), String> {
    let value = || english(field, cell);
    match field {
        "id" | "supersedes" if entries::is_shortened(cell) => return Err(entries::shortened(cell)),
        "id" => draft.id = value(),
        "scope" => draft.scope = value(),
        "status" => draft.status = value(),
        "matter" => draft.matter = value(),
        "description" => draft.description = value(),
        "lead" => draft.lead = value(),
        "supporting" => draft.supporting = Entries::NAMES.read(cell)?,
        "last_resort" => draft.last_resort = value(),
        "excluded" => draft.excluded = Entries::NAMES.read(cell)?,
        "districts" => draft.districts = Entries::NAMES.read(cell)?,
        "body" => draft.body = value(),
        "decided_on" => draft.decided_on = entries::day(cell),
        "effective_from" => draft.effective_from = entries::day(cell),
        "effective_to" => draft.effective_to = entries::day(cell),
        "basis" => draft.basis = Entries::BASIS.read(cell)?,
        "positions" => draft.positions = Entries::POSITIONS.read(cell)?,
        "orders" => draft.orders = Entries::NUMBERS.read(cell)?,
        "examples" => draft.examples = Entries::TEXTS.read(cell)?,
        "required_words" => draft.required_words = Entries::WORDS.read(cell)?,
        "forbidden_words" => draft.forbidden_words = Entries::WORDS.read(cell)?,
        "supersedes" => draft.supersedes = value(),
        _ => {}
    }
    Ok(())
}

/// Writes a row, in the order of [`COLUMNS`].
pub(super) fn cells(draft: &RulingDraft) -> Vec<String> {
    let cell = |field: &str| match field {
        "id" => draft.id.clone(),
        "scope" => chinese("scope", &draft.scope),
        "status" => chinese("status", &draft.status),
        "matter" => draft.matter.clone(),
        "description" => draft.description.clone(),
        "lead" => draft.lead.clone(),
        "supporting" => Entries::NAMES.write(&draft.supporting),
        "last_resort" => draft.last_resort.clone(),
        "excluded" => Entries::NAMES.write(&draft.excluded),
        "districts" => Entries::NAMES.write(&draft.districts),
        "body" => crate::rulings::Body::ALL
            .iter()
            .find(|(_, id, _)| *id == draft.body)
            .map_or_else(|| draft.body.clone(), |(.., zh)| (*zh).to_owned()),
        "decided_on" => draft.decided_on.clone(),
        "effective_from" => draft.effective_from.clone(),
        "effective_to" => draft.effective_to.clone(),
        "basis" => Entries::BASIS.write(&draft.basis),
        "positions" => Entries::POSITIONS.write(&draft.positions),
        "orders" => Entries::NUMBERS.write(&draft.orders),
        "examples" => Entries::TEXTS.write(&draft.examples),
        "required_words" => Entries::WORDS.write(&draft.required_words),
        "forbidden_words" => Entries::WORDS.write(&draft.forbidden_words),
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
