//! Reads typed values out of one TOML file and notes every fault with its line, instead of stopping at the first.

use std::ops::Range;
use std::sync::Arc;

use toml_edit::{ImDocument, Item, TableLike, Value};

use super::fault::did_you_mean;
use super::{Day, Fault};

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Path of the file.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
}

impl Place {
    /// A fault here.
    pub fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault { file: Arc::clone(&self.file), line: self.line, reason: reason.into() }
    }
}

/// A value with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// A table of a file, such as one `[[department]]`.
#[derive(Clone, Copy)]
pub struct Section<'a> {
    table: &'a dyn TableLike,
    /// Where its header stands.
    at: usize,
}

/// One file under reading.
pub struct Sheet {
    file: Arc<str>,
    /// Byte at which each line begins.
    lines: Vec<usize>,
    /// What was found wrong so far.
    pub faults: Vec<Fault>,
}

impl Sheet {
    /// Parses a file; `None` if it is no TOML, which is then the only fault.
    pub fn parse(file: &str, text: String) -> (Self, Option<ImDocument<String>>) {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut sheet = Self { file: file.into(), lines, faults: Vec::new() };
        match ImDocument::parse(text) {
            Ok(document) => (sheet, Some(document)),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let reason = format!("no TOML: {}", error.message().trim().replace('\n', "; "));
                sheet.fault(at, reason);
                (sheet, None)
            }
        }
    }

    /// The line of a byte.
    pub fn place(&self, at: usize) -> Place {
        Place { file: Arc::clone(&self.file), line: self.lines.partition_point(|start| *start <= at).max(1) }
    }

    /// The line of a section's header.
    pub fn place_of(&self, section: Section<'_>) -> Place {
        self.place(section.at)
    }

    fn fault(&mut self, at: usize, reason: impl Into<String>) {
        let fault = self.place(at).fault(reason);
        self.faults.push(fault);
    }

    /// The file itself as a section.
    pub fn root(document: &ImDocument<String>) -> Section<'_> {
        Section { table: document.as_table(), at: 0 }
    }

    /// Refuses keys that nobody reads.
    pub fn only(&mut self, section: Section<'_>, known: &[&str]) {
        for (name, item) in section.table.iter() {
            if !known.contains(&name) {
                let key = section.table.get_key_value(name).and_then(|(key, _)| key.span());
                let at = start(key.or_else(|| item.span()), section.at);
                let hint = did_you_mean(name, known.iter().copied());
                let hint = if hint.is_empty() { format!("; there are {}", known.join(", ")) } else { hint };
                self.fault(at, format!("unknown key {name:?}{hint}"));
            }
        }
    }

    /// A text, trimmed; `None` if there is none, and a fault if it is empty or something else.
    pub fn text(&mut self, section: Section<'_>, key: &str) -> Option<Located<String>> {
        let item = section.table.get(key)?;
        let at = start(item.span(), section.at);
        match item.as_str().map(str::trim) {
            Some("") => self.fault(at, format!("{key} is empty")),
            Some(text) => return Some(Located { value: text.to_owned(), place: self.place(at) }),
            None => self.fault(at, format!("{key} is {}, must be a text in quotes", kind(item))),
        }
        None
    }

    /// A text that must be there.
    pub fn required(&mut self, section: Section<'_>, key: &str) -> Option<Located<String>> {
        if !section.table.contains_key(key) {
            self.fault(section.at, format!("{key} is missing"));
        }
        self.text(section, key)
    }

    /// A list of texts; empty if there is none.
    pub fn texts(&mut self, section: Section<'_>, key: &str) -> Vec<Located<String>> {
        let Some(item) = section.table.get(key) else { return Vec::new() };
        let at = start(item.span(), section.at);
        let Some(array) = item.as_array() else {
            self.fault(at, format!("{key} is {}, must be a list of texts, such as [\"…\"]", kind(item)));
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(array.len());
        for value in array {
            let at = start(value.span(), at);
            match value.as_str().map(str::trim) {
                Some("") => self.fault(at, format!("{key} has an empty text")),
                Some(text) => texts.push(Located { value: text.to_owned(), place: self.place(at) }),
                None => self.fault(at, format!("{key} has {}, must be texts in quotes", value_kind(value))),
            }
        }
        texts
    }

    /// A day such as `2026-03-01`, without quotes.
    pub fn day(&mut self, section: Section<'_>, key: &str) -> Option<Located<Day>> {
        let item = section.table.get(key)?;
        let at = start(item.span(), section.at);
        let date = item.as_datetime().filter(|given| given.time.is_none()).and_then(|given| given.date);
        let day = date.and_then(|date| Day::from_ymd_opt(date.year.into(), date.month.into(), date.day.into()));
        match (day, date) {
            (Some(value), _) => return Some(Located { value, place: self.place(at) }),
            (None, Some(date)) => self.fault(at, format!("{key} is {date}, a day that the calendar does not have")),
            (None, None) => {
                self.fault(at, format!("{key} is {}, must be a day without quotes, such as 2026-03-01", kind(item)))
            }
        }
        None
    }

    /// A list of tables, as `[[key]]` or as `key = [{ … }]`; empty if there is none.
    pub fn sections<'a>(&mut self, section: Section<'a>, key: &str) -> Vec<Section<'a>> {
        let Some(item) = section.table.get(key) else { return Vec::new() };
        let at = start(item.span(), section.at);
        match item {
            Item::ArrayOfTables(tables) => tables.iter().map(|table| Section { table, at: start(table.span(), at) }).collect(),
            Item::Value(Value::Array(array)) => {
                let mut sections = Vec::with_capacity(array.len());
                for value in array {
                    let at = start(value.span(), at);
                    match value.as_inline_table() {
                        Some(table) => sections.push(Section { table, at }),
                        None => self.fault(at, format!("{key} has {}, must be tables in braces", value_kind(value))),
                    }
                }
                sections
            }
            other => {
                self.fault(at, format!("{key} is {}, must be a list of tables; write [[{key}]]", kind(other)));
                Vec::new()
            }
        }
    }
}

fn start(span: Option<Range<usize>>, otherwise: usize) -> usize {
    span.map_or(otherwise, |span| span.start)
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::Value(value) => value_kind(value),
        Item::Table(_) => "a table",
        Item::ArrayOfTables(_) => "a list of tables",
        Item::None => "nothing",
    }
}

fn value_kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "a truth value",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "a list",
        Value::InlineTable(_) => "a table",
    }
}
