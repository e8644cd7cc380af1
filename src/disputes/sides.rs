//! The sides of a dispute: who objected and what each said, with the duties and articles of each, and who would be asked next.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::course::Course;
use crate::catalog::{Basis, DepartmentCatalog};
use crate::model::Department;
use crate::routing::{Circumstances, Decision, Ground, ReturnReason};

/// Most duties that are told of a side: those that the appeal's words fit come first.
const MAX_DUTIES: usize = 4;

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

/// Objectors first, each once, then the one that the order would go to next.
pub(super) fn sides(
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
