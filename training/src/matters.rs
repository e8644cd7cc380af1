//! How well appeals of several matters are told, and what that costs: the router's splits against labels made by hand.
//!
//! Three sets stand in the file. The orders that were read are what a hotline really has, and nearly all of them are of one matter:
//! they say how often a split is needless. The composed ones, two orders put together, say how many splits are found. The reunited
//! ones are few and the nearest to life: two orders that the hotline made of one call, put together again. Precision is stated over
//! all, and the needless splits for a thousand orders beside it, since precision depends on how common such appeals are.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use paidan::routing::{Decision, PreparedAppeal, Router};
use paidan::text::Appeal;
use serde::Serialize;

use crate::dataset::Orders;
use crate::labelled::{Half, Labelled, LabelledRow, Tally, figure};

/// Appeals of one pass.
const BATCH: usize = 32;
/// Orders that the cost is measured on, and how often.
const COST_ORDERS: usize = 1024;
const COST_ROUNDS: usize = 5;

/// The sets of a table; the strata of orders that were read are one of them.
const SETS: [&str; 4] = ["read", "composed", "reunited", "all"];

/// Of these the strata of two orders put together.
pub const COMPOSED: [&str; 2] = [SETS[1], SETS[2]];

/// How two orders are put together.
const JOINTS: [&str; 7] = ["plain", "moreover", "also", "elided", "meanwhile", "comma", "numbered"];

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Which half.
    pub half: Half,
    /// One of [`SETS`].
    pub set: &'static str,
    /// Appeals.
    pub appeals: usize,
    /// Splits.
    pub tally: Tally,
    /// Splits that were right, and each part's lead among those that the label gives.
    pub departments_right: usize,
}

/// What candidate parts cost.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Orders that were routed.
    pub orders: usize,
    /// Share of them with candidate parts.
    pub with_candidates: f64,
    /// Milliseconds an appeal, without parts and with them: the median of several rounds, taken in turn.
    pub milliseconds: [f64; 2],
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Precision and recall.
    pub rows: Vec<Row>,
    /// Needless splits for a thousand orders, by the strata's weights; development, test, whole.
    pub needless_in_a_thousand: [f64; 3],
    /// What it costs.
    pub cost: Cost,
    /// Every order of the file that was split, to be read by whoever doubts the figures.
    pub told: Vec<String>,
}

/// Measures a model on labels and on all orders that they are of.
pub fn measure(model: &Path, orders: &Path, labels: &Path) -> Result<Report> {
    let router = Router::open(model).context("the model was refused")?;
    let orders = Orders::read(orders)?;
    orders.report_faults();
    ensure!(!orders.orders.is_empty(), "{}: no order of it can be used", orders.path.display());
    let labelled = Labelled::read(labels, 5, &COMPOSED)?;
    let texts: HashMap<&str, &str> =
        orders.orders.iter().map(|order| (order.order_id.as_str(), order.appeal.fields().text.as_str())).collect();
    let handling: HashSet<&str> = orders.orders.iter().filter_map(|order| order.department.as_deref()).collect();
    let is_department = |name: &str| handling.contains(name) || router.department(name).is_some();
    let appeal = |row| -> Result<String> {
        ensure_values(&labelled, row, is_department)?;
        text_of(row, |id| labelled.find(row, id, &texts, &orders.path))
    };
    let appeals: Vec<String> = labelled.rows.iter().map(appeal).collect::<Result<_>>()?;
    let decisions = route(&router, appeals.iter().map(String::as_str))?;
    let mut rows = Vec::new();
    for half in Half::ALL {
        for set in SETS {
            let mut row = Row { half, set, appeals: 0, tally: Tally::default(), departments_right: 0 };
            let in_set = |row: &LabelledRow| match set {
                "all" => true,
                "read" => is_read(&row[0]),
                _ => row[1] == set,
            };
            for (label, decision) in labelled.rows.iter().zip(&decisions).filter(|(row, _)| half.has(&row[0]) && in_set(row)) {
                let (told, several) = (!decision.parts.is_empty(), label[2] == "1");
                row.appeals += 1;
                row.tally.count(told, several);
                row.departments_right += usize::from(told && several && departments_agree(decision, &label[3]));
            }
            rows.push(row);
        }
    }
    let needless = |half: Half| {
        let rows = || labelled.rows.iter().zip(&decisions).filter(|(row, _)| is_read(&row[0]) && half.has(&row[0]));
        let all: f64 = rows().map(|(row, _)| labelled.weight(&row[1])).sum();
        let wrong = rows().filter(|(row, decision)| row[2] == "0" && !decision.parts.is_empty());
        1000.0 * wrong.map(|(row, _)| labelled.weight(&row[1])).fold(0.0, |sum, weight| sum + weight) / all.max(1.0)
    };
    crate::say("routing all orders");
    let all = route(&router, orders.orders.iter().map(|order| order.appeal.fields().text.as_str()))?;
    let told = orders.orders.iter().zip(all).filter(|(_, decision)| !decision.parts.is_empty());
    Ok(Report {
        rows,
        needless_in_a_thousand: Half::ALL.map(needless),
        cost: cost(&router, &orders)?,
        told: told.map(|(order, _)| order.order_id.clone()).collect(),
    })
}

/// Whether a row is an order as it came, and not two put together.
fn is_read(id: &str) -> bool {
    !id.contains('+')
}

/// Refuses a cell that would be taken for what it is not: an `o` for a 0, a department that nobody has, another joint.
fn ensure_values(labelled: &Labelled, row: &LabelledRow, is_department: impl Fn(&str) -> bool) -> Result<()> {
    let (place, several, departments, joint) = (labelled.place(row), &row[2], &row[3], row[4].as_str());
    ensure!(["0", "1"].contains(&several.as_str()), "{place}: {several:?} does not say whether it is several matters: 0 or 1");
    if several == "1" {
        let unknown = departments.split([',', '|']).find(|name| !is_department(name));
        ensure!(
            unknown.is_none(),
            "{place}: no department {:?}, neither in the model nor in the orders",
            unknown.unwrap_or("")
        );
    } else {
        ensure!(
            departments == "-",
            "{place}: departments {departments:?} of one matter; write -, or say that there are several"
        );
    }
    let (fits, wanted) = match is_read(&row[0]) {
        true => (joint == "-" || joint.parse::<usize>().is_ok(), "the character where the second part begins, or -".to_owned()),
        false => (JOINTS.contains(&joint), format!("one of {}", JOINTS.join(", "))),
    };
    ensure!(fits, "{place}: {joint:?} is not {wanted}");
    Ok(())
}

/// The text that a row labels: an order's, or two put together as the last cell says.
fn text_of<'a>(row: &LabelledRow, text: impl Fn(&str) -> Result<&'a str>) -> Result<String> {
    let (id, joint) = (&row[0], row[4].as_str());
    let Some((first, second)) = id.split_once('+') else { return Ok(text(id)?.to_owned()) };
    let marks = |c: char| c.is_whitespace() || "，。！；、,.!;".contains(c);
    let first = text(first)?.trim_end_matches(marks).trim_end_matches("谢谢").trim_end_matches(marks);
    let second = text(second)?;
    Ok(match joint {
        "moreover" => format!("{first}。另外，{second}"),
        "also" => format!("{first}。还有{second}"),
        "elided" => format!("{first}。另外，{}", unlike_part(first, second).trim_start_matches(marks)),
        "meanwhile" => format!("{first}，同时{second}"),
        "comma" => format!("{first}，{second}"),
        "numbered" => format!("1、{first}。2、{second}"),
        _ => format!("{first}。{second}"),
    })
}

/// The second text without the words that both begin with: who calls and where is said once in a call.
fn unlike_part<'a>(first: &str, second: &'a str) -> &'a str {
    let alike = first.chars().zip(second.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    &second[alike..]
}

fn prepared<'a>(router: &Router, texts: impl Iterator<Item = &'a str>) -> Result<Vec<PreparedAppeal>> {
    texts.map(|text| Ok(router.prepare(&Appeal::from_text(text)?)?)).collect()
}

fn route<'a>(router: &Router, texts: impl Iterator<Item = &'a str>) -> Result<Vec<Decision>> {
    let mut decisions = Vec::new();
    for batch in prepared(router, texts)?.chunks(BATCH) {
        decisions.extend(router.route(batch)?);
    }
    Ok(decisions)
}

/// Whether the leads of the parts are those of the label, part by part.
fn departments_agree(decision: &Decision, label: &str) -> bool {
    let leads = decision.parts.iter().filter_map(|part| part.departments.first());
    let wanted: Vec<&str> = label.split(',').collect();
    decision.parts.len() == wanted.len()
        && leads.zip(wanted).all(|(lead, wanted)| wanted.split('|').any(|name| name == lead.department.id))
}

fn cost(router: &Router, orders: &Orders) -> Result<Cost> {
    let some = orders.orders.iter().step_by((orders.orders.len() / COST_ORDERS).max(1)).take(COST_ORDERS);
    let with = prepared(router, some.map(|order| order.appeal.fields().text.as_str()))?;
    let without: Vec<PreparedAppeal> = with.iter().map(|one| PreparedAppeal { parts: Vec::new(), ..one.clone() }).collect();
    let timed = |appeals: &[PreparedAppeal]| -> Result<Duration> {
        let started = Instant::now();
        for batch in appeals.chunks(BATCH) {
            router.route(batch)?;
        }
        Ok(started.elapsed())
    };
    let mut rounds: [Vec<Duration>; 2] = Default::default();
    for _ in 0..COST_ROUNDS {
        rounds[0].push(timed(&without)?);
        rounds[1].push(timed(&with)?);
    }
    let median = |rounds: &mut Vec<Duration>| {
        rounds.sort_unstable();
        rounds[rounds.len() / 2].as_secs_f64() * 1e3 / with.len().max(1) as f64
    };
    let candidates = with.iter().filter(|appeal| !appeal.parts.is_empty()).count();
    let [mut plain, mut parts] = rounds;
    Ok(Cost {
        orders: with.len(),
        with_candidates: candidates as f64 / with.len().max(1) as f64,
        milliseconds: [median(&mut plain), median(&mut parts)],
    })
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mut text =
            "half         set       appeals  several  told  right  departments right  precision  recall\n".to_owned();
        for Row { half, set, appeals, tally, departments_right } in &self.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:12} {set:9} {appeals:7}  {:7}  {:4}  {:5}  {departments_right:17}  {:>9}  {:>6}",
                half.name(),
                tally.right + tally.missed,
                tally.right + tally.wrong,
                tally.right,
                figure(tally.precision()),
                figure(tally.recall())
            );
        }
        let [development, test, whole] = self.needless_in_a_thousand;
        let Cost { orders, with_candidates, milliseconds: [without, with] } = &self.cost;
        let _ = writeln!(
            text,
            "needless splits in 1000 orders as they come: development {development:.2}, test {test:.2}, whole {whole:.2}\n\
             split in the whole file: {} orders\n\
             cost on {orders} orders: {:.1} % have candidate parts; {without:.3} ms an appeal without parts, {with:.3} with",
            self.told.len(),
            100.0 * with_candidates
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of labels, after a line that says of what they are.
    fn labelled(rows: &str) -> Labelled {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("labels.tsv");
        std::fs::write(&path, format!("# population rest=9\n{rows}")).expect("written");
        Labelled::read(&path, 5, &COMPOSED).expect("labels")
    }

    #[test]
    fn two_orders_are_put_together_as_citizens_do() -> Result<()> {
        let texts = HashMap::from([("A", "门口路灯坏了。，谢谢！"), ("B", "公交车不来"), ("D", "门口，垃圾没人清")]);
        let text_of = |id: &str, joint: &str| {
            let stratum = if is_read(id) { "rest" } else { "composed" };
            let labels = labelled(&format!("{id}\t{stratum}\t1\t城管,公交\t{joint}\n"));
            text_of(&labels.rows[0], |id| labels.find(&labels.rows[0], id, &texts, Path::new("orders.jsonl")))
        };
        for (joint, text) in [
            ("plain", "门口路灯坏了。公交车不来"),
            ("moreover", "门口路灯坏了。另外，公交车不来"),
            ("meanwhile", "门口路灯坏了，同时公交车不来"),
            ("numbered", "1、门口路灯坏了。2、公交车不来"),
            ("elided", "门口路灯坏了。另外，公交车不来"),
        ] {
            assert_eq!(text_of("A+B", joint)?, text);
        }
        assert_eq!(text_of("A+D", "elided")?, "门口路灯坏了。另外，垃圾没人清", "the same place is named once");
        assert_eq!(text_of("B", "-")?, "公交车不来");
        let refused = text_of("A+C", "plain").expect_err("C is not there").to_string();
        assert!(refused.contains("labels.tsv:2: there is no order \"C\" in orders.jsonl"), "{refused}");
        Ok(())
    }

    #[test]
    fn a_value_that_would_be_taken_for_another_is_refused_by_file_and_line() {
        let checked = |row: &str| {
            let labels = labelled(&format!("A\trest\t0\t-\t-\n{row}\n"));
            ensure_values(&labels, &labels.rows[1], |name| ["城管", "公交"].contains(&name))
        };
        for (row, reason) in [
            ("B\trest\to\t-\t-", "\"o\" does not say whether it is several matters"),
            ("B\trest\t1\t城管,公文\t40", "no department \"公文\""),
            ("B\trest\t1\t-\t40", "no department \"-\""),
            ("B\trest\t0\t城管\t-", "departments \"城管\" of one matter"),
            ("B\trest\t0\t-\tplain", "\"plain\" is not the character where"),
            ("A+B\tcomposed\t1\t城管,公交\tplian", "\"plian\" is not one of plain, moreover"),
        ] {
            let refused = checked(row).expect_err("refused").to_string();
            assert!(refused.contains("labels.tsv:3: ") && refused.contains(reason), "{refused}");
        }
        for row in ["B\trest\t1\t城管|公交,公交\t40", "A+B\treunited\t1\t城管,公交\telided", "B\trest\t0\t-\t-"] {
            checked(row).expect("as it should be");
        }
    }
}
