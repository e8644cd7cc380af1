//! `paidan route`: one appeal, one answer, for a person or as JSON.

use std::io::{IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use paidan::routing::{Decision, Risk, RiskFactor};
use paidan::text::{Appeal, AppealFields};

use super::answer;
use super::output::{Paint, bar, padded, percent, width};
use super::setup::{Setup, model_folder, open_router_with_catalog, today};
use super::{Failure, code};

/// More than this is no appeal: 20,000 characters take at most 80,000 bytes.
const MAX_INPUT_BYTES: u64 = 1 << 20;

/// Flags of `route`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  paidan route \"小区门口的路灯坏了很久没人修\"
  paidan route \"楼下烧烤店油烟大\" --category 城市管理/市容环境 --district 龙华区 --proposed 环保
  cat appeal.txt | paidan route --json")]
pub struct Args {
    /// What the citizen asks; standard input if absent or -
    text: Option<String>,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
    /// The operator's subject path, broadest level first, with slashes
    #[arg(long, value_name = "A/B/C")]
    category: Option<String>,
    /// Type as the hotline spells it, such as 投诉 or 咨询
    #[arg(long = "type", value_name = "TYPE")]
    appeal_type: Option<String>,
    /// District that the appeal is about: says which unit of the department it goes to
    #[arg(long, value_name = "DISTRICT")]
    district: Option<String>,
    /// When the hotline took it in, such as 2026-03-01: decides which departments there are [default: today]
    #[arg(long, value_name = "DATE")]
    received: Option<String>,
    /// Department that the dispatcher has in mind: the answer says how likely its dispatch comes back; may be repeated
    #[arg(long, value_name = "DEPARTMENT")]
    proposed: Vec<String>,
    /// How many departments to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
}

/// Routes one appeal.
pub fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let config = setup.configuration(&[])?;
    let appeal = Appeal::parse(AppealFields {
        text: text(args)?,
        category: args.category.iter().flat_map(|path| path.split('/')).map(str::to_owned).collect(),
        appeal_type: args.appeal_type.clone().unwrap_or_default(),
        district: args.district.clone().unwrap_or_default(),
        received_at: args.received.clone().unwrap_or_default(),
        proposed_departments: args.proposed.clone(),
        ..AppealFields::default()
    })?;
    let router = open_router_with_catalog(&model_folder(&config)?, &config)?;
    let began = Instant::now();
    let prepared = router.prepare_on(&appeal, today()?)?;
    let decision = router.route(&[prepared])?.pop();
    let decision = decision.ok_or_else(|| Failure::said(code::SOFTWARE, "the router gave no answer"))?;
    let shown = if args.json {
        answer::json(&decision, router.info().version.as_str(), args.top)
    } else {
        for_people(&decision, &appeal, &router.info().version, began.elapsed(), args.top)
    };
    Ok(std::io::stdout().write_all(shown.as_bytes())?)
}

fn text(args: &Args) -> Result<String, Failure> {
    match args.text.as_deref() {
        Some(text) if text != "-" => return Ok(text.to_owned()),
        None if std::io::stdin().is_terminal() => {
            return Err(Failure::said(
                code::USAGE,
                "no appeal; give it in quotes, or pipe it in: cat appeal.txt | paidan route",
            ));
        }
        _ => {}
    }
    let mut bytes = Vec::new();
    std::io::stdin().take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(Failure::said(code::DATA, "standard input: more than 1 MiB; route takes one appeal, for many use replay"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to() + 1;
        Failure::said(
            code::DATA,
            format!("standard input: not UTF-8 at byte {place}; convert it first: iconv -f GB18030 -t UTF-8"),
        )
    })
}

/// The answer as a dispatcher reads it: the list first, then what speaks against sending it out.
fn for_people(decision: &Decision, appeal: &Appeal, version: &str, took: Duration, top: usize) -> String {
    let paint = Paint::for_stdout();
    let shown = &decision.departments[..top.clamp(1, decision.departments.len())];
    let cells = shown.iter().map(|ranked| width(&ranked.department.name)).max().unwrap_or(0);
    let mut lines = vec![paint.strong("承办单位")];
    for (index, ranked) in shown.iter().enumerate() {
        let line = format!(
            "  {}  {}  {} {:>6}",
            index + 1,
            padded(&ranked.department.name, cells),
            bar(ranked.probability, 24),
            percent(ranked.probability)
        );
        lines.push(if index == 0 { paint.strong(&line) } else { line });
    }
    lines.push(format!("理由  {}", decision.reason));
    if let Some(unit) = &decision.unit {
        lines.push(format!("派往  {}", unit.name));
    }
    if !decision.supporting_departments.is_empty() {
        let names: Vec<&str> = decision.supporting_departments.iter().map(|one| one.name.as_str()).collect();
        lines.push(format!("协办  {}", names.join("、")));
    }
    lines.extend(decision.basis.iter().map(|ground| format!("依据  {ground}")));
    lines.push(match decision.dispute_risk {
        Some(risk) => format!("争议风险  {}", percent(risk)),
        None => "争议风险  此模型未学习".to_owned(),
    });
    let risk = match decision.proposed_dispatch_risk {
        Some(risk) => Some(percent(risk)),
        None if decision.unseen_proposals.is_empty() => None,
        None => Some("无法估计".to_owned()),
    };
    if let Some(risk) = risk {
        let proposed = appeal.fields().proposed_departments.join("、");
        lines.push(format!("拟派{proposed}，退单或改派的可能  {risk}"));
    }
    if !decision.risk_factors.is_empty() {
        let factor = |factor: &RiskFactor| match factor.risk {
            Risk::Dispute => factor.text.clone(),
            Risk::ProposedDispatch => format!("拟派：{}", factor.text),
        };
        lines.push(format!("风险缘由  {}", decision.risk_factors.iter().map(factor).collect::<Vec<_>>().join("；")));
    }
    lines.push(if decision.needs_review() {
        paint.warn(&format!("请人工复核  {}", decision.review_words().join("；")))
    } else {
        "可直接派单".to_owned()
    });
    for (number, part) in decision.parts.iter().enumerate() {
        let (start, end) = (part.chars.start as usize, part.chars.end as usize);
        let words: String = appeal.fields().text.chars().skip(start).take(end - start).collect();
        let lead = part.departments.first().map_or("", |lead| lead.department.name.as_str());
        lines.push(format!("诉求{}  “{lead}”  {}", number + 1, words.trim()));
    }
    let spans: Vec<String> = decision
        .evidence
        .iter()
        .filter(|span| span.weight > 0.0)
        .take(3)
        .map(|span| {
            let (start, end) = (span.start as usize, span.end as usize);
            appeal.fields().text.chars().skip(start).take(end.saturating_sub(start)).collect::<String>()
        })
        .map(|words| format!("“{}”", words.trim()))
        .collect();
    if !spans.is_empty() {
        lines.push(format!("语句  {}", spans.join(" ")));
    }
    lines.push(paint.soft(&format!(
        "模型 {version} · 读取 {}/{} 个词元 · {:.0} 毫秒",
        decision.tokens_read,
        decision.tokens_given,
        took.as_secs_f64() * 1e3
    )));
    lines.join("\n") + "\n"
}
