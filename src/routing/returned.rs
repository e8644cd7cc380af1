//! What returns (退单) make of an answer. A unit that has shown that an order is not its own does not get it again: its department
//! leaves the ranking, or only its own district or level does, as the reason says. What is left is ranked by what the model said and
//! by who used to take over from that department ([`Takeover`]). A person always looks at an order that came back.

use std::sync::Arc;

use super::jurisdiction::{Jurisdiction, OfTheDay};
use super::{Decision, ReviewReason};
use crate::catalog::{Day, DepartmentCatalog};
use crate::model::{Department, Takeover};

/// Why a unit returns an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnReason {
    /// 属地不符: it happened in another district.
    WrongDistrict,
    /// 权属不清: whose thing it is, is not clear.
    OwnershipUnclear,
    /// 职能交叉: others have the same duty.
    DutiesOverlap,
    /// 非本级: a unit of another level answers for it.
    WrongLevel,
    /// 信息不全: something must be asked first.
    InformationMissing,
    /// 不应受理: it is no matter of the hotline's.
    NotAdmissible,
    /// 已进入信访/诉讼: a petition office or a court has it.
    InPetitionOrCourt,
}

impl ReturnReason {
    /// All, with the names that files and people use.
    pub const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::WrongDistrict, "wrong_district", "属地不符"),
        (Self::OwnershipUnclear, "ownership_unclear", "权属不清"),
        (Self::DutiesOverlap, "duties_overlap", "职能交叉"),
        (Self::WrongLevel, "wrong_level", "非本级"),
        (Self::InformationMissing, "information_missing", "信息不全"),
        (Self::NotAdmissible, "not_admissible", "不应受理"),
        (Self::InPetitionOrCourt, "in_petition_or_court", "已进入信访/诉讼"),
    ];

    /// In Chinese, for people.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(reason, ..)| *reason == self).map_or("", |(.., name)| name)
    }

    /// As it stands in files and in the database.
    pub fn id(self) -> &'static str {
        Self::ALL.iter().find(|(reason, ..)| *reason == self).map_or("", |(_, id, _)| id)
    }

    /// Reads an id or a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, id, name)| *id == text || *name == text).map(|(reason, ..)| *reason)
    }

    /// True if the unit says that somebody else is responsible. The other reasons exclude nobody and open no case.
    pub fn disputes_responsibility(self) -> bool {
        matches!(self, Self::WrongDistrict | Self::OwnershipUnclear | Self::DutiesOverlap | Self::WrongLevel)
    }
}

/// A return of the order that is being routed.
#[derive(Debug, Clone, PartialEq)]
pub struct Objection {
    /// Id of the department whose function the unit has.
    pub department: String,
    /// The same office's ids of other days, before a reform of institutions or after it.
    pub other_names: Vec<String>,
    /// The concrete unit by its full name, if it was one.
    pub unit: Option<String>,
    /// Why.
    pub reason: ReturnReason,
    /// The day of the return.
    pub day: Day,
}

impl Objection {
    /// All ids of the office.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.department).chain(&self.other_names)
    }

    /// True if the whole department is out. Another district, or another level of the same department, is still possible where the
    /// unit that objected is known apart from its department.
    pub fn excludes_department(&self) -> bool {
        match self.reason {
            ReturnReason::OwnershipUnclear | ReturnReason::DutiesOverlap => true,
            ReturnReason::WrongDistrict => false,
            ReturnReason::WrongLevel => self.unit.is_none(),
            _ => false,
        }
    }

    /// True if it is this department's, or one of its units', under whichever of the office's names.
    pub fn is_of(&self, department: &str) -> bool {
        self.names().any(|name| name == department)
    }

    /// True if it takes this department out of the ranking.
    pub fn excludes(&self, department: &str) -> bool {
        self.excludes_department() && self.is_of(department)
    }

    /// True if a department said that it is another district, and none of its units did: nobody knew the district.
    pub(super) fn is_of_another_district(&self, department: &str) -> bool {
        self.reason == ReturnReason::WrongDistrict && self.unit.is_none() && self.is_of(department)
    }

    /// The same, told by what the office was and is called on other days: an order of before a reform is returned after it.
    #[must_use]
    pub fn under_all_names(mut self, catalog: Option<&DepartmentCatalog>) -> Self {
        let names = catalog.map(|catalog| catalog.other_names(&self.department)).unwrap_or_default();
        self.other_names = names.into_iter().map(str::to_owned).collect();
        self
    }

    /// True if this unit, by its full name, is out.
    pub fn excludes_unit(&self, name: &str) -> bool {
        self.reason.disputes_responsibility() && self.unit.as_deref() == Some(name)
    }
}

/// Before the catalogue sees them: who is likely to take over, given who objected. `ids` are the rows' departments.
pub(super) fn reweigh(
    probabilities: &mut [f32],
    ids: &[Arc<Department>],
    objections: &[Objection],
    takeover: Option<&Takeover>,
) {
    let Some(takeover) = takeover else { return };
    let mut names: Vec<&str> =
        objections.iter().filter(|one| one.excludes_department()).flat_map(Objection::names).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return;
    }
    for (probability, department) in probabilities.iter_mut().zip(ids) {
        *probability *= takeover.factor(&names, &department.id);
    }
    normalise(probabilities.iter_mut());
}

/// True if a department has returned the order, for itself or with every unit that could be meant.
pub(super) fn is_out(department: &str, objections: &[Objection], jurisdiction: Option<&Jurisdiction<'_>>) -> bool {
    objections.iter().any(|objection| objection.excludes(department))
        || jurisdiction.is_some_and(|jurisdiction| !jurisdiction.has_unit_left(department, objections))
}

/// Takes the objectors out of the day's ranking, and departments that have no unit left; the rest share what they had. If nobody
/// would be left, all stay: an answer without a department is none. So do those of the `last_word`, who lead by the ruling on the
/// order though they returned it.
pub(super) fn exclude(
    ranked: &mut Vec<OfTheDay>,
    objections: &[Objection],
    jurisdiction: Option<&Jurisdiction<'_>>,
    last_word: &[Arc<Department>],
) {
    if objections.is_empty() {
        return;
    }
    let out = |one: &OfTheDay| is_out(&one.ranked.department.id, objections, jurisdiction);
    if ranked.iter().all(out) {
        return;
    }
    let before = ranked.len();
    let leads = |one: &OfTheDay| last_word.iter().any(|lead| lead.id == one.ranked.department.id);
    ranked.retain(|one| leads(one) || !out(one));
    if ranked.len() < before {
        normalise(ranked.iter_mut().map(|one| &mut one.ranked.probability));
    }
}

/// So that they sum to one again; nothing where there is nothing to share.
fn normalise<'a>(probabilities: impl Iterator<Item = &'a mut f32>) {
    let all: Vec<&mut f32> = probabilities.collect();
    let total: f32 = all.iter().map(|one| **one).sum();
    if total > 0.0 {
        all.into_iter().for_each(|one| *one /= total);
    }
}

/// A person looks at whatever came back, and the answer says who returned it and why.
pub(super) fn note(decision: &mut Decision, objections: &[Objection]) {
    if !objections.is_empty() {
        decision.review_reasons.push(ReviewReason::Returned);
    }
}
