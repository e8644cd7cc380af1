//! Proto to domain and back. Nothing here decides anything; it only spells.

use std::sync::Arc;
use std::time::Duration;

use super::parts::parts;
use super::proto;
use super::queue::Answer;
use super::status::ServiceError;
use crate::catalog::{Basis, Unit};
use crate::model::{Department, ModelInfo, Witness};
use crate::repeats::CallerMark;
use crate::routing::{
    Decision, Ground, RankedDepartment, ReturnReason, ReviewReason, Risk, RiskFactor, RouteError, documents as cited,
};
use crate::rulings::{Ruling, Scope};
use crate::text::{AppealError, AppealFields, Reading};

/// How many departments are returned if the caller does not say.
const DEFAULT_DEPARTMENTS: usize = 5;

/// The longest token of a caller, in characters.
const MAX_TOKEN_CHARS: usize = 128;

/// A request, read: what goes to the router, and what the answer needs besides the decision.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) fields: AppealFields,
    pub(super) appeal_id: String,
    pub(super) max_departments: usize,
    /// Who called, if the hotline gave a token.
    pub(super) caller: Option<CallerMark>,
}

/// Reads a request; the content of the fields is for `Appeal::parse` to judge.
pub(super) fn asked(request: proto::RouteAppealRequest) -> Result<Asked, ServiceError> {
    let Some(appeal) = request.appeal else {
        return Err(ServiceError::invalid("appeal", "MISSING", "is required", "缺少诉求"));
    };
    let max_departments = departments_asked(request.max_departments)?;
    if appeal.caller_token.chars().count() > MAX_TOKEN_CHARS {
        let description = format!("must have at most {MAX_TOKEN_CHARS} characters");
        return Err(ServiceError::invalid("appeal.caller_token", "TOO_LONG", &description, "来电人标识过长"));
    }
    let caller = CallerMark::of(&appeal.caller_token);
    let fields = AppealFields {
        id: appeal.id.clone(),
        text: appeal.text,
        received_at: appeal.receive_time.map(time).transpose()?.unwrap_or_default(),
        appeal_type: appeal.appeal_type,
        category: appeal.category_path,
        district: appeal.district,
        channel: appeal.channel,
        proposed_departments: Some(request.proposed_department).filter(|p| !p.is_empty()).into_iter().collect(),
    };
    Ok(Asked { fields, appeal_id: appeal.id, max_departments, caller })
}

/// How many departments to answer.
pub(super) fn departments_asked(given: i32) -> Result<usize, ServiceError> {
    match usize::try_from(given) {
        Ok(0) => Ok(DEFAULT_DEPARTMENTS),
        Ok(count) => Ok(count),
        Err(_) => Err(ServiceError::invalid("max_departments", "OUT_OF_RANGE", "must not be negative", "不能为负数")),
    }
}

/// A timestamp as RFC 3339, if it is one: the proto allows the years 1 to 9999.
fn time(timestamp: prost_types::Timestamp) -> Result<String, ServiceError> {
    const YEARS_1_TO_9999: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    if !YEARS_1_TO_9999.contains(&timestamp.seconds) || !(0..1_000_000_000).contains(&timestamp.nanos) {
        let description = "must lie in the years 1 to 9999, with nanos from 0 to 999,999,999";
        return Err(ServiceError::invalid("appeal.receive_time", "OUT_OF_RANGE", description, "时间超出范围"));
    }
    Ok(timestamp.to_string())
}

/// What a router's error means to the caller. A fault of ours is logged where it happens and told in general terms.
pub(super) fn route_error(error: RouteError) -> ServiceError {
    match error {
        RouteError::Appeal(AppealError { field, code, reason, reason_zh }) => {
            ServiceError::invalid(&proto_path(&field), code.as_str(), &reason, &reason_zh)
        }
        RouteError::Model(_) => ServiceError::ModelFailed,
    }
}

/// The domain's name of a field as the proto spells it.
fn proto_path(field: &str) -> String {
    let (name, index) = field.split_at(field.find('[').unwrap_or(field.len()));
    match name {
        "proposed_departments" | "proposed_department" => "proposed_department".to_owned(),
        "received_at" => "appeal.receive_time".to_owned(),
        "category" => format!("appeal.category_path{index}"),
        _ => format!("appeal.{field}"),
    }
}

/// The answer to one appeal.
pub(super) fn response(
    answer: Answer,
    model: &ModelInfo,
    appeal_id: String,
    max_departments: usize,
) -> proto::RouteAppealResponse {
    let Answer { decision, queued, model: ran } = answer;
    proto::RouteAppealResponse {
        appeal_id,
        departments: decision.departments.iter().take(max_departments).map(ranked).collect(),
        model_opinion: decision.model_opinion.iter().take(max_departments).map(ranked).collect(),
        lead_department: decision.departments.first().map(ranked),
        dispute_risk: decision.dispute_risk,
        proposed_dispatch_risk: decision.proposed_dispatch_risk,
        needs_review: decision.needs_review(),
        review_reasons: decision.review_reasons.iter().map(|reason| review_reason(*reason).into()).collect(),
        review_note: review_note(&decision),
        evidence_spans: decision
            .evidence
            .iter()
            .map(|span| proto::EvidenceSpan {
                start_offset: whole(span.start as usize),
                end_offset: whole(span.end as usize),
                weight: span.weight,
            })
            .collect(),
        model_version: model.version.clone(),
        tokens_read: whole(decision.tokens_read),
        tokens_given: whole(decision.tokens_given),
        reading: match decision.reading {
            Reading::Whole => proto::Reading::Whole,
            Reading::HeadAndTail => proto::Reading::HeadAndTail,
        }
        .into(),
        queue_duration: Some(duration(queued)),
        model_duration: Some(duration(ran)),
        unit: decision.unit.as_deref().map(unit),
        supporting_departments: departments(&decision.supporting_departments),
        basis: decision.basis.iter().map(basis).collect(),
        reason: decision.reason,
        catalog_version: decision.catalog_version.unwrap_or_default(),
        risk_factors: decision.risk_factors.into_iter().map(risk_factor).collect(),
        parts: parts(&decision.parts, max_departments),
        repeated_order: None,
    }
}

fn review_reason(reason: ReviewReason) -> proto::ReviewReason {
    match reason {
        ReviewReason::LowConfidence => proto::ReviewReason::LowConfidence,
        ReviewReason::CloseSecond => proto::ReviewReason::CloseSecond,
        ReviewReason::HighDisputeRisk => proto::ReviewReason::HighDisputeRisk,
        ReviewReason::TooShort => proto::ReviewReason::TooShort,
        ReviewReason::Truncated => proto::ReviewReason::Truncated,
        ReviewReason::UnlikeTraining => proto::ReviewReason::UnlikeTraining,
        ReviewReason::RulingDiffers => proto::ReviewReason::RulingDiffers,
        ReviewReason::Returned => proto::ReviewReason::Returned,
        ReviewReason::SeveralMatters => proto::ReviewReason::SeveralMatters,
        ReviewReason::NewDepartment => proto::ReviewReason::NewDepartment,
    }
}

/// The reasons in one line for the dispatcher's screen.
fn review_note(decision: &Decision) -> String {
    let words = decision.review_words();
    if words.is_empty() { String::new() } else { format!("请人工复核：{}", words.join("；")) }
}

/// A concrete unit.
pub(super) fn unit(unit: &Unit) -> proto::Unit {
    proto::Unit { display_name: unit.name.clone(), district: unit.district.clone().unwrap_or_default() }
}

/// A department with its probability.
pub(super) fn ranked(ranked: &RankedDepartment) -> proto::RankedDepartment {
    proto::RankedDepartment { department: Some(department(&ranked.department)), probability: ranked.probability }
}

pub(super) fn department(department: &Department) -> proto::Department {
    proto::Department { id: department.id.clone(), display_name: department.name.clone() }
}

fn departments(departments: &[Arc<Department>]) -> Vec<proto::Department> {
    departments.iter().map(|one| department(one)).collect()
}

fn risk_factor(factor: RiskFactor) -> proto::RiskFactor {
    use proto::risk_factor::Kind;
    let risk = match factor.risk {
        Risk::Dispute => proto::risk_factor::Risk::Dispute,
        Risk::ProposedDispatch => proto::risk_factor::Risk::ProposedDispatch,
    };
    let kind = match factor.witness {
        Witness::Head => Kind::LikeDisputed,
        Witness::CloseSecond => Kind::CloseSecond,
        Witness::Unfamiliar => Kind::Unfamiliar,
        Witness::Words => Kind::DisputedWords,
        Witness::Length => Kind::LongText,
        Witness::Doubt => Kind::UnlikelyDepartment,
        Witness::Unlike => Kind::UnlikeDepartment,
        Witness::History => Kind::DepartmentHistory,
        Witness::SecondOpinion => Kind::UnlikeWords,
    };
    proto::RiskFactor { risk: risk.into(), kind: kind.into(), contribution: factor.contribution, display_text: factor.text }
}

/// One ground of the answer.
fn basis(ground: &Ground) -> proto::Basis {
    use proto::basis::Kind;
    let citation = ground.to_string();
    let kind = match ground {
        Ground::StandingRuling { ruling, leads, similarity, precision, differs } => {
            Kind::StandingRuling(proto::StandingRulingBasis {
                ruling_id: ruling.id.clone(),
                matter: ruling.matter.clone(),
                deciding_body: ruling.body.name().to_owned(),
                decided_date: ruling.decided_on.to_string(),
                lead_departments: departments(leads),
                similarity: *similarity,
                measured_precision: *precision,
                model_differs: *differs,
                documents: documents(&cited(ruling)),
            })
        }
        Ground::RulingOnOrder { ruling, leads, differs } => Kind::RulingOnOrder(proto::RulingOnOrderBasis {
            ruling_id: ruling.id.clone(),
            matter: ruling.matter.clone(),
            deciding_body: ruling.body.name().to_owned(),
            decided_date: ruling.decided_on.to_string(),
            lead_departments: departments(leads),
            model_differs: *differs,
            documents: documents(&cited(ruling)),
        }),
        Ground::Precedent { ruling, leads, similarity, agrees } => {
            Kind::Precedent(precedent_basis(ruling, leads, *similarity, *agrees))
        }
        Ground::Succession { former, successors, since } => Kind::Succession(proto::SuccessionBasis {
            former_department: Some(department(former)),
            successors: departments(successors),
            effective_date: since.map(|day| day.to_string()).unwrap_or_default(),
        }),
        Ground::Matter { id, name, leads, contesting, agrees, basis } => Kind::Matter(proto::MatterBasis {
            matter_id: id.clone(),
            display_name: name.clone(),
            lead_departments: departments(leads),
            contesting_departments: departments(contesting),
            lead_confirmed: *agrees,
            documents: documents(basis),
        }),
        Ground::Duty { department: whose, text, basis } => Kind::Duty(proto::DutyBasis {
            department: Some(department(whose)),
            duty: text.clone(),
            documents: documents(basis),
        }),
        Ground::LikeDuty { department: whose, text, basis, similarity, precision } => Kind::LikeDuty(proto::LikenessBasis {
            department: Some(department(whose)),
            duty: text.clone(),
            documents: documents(basis),
            similarity: *similarity,
            measured_precision: *precision,
        }),
        Ground::Returned { department: whose, unit, reason, day, .. } => Kind::Returned(proto::ReturnBasis {
            department: Some(department(whose)),
            unit: unit.clone().unwrap_or_default(),
            reason: return_reason(*reason).into(),
            return_date: day.to_string(),
        }),
        Ground::ContestedRuling { ruling, leads } => Kind::ContestedRuling(proto::ContestedRulingBasis {
            ruling_id: ruling.id.clone(),
            matter: ruling.matter.clone(),
            deciding_body: ruling.body.name().to_owned(),
            decided_date: ruling.decided_on.to_string(),
            lead_departments: departments(leads),
            documents: documents(&cited(ruling)),
        }),
        Ground::Model { version, department: named, probability, alone } => Kind::Model(proto::ModelBasis {
            model_version: version.clone(),
            department: Some(department(named)),
            probability: *probability,
            sole_basis: *alone,
        }),
    };
    proto::Basis { citation, kind: Some(kind) }
}

pub(super) fn documents(basis: &[Basis]) -> Vec<proto::LegalDocument> {
    let document = |one: &Basis| proto::LegalDocument {
        level: one.level.to_string(),
        document: one.document.clone(),
        article: one.article.clone(),
    };
    basis.iter().map(document).collect()
}

/// What is loaded.
pub(super) fn model_info(info: &ModelInfo) -> proto::GetModelInfoResponse {
    proto::GetModelInfoResponse {
        model: info.name.clone(),
        version: info.version.clone(),
        departments: info.departments.iter().map(|d| department(d)).collect(),
        max_tokens: whole(info.max_tokens),
        precision: info.precision.clone(),
        kernel: info.kernel.clone(),
        dispute_risk_supported: info.has_dispute_head,
        calibrated: info.calibrated,
        metrics: info.metrics.iter().map(|(name, value)| (name.clone(), *value)).collect(),
    }
}

/// A duration on the wire. Ours are far from the limits; one that is not is cut, not refused.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        // Below 1,000,000,000, so it always fits.
        nanos: duration.subsec_nanos() as i32,
    }
}

fn whole(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn precedent_basis(ruling: &Ruling, leads: &[Arc<Department>], similarity: f32, agrees: bool) -> proto::PrecedentBasis {
    proto::PrecedentBasis {
        ruling_id: ruling.id.clone(),
        matter: ruling.matter.clone(),
        deciding_body: ruling.body.name().to_owned(),
        decided_date: ruling.decided_on.to_string(),
        standing: ruling.scope == Scope::Standing,
        lead_departments: departments(leads),
        similarity,
        lead_confirmed: agrees,
    }
}

/// A precedent among the grounds; `None` for the others.
pub(super) fn precedent(ground: &Ground) -> Option<proto::PrecedentBasis> {
    match ground {
        Ground::Precedent { ruling, leads, similarity, agrees } => Some(precedent_basis(ruling, leads, *similarity, *agrees)),
        _ => None,
    }
}

/// Why a unit returned an order.
pub(super) fn return_reason(reason: ReturnReason) -> proto::ReturnReason {
    match reason {
        ReturnReason::WrongDistrict => proto::ReturnReason::WrongDistrict,
        ReturnReason::OwnershipUnclear => proto::ReturnReason::OwnershipUnclear,
        ReturnReason::DutiesOverlap => proto::ReturnReason::DutiesOverlap,
        ReturnReason::WrongLevel => proto::ReturnReason::WrongLevel,
        ReturnReason::InformationMissing => proto::ReturnReason::InformationMissing,
        ReturnReason::NotAdmissible => proto::ReturnReason::NotAdmissible,
        ReturnReason::InPetitionOrCourt => proto::ReturnReason::InPetitionOrCourt,
    }
}
