//! Proto and record of disputes: the only file that knows both.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

use super::super::rulings::convert as rulings;
use super::super::status::ServiceError;
use super::super::{convert as routing, proto};
use crate::disputes::{CaseCause, CaseFile, ContestingUnit, Event, EventKind, NearRuling, Statement};
use crate::routing::ReturnReason;
use crate::rulings::RulingDraft;
use crate::store::{Action, AuditEntry, CaseRow};

pub(super) fn reason(given: proto::ReturnReason) -> Result<ReturnReason, ServiceError> {
    match given {
        proto::ReturnReason::Unspecified => Err(ServiceError::invalid("reason", "MISSING", "is missing", "请选择退单原因")),
        proto::ReturnReason::WrongDistrict => Ok(ReturnReason::WrongDistrict),
        proto::ReturnReason::OwnershipUnclear => Ok(ReturnReason::OwnershipUnclear),
        proto::ReturnReason::DutiesOverlap => Ok(ReturnReason::DutiesOverlap),
        proto::ReturnReason::WrongLevel => Ok(ReturnReason::WrongLevel),
        proto::ReturnReason::InformationMissing => Ok(ReturnReason::InformationMissing),
        proto::ReturnReason::NotAdmissible => Ok(ReturnReason::NotAdmissible),
        proto::ReturnReason::InPetitionOrCourt => Ok(ReturnReason::InPetitionOrCourt),
    }
}

pub(super) fn cause(cause: Option<CaseCause>) -> proto::CaseCause {
    match cause {
        None => proto::CaseCause::Unspecified,
        Some(CaseCause::ReturnedTwice) => proto::CaseCause::ReturnedTwice,
        Some(CaseCause::ContestsRuling) => proto::CaseCause::ContestsRuling,
    }
}

/// A time that can be kept: of the years 2000 to 9999, since nothing was returned before.
pub(super) fn moment(field: &str, time: Timestamp) -> Result<DateTime<Utc>, ServiceError> {
    const YEARS_2000_TO_9999: std::ops::RangeInclusive<i64> = 946_684_800..=253_402_214_399;
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let within = YEARS_2000_TO_9999.contains(&time.seconds);
    nanos.filter(|_| within).and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos)).ok_or_else(|| {
        let said = "must lie in the years 2000 to 9999, with nanos from 0 to 999,999,999";
        ServiceError::invalid(field, "OUT_OF_RANGE", said, "时间超出范围")
    })
}

/// Text of several lines, with personal data masked.
pub(super) fn note(field: &str, given: &str, most: usize) -> Result<String, ServiceError> {
    let text = given.trim();
    if text.chars().count() > most {
        let said = format!("has more than {most} characters");
        return Err(ServiceError::invalid(field, "TOO_LONG", &said, &format!("超过 {most} 字")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(ServiceError::invalid(field, "CONTROL_CHARACTER", "has a control character", "含有控制字符"));
    }
    Ok(crate::text::masked_as_written(text))
}

/// When the order was last sent to a department before a moment, by the trail. Where it was only sent to others nobody knows: their
/// time to return it is not this one's.
pub(super) fn last_dispatch(entries: &[AuditEntry], department: &str, before: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let dispatched = entries.iter().filter(|entry| entry.action == Action::Dispatched.name());
    let own = dispatched.filter(|entry| detail(entry, "department") == department);
    let mut times = own.filter_map(|entry| DateTime::parse_from_rfc3339(&entry.time).ok()).map(|time| time.to_utc());
    times.rfind(|time| *time <= before)
}

/// A text of an entry's detail; empty if there is none.
pub(super) fn detail(entry: &AuditEntry, key: &str) -> String {
    let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap_or_default();
    detail[key].as_str().unwrap_or_default().to_owned()
}

pub(super) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    // Below 2^31, so it always fits.
    Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos() as i32 }
}

pub(super) fn summary(case: CaseRow) -> proto::CaseSummary {
    proto::CaseSummary {
        case_id: case.id,
        order_id: case.order_id,
        open_time: Some(timestamp(case.opened_at)),
        ruling_id: case.ruling.unwrap_or_default(),
    }
}

/// The file without its two answers, which are spelt as those of any appeal.
pub(super) fn case_file(file: &CaseFile) -> proto::CaseFile {
    let fields = &file.appeal;
    let appeal = proto::Appeal {
        id: fields.id.clone(),
        text: fields.text.clone(),
        receive_time: chrono_time(&fields.received_at),
        appeal_type: fields.appeal_type.clone(),
        category_path: fields.category.clone(),
        district: fields.district.clone(),
        channel: fields.channel.clone(),
        // Only its mark is kept, and that of no case.
        caller_token: String::new(),
    };
    proto::CaseFile {
        case_id: file.id.clone().unwrap_or_default(),
        cause: cause(file.cause.map(|(cause, _)| cause)).into(),
        open_time: file.cause.map(|(_, since)| timestamp(since)),
        appeal: Some(appeal),
        events: file.events.iter().map(event).collect(),
        contesting_units: file.sides.iter().map(side).collect(),
        near_rulings: file.near.iter().map(near).collect(),
        precedents: file.precedents().filter_map(routing::precedent).collect(),
        opinion: None,
        next_answer: None,
        drafted_ruling: Some(rulings::of_draft(file.draft.clone())),
        draft_text: file.draft_text.clone(),
        closing_ruling: file.settled.as_ref().map(|(_, ruling)| rulings::of_draft(RulingDraft::from(&**ruling))),
        close_time: file.settled.as_ref().map(|(settlement, _)| timestamp(settlement.closed_at)),
    }
}

/// A day of receipt is its midnight in the city.
fn chrono_time(received_at: &str) -> Option<Timestamp> {
    let full = if received_at.len() == 10 { format!("{received_at}T00:00:00+08:00") } else { received_at.to_owned() };
    Some(timestamp(DateTime::parse_from_rfc3339(&full).ok()?.to_utc()))
}

fn event(event: &Event) -> proto::CourseEvent {
    use proto::course_event::Kind;
    let kind = match event.kind {
        EventKind::Answered => Kind::Answered,
        EventKind::Dispatched => Kind::Dispatched,
        EventKind::Returned => Kind::Returned,
        EventKind::CaseOpened => Kind::CaseOpened,
        EventKind::Ruled => Kind::Ruled,
        EventKind::Closed => Kind::Closed,
    };
    proto::CourseEvent {
        event_time: Some(timestamp(event.time)),
        kind: kind.into(),
        display_text: event.text.clone(),
        actor: event.actor.clone(),
    }
}

fn side(side: &ContestingUnit) -> proto::ContestingUnit {
    let duty = |duty: &crate::disputes::CitedDuty| proto::DutyBasis {
        department: Some(routing::department(&side.department)),
        duty: duty.text.clone(),
        documents: routing::documents(&duty.basis),
    };
    let statement = |one: &Statement| proto::UnitStatement {
        reason: routing::return_reason(one.reason).into(),
        note: one.note.clone(),
        return_time: Some(timestamp(one.returned_at)),
        late: one.late,
    };
    proto::ContestingUnit {
        department: Some(routing::department(&side.department)),
        unit: side.unit.clone().unwrap_or_default(),
        objecting: side.objects,
        duties: side.duties.iter().map(duty).collect(),
        statements: side.statements.iter().map(statement).collect(),
        probability: side.probability,
        precedent_count: i32::try_from(side.precedents).unwrap_or(i32::MAX),
    }
}

fn near(near: &NearRuling) -> proto::NearRuling {
    proto::NearRuling {
        ruling_id: near.ruling.id.clone(),
        matter: near.ruling.matter.clone(),
        lead_department: near.ruling.lead.clone(),
        deciding_body: near.ruling.body.name().to_owned(),
        decided_date: near.ruling.decided_on.to_string(),
        similarity: near.similarity,
        obstacles: near.obstacles.iter().map(ToString::to_string).collect(),
    }
}
