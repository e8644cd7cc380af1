//! A ruling as it comes in, from a call, a file or the database, and the one way to make a [`Ruling`] of it. Every fault is told
//! at once, each with its field: whoever corrects a row of a file should have to do it once.

use serde::{Deserialize, Serialize};

use super::reading::{MAX_ENTRIES, MAX_TEXT, Reading};
use super::{Body, Ruling, Scope, Status};
use crate::catalog::{CatalogDepartment, DepartmentCatalog, Validity};
use crate::text::{AppealFields, nearest};

/// Longest example, in characters: the model reads no more of an appeal.
const MAX_EXAMPLE: usize = 4_000;

/// Nothing is checked yet. In JSON it is the form of a line of an export.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulingDraft {
    /// As [`Ruling::id`]; empty lets the store choose one.
    pub id: String,
    /// `case` or `standing`.
    pub scope: String,
    /// `draft`, `in_force`, `superseded` or `withdrawn`; empty is `in_force`.
    pub status: String,
    /// What it is about.
    pub matter: String,
    /// What it covers.
    pub description: String,
    /// Appeals.
    pub examples: Vec<String>,
    /// As in the catalogue: every entry must occur, `|` separates alternatives.
    pub required_words: Vec<String>,
    /// None may occur.
    pub forbidden_words: Vec<String>,
    /// Orders.
    pub orders: Vec<String>,
    /// Districts.
    pub districts: Vec<String>,
    /// Lead department.
    pub lead: String,
    /// Supporting departments.
    pub supporting: Vec<String>,
    /// Of last resort.
    pub last_resort: String,
    /// Not responsible.
    pub excluded: Vec<String>,
    /// What it rests on.
    pub basis: Vec<BasisDraft>,
    /// Who contested it.
    pub positions: Vec<PositionDraft>,
    /// A name of [`Body::ALL`].
    pub body: String,
    /// Day, YYYY-MM-DD.
    pub decided_on: String,
    /// First day; empty: the day it was decided on.
    pub effective_from: String,
    /// Last day; empty: open.
    pub effective_to: String,
    /// Id of the ruling that it replaces.
    pub supersedes: String,
}

/// As [`Authority`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BasisDraft {
    /// Rank.
    pub level: String,
    /// Name and number.
    pub document: String,
    /// Article.
    pub article: String,
    /// Words.
    pub quote: String,
    /// Day.
    pub valid_from: String,
}

/// As [`Position`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PositionDraft {
    /// Which department.
    pub department: String,
    /// Its view.
    pub statement: String,
    /// `for`, `against`, `abstained`, or empty.
    pub vote: String,
}

/// One fault of a draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct RulingFault {
    /// Path of the field, such as `basis[0].level`.
    pub field: String,
    /// What is wrong and what would be right; never the text of an appeal.
    pub reason: String,
}

/// The names that a ruling may use: those of the catalogue, or of the model where there is no catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Ids of departments, each with the other names it goes by.
    pub departments: Vec<(String, Vec<String>)>,
    /// Districts, each with the other names it goes by; empty: nothing is known of districts, and any name will do.
    pub districts: Vec<(String, Vec<String>)>,
}

impl Known {
    /// Every department that the catalogue has ever had, and its districts.
    pub fn of_catalog(catalog: &DepartmentCatalog) -> Self {
        let names = |one: &CatalogDepartment| std::iter::once(&one.name).chain(&one.aliases).cloned().collect();
        Self {
            departments: catalog.departments.iter().map(|one| (one.id.clone(), names(one))).collect(),
            districts: catalog.districts.iter().map(|one| (one.name.clone(), one.aliases.clone())).collect(),
        }
    }

    /// The id that a name means.
    pub fn department(&self, name: &str) -> Option<&str> {
        let ids = self.departments.iter().map(|(id, _)| id.as_str());
        ids.clone().find(|id| *id == name).or_else(|| {
            let called = |(_, names): &&(String, Vec<String>)| names.iter().any(|one| one == name);
            self.departments.iter().find(called).map(|(id, _)| id.as_str())
        })
    }

    /// The district that a name means, as the catalogue calls it.
    pub fn district(&self, name: &str) -> Option<&str> {
        let called = |(own, others): &&(String, Vec<String>)| own == name || others.iter().any(|one| one == name);
        self.districts.iter().find(called).map(|(own, _)| own.as_str())
    }

    /// The ids of the departments that a text names, in its order, each once. Of names that overlap the longer one counts: whoever
    /// writes 公安交警 does not mean 公安.
    pub fn named_in(&self, text: &str) -> Vec<&str> {
        let mut found: Vec<(usize, usize, &str)> = Vec::new();
        for (id, names) in &self.departments {
            let called = std::iter::once(id).chain(names).filter(|name| name.chars().count() > 1);
            found.extend(
                called.flat_map(|name| text.match_indices(name.as_str()).map(|(at, _)| (at, at + name.len(), id.as_str()))),
            );
        }
        let longer = |a: &(usize, usize, &str), b: &(usize, usize, &str)| b.1 - b.0 > a.1 - a.0 && a.0 < b.1 && b.0 < a.1;
        let mut kept: Vec<_> = found.iter().filter(|one| !found.iter().any(|other| longer(one, other))).collect();
        kept.sort_unstable();
        let mut ids: Vec<&str> = Vec::new();
        kept.into_iter().for_each(|(_, _, id)| {
            if !ids.contains(id) {
                ids.push(id)
            }
        });
        ids
    }

    /// The nearest name, as the end of a sentence; empty if none is near.
    pub fn hint(&self, typed: &str) -> String {
        let ids = self.departments.iter().map(|(id, _)| id.as_str());
        let near = nearest(typed, ids).filter(|name| name.chars().any(|c| typed.contains(c)));
        near.map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
    }
}

impl RulingDraft {
    /// Reads one line of JSON. The error names the place, never the words.
    pub fn from_json(line: &str) -> Result<Self, RulingFault> {
        serde_json::from_str(line).map_err(|error| {
            let said = error.to_string();
            // serde quotes the name of an unknown field, and the value of a wrong type: the former is wanted, the latter is not.
            let reason = match error.classify() {
                serde_json::error::Category::Data if said.starts_with("unknown field") => said,
                serde_json::error::Category::Data => format!("a field has the wrong type (column {})", error.column()),
                serde_json::error::Category::Eof => "the JSON object is cut off".to_owned(),
                _ => format!("not a JSON object (column {})", error.column()),
            };
            RulingFault { field: "line".to_owned(), reason }
        })
    }

    /// Makes a ruling of it, or tells every fault. `known` is `None` for what was checked before, such as the database's own
    /// rows: after a reform of institutions an old ruling may name a department that is no more.
    pub fn parse(&self, known: Option<&Known>) -> Result<Ruling, Vec<RulingFault>> {
        let mut read = Reading { known, faults: Vec::new() };
        let scope = read.choice("scope", &self.scope, &[("case", Scope::Case), ("standing", Scope::Standing)]);
        let statuses = [
            ("in_force", Status::InForce),
            ("", Status::InForce),
            ("draft", Status::Draft),
            ("superseded", Status::Superseded),
            ("withdrawn", Status::Withdrawn),
        ];
        let status = read.choice("status", &self.status, &statuses);
        let bodies: Vec<(&str, Body)> = Body::ALL.iter().flat_map(|(body, id, name)| [(*id, *body), (*name, *body)]).collect();
        let body = read.choice("body", &self.body, &bodies);
        let decided_on = read.day("decided_on", &self.decided_on);
        if self.decided_on.trim().is_empty() {
            read.fault("decided_on", "is missing; write the day as YYYY-MM-DD");
        }
        let (from, to) = (read.day("effective_from", &self.effective_from), read.day("effective_to", &self.effective_to));
        if let (Some(from), Some(to)) = (from, to)
            && to < from
        {
            read.fault("effective_to", "is before effective_from");
        }
        let matter = read.line("matter", &self.matter);
        if matter.is_empty() {
            read.fault("matter", "is missing; say in one line what the ruling is about");
        }
        let description = read.text("description", &self.description, MAX_TEXT);
        let examples = self.examples(&mut read);
        if scope == Some(Scope::Standing) && description.is_empty() && examples.is_empty() {
            read.fault("description", "a standing ruling needs a description or examples, or nothing could be likened to it");
        }
        let lead = read.department("lead", &self.lead);
        if self.lead.trim().is_empty() {
            read.fault("lead", "is missing; a ruling names who leads");
        }
        let supporting = read.departments("supporting", &self.supporting);
        let excluded = read.departments("excluded", &self.excluded);
        if excluded.contains(&lead) && !lead.is_empty() {
            read.fault("excluded", "names the lead");
        }
        if supporting.contains(&lead) && !lead.is_empty() {
            read.fault("supporting", "names the lead");
        }
        let last_resort = Some(read.department("last_resort", &self.last_resort)).filter(|id| !id.is_empty());
        let ruling = Ruling {
            id: read.id("id", &self.id),
            scope: scope.unwrap_or(Scope::Case),
            status: status.unwrap_or(Status::InForce),
            matter,
            description,
            examples,
            required_words: read.words("required_words", &self.required_words),
            forbidden_words: read.words("forbidden_words", &self.forbidden_words),
            orders: read.lines("orders", &self.orders),
            districts: read.districts(&self.districts),
            lead,
            supporting,
            last_resort,
            excluded,
            basis: self.basis.iter().enumerate().filter_map(|(i, basis)| read.authority(i, basis)).collect(),
            positions: self.positions.iter().enumerate().filter_map(|(i, one)| read.position(i, one)).collect(),
            body: body.unwrap_or(Body::HotlineReview),
            decided_on: decided_on.unwrap_or_default(),
            effective: Validity { from: from.or(decided_on), to },
            supersedes: Some(read.id("supersedes", &self.supersedes)).filter(|id| !id.is_empty()),
        };
        if ruling.supersedes.as_ref() == Some(&ruling.id) {
            read.fault("supersedes", "names the ruling itself");
        }
        for (field, count) in [("basis", self.basis.len()), ("positions", self.positions.len())] {
            if count > MAX_ENTRIES {
                read.fault(field, &format!("has {count} entries, at most {MAX_ENTRIES} are taken"));
            }
        }
        if read.faults.is_empty() { Ok(ruling) } else { Err(read.faults) }
    }

    /// The examples, masked: a ruling is read by many, and what it was given on must not name a citizen.
    fn examples(&self, read: &mut Reading<'_>) -> Vec<String> {
        if self.examples.len() > MAX_ENTRIES {
            read.fault("examples", &format!("has {} entries, at most {MAX_ENTRIES} are taken", self.examples.len()));
            return Vec::new();
        }
        let mut examples = Vec::with_capacity(self.examples.len());
        for (i, text) in self.examples.iter().enumerate() {
            let field = format!("examples[{i}]");
            let text = read.text(&field, text, MAX_EXAMPLE);
            match crate::text::Appeal::parse(AppealFields { text, ..AppealFields::default() }) {
                Ok(appeal) => examples.push(crate::text::masked(&appeal.fields().text)),
                Err(error) => read.fault(&field, &error.reason),
            }
        }
        examples
    }
}

impl From<&Ruling> for RulingDraft {
    /// The draft that [`RulingDraft::parse`] makes the same ruling of.
    fn from(ruling: &Ruling) -> Self {
        let day = |day: Option<crate::catalog::Day>| day.map(|day| day.to_string()).unwrap_or_default();
        let name = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let body = Body::ALL.iter().find(|(body, ..)| *body == ruling.body);
        Self {
            id: ruling.id.clone(),
            scope: name(serde_json::json!(ruling.scope)),
            status: name(serde_json::json!(ruling.status)),
            matter: ruling.matter.clone(),
            description: ruling.description.clone(),
            examples: ruling.examples.clone(),
            required_words: ruling.required_words.entries().collect(),
            forbidden_words: ruling.forbidden_words.entries().collect(),
            orders: ruling.orders.clone(),
            districts: ruling.districts.clone(),
            lead: ruling.lead.clone(),
            supporting: ruling.supporting.clone(),
            last_resort: ruling.last_resort.clone().unwrap_or_default(),
            excluded: ruling.excluded.clone(),
            basis: ruling
                .basis
                .iter()
                .map(|one| BasisDraft {
                    level: one.level.to_string(),
                    document: one.document.clone(),
                    article: one.article.clone(),
                    quote: one.quote.clone(),
                    valid_from: day(one.valid_from),
                })
                .collect(),
            positions: ruling
                .positions
                .iter()
                .map(|one| PositionDraft {
                    department: one.department.clone(),
                    statement: one.statement.clone(),
                    vote: one.vote.map(|vote| name(serde_json::json!(vote))).unwrap_or_default(),
                })
                .collect(),
            body: body.map(|(_, id, _)| (*id).to_owned()).unwrap_or_default(),
            decided_on: ruling.decided_on.to_string(),
            effective_from: day(ruling.effective.from),
            effective_to: day(ruling.effective.to),
            supersedes: ruling.supersedes.clone().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_names_that_overlap_the_longer_counts_and_each_department_once() {
        let department = |id: &str, names: &[&str]| (id.to_owned(), names.iter().map(|name| (*name).to_owned()).collect());
        let known = Known {
            departments: vec![
                department("公安", &["公安局"]),
                department("交警", &["公安交警", "交警支队"]),
                department("水", &[]),
                department("水务", &["水务局"]),
            ],
            districts: Vec::new(),
        };
        assert_eq!(known.named_in("应由公安交警处理，交警支队已知悉；供水问题请转水务局"), ["交警", "水务"]);
        assert_eq!(known.named_in("请转公安局，另抄交警"), ["公安", "交警"]);
        assert!(known.named_in("不属于我单位职责").is_empty());
    }
}
