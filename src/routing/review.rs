//! When a person should look before an answer goes out, in which words, and what a mistaken proposal is told.

use std::sync::Arc;

use super::ground::names;
use super::reason::new_department;
use super::{Decision, Part, RefusedProposal, ReviewReason};
use crate::model::Department;
use crate::model::calibration::ReviewThresholds;
use crate::text::{AppealError, AppealErrorCode, Reading};

/// All reasons that hold, in the order of [`ReviewReason`].
pub fn reasons(
    decision: &Decision,
    text_tokens: usize,
    familiarity: Option<f32>,
    thresholds: &ReviewThresholds,
) -> Vec<ReviewReason> {
    let probability = |rank: usize| decision.departments.get(rank).map_or(0.0, |ranked| ranked.probability);
    let holds = [
        (ReviewReason::LowConfidence, probability(0) < thresholds.confidence),
        (ReviewReason::CloseSecond, probability(0) - probability(1) < thresholds.margin),
        (ReviewReason::HighDisputeRisk, highest_risk(decision).is_some_and(|risk| risk > thresholds.dispute_risk)),
        (ReviewReason::TooShort, text_tokens < thresholds.text_tokens),
        (ReviewReason::Truncated, decision.reading != Reading::Whole),
        (ReviewReason::UnlikeTraining, familiarity.is_some_and(|cosine| cosine < thresholds.familiarity)),
    ];
    holds.into_iter().filter_map(|(reason, holds)| holds.then_some(reason)).collect()
}

impl Decision {
    /// Each review reason in a few words of Chinese for the dispatcher. They name the second department, or those of the parts, where
    /// that is what to look at.
    pub fn review_words(&self) -> Vec<String> {
        let words = |reason: &ReviewReason| match reason {
            ReviewReason::LowConfidence => "把握不足".to_owned(),
            ReviewReason::CloseSecond if !self.split_leads.is_empty() => {
                format!("认定的主办单位已拆分，请在{}中选定", names(&self.split_leads))
            }
            ReviewReason::CloseSecond => match self.runner_up() {
                Some(second) => format!("与第二名“{}”相近", second.department.name),
                None => "前两名相近".to_owned(),
            },
            ReviewReason::HighDisputeRisk => {
                let refused = self.refused_proposals.iter().map(RefusedProposal::to_string);
                refused.chain(["争议风险较高".to_owned()]).collect::<Vec<_>>().join("，")
            }
            ReviewReason::TooShort => "内容过短".to_owned(),
            ReviewReason::Truncated => "内容过长，仅读取首尾".to_owned(),
            ReviewReason::UnlikeTraining => "与历史工单差异较大".to_owned(),
            ReviewReason::RulingDiffers => "认定与模型不一致".to_owned(),
            ReviewReason::Returned => "已被退单".to_owned(),
            ReviewReason::SeveralMatters => format!("含多项诉求，建议拆分派往{}", leads(&self.parts)),
            ReviewReason::NewDepartment => {
                let proposed = self.unseen_proposals.iter().map(|one| unseen_proposal(one));
                self.newcomer().map(new_department).into_iter().chain(proposed).collect::<Vec<_>>().join("；")
            }
        };
        self.review_reasons.iter().map(words).collect()
    }
}

/// That what a proposed dispatch risks cannot be told.
fn unseen_proposal(department: &Department) -> String {
    format!("拟派“{}”为模型训练后新设，无法估计其退单可能", department.name)
}

/// Who the parts would go to: “甲”、“乙”.
fn leads(parts: &[Part]) -> String {
    let lead = |part: &Part| part.departments.first().map(|lead| format!("“{}”", lead.department.name));
    parts.iter().filter_map(lead).collect::<Vec<_>>().join("、")
}

/// The greater of the two risks: a dispatcher who proposes a department asks about that dispatch too.
fn highest_risk(decision: &Decision) -> Option<f32> {
    [decision.dispute_risk, decision.proposed_dispatch_risk].into_iter().flatten().max_by(f32::total_cmp)
}

/// Names the department that neither the model nor the catalogue of the day knows, and the model's nearest.
pub fn unknown_department(name: &str, departments: &[Arc<Department>]) -> AppealError {
    let shared =
        |department: &Department| name.chars().filter(|c| department.id.contains(*c) || department.name.contains(*c)).count();
    let nearest = departments.iter().max_by_key(|department| shared(department)).filter(|department| shared(department) > 0);
    let (hint, hint_zh) = match nearest {
        Some(department) => (format!("; did you mean \"{}\"?", department.id), format!("，是否为“{}”？", department.id)),
        None => (String::new(), String::new()),
    };
    AppealError {
        code: AppealErrorCode::UnknownDepartment,
        field: "proposed_department".to_owned(),
        reason: format!("\"{name}\" is not among the departments of this model{hint}"),
        reason_zh: format!("模型不认识承办单位“{name}”{hint_zh}"),
    }
}
