//! The case file (案卷): what a committee reads before it rules. Both sides stand next to each other, each with its duties, the
//! articles they rest on and what it said; beside them the rulings that nearly fit and why they do not, the precedents with their
//! outcome, the model's opinion, and a drafted ruling.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::course::{CaseCause, Course, Settlement, case_id};
use super::draft::drafted;
use super::near::{NearRuling, near_rulings};
use super::sides::{ContestingUnit, sides};
use crate::catalog::{Day, DepartmentCatalog, Place};
use crate::model::Likeness;
use crate::routing::{Circumstances, Decision, Ground};
use crate::rulings::{Occasion, Ruling, RulingBook, RulingDraft};
use crate::text::AppealFields;

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
        let district = Place::of(catalog, &appeal.district);
        let occasion = Occasion { day, district, words: &circumstances.words, embedding: &opinion.embedding };
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
