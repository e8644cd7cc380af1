//! The case file (案卷): what a committee reads before it rules. Both sides stand next to each other, each with its duties, the
//! articles they rest on and what it said; beside them the rulings that nearly fit and why they do not, the precedents with their
//! outcome, the model's opinion, and a drafted ruling.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::course::{CaseCause, Course, Settlement, case_id};
use super::draft::drafted;
use super::near::{NearRuling, near_rulings};
use crate::catalog::{Basis, Day, DepartmentCatalog};
use crate::model::{Department, Likeness};
use crate::routing::{Circumstances, Decision, Ground, ReturnReason};
use crate::rulings::{Occasion, Ruling, RulingBook, RulingDraft};
use crate::text::AppealFields;

/// Most duties that are told of a side: those that the appeal's words fit come first.
const MAX_DUTIES: usize = 4;

/// What a committee reads.
#[derive(Debug, Clone)]
pub struct CaseFile {
    /// Its id.
    pub id: String,
    /// Why there is a case and since when; `None` if the order came back but once.
    pub cause: Option<(CaseCause, DateTime<Utc>)>,
    /// How it ended, with the ruling that ended it.
    pub settled: Option<(Settlement, Arc<Ruling>)>,
    /// The masked appeal.
    pub appeal: AppealFields,
    /// The course of the order so far.
    pub events: Vec<Event>,
    /// Those who objected, in the order in which they did, then the one that the order would go to next.
    pub sides: Vec<ContestingUnit>,
    /// Standing rulings that nearly fit.
    pub near: Vec<NearRuling>,
    /// What the router says of the appeal itself.
    pub opinion: Decision,
    /// What it says now that some have objected.
    pub next: Decision,
    /// To be edited.
    pub draft: RulingDraft,
    /// The same as a text that people edit.
    pub draft_text: String,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: DateTime<Utc>,
    /// What kind of thing.
    pub kind: EventKind,
    /// In one line of Chinese.
    pub text: String,
    /// Who did it.
    pub actor: String,
}

/// Kinds of things that happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// paidan answered.
    Answered,
    /// A person sent it out.
    Dispatched,
    /// A unit returned it.
    Returned,
    /// It became a case.
    CaseOpened,
    /// Somebody ruled.
    Ruled,
    /// It was closed.
    Closed,
}

/// A side of the dispute.
#[derive(Debug, Clone, PartialEq)]
pub struct ContestingUnit {
    /// Whose function it has.
    pub department: Arc<Department>,
    /// Its full name, if known.
    pub unit: Option<String>,
    /// True if it returned the order; false for the one that it would go to next.
    pub objects: bool,
    /// Its duties, with their articles.
    pub duties: Vec<CitedDuty>,
    /// What it said; empty if it was not asked yet.
    pub statements: Vec<Statement>,
    /// The model's probability of it, before anybody objected.
    pub probability: f32,
    /// Precedents of the file by which it leads.
    pub precedents: usize,
}

/// A duty as it is cited.
#[derive(Debug, Clone, PartialEq)]
pub struct CitedDuty {
    /// In one line.
    pub text: String,
    /// What it rests on.
    pub basis: Vec<Basis>,
    /// True if the words by which the catalogue recognises it occur in the appeal.
    pub fits: bool,
}

/// What a unit said when it returned the order.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Why.
    pub reason: ReturnReason,
    /// In its own words, masked; may be empty.
    pub note: String,
    /// When.
    pub returned_at: DateTime<Utc>,
    /// Whether it came too late, if that is known.
    pub late: Option<bool>,
}

/// What a case file is made of.
pub struct Material<'a> {
    /// The order with its returns.
    pub course: &'a Course,
    /// What happened to it.
    pub events: Vec<Event>,
    /// The router's answer to the appeal itself.
    pub opinion: Decision,
    /// Its answer with the objections.
    pub next: Decision,
    /// The ruling that settled it.
    pub ruling: Option<Arc<Ruling>>,
    /// Who does what.
    pub catalog: Option<&'a DepartmentCatalog>,
    /// What was ruled.
    pub book: &'a RulingBook,
    /// How like is like enough.
    pub likeness: &'a Likeness,
    /// The day that decides who exists.
    pub day: Day,
}

impl CaseFile {
    /// Puts it together.
    pub fn new(material: Material<'_>) -> Self {
        let Material { course, events, opinion, next, ruling, catalog, book, likeness, day } = material;
        let appeal = course.order.fields.clone();
        let circumstances = Circumstances::of(&appeal, day);
        let district = catalog.and_then(|catalog| catalog.district(&appeal.district)).map(|district| district.name.clone());
        let district = district.unwrap_or_else(|| appeal.district.clone());
        let occasion = Occasion { day, district: &district, words: &circumstances.words, embedding: &opinion.embedding };
        let applied = next.basis.iter().find_map(|ground| match ground {
            Ground::StandingRuling { ruling, .. } => Some(ruling.id.as_str()),
            _ => None,
        });
        let contested = next.contested_ruling.as_ref().map(|ruling| ruling.id.as_str());
        let near = near_rulings(book, likeness, &occasion, applied, contested);
        let sides = sides(course, &opinion, &next, catalog, &circumstances);
        let (draft, draft_text) = drafted(course, &sides, &next, catalog, &circumstances);
        let settled = course.settlement.clone().zip(ruling);
        let id = case_id(course.order_id());
        Self { id, cause: course.case(), settled, appeal, events, sides, near, opinion, next, draft, draft_text }
    }

    /// The precedents that are like the appeal, with their outcome.
    pub fn precedents(&self) -> impl Iterator<Item = &Ground> {
        self.opinion.basis.iter().filter(|ground| matches!(ground, Ground::Precedent { .. }))
    }
}

/// Objectors first, each once, then the one that the order would go to next.
fn sides(
    course: &Course,
    opinion: &Decision,
    next: &Decision,
    catalog: Option<&DepartmentCatalog>,
    circumstances: &Circumstances,
) -> Vec<ContestingUnit> {
    let name = |id: &str| {
        let entry = catalog.and_then(|catalog| catalog.entries(id).find(|entry| entry.validity.contains(circumstances.day)));
        let known = opinion.departments.iter().find(|one| one.department.id == id);
        match (known, entry) {
            (Some(known), _) => Arc::clone(&known.department),
            (None, Some(entry)) => Arc::new(Department { id: id.to_owned(), name: entry.name.clone(), training_orders: 0 }),
            (None, None) => Arc::new(Department { id: id.to_owned(), name: id.to_owned(), training_orders: 0 }),
        }
    };
    let mut sides: Vec<ContestingUnit> = Vec::new();
    let side = |department: Arc<Department>, unit: Option<String>, objects: bool| ContestingUnit {
        duties: catalog.map(|catalog| duties(catalog, &department.id, circumstances)).unwrap_or_default(),
        probability: opinion
            .departments
            .iter()
            .find(|one| one.department.id == department.id)
            .map_or(0.0, |one| one.probability),
        precedents: leading(opinion, &department.id),
        statements: Vec::new(),
        department,
        unit,
        objects,
    };
    let disputes = course.returns.iter().filter(|one| one.objection.reason.disputes_responsibility());
    for one in disputes {
        let statement =
            Statement { reason: one.objection.reason, note: one.note.clone(), returned_at: one.returned_at, late: one.late() };
        let same =
            |side: &&mut ContestingUnit| side.department.id == one.objection.department && side.unit == one.objection.unit;
        match sides.iter_mut().find(same) {
            Some(side) => side.statements.push(statement),
            None => {
                let mut new = side(name(&one.objection.department), one.objection.unit.clone(), true);
                new.statements.push(statement);
                sides.push(new);
            }
        }
    }
    let lead = &next.lead().department;
    let unit = next.unit.as_ref().map(|unit| unit.name.clone());
    if !sides.iter().any(|side| side.department.id == lead.id && side.unit == unit) {
        sides.push(side(Arc::clone(lead), unit, false));
    }
    sides
}

/// By how many of the precedents a department leads.
fn leading(opinion: &Decision, department: &str) -> usize {
    let leads = |ground: &&Ground| match ground {
        Ground::Precedent { leads, .. } => leads.iter().any(|lead| lead.id == department),
        _ => false,
    };
    opinion.basis.iter().filter(leads).count()
}

fn duties(catalog: &DepartmentCatalog, id: &str, circumstances: &Circumstances) -> Vec<CitedDuty> {
    let entry = catalog.entries(id).find(|entry| entry.validity.contains(circumstances.day));
    let mut duties: Vec<CitedDuty> = entry
        .iter()
        .flat_map(|entry| &entry.duties)
        .map(|duty| CitedDuty {
            text: duty.text.clone(),
            basis: duty.basis.clone(),
            fits: duty.words.fit(&circumstances.words).is_some(),
        })
        .collect();
    // Stable: otherwise as the catalogue has them.
    duties.sort_by_key(|duty| !duty.fits);
    duties.truncate(MAX_DUTIES);
    duties
}
