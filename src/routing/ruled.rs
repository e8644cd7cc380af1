//! What the rulings make of the model's ranking. A ruling on this very order, or a standing ruling that fits, puts its lead first,
//! visibly: the answer names it, and keeps the model's own ranking beside it, also where both agree. Precedents are told and move
//! nothing.
//!
//! No probability is touched. The lead of a ruling stands first with the probability that the model gave it, nought if the model
//! does not know it: how sure a ruling is, its own precision says.

use std::sync::Arc;

use super::jurisdiction::{Circumstances, Jurisdiction};
use super::{Decision, Ground, Objection, RankedDepartment, ReviewReason};
use crate::model::{Department, Likeness};
use crate::rulings::{Fitting, Occasion, Precedent, Ruling, RulingBook, Scope};

/// Most precedents of an answer.
const MAX_PRECEDENTS: usize = 5;

/// The rulings, asked about one appeal.
pub(super) struct Rulings<'a> {
    pub book: &'a RulingBook,
    pub likeness: &'a Likeness,
    /// The model's departments, and the day's where there is a catalogue.
    pub departments: &'a [Arc<Department>],
    pub jurisdiction: Option<&'a Jurisdiction<'a>>,
    /// The day's ranking before those who returned the order left it.
    pub before: &'a [RankedDepartment],
    /// Who returned it.
    pub objections: &'a [Objection],
}

/// What they said of it.
#[derive(Debug, Default)]
pub(super) struct Ruled {
    /// The ruling that settles who leads: the one on this very order, or the standing ruling that applies.
    pub settled: Option<Ground>,
    /// Returns of the order, and the standing ruling that they contest.
    pub returned: Vec<Ground>,
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

/// The ruling in force on this very order. A standing one lists the orders that it was made of, some of which may have been decided
/// otherwise: it counts if it settled this one's case, or holds on its day in its place, and behind any ruling on the case.
pub(super) fn on_order<'a>(book: &'a RulingBook, appeal: &Circumstances) -> Option<&'a Arc<Ruling>> {
    let decides = |ruling: &Ruling| ruling.scope == Scope::Case || appeal.settled_by.as_ref() == Some(&ruling.id);
    let naming = book.naming(&appeal.order).filter(|ruling| decides(ruling) || ruling.applies(appeal.day, appeal.place()));
    naming.max_by(|a, b| (decides(a), a.precedence()).cmp(&(decides(b), b.precedence())))
}

impl Rulings<'_> {
    /// Puts the lead of the ruling on this order first, or that of the standing ruling that applies. Where nobody knows the day none
    /// does: whether it is in force cannot be told.
    pub fn apply(&self, decision: &mut Decision, circumstances: Option<&Circumstances>, like: Vec<Precedent>) -> Ruled {
        let mut applied = circumstances.and_then(|appeal| self.applying(decision, appeal));
        let mut ruled = Ruled { returned: self.returned(), ..Ruled::default() };
        // What was decided on this order stands above what was decided on its like, unless a higher body did that.
        let own = circumstances.and_then(|appeal| on_order(self.book, appeal));
        let own = own.filter(|own| applied.as_ref().is_none_or(|applied| applied.fitting.ruling.body <= own.body));
        // A standing ruling that names the order is contested by its lead as on any other; a ruling on the case is the last word.
        let objected = |id: &String| self.objections.iter().any(|one| one.excludes(id));
        let own =
            own.filter(|own| own.scope == Scope::Case || !self.on_the_day([&own.lead]).iter().any(|one| objected(&one.id)));
        if let Some(ruling) = own {
            applied = None;
            let (leads, lead) = self.lead_of(ruling, decision);
            let differs = self.put_first(decision, &mut ruled, lead, leads.len(), ruling);
            ruled.settled = Some(Ground::RulingOnOrder { ruling: Arc::clone(ruling), leads, differs });
        }
        if let Some(contested) = applied.take_if(|applied| applied.lead.is_none()) {
            let (ruling, leads) = (contested.fitting.ruling, contested.leads);
            decision.contested_ruling = Some(Arc::clone(&ruling));
            ruled.returned.push(Ground::ContestedRuling { ruling, leads });
        }
        if let Some(Applied { fitting: Fitting { ruling, similarity, .. }, precision, leads, lead: Some(lead) }) = applied {
            let differs = self.put_first(decision, &mut ruled, lead, leads.len(), &ruling);
            ruled.settled = Some(Ground::StandingRuling { ruling, leads, similarity, precision, differs });
        }
        let lead = &decision.lead().department.id;
        // What applies, or would but for the return, is told as such.
        let contested = decision.contested_ruling.as_ref().map(|ruling| ruling.id.as_str());
        let told = |ruling: &Ruling| ruled.applies(ruling) || contested == Some(&ruling.id);
        let others = like.into_iter().filter(|one| !told(&one.ruling)).take(MAX_PRECEDENTS);
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

    /// Puts the lead of a ruling first, beside the model's own ranking; tells whether the model would have had another there.
    fn put_first(
        &self,
        decision: &mut Decision,
        ruled: &mut Ruled,
        lead: RankedDepartment,
        leads: usize,
        ruling: &Ruling,
    ) -> bool {
        let differs = decision.lead().department.id != lead.department.id;
        decision.model_opinion = decision.departments.clone();
        decision.departments.retain(|one| one.department.id != lead.department.id);
        decision.departments.insert(0, lead);
        // Who leads is settled, so it no longer matters how sure the model is of it; unless the lead was split since.
        let settled = [ReviewReason::LowConfidence, ReviewReason::CloseSecond];
        decision.review_reasons.retain(|reason| leads > 1 || !settled.contains(reason));
        decision.review_reasons.extend(differs.then_some(ReviewReason::RulingDiffers));
        ruled.supporting = self.on_the_day(&ruling.supporting);
        ruled.supporting.retain(|one| one.id != decision.departments[0].department.id);
        differs
    }

    /// Who leads by a ruling on this very order: whoever objected, and whatever the model knows. A department that there was not yet
    /// on the day of the appeal stands as it was ruled.
    fn lead_of(&self, ruling: &Ruling, decision: &Decision) -> (Vec<Arc<Department>>, RankedDepartment) {
        let mut leads = self.on_the_day([&ruling.lead]);
        if leads.is_empty() {
            leads.push(self.as_ruled(&ruling.lead));
        }
        let of_leads = |one: &&RankedDepartment| leads.iter().any(|lead| lead.id == one.department.id);
        let ranked = decision.departments.iter().find(of_leads).or_else(|| self.before.iter().find(of_leads));
        let lead = ranked.cloned().unwrap_or_else(|| RankedDepartment { department: Arc::clone(&leads[0]), probability: 0.0 });
        (leads, lead)
    }

    /// A department by the name that the catalogue has for it on any day.
    fn as_ruled(&self, id: &str) -> Arc<Department> {
        let name = self.jurisdiction.and_then(|jurisdiction| jurisdiction.catalog.last_name(id));
        Arc::new(Department { id: id.to_owned(), name: name.unwrap_or(id).to_owned(), training_orders: 0 })
    }

    /// Of the standing rulings that fit, the first by precedence that is like enough. Without a lead if all of its leads returned the
    /// order: then no lower ruling applies in its place either, since it is this one that has to be settled.
    fn applying(&self, decision: &Decision, appeal: &Circumstances) -> Option<Applied> {
        let Circumstances { day, words, .. } = appeal;
        let occasion = Occasion { day: *day, district: appeal.place(), words, embedding: &decision.embedding };
        let fitting = self.book.fitting(&occasion, self.likeness.least()?);
        fitting.into_iter().find_map(|fitting| {
            let bound = self.likeness.bound(fitting.worded)?;
            let leads = self.on_the_day([&fitting.ruling.lead]);
            let of_leads = |one: &&RankedDepartment| leads.iter().any(|lead| lead.id == one.department.id);
            // As the model saw it before anybody objected: that is what the bound was measured on.
            let probability = self.before.iter().find(of_leads).map_or(0.0, |one| one.probability);
            // Nor does one whose lead is no more.
            if leads.is_empty() || fitting.similarity < bound.similarity || probability < bound.probability {
                return None;
            }
            let objected = |id: &str| self.objections.iter().any(|one| one.excludes(id));
            let willing = leads.iter().find(|lead| !objected(&lead.id));
            let lead = willing.map(|willing| {
                // Where everybody objected nobody has left the ranking. A lead may be a department that the model was never taught.
                let unknown = || RankedDepartment { department: Arc::clone(willing), probability: 0.0 };
                let willing = |one: &&RankedDepartment| of_leads(one) && !objected(&one.department.id);
                decision.departments.iter().find(willing).cloned().unwrap_or_else(unknown)
            });
            Some(Applied { fitting, precision: bound.precision, leads, lead })
        })
    }

    /// Who returned the order, in the order in which they did.
    fn returned(&self) -> Vec<Ground> {
        // By what it was called on the day of the appeal.
        let named = |one: &Objection| {
            let known = one.names().find_map(|id| self.on_the_day([id]).into_iter().next());
            let (id, name) = (one.department.clone(), one.department.clone());
            known.unwrap_or_else(|| Arc::new(Department { id, name, training_orders: 0 }))
        };
        let ground = |one: &Objection| Ground::Returned {
            department: named(one),
            unit: one.unit.clone(),
            reason: one.reason,
            day: one.day,
        };
        self.objections.iter().map(ground).collect()
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
        self.settled.as_ref().and_then(Ground::leading_ruling).is_some_and(|applied| applied.id == ruling.id)
    }
}

/// The standing ruling that applies.
struct Applied {
    fitting: Fitting,
    /// As measured for rulings of its kind.
    precision: f32,
    /// Who its lead is on the day.
    leads: Vec<Arc<Department>>,
    /// The likeliest of them that has not returned the order.
    lead: Option<RankedDepartment>,
}
