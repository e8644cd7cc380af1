//! When a person should look before an answer goes out, and what a mistaken proposal is told.

use std::sync::Arc;

use super::{Decision, ReviewReason};
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

/// The greater of the two risks: a dispatcher who proposes a department asks about that dispatch too.
fn highest_risk(decision: &Decision) -> Option<f32> {
    [decision.dispute_risk, decision.proposed_dispatch_risk].into_iter().flatten().max_by(f32::total_cmp)
}

/// Names the department that the model does not know, and the nearest one that it does.
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
