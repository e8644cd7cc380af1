//! Proto and record: the only file that knows both.

use prost_types::Timestamp;

use crate::rulings::{BasisDraft, Contradiction, Known, PositionDraft, RulingDraft, RulingFault};
use crate::server::proto;
use crate::server::status::ServiceError;
use crate::store::exchange::Format;
use crate::store::{Filter, StoredRuling};
use crate::text::is_persons_number;

/// Longest name of whoever does something.
const MAX_ACTOR_CHARS: usize = 100;
/// Longest number of an order.
const MAX_ORDER_CHARS: usize = 128;

pub(super) fn draft(ruling: Option<proto::Ruling>, field: &str) -> Result<RulingDraft, ServiceError> {
    let ruling = ruling.ok_or_else(|| ServiceError::invalid(field, "MISSING", "is missing", "未填写"))?;
    let scope = match ruling.scope() {
        proto::RulingScope::Unspecified => "",
        proto::RulingScope::Case => "case",
        proto::RulingScope::Standing => "standing",
    };
    let status = match ruling.status() {
        proto::RulingStatus::Unspecified | proto::RulingStatus::InForce => "in_force",
        proto::RulingStatus::Draft => "draft",
        proto::RulingStatus::Superseded => "superseded",
        proto::RulingStatus::Withdrawn => "withdrawn",
    };
    let body = match ruling.deciding_body() {
        proto::DecidingBody::Unspecified => "",
        proto::DecidingBody::HotlineReview => "hotline_review",
        proto::DecidingBody::JointMeeting => "joint_meeting",
        proto::DecidingBody::Committee => "committee",
        proto::DecidingBody::OrganisationOffice => "organisation_office",
        proto::DecidingBody::Government => "government",
    };
    let basis = |one: proto::RulingBasis| BasisDraft {
        level: one.level,
        document: one.document,
        article: one.article,
        quote: one.quote,
        valid_from: one.effective_date,
    };
    let position = |one: proto::RulingPosition| PositionDraft {
        vote: match one.vote() {
            proto::Vote::Unspecified => "",
            proto::Vote::For => "for",
            proto::Vote::Against => "against",
            proto::Vote::Abstained => "abstained",
        }
        .to_owned(),
        department: one.department,
        statement: one.statement,
    };
    Ok(RulingDraft {
        scope: scope.to_owned(),
        status: status.to_owned(),
        body: body.to_owned(),
        id: ruling.id,
        matter: ruling.matter,
        description: ruling.description,
        examples: ruling.examples,
        required_words: ruling.required_words,
        forbidden_words: ruling.forbidden_words,
        orders: ruling.orders,
        districts: ruling.districts,
        lead: ruling.lead_department,
        supporting: ruling.supporting_departments,
        last_resort: ruling.last_resort_department,
        excluded: ruling.excluded_departments,
        basis: ruling.basis.into_iter().map(basis).collect(),
        positions: ruling.positions.into_iter().map(position).collect(),
        decided_on: ruling.decision_date,
        effective_from: ruling.effective_start_date,
        effective_to: ruling.effective_end_date,
        supersedes: ruling.superseded_ruling,
    })
}

/// Fields that are called otherwise in the proto than in files.
const NAMES: [(&str, &str); 10] = [
    ("lead", "lead_department"),
    ("supporting", "supporting_departments"),
    ("last_resort", "last_resort_department"),
    ("excluded", "excluded_departments"),
    ("body", "deciding_body"),
    ("decided_on", "decision_date"),
    ("effective_from", "effective_start_date"),
    ("effective_to", "effective_end_date"),
    ("supersedes", "superseded_ruling"),
    ("valid_from", "effective_date"),
];

/// Faults of a ruling that stands in a field of the request, with their paths from it.
pub(super) fn faults(field: &str, faults: &[RulingFault]) -> ServiceError {
    let renamed = |part: &str| {
        let (name, index) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        let name = NAMES.iter().find(|(file, _)| *file == name).map_or(name, |(_, proto)| proto);
        format!("{name}{index}")
    };
    let path = |fault: &RulingFault| {
        let parts: Vec<String> = fault.field.split('.').map(renamed).collect();
        RulingFault { field: format!("{field}.{}", parts.join(".")), reason: fault.reason.clone() }
    };
    ServiceError::RulingInvalid { faults: faults.iter().map(path).collect() }
}

pub(super) fn ruling(stored: &StoredRuling) -> proto::Ruling {
    proto::Ruling {
        etag: stored.etag(),
        create_time: time(&stored.create_time),
        update_time: time(&stored.update_time),
        ..of_draft(RulingDraft::from(&stored.ruling))
    }
}

/// A draft on the wire; what it leaves open stays so.
pub(in crate::server) fn of_draft(draft: RulingDraft) -> proto::Ruling {
    let scope = match draft.scope.as_str() {
        "case" => proto::RulingScope::Case,
        "standing" => proto::RulingScope::Standing,
        _ => proto::RulingScope::Unspecified,
    };
    let status = match draft.status.as_str() {
        "draft" => proto::RulingStatus::Draft,
        "superseded" => proto::RulingStatus::Superseded,
        "withdrawn" => proto::RulingStatus::Withdrawn,
        _ => proto::RulingStatus::InForce,
    };
    let deciding_body = match draft.body.as_str() {
        "hotline_review" => proto::DecidingBody::HotlineReview,
        "joint_meeting" => proto::DecidingBody::JointMeeting,
        "committee" => proto::DecidingBody::Committee,
        "organisation_office" => proto::DecidingBody::OrganisationOffice,
        "government" => proto::DecidingBody::Government,
        _ => proto::DecidingBody::Unspecified,
    };
    let basis = |BasisDraft { level, document, article, quote, valid_from }| proto::RulingBasis {
        level,
        document,
        article,
        quote,
        effective_date: valid_from,
    };
    let position = |PositionDraft { department, statement, vote }| {
        let vote = match vote.as_str() {
            "for" => proto::Vote::For,
            "against" => proto::Vote::Against,
            "abstained" => proto::Vote::Abstained,
            _ => proto::Vote::Unspecified,
        };
        proto::RulingPosition { department, statement, vote: vote.into() }
    };
    proto::Ruling {
        id: draft.id,
        scope: scope.into(),
        status: status.into(),
        deciding_body: deciding_body.into(),
        matter: draft.matter,
        description: draft.description,
        examples: draft.examples,
        required_words: draft.required_words,
        forbidden_words: draft.forbidden_words,
        orders: draft.orders,
        districts: draft.districts,
        lead_department: draft.lead,
        supporting_departments: draft.supporting,
        last_resort_department: draft.last_resort,
        excluded_departments: draft.excluded,
        basis: draft.basis.into_iter().map(basis).collect(),
        positions: draft.positions.into_iter().map(position).collect(),
        decision_date: draft.decided_on,
        effective_start_date: draft.effective_from,
        effective_end_date: draft.effective_to,
        superseded_ruling: draft.supersedes,
        ..proto::Ruling::default()
    }
}

pub(super) fn contradiction(found: &Contradiction) -> proto::Contradiction {
    proto::Contradiction {
        ruling_id: found.ruling.id.clone(),
        matter: found.ruling.matter.clone(),
        lead_department: found.ruling.lead.clone(),
        similarity: found.similarity,
        prevails: found.wins,
    }
}

pub(super) fn filter(text: &str, known: &Known) -> Result<Filter, ServiceError> {
    Filter::parse_named(text, known).map_err(|reason| ServiceError::invalid("filter", "MALFORMED", &reason, "筛选条件有误"))
}

/// A page's size: 0 is the usual one.
pub(in crate::server) fn page_size(given: i32, usual: usize, most: usize) -> Result<usize, ServiceError> {
    match usize::try_from(given) {
        Ok(0) => Ok(usual),
        Ok(size) => Ok(size.min(most)),
        Err(_) => Err(ServiceError::invalid("page_size", "OUT_OF_RANGE", "must not be negative", "不能为负数")),
    }
}

/// Who does something: a name that is there, without control characters.
pub(in crate::server) fn actor(given: &str) -> Result<String, ServiceError> {
    line("actor", given, MAX_ACTOR_CHARS)
}

/// One line that must be there, with personal data masked: what is kept for good is kept without phone numbers.
pub(super) fn line(field: &str, given: &str, most: usize) -> Result<String, ServiceError> {
    Ok(crate::text::masked_as_written(&there(field, given, most)?))
}

/// The number of an order, which looks like one.
pub(in crate::server) fn id(field: &str, given: &str, most: usize) -> Result<String, ServiceError> {
    there(field, given, most)
}

/// The number of an order. A phone or a card in its place is refused: masked, the orders of two people would be one.
pub(in crate::server) fn order_id(given: &str) -> Result<String, ServiceError> {
    let text = there("order_id", given, MAX_ORDER_CHARS)?;
    if is_persons_number(&text) {
        let said = "is a person's number, not an order's";
        return Err(ServiceError::invalid("order_id", "PERSONAL_NUMBER", said, "疑似手机号或证件号，请填写工单编号"));
    }
    Ok(text)
}

fn there(field: &str, given: &str, most: usize) -> Result<String, ServiceError> {
    let text = given.trim();
    if text.is_empty() {
        return Err(ServiceError::invalid(field, "EMPTY", "is empty", "未填写"));
    }
    if text.chars().count() > most {
        let said = format!("has more than {most} characters");
        return Err(ServiceError::invalid(field, "TOO_LONG", &said, &format!("超过 {most} 字")));
    }
    if text.chars().any(char::is_control) {
        return Err(ServiceError::invalid(field, "CONTROL_CHARACTER", "has a control character", "含有控制字符"));
    }
    Ok(text.to_owned())
}

pub(super) fn format(given: proto::FileFormat) -> Result<Format, ServiceError> {
    match given {
        proto::FileFormat::Jsonl => Ok(Format::Jsonl),
        proto::FileFormat::Csv => Ok(Format::Csv),
        proto::FileFormat::Xlsx => Ok(Format::Xlsx),
        proto::FileFormat::Unspecified => {
            Err(ServiceError::invalid("format", "MISSING", "must be JSONL, CSV or XLSX", "请指定文件格式"))
        }
    }
}

fn time(rfc3339: &str) -> Option<Timestamp> {
    let time = chrono::DateTime::parse_from_rfc3339(rfc3339).ok()?;
    Some(Timestamp { seconds: time.timestamp(), nanos: i32::try_from(time.timestamp_subsec_nanos()).ok()? })
}
