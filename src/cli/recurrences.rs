//! `paidan rulings recurrences`: disputes that come back, for the committee's office. People get a table in Chinese and a file of
//! drafts to complete, programs get JSON.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::ProgressBar;
use paidan::rulings::{Party, Recurrence, RulingDraft};
use paidan::server::rulings::{FoundRecurrences, RulingDesk};

use super::Failure;
use super::output::{Paint, padded, percent, width};
use super::rulings::{format, open, write};
use super::setup::{Setup, model_folder, open_router_with_catalog, today};

/// Parties of a line, and characters of an example.
const PARTIES: usize = 4;
const EXAMPLE: usize = 60;

/// Flags of `rulings recurrences`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Example:
  paidan rulings recurrences
  paidan rulings recurrences --min 5 --drafts drafts.xlsx
  paidan rulings recurrences --most 100 --json

The disputes are the case rulings in force, such as `paidan rulings import --from-orders` makes. A draft is
a standing ruling with its status draft: complete it (deciding body, day, basis, what the parties said), set
its status to in_force, and import the file.")]
pub struct Args {
    /// Fewest disputes of a group
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    min: u64,
    /// Most groups
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    most: u64,
    /// Least mean cosine of a group, in [0, 1] [default: what `paidan-train recurrences` measured for the model]
    #[arg(long, value_name = "COSINE", value_parser = cosine)]
    similarity: Option<f32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write the drafted standing rulings here, by the ending .jsonl, .csv or .xlsx
    #[arg(long, value_name = "FILE")]
    drafts: Option<PathBuf>,
}

fn cosine(given: &str) -> Result<f32, String> {
    given.parse().ok().filter(|cosine| (0.0..=1.0).contains(cosine)).ok_or_else(|| "must lie in [0, 1]".to_owned())
}

/// Finds them and tells them.
pub async fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    // First of all: a wrong ending should not cost a reading.
    let drafts = args.drafts.as_deref().map(|file| Ok::<_, Failure>((file, format(file)?))).transpose()?;
    let store = open(setup).await?;
    let config = setup.configuration(&[])?;
    let router = Arc::new(open_router_with_catalog(&model_folder(&config)?, &config)?);
    let similarity = args.similarity.unwrap_or_else(|| router.recurrence_similarity());
    let desk = Arc::new(RulingDesk::open(store, router).await?);
    let bar = ProgressBar::new(desk.waiting().await as u64);
    let all = bar.length().unwrap_or_default();
    desk.embed_all(|left| bar.set_position(all.saturating_sub(left as u64))).await?;
    bar.finish_and_clear();
    let found = desk.recurrences(similarity, today()?).await?;
    desk.store().close().await;
    let groups: Vec<&Recurrence> = found.recurrences.groups.iter().filter(|group| group.disputes as u64 >= args.min).collect();
    let told = &groups[..groups.len().min(args.most as usize)];
    if let Some((file, format)) = drafts {
        let drafts: Vec<RulingDraft> = told.iter().map(|group| group.draft.clone()).collect();
        write(file, format, &drafts)?;
    }
    let text = if args.json { json(&found, told) } else { page(args, &found, groups.len(), told) };
    write!(std::io::stdout(), "{text}")?;
    Ok(())
}

fn json(found: &FoundRecurrences, told: &[&Recurrence]) -> String {
    let all = &found.recurrences;
    let groups: Vec<serde_json::Value> = told
        .iter()
        .map(|group| {
            let mut value = serde_json::json!(group);
            value["lead_share"] = serde_json::json!(group.lead_share());
            value
        })
        .collect();
    let answer = serde_json::json!({
        "disputes": all.disputes, "covered": all.covered, "single": all.single, "left_out": all.left_out, "groups": groups,
    });
    format!("{answer:#}\n")
}

fn page(args: &Args, found: &FoundRecurrences, groups: usize, told: &[&Recurrence]) -> String {
    let all = &found.recurrences;
    if all.disputes == 0 {
        return "没有争议可供归并：请先用 paidan rulings import --from-orders 导入改派过的历史工单\n".to_owned();
    }
    let paint = Paint::for_stdout();
    let mut text = format!(
        "共比对争议 {} 件：已有类案认定 {} 件，没有同类的 {} 件；{} 件以上的同类争议 {groups} 组",
        all.disputes, all.covered, all.single, args.min
    );
    if all.left_out > 0 {
        text.push_str(&format!("；另有较早的 {} 件未比对", all.left_out));
    }
    text.push_str(if told.len() < groups { "，列出最大的几组\n" } else { "\n" });
    if told.is_empty() {
        return text;
    }
    let rows: Vec<[String; 5]> = told
        .iter()
        .enumerate()
        .map(|(i, group)| {
            let lead = group
                .leads
                .first()
                .map_or("未定".to_owned(), |lead| format!("{} {}", lead.department, percent(group.lead_share())));
            let days = format!("{} 至 {}", group.first_day, group.last_day);
            [(i + 1).to_string(), group.disputes.to_string(), days, lead, group.matter.clone()]
        })
        .collect();
    let head = ["序号", "件数", "起止日期", "最终承办最多", "事项"].map(str::to_owned);
    let widths: Vec<usize> =
        (0..4).map(|column| rows.iter().chain([&head]).map(|row| width(&row[column])).max().unwrap_or_default()).collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, cells)| padded(cell, *cells)).collect();
        format!("{}  {}", cells.join("  "), row[4])
    };
    text.push_str(&format!("\n{}\n", paint.soft(&line(&head))));
    for (group, row) in told.iter().zip(&rows) {
        text.push_str(&format!("{}\n", paint.strong(&line(row))));
        text.push_str(&detail(group));
    }
    match &args.drafts {
        Some(file) => text.push_str(&written(file, told)),
        None => text.push_str("\n加 --drafts 文件名.xlsx（或 .jsonl、.csv）可写出类案认定草稿\n"),
    }
    text
}

/// What stands below a group's line.
fn detail(group: &Recurrence) -> String {
    let named = |party: &Party| format!("{} {} 件", party.department, party.disputes);
    let mut parties = group.contesting.iter().take(PARTIES).map(named).collect::<Vec<_>>().join("、");
    if parties.is_empty() {
        parties.push_str("未记录");
    }
    if group.contesting.len() > PARTIES {
        parties.push_str(&format!(" 等 {} 家", group.contesting.len()));
    }
    let mut example: String = group.example.split_whitespace().collect::<Vec<_>>().join(" ");
    if example.chars().count() > EXAMPLE {
        example = example.chars().take(EXAMPLE).chain(['…']).collect();
    }
    let words = match group.draft.required_words.as_slice() {
        [] => "无共同用词，请人工填写".to_owned(),
        words => words.join("；"),
    };
    let lead = if group.draft.lead.is_empty() { "没有一家承办过半，请人工填写" } else { &group.draft.lead };
    let order = group.orders.first().map_or_else(String::new, |order| format!("（工单 {order}）"));
    format!("      争议单位：{parties}\n      典型诉求{order}：{example}\n      草稿：主办 {lead}；必含词 {words}\n")
}

fn written(file: &Path, told: &[&Recurrence]) -> String {
    format!(
        "\n已写出 {} 份类案认定草稿：{}\n请填写认定机构（body）、认定日期（decided_on）、依据和各单位意见，核对主办、必含词与示例，\
         定稿后把状态（status）改为 in_force，再用 paidan rulings import 导入\n",
        told.len(),
        file.display()
    )
}
