//! What the router answers: never a bare label, always how sure it is, what it rests on and whether a person should look.

use std::sync::Arc;

use super::{Ground, Part, RefusedProposal, RiskFactor};
use crate::catalog::Unit;
use crate::model::Department;
use crate::rulings::Ruling;
use crate::text::Reading;

/// A department with its calibrated probability.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedDepartment {
    /// Which.
    pub department: Arc<Department>,
    /// In [0, 1]; over all departments they sum to one.
    pub probability: f32,
}

/// Why an answer should be seen by a person before it goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewReason {
    /// The lead's probability is below the threshold.
    LowConfidence,
    /// The second department is nearly as likely as the lead.
    CloseSecond,
    /// The order is liable to be disputed.
    HighDisputeRisk,
    /// Too few words to tell.
    TooShort,
    /// The appeal was longer than the model reads.
    Truncated,
    /// Nothing like it stood in the training orders.
    UnlikeTraining,
    /// A ruling, standing or on this very order, put another department first than the model.
    RulingDiffers,
    /// The order came back.
    Returned,
    /// It holds several matters of different departments.
    SeveralMatters,
    /// A department that the model has never seen was found by its duties, or was proposed.
    NewDepartment,
}

/// A part of the appeal that moved the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// First character in the appeal's text as the caller sent it (Unicode scalar values).
    pub start: u32,
    /// One past the last character.
    pub end: u32,
    /// How far the lead's logit falls when the encoder's last layer may not look at this span. Positive: it spoke for the lead.
    pub weight: f32,
}

/// What the router says of one appeal.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Every department, most likely first: the model's, or, with a catalogue, those that answer for them on the day of the appeal.
    /// Where a ruling settles who leads, its lead comes first whatever its probability, which is still the model's; if that lead was
    /// split since, all that may still take the order do. A department that the model has never seen stands second, with no
    /// probability, where the likeness of its duties speaks for it.
    pub departments: Vec<RankedDepartment>,
    /// The same in the model's own order where a ruling settles who leads; beside a ruling on this very order with those who returned
    /// it. Empty where none does.
    pub model_opinion: Vec<RankedDepartment>,
    /// Calibrated probability that this appeal's dispatch is disputed at all; `None` if the model was never taught disputes.
    pub dispute_risk: Option<f32>,
    /// Calibrated probability that a dispatch to the proposed departments comes back; `None` if none was proposed, or one that the
    /// model has never seen, or that cannot get this order at all.
    pub proposed_dispatch_risk: Option<f32>,
    /// What raised either risk above a typical order's, strongest first; empty if the model cannot say.
    pub risk_factors: Vec<RiskFactor>,
    /// Why a person should look; empty if the answer may go out alone.
    pub review_reasons: Vec<ReviewReason>,
    /// Spans of the appeal, strongest first.
    pub evidence: Vec<Evidence>,
    /// Tokens that the model read.
    pub tokens_read: usize,
    /// Tokens that the appeal had.
    pub tokens_given: usize,
    /// Whole, or head and tail.
    pub reading: Reading,
    /// The concrete unit of the lead; `None` without a catalogue, or if it depends on a district that nobody named.
    pub unit: Option<Arc<Unit>>,
    /// Departments that support the lead, by the standing ruling that applies, or by the matter that the appeal falls under.
    pub supporting_departments: Vec<Arc<Department>>,
    /// What the answer rests on; the model is always the last.
    pub basis: Vec<Ground>,
    /// The same in one line of Chinese.
    pub reason: String,
    /// Version of the catalogue that was asked.
    pub catalog_version: Option<String>,
    /// The standing ruling that would apply, had its lead not returned the order; then none applies.
    pub contested_ruling: Option<Arc<Ruling>>,
    /// Those that the lead of the ruling was split into since and that may still take the order, if they are several: a person has to
    /// choose. Empty otherwise.
    pub split_leads: Vec<Arc<Department>>,
    /// Proposed departments that the model has never seen; empty if it knows all of them.
    pub unseen_proposals: Vec<Arc<Department>>,
    /// Proposals that this order cannot go by, each with why.
    pub refused_proposals: Vec<RefusedProposal>,
    /// The normalised [CLS] row, `hidden_size` long: what precedents are searched by.
    pub embedding: Vec<f32>,
    /// The matters that it holds, in the order of the text, if they are of different departments; empty if it is one matter.
    pub parts: Vec<Part>,
}

impl Decision {
    /// A ranking, best first, of which nothing else is known yet.
    pub fn ranked(departments: Vec<RankedDepartment>) -> Self {
        Self {
            departments,
            model_opinion: Vec::new(),
            dispute_risk: None,
            proposed_dispatch_risk: None,
            risk_factors: Vec::new(),
            review_reasons: Vec::new(),
            evidence: Vec::new(),
            tokens_read: 0,
            tokens_given: 0,
            reading: Reading::Whole,
            unit: None,
            supporting_departments: Vec::new(),
            basis: Vec::new(),
            reason: String::new(),
            catalog_version: None,
            contested_ruling: None,
            split_leads: Vec::new(),
            unseen_proposals: Vec::new(),
            refused_proposals: Vec::new(),
            embedding: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// The department to dispatch to: the most likely one, or the one that a standing ruling says. A model has at least two, so there always is one.
    pub fn lead(&self) -> &RankedDepartment {
        &self.departments[0]
    }

    /// The second in the model's eyes: not a department that it has never seen.
    pub fn runner_up(&self) -> Option<&RankedDepartment> {
        self.departments[1..].iter().find(|one| self.newcomer().is_none_or(|newcomer| newcomer.id != one.department.id))
    }

    /// The department that the model has never seen and that was found by the likeness of its duties, if one was.
    pub fn newcomer(&self) -> Option<&Department> {
        self.basis.iter().find_map(|ground| match ground {
            Ground::LikeDuty { department, .. } => Some(department.as_ref()),
            _ => None,
        })
    }

    /// Departments that returned the order and are not named again, each once: for themselves, or since no other unit of theirs is
    /// left. A question takes out nobody, nor does anything where nobody else would be left.
    pub fn left_out(&self) -> Vec<&Arc<Department>> {
        let mut out: Vec<&Arc<Department>> = Vec::new();
        for ground in &self.basis {
            let Ground::Returned { department, heirs, reason, .. } = ground else { continue };
            // What was split since is named if one of those is that it was split into: they did not return it.
            let is = |id: &str| id == department.id || heirs.iter().any(|heir| heir.id == id);
            let named = self.departments.iter().any(|one| is(&one.department.id)) || out.iter().any(|known| is(&known.id));
            if reason.disputes_responsibility() && !named {
                out.push(department);
            }
        }
        out
    }

    /// True if a person should look before it goes out.
    pub fn needs_review(&self) -> bool {
        !self.review_reasons.is_empty()
    }
}

#[cfg(test)]
impl Decision {
    /// An answer of which only the ranking, best first, and what it rests on are of interest.
    pub(crate) fn example(ranking: impl IntoIterator<Item = (Arc<Department>, f32)>, basis: Vec<Ground>) -> Self {
        let ranked = |(department, probability)| RankedDepartment { department, probability };
        Self { basis, ..Self::ranked(ranking.into_iter().map(ranked).collect()) }
    }
}
