//! What a dispatcher proposes and this order cannot go by: to whoever returned it already, or to somebody other than the ruling on it
//! says. How often such dispatches come back was learnt from orders that nobody had returned or ruled on, so that number would be
//! told of another order than this one. It is left out, and a person is told why instead.

use std::sync::Arc;

use super::ground::names;
use super::jurisdiction::Jurisdiction;
use super::returned::is_out;
use super::ruled::is_one_office;
use super::{Decision, Ground, Objection, ReviewReason, Risk};
use crate::model::Department;

/// A proposed department that the order cannot be sent to.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedProposal {
    /// Who was proposed, as it is called on the day; several if it was split since and nobody said which of them.
    pub departments: Vec<Arc<Department>>,
    /// Why not.
    pub refusal: Refusal,
}

/// Why an order cannot go to whom it was proposed to send it to.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// It returned the order.
    Returned,
    /// A ruling on this order, or the standing ruling that applies, says that others lead.
    Ruled {
        /// Who.
        leads: Vec<Arc<Department>>,
    },
}

impl std::fmt::Display for RefusedProposal {
    /// A few words of Chinese for the dispatcher.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let proposed = names(&self.departments);
        match &self.refusal {
            Refusal::Returned => write!(f, "拟派{proposed}已退过本单"),
            Refusal::Ruled { leads } => write!(f, "已认定由{}主办，拟派{proposed}与认定不符", names(leads)),
        }
    }
}

/// Says which proposals the order cannot go by, takes back what was said of their risk, and has a person look: such a dispatch is
/// disputed from the start. `proposals` holds for each proposed name who is meant by it on the day.
pub(super) fn refuse(
    decision: &mut Decision,
    proposals: &[Vec<Arc<Department>>],
    settled: Option<&Ground>,
    objections: &[Objection],
    jurisdiction: Option<&Jurisdiction<'_>>,
) {
    let all_out = |meant: &[Arc<Department>]| meant.iter().all(|one| is_out(&one.id, objections, jurisdiction));
    let refusal = |meant: &[Arc<Department>]| match settled {
        Some(Ground::RulingOnOrder { leads, .. } | Ground::StandingRuling { leads, .. })
            if !meant.iter().any(|one| leads.iter().any(|lead| is_one_office(&one.id, &lead.id, jurisdiction))) =>
        {
            Some(Refusal::Ruled { leads: leads.clone() })
        }
        // Its lead may have returned the order before: it has to take it now.
        Some(Ground::RulingOnOrder { leads, .. }) if leads.len() == 1 => None,
        _ => all_out(meant).then_some(Refusal::Returned),
    };
    let refused =
        |meant: &Vec<Arc<Department>>| refusal(meant).map(|refusal| RefusedProposal { departments: meant.clone(), refusal });
    decision.refused_proposals = proposals.iter().filter_map(refused).collect();
    if decision.refused_proposals.is_empty() {
        return;
    }
    decision.proposed_dispatch_risk = None;
    decision.risk_factors.retain(|factor| factor.risk != Risk::ProposedDispatch);
    if !decision.review_reasons.contains(&ReviewReason::HighDisputeRisk) {
        decision.review_reasons.push(ReviewReason::HighDisputeRisk);
    }
}
