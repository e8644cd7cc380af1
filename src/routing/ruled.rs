//! What the rulings make of the model's ranking. A ruling on this very order, or a standing ruling that fits, puts its lead first,
//! visibly: the answer names it, and keeps the model's own ranking beside it, also where both agree. Precedents are told and move
//! nothing.
//!
//! No probability is touched. The lead of a ruling stands first with the probability that the model gave it, nought if the model
//! does not know it: how sure a ruling is, its own precision says. Where that lead was split since, all that may still take the order
//! stand first: whoever ruled never said which of them, and a person chooses.
//!
//! Which ruling settles is found before those who returned the order leave the ranking, since a ruling on the order is the last word:
//! its lead stays though it objected, and what the model would have said is told as if nobody had.

use std::sync::Arc;

use super::jurisdiction::{Circumstances, Jurisdiction};
use super::returned;
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
    /// The day's ranking of the appeal itself, whoever returned it.
    pub own: &'a [RankedDepartment],
    /// Who returned it.
    pub objections: &'a [Objection],
}

/// The ruling that settles who leads.
pub(super) enum Settling<'a> {
    /// On this very order.
    OnOrder {
        ruling: &'a Arc<Ruling>,
        /// Who its lead is on the day, or as it was ruled.
        leads: Vec<Arc<Department>>,
    },
    /// The standing ruling that applies, or would, had its leads not returned the order.
    Standing(Applied),
}

/// The first by precedence of the standing rulings that fit and are like enough.
pub(super) struct Applied {
    fitting: Fitting,
    /// As measured for rulings of its kind.
    precision: f32,
    /// Who its lead is on the day.
    leads: Vec<Arc<Department>>,
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

/// True if a department of the day is the lead of a ruling, or was merged into it or renamed to it since: whoever ruled later named it
/// by what it is called then.
pub(super) fn is_one_office(department: &str, lead: &str, jurisdiction: Option<&Jurisdiction<'_>>) -> bool {
    department == lead || jurisdiction.is_some_and(|jurisdiction| jurisdiction.became(department, lead))
}

impl Rulings<'_> {
    /// The ruling that settles who leads. Where nobody knows the day none does: whether it is in force cannot be told.
    pub fn settling(&self, circumstances: Option<&Circumstances>, embedding: &[f32]) -> Option<Settling<'_>> {
        let appeal = circumstances?;
        let applied = self.applying(appeal, embedding);
        // What was decided on this order stands above what was decided on its like, unless a higher body did that.
        let own = on_order(self.book, appeal);
        let own = own.filter(|own| applied.as_ref().is_none_or(|applied| applied.fitting.ruling.body <= own.body));
        let on_order = own.and_then(|ruling| {
            let mut leads = self.on_the_day([&ruling.lead]);
            // A standing ruling that names the order is contested by its lead as on any other; a ruling on the case is the last word.
            if ruling.scope == Scope::Standing && self.all_out(&leads) {
                return None;
            }
            if leads.is_empty() {
                leads.push(self.last_named(&ruling.lead));
            }
            Some(Settling::OnOrder { ruling, leads })
        });
        on_order.or(applied.map(Settling::Standing))
    }

    /// Who leads though they returned the order: the leads of a ruling on it, if all of them did.
    pub fn last_word<'b>(&self, settling: Option<&'b Settling<'_>>) -> &'b [Arc<Department>] {
        match settling {
            Some(Settling::OnOrder { leads, .. }) if self.all_out(leads) => leads,
            _ => &[],
        }
    }

    /// Puts the lead of the ruling that settles first, and tells the others.
    pub fn apply(&self, decision: &mut Decision, settling: Option<Settling<'_>>, like: Vec<Precedent>) -> Ruled {
        let mut ruled = Ruled { returned: self.returned(), ..Ruled::default() };
        match settling {
            Some(Settling::OnOrder { ruling, leads }) => {
                decision.model_opinion = self.own.to_vec();
                let differs = self.put_first(decision, &mut ruled, &leads, ruling);
                ruled.settled = Some(Ground::RulingOnOrder { ruling: Arc::clone(ruling), leads, differs });
            }
            // No lower ruling applies in its place either, since it is this one that has to be settled.
            Some(Settling::Standing(Applied { fitting: Fitting { ruling, .. }, leads, .. })) if self.all_out(&leads) => {
                decision.contested_ruling = Some(Arc::clone(&ruling));
                ruled.returned.push(Ground::ContestedRuling { ruling, leads });
            }
            Some(Settling::Standing(Applied { fitting: Fitting { ruling, similarity, .. }, precision, leads })) => {
                decision.model_opinion = decision.departments.clone();
                let differs = self.put_first(decision, &mut ruled, &leads, &ruling);
                ruled.settled = Some(Ground::StandingRuling { ruling, leads, similarity, precision, differs });
            }
            None => {}
        }
        let lead = &decision.lead().department.id;
        let is_lead = |one: &Arc<Department>| is_one_office(&one.id, lead, self.jurisdiction);
        // What applies, or would but for the return, is told as such.
        let contested = decision.contested_ruling.as_ref().map(|ruling| ruling.id.as_str());
        let told = |ruling: &Ruling| ruled.applies(ruling) || contested == Some(&ruling.id);
        let others = like.into_iter().filter(|one| !told(&one.ruling)).take(MAX_PRECEDENTS);
        let precedents: Vec<Ground> = others
            .map(|Precedent { ruling, similarity }| {
                let leads = self.on_the_day([&ruling.lead]);
                let agrees = leads.iter().any(is_lead);
                Ground::Precedent { ruling, leads, similarity, agrees }
            })
            .collect();
        ruled.precedents = precedents;
        ruled
    }

    /// Puts the lead of a ruling first, beside the model's own ranking; tells whether the model would have had another there.
    fn put_first(&self, decision: &mut Decision, ruled: &mut Ruled, leads: &[Arc<Department>], ruling: &Ruling) -> bool {
        let is = |one: &RankedDepartment, lead: &Department| is_one_office(&one.department.id, &lead.id, self.jurisdiction);
        let is_lead = |one: &RankedDepartment| leads.iter().any(|lead| is(one, lead));
        let differs = decision.model_opinion.first().is_none_or(|first| !is_lead(first));
        let willing: Vec<&Arc<Department>> = leads.iter().filter(|lead| !self.is_out(&lead.id)).collect();
        let willing = if willing.is_empty() { leads.iter().collect() } else { willing };
        // Best first, as the ranking has them; last those that the model was never taught.
        let place = |lead: &Arc<Department>| decision.departments.iter().position(|one| is(one, lead));
        let mut placed: Vec<_> = willing.into_iter().map(|lead| (place(lead), lead)).collect();
        placed.sort_by_key(|(place, _)| place.unwrap_or(usize::MAX));
        // With what the model gave it, under whichever names it has on the day: none of them stands there a second time.
        let ranked = |(_, lead): &(Option<usize>, &Arc<Department>)| {
            let own = decision.departments.iter().filter(|one| is(one, lead));
            let itself = own.clone().map(|one| &one.department).find(|one| one.id == lead.id).unwrap_or(lead);
            RankedDepartment { department: Arc::clone(itself), probability: own.fold(0.0, |sum, one| sum + one.probability) }
        };
        let first: Vec<RankedDepartment> = placed.iter().map(ranked).collect();
        let split: Vec<Arc<Department>> = first.iter().map(|one| Arc::clone(&one.department)).collect();
        let is_first = |id: &str| split.iter().any(|one| one.id == id);
        decision.departments.retain(|one| !split.iter().any(|first| is(one, first)));
        decision.departments.splice(0..0, first);
        ruled.supporting = self.on_the_day(&ruling.supporting);
        ruled.supporting.retain(|one| !is_first(&one.id));
        if split.len() > 1 {
            decision.split_leads = split;
            if !decision.review_reasons.contains(&ReviewReason::CloseSecond) {
                decision.review_reasons.push(ReviewReason::CloseSecond);
            }
        } else {
            // Who leads is settled, so it no longer matters how sure the model is of it.
            let settled = [ReviewReason::LowConfidence, ReviewReason::CloseSecond];
            decision.review_reasons.retain(|reason| !settled.contains(reason));
        }
        decision.review_reasons.extend(differs.then_some(ReviewReason::RulingDiffers));
        differs
    }

    fn is_out(&self, department: &str) -> bool {
        returned::is_out(department, self.objections, self.jurisdiction)
    }

    /// True if each of the leads that there are returned the order.
    fn all_out(&self, leads: &[Arc<Department>]) -> bool {
        !leads.is_empty() && leads.iter().all(|lead| self.is_out(&lead.id))
    }

    /// A department by the last name that the catalogue has for it, on whatever day.
    fn last_named(&self, id: &str) -> Arc<Department> {
        let name = self.jurisdiction.and_then(|jurisdiction| jurisdiction.catalog.last_name(id));
        Arc::new(Department { id: id.to_owned(), name: name.unwrap_or(id).to_owned(), training_orders: 0 })
    }

    /// Of the standing rulings that fit, the first by precedence that is like enough.
    fn applying(&self, appeal: &Circumstances, embedding: &[f32]) -> Option<Applied> {
        let Circumstances { day, words, .. } = appeal;
        let occasion = Occasion { day: *day, district: appeal.place(), words, embedding };
        let fitting = self.book.fitting(&occasion, self.likeness.least()?);
        fitting.into_iter().find_map(|fitting| {
            let bound = self.likeness.bound(fitting.worded)?;
            let leads = self.on_the_day([&fitting.ruling.lead]);
            let of_leads = |one: &&RankedDepartment| leads.iter().any(|lead| lead.id == one.department.id);
            // As the model saw it before anybody objected: that is what the bound was measured on.
            let probability = self.own.iter().find(of_leads).map_or(0.0, |one| one.probability);
            // Nor does one whose lead is no more.
            if leads.is_empty() || fitting.similarity < bound.similarity || probability < bound.probability {
                return None;
            }
            Some(Applied { fitting, precision: bound.precision, leads })
        })
    }

    /// Who returned the order, in the order in which they did, by what they were called on the day of the appeal. Of an office that was
    /// split by then it was none of its successors: that one goes by the last name that it had.
    fn returned(&self) -> Vec<Ground> {
        let ground = |one: &Objection| {
            let heirs = one.names().map(|id| self.on_the_day([id])).find(|heirs| !heirs.is_empty()).unwrap_or_default();
            let department = match &heirs[..] {
                [only] => Arc::clone(only),
                _ => self.last_named(&one.department),
            };
            Ground::Returned { department, heirs, unit: one.unit.clone(), reason: one.reason, day: one.day }
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
