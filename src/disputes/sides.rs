//! The sides of a dispute: who objected and what each said, with the duties and articles of each, and who would be asked next.
//!
//! Everybody is told as of the day of the case. An order of before a reform of institutions is returned after it, by an office that
//! is called otherwise by then: the side is the department that it was when the order came in.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::course::Course;
use crate::catalog::{Basis, CatalogDepartment, DepartmentCatalog};
use crate::model::Department;
use crate::routing::{Circumstances, Decision, Ground, Objection, ReturnReason};

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
    let offices = Offices { catalog, answer: opinion, circumstances };
    let mut sides: Vec<ContestingUnit> = Vec::new();
    let side = |department: Arc<Department>, unit: Option<String>, objects: bool| ContestingUnit {
        duties: offices.duties(&department.id),
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
    let disputes = || course.returns.iter().filter(|one| one.objection.reason.disputes_responsibility());
    for one in disputes() {
        let statement =
            Statement { reason: one.objection.reason, note: one.note.clone(), returned_at: one.returned_at, late: one.late() };
        let department = offices.objector(&one.objection);
        let same = |side: &&mut ContestingUnit| side.department.id == department.id && side.unit == one.objection.unit;
        match sides.iter_mut().find(same) {
            Some(side) => side.statements.push(statement),
            None => {
                let mut new = side(department, one.objection.unit.clone(), true);
                new.statements.push(statement);
                sides.push(new);
            }
        }
    }
    let lead = &next.lead().department;
    let unit = next.unit.as_ref().map(|unit| unit.name.clone());
    // Whoever returned it for its whole department is there already, though a ruling says that it has to take the order.
    let mut objected = disputes().map(|one| one.objection.clone().under_all_names(catalog));
    if !objected.any(|one| one.excludes(&lead.id))
        && !sides.iter().any(|side| side.department.id == lead.id && side.unit == unit)
    {
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

/// Departments as they are on the day of a case, by the catalogue and by an answer.
pub(super) struct Offices<'a> {
    pub catalog: Option<&'a DepartmentCatalog>,
    /// What the router said of that day.
    pub answer: &'a Decision,
    pub circumstances: &'a Circumstances,
}

impl Offices<'_> {
    /// By id, with its name on the day, or the last one that it had, such as before it was split: the id itself only if nobody knows
    /// another.
    pub fn named(&self, id: &str) -> Arc<Department> {
        let known = self.answer.departments.iter().find(|one| one.department.id == id);
        let department = |name: &str| Arc::new(Department { id: id.to_owned(), name: name.to_owned(), training_orders: 0 });
        match (known, self.entry(id)) {
            (Some(known), _) => Arc::clone(&known.department),
            (None, Some(entry)) => department(&entry.name),
            (None, None) => department(self.catalog.and_then(|catalog| catalog.last_name(id)).unwrap_or(id)),
        }
    }

    /// Who answers for a department on the day: nobody, if it was dissolved without a successor; itself without a catalogue.
    pub fn heirs(&self, id: &str) -> Vec<Arc<Department>> {
        let Some(catalog) = self.catalog else { return vec![self.named(id)] };
        catalog.in_force(id, self.circumstances.day).departments().iter().map(|heir| self.named(&heir.id)).collect()
    }

    /// The names of whoever answers for a department on the day; its own if nobody does.
    pub fn leads(&self, id: &str) -> String {
        let heirs = self.heirs(id);
        let names: Vec<&str> = heirs.iter().map(|heir| heir.name.as_str()).collect();
        if names.is_empty() { self.named(id).name.clone() } else { names.join("、") }
    }

    /// Whoever returned the order, by what it is called on the day. What was merged since had several names on it: of these the one
    /// that the answer has first, since the order went to that one.
    fn objector(&self, objection: &Objection) -> Arc<Department> {
        let objection = objection.clone().under_all_names(self.catalog);
        let of_the_day = |id: &&String| self.entry(id).is_some_and(|entry| entry.validity.contains(self.circumstances.day));
        let place = |id: &&String| self.answer.departments.iter().position(|one| one.department.id == **id);
        let own = Some(&objection.department).filter(of_the_day);
        let others = || objection.other_names.iter().filter(of_the_day);
        let id = own.or_else(|| others().min_by_key(|id| place(id).unwrap_or(usize::MAX)));
        self.named(id.unwrap_or(&objection.department))
    }

    /// Duties of a department, those that the appeal's words fit first.
    pub fn duties(&self, id: &str) -> Vec<CitedDuty> {
        let entry = self.entry(id);
        let mut duties: Vec<CitedDuty> = entry
            .iter()
            .flat_map(|entry| &entry.duties)
            .map(|duty| CitedDuty {
                text: duty.text.clone(),
                basis: duty.basis.clone(),
                fits: duty.words.fit(&self.circumstances.words).is_some(),
            })
            .collect();
        // Stable: otherwise as the catalogue has them.
        duties.sort_by_key(|duty| !duty.fits);
        duties.truncate(MAX_DUTIES);
        duties
    }

    /// What the catalogue says of a department on the day; of one that was founded since, such as a part of one that was split,
    /// what it says of its first day.
    fn entry(&self, id: &str) -> Option<&CatalogDepartment> {
        let (catalog, day) = (self.catalog?, self.circumstances.day);
        let in_force = catalog.entries(id).find(|entry| entry.validity.contains(day));
        let founded = catalog.entries(id).filter_map(|entry| Some((entry.validity.from?, entry)));
        let first = founded.filter(|(from, _)| *from > day).min_by_key(|(from, _)| *from);
        in_force.or(first.map(|(_, entry)| entry))
    }
}
