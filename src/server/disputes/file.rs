//! A case file is asked for: read the course and the trail, ask the router with and without the objections, put it together.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::super::deadline::Arrival;
use super::super::queue::Answer;
use super::super::rulings::convert as rulings;
use super::super::status::ServiceError;
use super::super::{convert as routing, proto};
use super::{Disputes, convert, returned};
use crate::catalog::DepartmentCatalog;
use crate::disputes::{CaseFile, Course, Event, EventKind, Material, page};
use crate::routing::{Circumstances, Decision, day_in_the_city, day_of};
use crate::store::{Action, AuditEntry, StoreError};

/// Longest id of a case.
const MAX_CASE_CHARS: usize = 128;
/// Departments of either answer in the file.
const DEPARTMENTS: usize = 5;

impl Disputes {
    pub(super) async fn case_file(
        &self,
        request: proto::GetCaseFileRequest,
        arrival: Arrival,
    ) -> Result<proto::GetCaseFileResponse, ServiceError> {
        let order_id = match (request.case_id.trim(), request.order_id.trim()) {
            ("", "") => {
                return Err(ServiceError::invalid("case_id", "MISSING", "or order_id is required", "请填写案号或工单编号"));
            }
            ("", order_id) => rulings::order_id(order_id)?,
            (case_id, _) => self.rulings.store().case(&rulings::id("case_id", case_id, MAX_CASE_CHARS)?).await?.order_id,
        };
        let known = self.course(&order_id).await?;
        let course = known.ok_or_else(|| StoreError::NoOrder { order_id: order_id.clone() })?;
        if course.returns.is_empty() {
            return Err(StoreError::NoCase { id: order_id }.into());
        }
        let place = self.desk.queue.reserve()?;
        // Prepared once: both answers and the file are of one catalogue.
        let prepared = self.desk.prepare(course.order.fields.clone()).await?;
        let catalog = prepared.circumstances.as_ref().and_then(Circumstances::catalog).cloned();
        // Of the appeal itself: what was decided on it since is told beside it.
        let opinion = self.ask(prepared.clone().unnumbered(), place, arrival).await?;
        let next = self.ask(returned(prepared, &course), self.desk.queue.reserve()?, arrival).await?;
        let file = self.put_together(&course, &opinion.decision, &next.decision, catalog.as_deref()).await?;
        let page_html = if request.page_wanted { self.page(&file)? } else { String::new() };
        let spelt = |answer: Answer| routing::response(answer, self.desk.router.info(), order_id.clone(), DEPARTMENTS);
        let case_file =
            proto::CaseFile { opinion: Some(spelt(opinion)), next_answer: Some(spelt(next)), ..convert::case_file(&file) };
        Ok(proto::GetCaseFileResponse { case_file: Some(case_file), page_html })
    }

    async fn put_together(
        &self,
        course: &Course,
        opinion: &Decision,
        next: &Decision,
        catalog: Option<&DepartmentCatalog>,
    ) -> Result<CaseFile, ServiceError> {
        let entries = self.rulings.store().audit_of_order(course.order_id()).await?;
        let ruling = match &course.settlement {
            Some(settlement) => Some(Arc::new(self.rulings.store().get(&settlement.ruling).await?.ruling)),
            None => None,
        };
        let router = self.rulings.router();
        let day = day_of(&course.order.fields.received_at).or_else(|| day_in_the_city(Utc::now()));
        let Some(day) = day else { return Err(ServiceError::ModelFailed) };
        Ok(CaseFile::new(Material {
            course,
            events: events(course, &entries, opinion, catalog),
            opinion: opinion.clone(),
            next: next.clone(),
            ruling,
            catalog,
            book: &router.rulings(),
            likeness: router.likeness(),
            day,
        }))
    }

    fn page(&self, file: &CaseFile) -> Result<String, ServiceError> {
        page(file, Utc::now()).map_err(|error| {
            tracing::error!(%error, "a case file could not be printed");
            ServiceError::ModelFailed
        })
    }
}

/// What happened, by time: the answers, dispatches and rulings of the trail, the returns and the case of the course.
fn events(course: &Course, entries: &[AuditEntry], opinion: &Decision, catalog: Option<&DepartmentCatalog>) -> Vec<Event> {
    let name = |id: &str| {
        let known = opinion.departments.iter().find(|one| one.department.id == id);
        // Whoever the answer does not know may have been founded since.
        let since = || catalog.and_then(|catalog| catalog.last_name(id));
        known.map(|one| one.department.name.as_str()).or_else(since).unwrap_or(id).to_owned()
    };
    let (mut events, mut statuses): (Vec<Event>, HashMap<&str, String>) = Default::default();
    for entry in entries {
        let told = told(entry, statuses.get(entry.ruling.as_str()).map(String::as_str), &name);
        if let Some(status) = status_after(entry) {
            statuses.insert(&entry.ruling, status);
        }
        let Some((kind, text)) = told else { continue };
        let Ok(time) = DateTime::parse_from_rfc3339(&entry.time) else { continue };
        // Whoever asks at every keystroke is told the same thing many times.
        if events.last().is_some_and(|last| last.kind == EventKind::Answered && last.text == text) {
            continue;
        }
        events.push(Event { time: time.to_utc(), kind, text, actor: entry.actor.clone() });
    }
    events.extend(course.returns.iter().map(|one| {
        let department = name(&one.objection.department);
        let who = one.objection.unit.as_ref().unwrap_or(&department);
        let late = if one.late() == Some(true) { "（超过退单时限）" } else { "" };
        let note = if one.note.is_empty() { String::new() } else { format!("：{}", one.note) };
        let text = format!("“{who}”以“{}”退单{late}{note}", one.objection.reason.name());
        Event { time: one.returned_at, kind: EventKind::Returned, text, actor: one.actor.clone() }
    }));
    events.extend(course.case().map(|(cause, time)| Event {
        time,
        kind: EventKind::CaseOpened,
        text: format!("立案：{}", cause.name()),
        actor: "paidan".to_owned(),
    }));
    // Stable: a case is opened by the return of the same moment, which stands before it.
    events.sort_by_key(|event| event.time);
    events
}

/// What the ruling of an entry was from then on; `None` if the entry says nothing of it.
fn status_after(entry: &AuditEntry) -> Option<String> {
    let is = |action: Action| entry.action == action.name();
    if is(Action::RulingSuperseded) {
        return Some("superseded".to_owned());
    }
    if is(Action::RulingWithdrawn) {
        return Some("withdrawn".to_owned());
    }
    Some(convert::detail(entry, "status")).filter(|status| !status.is_empty())
}

/// One entry for people; `before` is the status of its ruling until then, where the trail of the order tells it.
fn told(entry: &AuditEntry, before: Option<&str>, name: &dyn Fn(&str) -> String) -> Option<(EventKind, String)> {
    let is = |action: Action| entry.action == action.name();
    let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap_or_default();
    let text = |key: &str| detail[key].as_str().unwrap_or_default().to_owned();
    if is(Action::Answered) {
        let percent = detail["probability"].as_f64().unwrap_or_default() * 100.0;
        // What was answered before the trail knew of which kind the ruling is, is told without.
        let by = match detail["ruling_on_order"].as_bool() {
            _ if entry.ruling.is_empty() => format!("概率{percent:.0}%"),
            Some(true) => format!("依本工单认定{}", entry.ruling),
            Some(false) => format!("依类案认定{}", entry.ruling),
            None => format!("依认定{}", entry.ruling),
        };
        let review = if detail["needs_review"].as_bool() == Some(true) { "，提示人工复核" } else { "" };
        return Some((EventKind::Answered, format!("系统建议“{}”（{by}{review}）", name(&text("lead")))));
    }
    if is(Action::Dispatched) {
        let advised = text("advised");
        let differs = if detail["overridden"].as_bool() == Some(true) {
            format!("（系统建议为“{}”）", name(&advised))
        } else {
            String::new()
        };
        return Some((EventKind::Dispatched, format!("派单至“{}”{differs}", name(&text("department")))));
    }
    if is(Action::RulingRecorded) || is(Action::RulingChanged) {
        let ruling = format!("{}认定{}", if text("scope") == "standing" { "类案" } else { "个案" }, entry.ruling);
        let status = text("status");
        let stays = is(Action::RulingChanged) && before.is_none_or(|before| before == status);
        let done = match status.as_str() {
            "draft" if stays => format!("修改{ruling}的草稿（未生效）"),
            "draft" => format!("起草{ruling}（未生效）"),
            "superseded" => format!("记录{ruling}（已替代，不生效）"),
            "withdrawn" if is(Action::RulingChanged) && !stays => return Some((EventKind::Ruled, format!("撤回{ruling}"))),
            "withdrawn" => format!("记录{ruling}（已撤回，不生效）"),
            _ if stays => format!("修改{ruling}"),
            _ => format!("作出{ruling}"),
        };
        return Some((EventKind::Ruled, format!("{done}：“{}”主办", name(&text("lead")))));
    }
    if is(Action::RulingSuperseded) {
        let from = text("from");
        let until = if from.is_empty() { "不再生效".to_owned() } else { format!("{from}起受理的工单不再适用") };
        return Some((EventKind::Ruled, format!("认定{}由{}替代，{until}", entry.ruling, text("successor"))));
    }
    if is(Action::RulingWithdrawn) {
        return Some((EventKind::Ruled, format!("撤回认定{}：{}", entry.ruling, text("reason"))));
    }
    if is(Action::CaseClosed) {
        return Some((EventKind::Closed, format!("结案：依认定{}", entry.ruling)));
    }
    if is(Action::CaseReopened) {
        return Some((EventKind::CaseOpened, format!("恢复办理：认定{}已撤回", entry.ruling)));
    }
    is(Action::OrderClosed).then(|| (EventKind::Closed, "工单办结".to_owned()))
}
