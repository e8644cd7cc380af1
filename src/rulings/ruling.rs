//! The record of a ruling. One that exists is a good one: [`RulingDraft::parse`](super::RulingDraft::parse) made it.

use crate::catalog::{Day, Level, Place, Validity, Words};

/// Id of a ruling, as it is cited.
pub type RulingId = String;

/// A decision on who is responsible (责任认定).
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// Its id: letters, digits, `-`, `_`, `.`; at most 64.
    pub id: RulingId,
    /// For one order or for all of a kind.
    pub scope: Scope,
    /// Whether it counts.
    pub status: Status,
    /// What it is about, in one line.
    pub matter: String,
    /// What a standing ruling covers, in words; may be empty for a case.
    pub description: String,
    /// Appeals that it was given on, or that show what it covers: masked texts. Appeals are likened to these and to the description.
    pub examples: Vec<String>,
    /// Words that must all occur in an appeal for a standing ruling to apply; none: no condition.
    pub required_words: Words,
    /// Words of which none may occur.
    pub forbidden_words: Words,
    /// Orders that gave rise to it, by the hotline's number.
    pub orders: Vec<String>,
    /// Districts that it holds in; none: the whole city.
    pub districts: Vec<String>,
    /// Lead department (主办), by id.
    pub lead: String,
    /// Supporting departments (协办), by id.
    pub supporting: Vec<String>,
    /// Who handles it while nobody else is found responsible (兜底), by id.
    pub last_resort: Option<String>,
    /// Departments that were found not to be responsible, by id.
    pub excluded: Vec<String>,
    /// What it rests on.
    pub basis: Vec<Authority>,
    /// The contesting departments and what they said.
    pub positions: Vec<Position>,
    /// Who decided.
    pub body: Body,
    /// When it was decided.
    pub decided_on: Day,
    /// Days of receipt on which it holds.
    pub effective: Validity,
    /// The ruling that it replaces.
    pub supersedes: Option<RulingId>,
}

impl Ruling {
    /// True if it holds in the whole city or in this district. Where that is not known, only what holds in the whole city does.
    pub fn holds_in(&self, district: Place<'_>) -> bool {
        self.districts.is_empty() || district.is_among(&self.districts)
    }

    /// True for a standing ruling that counts for appeals received on a day in a district.
    pub fn applies(&self, day: Day, district: Place<'_>) -> bool {
        let here = self.holds_in(district);
        self.scope == Scope::Standing && self.status == Status::InForce && self.effective.contains(day) && here
    }

    /// A superseded one as it counts, by the first day of whatever took its place: a standing ruling that began before holds until the
    /// eve of that day. `None` if it counts no more, as one on a case: its successor decides that whenever it came in.
    pub fn until(&self, first: Day) -> Option<Self> {
        let began_before = self.effective.from.is_none_or(|from| from < first);
        let ended = self.scope == Scope::Standing && self.status == Status::Superseded && began_before;
        let eve = first.pred_opt().filter(|_| ended)?;
        let to = Some(self.effective.to.map_or(eve, |to| to.min(eve)));
        Some(Self { status: Status::InForce, effective: Validity { to, ..self.effective }, ..self.clone() })
    }

    /// Who wins where several hold: the higher body, then the later decision, then the narrower area, then by id so that the same
    /// question has the same answer everywhere. Greater wins.
    pub fn precedence(&self) -> (Body, Day, std::cmp::Reverse<usize>, &str) {
        // The whole city is wider than any list of districts.
        let width = if self.districts.is_empty() { usize::MAX } else { self.districts.len() };
        (self.body, self.decided_on, std::cmp::Reverse(width), &self.id)
    }

    /// The texts that appeals are likened to: the examples, then the description, or the matter where there is nothing else.
    pub fn texts(&self) -> Vec<&str> {
        let mut texts: Vec<&str> = self.examples.iter().map(String::as_str).collect();
        if !self.description.is_empty() {
            texts.push(&self.description);
        }
        if texts.is_empty() {
            texts.push(&self.matter);
        }
        texts
    }

    /// Every department that it names.
    pub fn departments(&self) -> impl Iterator<Item = &String> {
        let contesting = self.positions.iter().map(|position| &position.department);
        std::iter::once(&self.lead).chain(&self.supporting).chain(&self.last_resort).chain(&self.excluded).chain(contesting)
    }
}

/// How far a ruling reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One order, or the few it names (个案).
    Case,
    /// All appeals of a kind (类案).
    Standing,
}

/// Whether a ruling counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Being written.
    Draft,
    /// It counts.
    InForce,
    /// A later one took its place.
    Superseded,
    /// Taken back.
    Withdrawn,
}

/// Who decided. The higher one wins, and the order of the variants is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// The hotline itself (热线审核).
    HotlineReview,
    /// A meeting of the units (会商).
    JointMeeting,
    /// The identification committee (认定委员会).
    Committee,
    /// The organisation office (编办).
    OrganisationOffice,
    /// The county or city government (政府).
    Government,
}

impl Body {
    /// All, lowest first, with the names that files may use.
    pub const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::HotlineReview, "hotline_review", "热线审核"),
        (Self::JointMeeting, "joint_meeting", "会商"),
        (Self::Committee, "committee", "认定委员会"),
        (Self::OrganisationOffice, "organisation_office", "编办"),
        (Self::Government, "government", "政府"),
    ];

    /// In Chinese, for people.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(body, ..)| *body == self).map_or("", |(.., name)| name)
    }
}

/// What a ruling rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Rank of the document.
    pub level: Level,
    /// Its name, and its number where there is one; may be empty for what has no name of its own.
    pub document: String,
    /// Article; may be empty.
    pub article: String,
    /// The words that count; may be empty.
    pub quote: String,
    /// Since when it holds.
    pub valid_from: Option<Day>,
}

/// What a contesting department said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Which, by id.
    pub department: String,
    /// Its view; may be empty.
    pub statement: String,
    /// How it voted.
    pub vote: Option<Vote>,
}

/// A vote on a ruling. Against is dissent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// 赞成
    For,
    /// 反对
    Against,
    /// 弃权
    Abstained,
}
