//! A ruling as it comes in, from a call, a file or the database, and the one way to make a [`Ruling`] of it. Every fault is told
//! at once, each with its field: whoever corrects a row of a file should have to do it once.

use serde::{Deserialize, Serialize};

use super::reading::{MAX_ENTRIES, MAX_TEXT, Reading};
use super::{Body, Known, Ruling, Scope, Status};
use crate::catalog::Validity;
use crate::text::{AppealFields, JsonFault, json_line, objects};

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
    #[serde(deserialize_with = "objects")]
    pub basis: Vec<BasisDraft>,
    /// Who contested it.
    #[serde(deserialize_with = "objects")]
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

impl RulingDraft {
    /// Reads one line of JSON. The error names the place, never the words.
    pub fn from_json(line: &str) -> Result<Self, RulingFault> {
        json_line(line)
            .map_err(|JsonFault { field, reason }| RulingFault { field: field.unwrap_or_else(|| "line".to_owned()), reason })
    }

    /// Makes a ruling of it, or tells every fault. `known` is `None` where any name will do: after a reform of institutions an
    /// old ruling may name a department that is no more.
    pub fn parse(&self, known: Option<&Known>) -> Result<Ruling, Vec<RulingFault>> {
        self.read(Reading { known, day: None, fresh: true, faults: Vec::new() })
    }

    /// Makes the ruling again that this is the form of ([`RulingDraft::from`]). What was taken once is never refused for what may
    /// be sent: a ruling that nobody can read any more could neither be withdrawn nor count.
    pub fn restore(&self) -> Result<Ruling, Vec<RulingFault>> {
        self.read(Reading { known: None, day: None, fresh: false, faults: Vec::new() })
    }

    fn read(&self, mut read: Reading<'_>) -> Result<Ruling, Vec<RulingFault>> {
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
        read.day = decided_on;
        if self.decided_on.trim().is_empty() {
            read.fault("decided_on", "is missing; write the day as YYYY-MM-DD");
        }
        let (from, to) = (read.day("effective_from", &self.effective_from), read.day("effective_to", &self.effective_to));
        if let (Some(first), Some(to)) = (from.or(decided_on), to)
            && to < first
            && read.fresh
        {
            let first = if from.is_some() { "effective_from" } else { "decided_on, from when it is effective" };
            read.fault("effective_to", &format!("is before {first}"));
        }
        let matter = read.unnamed(|read| read.line("matter", &self.matter));
        // What was there and is told already is not missing as well.
        if self.matter.trim().is_empty() {
            read.fault("matter", "is missing; say in one line what the ruling is about");
        }
        let description = read.unnamed(|read| read.text("description", &self.description, MAX_TEXT));
        let examples = self.examples(&mut read);
        let says_nothing = self.description.trim().is_empty() && self.examples.is_empty();
        if scope == Some(Scope::Standing) && says_nothing {
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
        if let Some(both) = supporting.iter().find(|id| excluded.contains(id)).filter(|_| read.fresh) {
            read.fault("excluded", &format!("names {both:?}, which supporting names as well"));
        }
        if supporting.contains(&lead) && !lead.is_empty() {
            read.fault("supporting", "names the lead");
        }
        let last_resort = Some(read.department("last_resort", &self.last_resort)).filter(|id| !id.is_empty());
        let ruling = Ruling {
            id: read.own_id(&self.id),
            scope: scope.unwrap_or(Scope::Case),
            status: status.unwrap_or(Status::InForce),
            matter,
            description,
            examples,
            required_words: read.words("required_words", &self.required_words),
            forbidden_words: read.words("forbidden_words", &self.forbidden_words),
            orders: read.orders(&self.orders),
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
        if !read.fresh {
            return self.examples.clone();
        }
        if self.examples.len() > MAX_ENTRIES {
            read.fault("examples", &format!("has {} entries, at most {MAX_ENTRIES} are taken", self.examples.len()));
            return Vec::new();
        }
        let mut examples = Vec::with_capacity(self.examples.len());
        for (i, text) in self.examples.iter().enumerate() {
            let (field, told) = (format!("examples[{i}]"), read.faults.len());
            let text = read.text(&field, text, MAX_EXAMPLE);
            if read.faults.len() > told {
                continue;
            }
            match crate::text::Appeal::parse(AppealFields { text, ..AppealFields::default() }) {
                Ok(appeal) => {
                    // Written out, one character may be several: ㎡ is m2.
                    let masked = crate::text::masked(&appeal.fields().text);
                    examples.push(read.text(&field, &masked, MAX_EXAMPLE));
                }
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
    use crate::rulings::Authority;

    fn draft() -> RulingDraft {
        RulingDraft {
            id: "R-1".to_owned(),
            scope: "standing".to_owned(),
            matter: "沿街烧烤店油烟".to_owned(),
            lead: "城管".to_owned(),
            body: "committee".to_owned(),
            decided_on: "2026-11-26".to_owned(),
            description: "沿街店铺".to_owned(),
            ..RulingDraft::default()
        }
    }

    #[test]
    fn what_was_taken_once_can_always_be_read_again() {
        let examples = ["油烟……很大", "面积120㎡，电话１３８１２３４５６７８", "  前后有空格  ", "QQ号12345"];
        let grown = |times: usize| "㎡".repeat(times);
        for draft in [
            RulingDraft { examples: examples.map(str::to_owned).to_vec(), ..draft() },
            RulingDraft { examples: vec![grown(2_000)], ..draft() },
            RulingDraft { effective_to: "2026-11-26".to_owned(), ..draft() },
            RulingDraft { orders: (0..100).map(|i| format!("2026{i:08}")).collect(), ..draft() },
            RulingDraft { description: "联系人13812345678".to_owned(), ..draft() },
        ] {
            let ruling = draft.parse(None).unwrap_or_else(|faults| panic!("{faults:?}"));
            assert_eq!(RulingDraft::from(&ruling).restore().as_ref(), Ok(&ruling));
            // Not what may be sent any more, but there: it must be possible to withdraw it.
            let mut kept = RulingDraft::from(&ruling);
            kept.orders.extend((0..100).map(|i| format!("2027{i:08}")));
            kept.effective_to = "2020-01-01".to_owned();
            kept.examples.push(grown(4_000));
            assert!(kept.restore().is_ok());
        }
    }

    #[test]
    fn what_could_not_be_kept_is_refused_with_its_field() {
        let fields = |draft: RulingDraft| -> Vec<String> {
            draft.parse(None).expect_err("a fault").into_iter().map(|fault| fault.field).collect()
        };
        assert_eq!(fields(RulingDraft { effective_to: "2026-11-01".to_owned(), ..draft() }), ["effective_to"]);
        assert_eq!(fields(RulingDraft { examples: vec!["㎡".repeat(3_990)], ..draft() }), ["examples[0]"]);
        let orders = vec!["20171218922818".to_owned(), "13812345678".to_owned()];
        assert_eq!(fields(RulingDraft { orders, ..draft() }), ["orders[1]"]);
    }

    #[test]
    fn a_persons_number_that_cannot_be_masked_is_refused_with_its_field() {
        let fields = |draft: RulingDraft| -> Vec<String> {
            draft.parse(None).map_or_else(|faults| faults.into_iter().map(|fault| fault.field).collect(), |_| Vec::new())
        };
        for id in ["13812345678", "138-1234-5678", "R-13812345678", "O11010119900307123X"] {
            assert_eq!(fields(RulingDraft { id: id.to_owned(), ..draft() }), ["id"], "{id}");
        }
        for id in ["R-2026-001", "O-20171218922818", "O-460106202611270001", "R-9c897033b56ee44d", "O-a1381234567812345"] {
            assert!(fields(RulingDraft { id: id.to_owned(), ..draft() }).is_empty(), "{id}");
        }
        let words = || vec!["油烟".to_owned(), "噪音|13812345678".to_owned()];
        let faulty = RulingDraft { required_words: words(), forbidden_words: words(), ..draft() };
        assert_eq!(fields(faulty), ["required_words[1]", "forbidden_words[1]"]);
        // Kept before it was refused: it must be possible to supersede and to withdraw it.
        assert!(fields(RulingDraft { supersedes: "13812345678".to_owned(), ..draft() }).is_empty());
        assert!(RulingDraft { id: "13812345678".to_owned(), required_words: words(), ..draft() }.restore().is_ok());
    }

    #[test]
    fn one_fault_is_told_once_and_not_what_follows_from_it() {
        let faults = |draft: RulingDraft| -> Vec<String> {
            draft.parse(None).expect_err("a fault").iter().map(RulingFault::to_string).collect()
        };
        let standing = |examples: Vec<String>| RulingDraft { description: String::new(), examples, ..draft() };
        assert_eq!(faults(RulingDraft { matter: "油\0烟".to_owned(), ..draft() }), ["matter: has a control character"]);
        let told = ["examples[0]: has 4001 characters, at most 4000 are taken"];
        assert_eq!(faults(standing(vec!["烟".repeat(4_001)])), told);
        let told = ["description: has 2001 characters, at most 2000 are taken"];
        assert_eq!(faults(RulingDraft { description: "烟".repeat(2_001), ..draft() }), told);
        let basis = vec![BasisDraft { level: "法律".to_owned(), document: "法\0".to_owned(), ..BasisDraft::default() }];
        assert_eq!(faults(RulingDraft { basis, ..draft() }), ["basis[0].document: has a control character"]);
    }

    #[test]
    fn nobody_is_named_in_a_ruling() {
        let positions = vec![PositionDraft {
            department: "环保".to_owned(),
            statement: "来电人13812345678称".to_owned(),
            vote: String::new(),
        }];
        let basis = vec![BasisDraft {
            level: "会议纪要".to_owned(),
            document: "关于13812345678投诉的纪要".to_owned(),
            article: "第2条 13812345678".to_owned(),
            quote: "机主１３８１２３４５６７８称".to_owned(),
            valid_from: String::new(),
        }];
        let draft = RulingDraft { description: "联系人138\u{200b}12345678".to_owned(), positions, basis, ..draft() };
        let ruling = draft.parse(None).expect("a ruling");
        let Authority { document, article, quote, .. } = &ruling.basis[0];
        assert_eq!([document, article, quote], ["关于[手机号]投诉的纪要", "第2条 [手机号]", "机主[手机号]称"]);
        assert_eq!(ruling.description, "联系人[手机号]");
        assert_eq!(ruling.positions[0].statement, "来电人[手机号]称");
    }
}
