//! The case file as one Chinese page that a committee prints on A4: `case_file.html` is its only template. Every text is escaped by
//! the template; nothing is loaded from anywhere.

use askama::Template;
use chrono::{DateTime, Utc};

use super::case_file::CaseFile;
use super::sides::ContestingUnit;
use crate::routing::{Evidence, Ground, time_in_the_city};

/// Why there is no page: our own fault.
#[derive(Debug, thiserror::Error)]
#[error("the page of the case file cannot be written: {0}")]
pub struct PageError(#[from] askama::Error);

/// Most candidates of the model that are shown.
const MAX_CANDIDATES: usize = 5;

#[derive(Template)]
#[template(path = "case_file.html")]
struct Page<'a> {
    file: &'a CaseFile,
    state: String,
    text: Vec<Piece>,
    facts: Vec<(&'static str, String)>,
    events: Vec<Line>,
    sides: Vec<Side<'a>>,
    near: Vec<Near>,
    precedents: Vec<PrecedentRow>,
    candidates: Vec<Candidate>,
    risk: String,
    factors: Vec<String>,
    versions: String,
    next: String,
    drafted: &'a str,
    printed: String,
}

/// A part of the appeal's text.
struct Piece {
    text: String,
    /// The words that spoke for the model's first.
    strong: bool,
}

struct Line {
    time: String,
    text: String,
    actor: String,
}

struct Side<'a> {
    unit: &'a ContestingUnit,
    role: &'static str,
    statements: Vec<String>,
    duties: Vec<(String, String, bool)>,
    percent: String,
}

struct Near {
    title: String,
    source: String,
    lead: String,
    similarity: String,
    why_not: String,
}

struct PrecedentRow {
    title: String,
    source: String,
    outcome: String,
    similarity: String,
}

struct Candidate {
    name: String,
    percent: String,
    width: u32,
    note: &'static str,
}

/// The page, as HTML. `now` is printed at its foot.
pub fn page(file: &CaseFile, now: DateTime<Utc>) -> Result<String, PageError> {
    let settled = file.settled.as_ref().map(|(settlement, ruling)| {
        format!("已裁定（{}，{}，{}）", ruling.id, ruling.body.name(), day_time(settlement.closed_at))
    });
    let open = || match file.cause {
        Some((cause, since)) => format!("待裁定 · {}（{}）", cause.name(), day_time(since)),
        None => "尚未成案".to_owned(),
    };
    let view = Page {
        state: settled.unwrap_or_else(open),
        text: pieces(&file.appeal.text, &file.opinion.evidence),
        facts: facts(file),
        events: file
            .events
            .iter()
            .map(|event| Line { time: day_time(event.time), text: event.text.clone(), actor: event.actor.clone() })
            .collect(),
        sides: file.sides.iter().map(side).collect(),
        near: near(file),
        precedents: file.precedents().filter_map(precedent).collect(),
        candidates: candidates(file),
        risk: file.opinion.dispute_risk.map_or_else(|| "未评估".to_owned(), |risk| format!("{:.0}%", risk * 100.0)),
        factors: file.opinion.risk_factors.iter().map(|factor| factor.text.clone()).collect(),
        versions: versions(file),
        next: file.next.reason.clone(),
        drafted: &file.draft_text,
        printed: day_time(now),
        file,
    };
    Ok(view.render()?)
}

/// In the city's time.
fn day_time(time: DateTime<Utc>) -> String {
    time_in_the_city(time).map(|time| time.format("%Y-%m-%d %H:%M").to_string()).unwrap_or_default()
}

/// The text cut at the evidence that spoke for the model's first; offsets are characters.
fn pieces(text: &str, evidence: &[Evidence]) -> Vec<Piece> {
    let mut spans: Vec<(usize, usize)> =
        evidence.iter().filter(|span| span.weight > 0.0).take(3).map(|span| (span.start as usize, span.end as usize)).collect();
    spans.sort_unstable();
    let chars: Vec<char> = text.chars().collect();
    let (mut pieces, mut at) = (Vec::new(), 0);
    let slice = |from: usize, to: usize| chars.get(from..to).map(|part| part.iter().collect::<String>()).unwrap_or_default();
    for (start, end) in spans {
        let (start, end) = (start.clamp(at, chars.len()), end.clamp(at, chars.len()));
        if start > at {
            pieces.push(Piece { text: slice(at, start), strong: false });
        }
        if end > start {
            pieces.push(Piece { text: slice(start, end), strong: true });
        }
        at = end.max(at);
    }
    if at < chars.len() {
        pieces.push(Piece { text: slice(at, chars.len()), strong: false });
    }
    pieces
}

fn facts(file: &CaseFile) -> Vec<(&'static str, String)> {
    let appeal = &file.appeal;
    let all = [
        ("工单编号", appeal.id.clone()),
        ("受理时间", appeal.received_at.clone()),
        ("诉求类型", appeal.appeal_type.clone()),
        ("主题分类", appeal.category.join(" › ")),
        ("所在区域", appeal.district.clone()),
        ("来源渠道", appeal.channel.clone()),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn side(unit: &ContestingUnit) -> Side<'_> {
    let statements = unit.statements.iter().map(|one| {
        let late = if one.late == Some(true) { "，超过退单时限" } else { "" };
        let note = if one.note.is_empty() { "（未附说明）" } else { &one.note };
        format!("{} 以“{}”退单{late}：{note}", day_time(one.returned_at), one.reason.name())
    });
    let duties = unit.duties.iter().map(|duty| {
        let basis: Vec<String> = duty.basis.iter().map(ToString::to_string).collect();
        (duty.text.clone(), basis.join("；"), duty.fits)
    });
    Side {
        role: if unit.objects { "退单单位" } else { "拟派单位" },
        statements: statements.collect(),
        duties: duties.collect(),
        percent: percent(unit.probability),
        unit,
    }
}

fn percent(probability: f32) -> String {
    format!("{:.0}%", probability * 100.0)
}

fn near(file: &CaseFile) -> Vec<Near> {
    file.near
        .iter()
        .zip(&file.near_leads)
        .map(|(near, lead)| Near {
            title: near.ruling.matter.clone(),
            source: format!("{}，{}，{}", near.ruling.id, near.ruling.body.name(), near.ruling.decided_on),
            lead: lead.clone(),
            similarity: format!("{:.2}", near.similarity),
            why_not: near.obstacles.iter().map(ToString::to_string).collect::<Vec<_>>().join("；"),
        })
        .collect()
}

fn precedent(ground: &Ground) -> Option<PrecedentRow> {
    let Ground::Precedent { ruling, leads, similarity, .. } = ground else { return None };
    let names: Vec<&str> = leads.iter().map(|lead| lead.name.as_str()).collect();
    let outcome = if names.is_empty() { "当日无承接单位".to_owned() } else { format!("{}主办", names.join("、")) };
    Some(PrecedentRow {
        title: ruling.matter.clone(),
        source: format!("{}，{}，{}", ruling.id, ruling.body.name(), ruling.decided_on),
        outcome,
        similarity: format!("{similarity:.2}"),
    })
}

fn candidates(file: &CaseFile) -> Vec<Candidate> {
    let opinion = if file.opinion.model_opinion.is_empty() { &file.opinion.departments } else { &file.opinion.model_opinion };
    let candidate = |one: &crate::routing::RankedDepartment| Candidate {
        name: one.department.name.clone(),
        percent: percent(one.probability),
        width: (one.probability * 100.0).round() as u32,
        note: if file.sides.iter().any(|side| side.objects && side.department.id == one.department.id) {
            "已退单"
        } else {
            ""
        },
    };
    opinion.iter().take(MAX_CANDIDATES).map(candidate).collect()
}

fn versions(file: &CaseFile) -> String {
    let model = file.opinion.basis.iter().find_map(|ground| match ground {
        Ground::Model { version, .. } => Some(version.as_str()),
        _ => None,
    });
    let catalog = file.opinion.catalog_version.as_deref().unwrap_or("无目录");
    format!("模型 {}，派单目录 {catalog}", model.unwrap_or_default())
}
