//! The story, call by call, as an intake system and a committee would make them.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use chrono::DateTime;
use paidan::routing::time_in_the_city;
use paidan::server::proto::basis::Kind;
use paidan::server::proto::dispute_service_client::DisputeServiceClient;
use paidan::server::proto::routing_service_client::RoutingServiceClient;
use paidan::server::proto::ruling_service_client::RulingServiceClient;
use paidan::server::proto::{self, DecidingBody, ReturnReason, RouteAppealResponse, RulingScope, RulingStatus};
use paidan::store::Store;
use paidan::text::AppealFields;
use tonic::transport::Channel;

use super::cast::Cast;
use crate::cli::output::{Paint, bar, padded, percent};
use crate::cli::{Failure, code};

/// Departments that are shown.
const SHOWN: usize = 3;
/// Characters of an appeal that are shown.
const MAX_SHOWN_CHARS: usize = 160;

/// The server of the story, seen by its callers.
pub struct Stage {
    routing: RoutingServiceClient<Channel>,
    rulings: RulingServiceClient<Channel>,
    disputes: DisputeServiceClient<Channel>,
    store: Store,
    paint: Paint,
    step: usize,
}

impl Stage {
    /// Connects.
    pub async fn enter(address: SocketAddr, store: Store) -> Result<Self, Failure> {
        let channel = Channel::from_shared(format!("http://{address}")).map_err(|error| Failure::new(code::SOFTWARE, error))?;
        let channel = channel.connect().await.map_err(|error| Failure::new(code::UNAVAILABLE, error))?;
        Ok(Self {
            routing: RoutingServiceClient::new(channel.clone()),
            rulings: RulingServiceClient::new(channel.clone()),
            disputes: DisputeServiceClient::new(channel),
            store,
            paint: Paint::for_stdout(),
            step: 0,
        })
    }

    /// Plays the whole story.
    pub async fn play(&mut self, cast: &Cast, page: &Path) -> Result<(), Failure> {
        let order = cast.first.id.clone();
        self.scene("市民来电，生成工单")?;
        self.say(&format!("工单 {order}：{}", shortened(&cast.first.text)))?;
        self.scene("系统建议承办单位")?;
        let first = self.route(&cast.first).await?;
        self.answer(&first)?;
        let advised = lead(&first)?;
        let asked = cast.asked.clone().unwrap_or_else(|| advised.clone());
        self.scene(if asked == advised {
            "派单员采纳建议，派出"
        } else {
            "派单员未采纳建议（按当时的实际派单），派出"
        })?;
        self.dispatch(&order, &asked, &advised).await?;

        let own = first.unit.as_ref().filter(|_| asked == advised);
        let unit = own.map_or(asked.clone(), |unit| unit.display_name.clone());
        self.scene(&format!("“{unit}”退单"))?;
        let once = self.back(&order, &unit, ReturnReason::DutiesOverlap, "经核查，不在我单位职责清单内，请改派。").await?;
        let next = once.next_answer.clone().ok_or_else(lost)?;
        self.answer(&next)?;
        let second = lead(&next)?;
        self.dispatch(&order, &second, &second).await?;

        self.scene(&format!("“{}”再次退单，转责任认定", name(&next)?))?;
        let unit = next.unit.as_ref().map_or(second.clone(), |unit| unit.display_name.clone());
        let twice = self.back(&order, &unit, ReturnReason::OwnershipUnclear, "此类问题多家共管，请明确主办单位。").await?;
        self.say(&format!("自动立案，案号 {}", twice.case_id))?;

        self.scene("委员会阅卷")?;
        let request = proto::GetCaseFileRequest { case_id: twice.case_id.clone(), page_wanted: true, ..Default::default() };
        let answer = self.disputes.get_case_file(request).await.map_err(refused)?.into_inner();
        std::fs::write(page, &answer.page_html).map_err(|error| Failure::file(page, error))?;
        let file = answer.case_file.ok_or_else(lost)?;
        for side in &file.contesting_units {
            self.side(side)?;
        }
        self.say(&format!("案卷网页（可打印）：{}", page.display()))?;

        self.scene("委员会作出类案认定，案卷关闭")?;
        let responsible = cast.responsible.clone().unwrap_or(second);
        let ruling = self.rule(cast, &file, &responsible).await?;
        self.say(&format!("{}：今后此类诉求由“{responsible}”主办", ruling.id))?;

        self.scene("又一位市民反映同类问题")?;
        self.say(&format!("工单 {}：{}", cast.second.id, shortened(&cast.second.text)))?;
        let like = self.route(&cast.second).await?;
        self.answer(&like)?;
        let by_ruling =
            like.basis.iter().any(|basis| matches!(&basis.kind, Some(Kind::StandingRuling(one)) if one.ruling_id == ruling.id));
        self.say(if by_ruling {
            "一次派对：依据刚才的类案认定"
        } else {
            "该类案认定未适用：相似度或关键词未达到要求"
        })?;

        self.scene("全程留痕")?;
        for entry in self.store.audit_of_order(&order).await? {
            let line = format!(
                "{:>3}  {}  {}  {}",
                entry.number,
                clock(&entry.time),
                padded(entry.action_in_chinese(), 10),
                entry.actor
            );
            self.say(&self.paint.soft(&line))?;
        }
        let (head, faults) = self.store.verify_audit(10, |_, _| {}).await?;
        let sound = if faults.is_empty() { "校验通过" } else { "校验发现问题" };
        self.say(&format!("共 {} 条，{sound}，末条哈希 {}", head.number, &head.hash[..12.min(head.hash.len())]))
    }

    async fn route(&mut self, fields: &AppealFields) -> Result<RouteAppealResponse, Failure> {
        let appeal = proto::Appeal {
            id: fields.id.clone(),
            text: fields.text.clone(),
            appeal_type: fields.appeal_type.clone(),
            category_path: fields.category.clone(),
            district: fields.district.clone(),
            channel: fields.channel.clone(),
            ..proto::Appeal::default()
        };
        let request = proto::RouteAppealRequest { appeal: Some(appeal), ..proto::RouteAppealRequest::default() };
        Ok(self.routing.route_appeal(request).await.map_err(refused)?.into_inner())
    }

    async fn dispatch(&mut self, order: &str, department: &str, advised: &str) -> Result<(), Failure> {
        let request = proto::RecordDispatchRequest {
            order_id: order.to_owned(),
            department: department.to_owned(),
            advised_department: advised.to_owned(),
            actor: "派单员".to_owned(),
        };
        self.rulings.record_dispatch(request).await.map_err(refused)?;
        self.say(&format!("已派至“{department}”"))
    }

    async fn back(
        &mut self,
        order: &str,
        unit: &str,
        reason: ReturnReason,
        note: &str,
    ) -> Result<proto::ReportReturnResponse, Failure> {
        let request = proto::ReportReturnRequest {
            order_id: order.to_owned(),
            unit: unit.to_owned(),
            reason: reason.into(),
            note: note.to_owned(),
            actor: unit.chars().take(100).collect(),
            ..proto::ReportReturnRequest::default()
        };
        let answer = self.disputes.report_return(request).await.map_err(refused)?.into_inner();
        let late = match answer.late {
            Some(true) => "，已超时限",
            Some(false) => "，在时限内",
            None => "",
        };
        self.say(&format!("{unit}：{note}（退单时限 {}{late}）", answer.deadline_date))?;
        Ok(answer)
    }

    async fn rule(&mut self, cast: &Cast, file: &proto::CaseFile, lead: &str) -> Result<proto::Ruling, Failure> {
        let draft = file.drafted_ruling.clone().ok_or_else(lost)?;
        let today = crate::cli::setup::today()?.to_string();
        let positions = draft.positions.clone();
        let ruling = proto::Ruling {
            scope: RulingScope::Standing.into(),
            status: RulingStatus::InForce.into(),
            matter: cast.matter.clone(),
            required_words: cast.required_words.clone(),
            lead_department: lead.to_owned(),
            supporting_departments: Vec::new(),
            deciding_body: DecidingBody::Committee.into(),
            decision_date: today,
            positions,
            ..draft
        };
        let request = proto::RecordRulingRequest {
            ruling: Some(ruling),
            actor: "认定委员会".to_owned(),
            case_id: file.case_id.clone(),
            ..proto::RecordRulingRequest::default()
        };
        let answer = self.rulings.record_ruling(request).await.map_err(refused)?.into_inner();
        answer.ruling.ok_or_else(lost)
    }

    fn scene(&mut self, title: &str) -> Result<(), Failure> {
        self.step += 1;
        let line = format!("\n{} {title}", ["①", "②", "③", "④", "⑤", "⑥", "⑦", "⑧", "⑨", "⑩"][(self.step - 1).min(9)]);
        Ok(writeln!(std::io::stdout(), "{}", self.paint.strong(&line))?)
    }

    fn say(&self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(std::io::stdout(), "   {line}")?)
    }

    fn answer(&self, answer: &RouteAppealResponse) -> Result<(), Failure> {
        for one in answer.departments.iter().take(SHOWN) {
            let name = one.department.as_ref().map_or("", |department| department.display_name.as_str());
            self.say(&format!("{} {} {}", padded(name, 24), bar(one.probability, 20), percent(one.probability)))?;
        }
        self.say(&self.paint.soft(&answer.reason))?;
        if answer.needs_review {
            self.say(&self.paint.warn(&answer.review_note))?;
        }
        Ok(())
    }

    fn side(&self, side: &proto::ContestingUnit) -> Result<(), Failure> {
        let name = side.department.as_ref().map_or("", |department| department.display_name.as_str());
        let role = if side.objecting { "退单单位" } else { "拟派单位" };
        let duty = side.duties.first().map_or("目录未列职责".to_owned(), |duty| {
            let document = duty.documents.first().map(|one| format!("（{}{}）", one.document, one.article)).unwrap_or_default();
            format!("职责：{}{document}", duty.duty)
        });
        self.say(&format!("{} {} {duty}", padded(name, 24), padded(role, 8)))
    }
}

fn lead(answer: &RouteAppealResponse) -> Result<String, Failure> {
    let department = answer.lead_department.as_ref().and_then(|lead| lead.department.as_ref());
    department.map(|department| department.id.clone()).ok_or_else(lost)
}

/// Its unit if one is known, otherwise the department.
fn name(answer: &RouteAppealResponse) -> Result<String, Failure> {
    let department = answer.lead_department.as_ref().and_then(|lead| lead.department.as_ref());
    let name = department.map(|department| department.display_name.clone()).ok_or_else(lost)?;
    Ok(answer.unit.as_ref().map_or(name, |unit| unit.display_name.clone()))
}

/// The city's time of an entry, as a wall clock shows it; as it stands if it is no time.
fn clock(time: &str) -> String {
    let moment = DateTime::parse_from_rfc3339(time).ok().and_then(|moment| time_in_the_city(moment.to_utc()));
    moment.map_or_else(|| time.to_owned(), |moment| moment.format("%Y-%m-%d %H:%M:%S").to_string())
}

fn shortened(text: &str) -> String {
    let masked = paidan::text::masked_as_written(text);
    let end = if masked.chars().count() > MAX_SHOWN_CHARS { "…" } else { "" };
    format!("{}{end}", masked.chars().take(MAX_SHOWN_CHARS).collect::<String>().replace('\n', " "))
}

fn refused(status: tonic::Status) -> Failure {
    Failure::said(code::SOFTWARE, format!("the demo's own server refused a call: {}", status.message()))
}

fn lost() -> Failure {
    Failure::said(code::SOFTWARE, "the demo's own server gave an incomplete answer")
}
