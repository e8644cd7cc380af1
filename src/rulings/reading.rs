//! Reads the fields of a draft one by one and gathers what is wrong with them.

use super::draft::{BasisDraft, PositionDraft, RulingFault};
use super::{Authority, Known, Position, Vote};
use crate::catalog::{Day, Level, Words};
use crate::text::{is_persons_number, masked_as_written};

/// Longest line of a field: matter, document, name.
const MAX_LINE: usize = 200;
/// Longest text of a field: description, statement, quote, in characters.
pub(super) const MAX_TEXT: usize = 2_000;
/// Most examples, and most entries of any list.
pub(super) const MAX_ENTRIES: usize = 100;
/// Longest id.
const MAX_ID: usize = 64;

/// Reads fields and gathers faults.
pub(super) struct Reading<'a> {
    pub(super) known: Option<&'a Known>,
    /// The day on which the names were used, once it is read.
    pub(super) day: Option<Day>,
    /// Whether what is too long, too many or unmasked is a fault: not in what was taken once.
    pub(super) fresh: bool,
    pub(super) faults: Vec<RulingFault>,
}

impl Reading<'_> {
    pub(super) fn fault(&mut self, field: &str, reason: &str) {
        self.faults.push(RulingFault { field: field.to_owned(), reason: reason.to_owned() });
    }

    pub(super) fn choice<T: Copy>(&mut self, field: &str, value: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = value.trim();
        let found = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
            let is = if value.is_empty() { "is missing".to_owned() } else { format!("{:?} is unknown", short(value)) };
            self.fault(field, &format!("{is}; one of {}", names.join(", ")));
        }
        found
    }

    pub(super) fn day(&mut self, field: &str, value: &str) -> Option<Day> {
        let value = value.trim();
        if value.is_empty() {
            return None;
        }
        let day = value.parse::<Day>().ok().filter(|day| (1900..=2200).contains(&chrono::Datelike::year(day)));
        if day.is_none() {
            self.fault(field, &format!("{:?} is no day of the calendar from 1900 to 2200; write YYYY-MM-DD", short(value)));
        }
        day
    }

    /// A text with line breaks; no other control character.
    pub(super) fn text(&mut self, field: &str, value: &str, most: usize) -> String {
        let count = value.chars().count();
        if count > most && self.fresh {
            self.fault(field, &format!("has {count} characters, at most {most} are taken"));
            return String::new();
        }
        if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.fault(field, "has a control character");
            return String::new();
        }
        value.trim().to_owned()
    }

    /// A field masked: a ruling is read by many, and must not name a citizen.
    pub(super) fn unnamed(&mut self, field: impl FnOnce(&mut Self) -> String) -> String {
        let text = field(self);
        if self.fresh { masked_as_written(&text) } else { text }
    }

    /// Numbers of orders. A person's number is none.
    pub(super) fn orders(&mut self, values: &[String]) -> Vec<String> {
        let orders = self.lines("orders", values);
        for (i, order) in orders.iter().enumerate() {
            if self.fresh && is_persons_number(order) {
                self.fault(&format!("orders[{i}]"), "is a person's number, not an order's");
            }
        }
        orders
    }

    pub(super) fn line(&mut self, field: &str, value: &str) -> String {
        let text = self.text(field, value, MAX_LINE);
        if text.contains(['\n', '\r']) {
            self.fault(field, "has a line break");
        }
        text
    }

    pub(super) fn lines(&mut self, field: &str, values: &[String]) -> Vec<String> {
        if values.len() > MAX_ENTRIES && self.fresh {
            self.fault(field, &format!("has {} entries, at most {MAX_ENTRIES} are taken", values.len()));
            return Vec::new();
        }
        let mut lines: Vec<String> = Vec::new();
        for (i, value) in values.iter().enumerate() {
            let line = self.line(&format!("{field}[{i}]"), value);
            if !line.is_empty() && !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }

    pub(super) fn id(&mut self, field: &str, value: &str) -> String {
        let value = value.trim();
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if value.len() > MAX_ID || !value.chars().all(good) {
            self.fault(field, &format!("{:?} is no id; letters, digits, - _ . and at most {MAX_ID} of them", short(value)));
        }
        value.to_owned()
    }

    /// The id of the ruling itself. It is cited for good, in the trail too, which forgets nothing, so a person's number is none, whatever
    /// letters stand before it.
    pub(super) fn own_id(&mut self, value: &str) -> String {
        let id = self.id("id", value);
        let number = id.trim_start_matches(|c: char| !c.is_ascii_digit());
        if self.fresh && is_persons_number(number) {
            self.fault("id", "has a person's number in it; choose another, or leave it out and one is made of the content");
        }
        id
    }

    pub(super) fn department(&mut self, field: &str, value: &str) -> String {
        let line = self.line(field, value);
        let Some(known) = self.known.filter(|_| !line.is_empty()) else { return line };
        if let Some(id) = known.department_on(&line, self.day) {
            return id.to_owned();
        }
        let hint = known.hint(&line);
        self.fault(field, &format!("no department {:?} is known{hint}", short(&line)));
        line
    }

    pub(super) fn departments(&mut self, field: &str, values: &[String]) -> Vec<String> {
        let lines = self.lines(field, values);
        let mut ids: Vec<String> = Vec::new();
        for (i, line) in lines.iter().enumerate() {
            let id = self.department(&format!("{field}[{i}]"), line);
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    pub(super) fn districts(&mut self, values: &[String]) -> Vec<String> {
        let lines = self.lines("districts", values);
        let Some(known) = self.known.filter(|known| !known.districts.is_empty()) else { return lines };
        let mut names: Vec<String> = Vec::new();
        for (i, line) in lines.into_iter().enumerate() {
            let Some(name) = known.district(&line) else {
                let there: Vec<&str> = known.districts.iter().map(|(name, _)| name.as_str()).collect();
                let said = format!("no district {:?} is known; there are {}", short(&line), there.join(", "));
                self.fault(&format!("districts[{i}]"), &said);
                continue;
            };
            if !names.iter().any(|one| one == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Words that appeals are searched for. One with a person's number in it is refused: masked, it would stand for everybody's.
    pub(super) fn words(&mut self, field: &str, values: &[String]) -> Words {
        let lines = self.lines(field, values);
        for (i, line) in lines.iter().enumerate() {
            if self.fresh && masked_as_written(line) != *line {
                let said = "has a person's number in it, which a ruling must not keep; leave it out";
                self.fault(&format!("{field}[{i}]"), said);
            }
        }
        Words::parse(lines.iter().map(String::as_str)).unwrap_or_else(|reason| {
            self.fault(field, &reason);
            Words::default()
        })
    }

    pub(super) fn authority(&mut self, i: usize, draft: &BasisDraft) -> Option<Authority> {
        let field = |name: &str| format!("basis[{i}].{name}");
        let level = Level::parse(draft.level.trim());
        if level.is_none() {
            let there = Level::ALL.join(", ");
            self.fault(&field("level"), &format!("{:?} is no rank of a document; one of {there}", short(&draft.level)));
        }
        let authority = Authority {
            level: level?,
            document: self.unnamed(|read| read.line(&field("document"), &draft.document)),
            article: self.unnamed(|read| read.line(&field("article"), &draft.article)),
            quote: self.unnamed(|read| read.text(&field("quote"), &draft.quote, MAX_TEXT)),
            valid_from: self.day(&field("valid_from"), &draft.valid_from),
        };
        if authority.level.needs_document() && draft.document.trim().is_empty() {
            self.fault(&field("document"), &format!("is missing; a {} is cited by its name", authority.level));
        }
        Some(authority)
    }

    pub(super) fn position(&mut self, i: usize, draft: &PositionDraft) -> Option<Position> {
        let field = |name: &str| format!("positions[{i}].{name}");
        if draft.department.trim().is_empty() {
            self.fault(&field("department"), "is missing");
            return None;
        }
        let votes =
            [("for", Some(Vote::For)), ("against", Some(Vote::Against)), ("abstained", Some(Vote::Abstained)), ("", None)];
        Some(Position {
            department: self.department(&field("department"), &draft.department),
            statement: self.unnamed(|read| read.text(&field("statement"), &draft.statement, MAX_TEXT)),
            vote: self.choice(&field("vote"), &draft.vote, &votes).flatten(),
        })
    }
}

/// What may be quoted of a wrong value: its beginning.
fn short(value: &str) -> String {
    let cut: String = value.chars().take(24).collect();
    if cut.len() < value.len() { format!("{cut}…") } else { cut }
}
