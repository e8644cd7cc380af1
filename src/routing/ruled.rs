//! What the rulings make of the model's ranking. A standing ruling that fits puts its lead first, visibly: the answer names it, and
//! keeps the model's own ranking beside it, also where both agree. Precedents are told and move nothing.
//!
//! No probability is touched. The lead of a ruling stands first with the probability that the model gave it, nought if the model
//! does not know it: how sure a ruling is, its own precision says.

use std::sync::Arc;

use super::jurisdiction::{Circumstances, Jurisdiction};
use super::{Decision, Ground, RankedDepartment, ReviewReason};
use crate::model::{Department, Likeness};
use crate::rulings::{Fitting, Occasion, Precedent, Ruling, RulingBook};

/// Most precedents of an answer.
const MAX_PRECEDENTS: usize = 5;

/// The rulings, asked about one appeal.
pub(super) struct Rulings<'a> {
    pub book: &'a RulingBook,
    pub likeness: &'a Likeness,
    /// The model's departments, and the day's where there is a catalogue.
    pub departments: &'a [Arc<Department>],
    pub jurisdiction: Option<&'a Jurisdiction<'a>>,
}

/// What they said of it.
#[derive(Debug, Default)]
pub(super) struct Ruled {
    /// The standing ruling that applies.
    pub standing: Option<Ground>,
    /// The others that are like it.
    pub precedents: Vec<Ground>,
    /// Departments that support the lead, by the standing ruling.
    pub supporting: Vec<Arc<Department>>,
}

/// For each appeal the rulings that are like it: one search for the whole batch.
pub(super) fn like(
    book: &RulingBook,
    likeness: &Likeness,
    appeals: &[Option<&Circumstances>],
    embeddings: &[&[f32]],
) -> Vec<Vec<Precedent>> {
    // A ruling of a later day was not there yet, and one that has run out says nothing any more.
    let counts = |i: usize, ruling: &Ruling| appeals[i].is_none_or(|appeal| ruling.effective.contains(appeal.day));
    // One more than are shown: the one that applies is told elsewhere.
    book.precedents(embeddings, MAX_PRECEDENTS + 1, likeness.precedent_similarity, counts)
}

impl Rulings<'_> {
    /// Puts the lead of the standing ruling first, if one applies. Where nobody knows the day none does: whether it is in force
    /// cannot be told.
    pub fn apply(&self, decision: &mut Decision, circumstances: Option<&Circumstances>, like: Vec<Precedent>) -> Ruled {
        let applied = circumstances.and_then(|appeal| self.applying(decision, appeal));
        let mut ruled = Ruled::default();
        if let Some(Applied { fitting: Fitting { ruling, similarity, .. }, precision, leads, lead }) = applied {
            let differs = decision.lead().department.id != lead.department.id;
            decision.model_opinion = decision.departments.clone();
            decision.departments.retain(|one| one.department.id != lead.department.id);
            decision.departments.insert(0, lead);
            // Who leads is settled, so it no longer matters how sure the model is of it; unless the lead was split since.
            let settled = [ReviewReason::LowConfidence, ReviewReason::CloseSecond];
            decision.review_reasons.retain(|reason| leads.len() > 1 || !settled.contains(reason));
            decision.review_reasons.extend(differs.then_some(ReviewReason::RulingDiffers));
            ruled.supporting = self.on_the_day(&ruling.supporting);
            ruled.supporting.retain(|one| one.id != decision.departments[0].department.id);
            ruled.standing = Some(Ground::StandingRuling { ruling, leads, similarity, precision, differs });
        }
        let lead = &decision.lead().department.id;
        let others = like.into_iter().filter(|one| !ruled.applies(&one.ruling)).take(MAX_PRECEDENTS);
        let precedents: Vec<Ground> = others
            .map(|Precedent { ruling, similarity }| {
                let leads = self.on_the_day([&ruling.lead]);
                let agrees = leads.iter().any(|one| one.id == *lead);
                Ground::Precedent { ruling, leads, similarity, agrees }
            })
            .collect();
        ruled.precedents = precedents;
        ruled
    }

    /// Of the standing rulings that fit, the first by precedence that is like enough.
    fn applying(&self, decision: &Decision, appeal: &Circumstances) -> Option<Applied> {
        let Circumstances { day, district, words } = appeal;
        // Rulings name districts as the catalogue does; callers may use another name.
        let district = self.jurisdiction.map_or(district.as_str(), |jurisdiction| jurisdiction.district(district));
        let occasion = Occasion { day: *day, district, words, embedding: &decision.embedding };
        let fitting = self.book.fitting(&occasion, self.likeness.least()?);
        fitting.into_iter().find_map(|fitting| {
            let bound = self.likeness.bound(fitting.worded)?;
            let leads = self.on_the_day([&fitting.ruling.lead]);
            let known = decision.departments.iter().find(|one| leads.iter().any(|lead| lead.id == one.department.id));
            // Its lead may be a department that the model was never taught, but not one that is no more.
            let unknown = || leads.first().map(|lead| RankedDepartment { department: Arc::clone(lead), probability: 0.0 });
            let lead = known.cloned().or_else(unknown)?;
            let enough = fitting.similarity >= bound.similarity && lead.probability >= bound.probability;
            enough.then_some(Applied { fitting, precision: bound.precision, leads, lead })
        })
    }

    /// Who the departments of a ruling are on the day of the appeal; as they stand where there is no catalogue.
    fn on_the_day<'b>(&self, ids: impl IntoIterator<Item = &'b String>) -> Vec<Arc<Department>> {
        if let Some(jurisdiction) = self.jurisdiction {
            return jurisdiction.on_the_day(ids);
        }
        let known = |id: &String| self.departments.iter().find(|one| one.id == *id).cloned();
        let unknown = |id: &String| Arc::new(Department { id: id.clone(), name: id.clone(), training_orders: 0 });
        ids.into_iter().map(|id| known(id).unwrap_or_else(|| unknown(id))).collect()
    }
}

impl Ruled {
    fn applies(&self, ruling: &Ruling) -> bool {
        matches!(&self.standing, Some(Ground::StandingRuling { ruling: applied, .. }) if applied.id == ruling.id)
    }
}

/// The standing ruling that applies.
struct Applied {
    fitting: Fitting,
    /// As measured for rulings of its kind.
    precision: f32,
    /// Who its lead is on the day.
    leads: Vec<Arc<Department>>,
    /// The likeliest of them.
    lead: RankedDepartment,
}
