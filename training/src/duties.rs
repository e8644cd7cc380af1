//! How like its duties an appeal must be before a department that the model has never seen is named.
//!
//! Nobody has orders of departments yet to be founded, so each department of the catalogue plays the newcomer in turn, and on later
//! orders it is asked: where the appeal is liker to its duties than to all others' by a margin, is the order really its own? Bounds
//! are fitted on all validation months but the last, and their precision is stated on the last, if there are several months.
//!
//! The served model did learn these departments' orders, only the name is taken from it: its embeddings lie where their duties lie,
//! and that flatters. So models may be given that were trained without some of the departments (`--untaught`): there they are new
//! indeed. If there are any, the bound and its precision come from them alone. Their orders are asked about only one newcomer at a
//! time: orders of the other departments that they were not taught are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use chrono::Datelike;
use paidan::catalog::DepartmentCatalog;
use paidan::evaluation::WorkOrder;
use paidan::model::{Artifacts, DutyBound, Setting};
use paidan::routing::Router;
use paidan::text::{Appeal, AppealFields};
use serde::Serialize;

use crate::amend::amend;
use crate::dataset::Orders;
use crate::held::Held;
use crate::opening::ensure_not_learnt_from;

/// Appeals in one pass.
const AT_ONCE: usize = 16;
/// What a newcomer that is named must reach on the months of the fit: right more often than not, since it stands behind the lead and
/// a person chooses.
const PRECISION: f64 = 0.6;
/// Similarities that are tried as the least, in hundredths. Below them an appeal is like no duty at all, whatever the margin.
const SIMILARITIES: std::ops::RangeInclusive<u16> = 30..=60;
/// Margins that are tried, in hundredths. A duty that is not the likest of all says nothing.
const MARGINS: std::ops::RangeInclusive<u16> = 0..=40;
/// A precision of fewer orders says nothing.
const LEAST_ORDERS: usize = 30;

/// One order asked about one newcomer.
#[derive(Debug, Clone, PartialEq)]
struct Trial {
    newcomer: String,
    /// To the likest of its duties.
    similarity: f32,
    /// Over the likest duty of all others.
    margin: f32,
    right: bool,
    kept_out: bool,
}

impl Trial {
    fn named(&self, bound: &DutyBound) -> bool {
        self.similarity >= bound.similarity && self.margin >= bound.margin
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DutiesRow {
    /// True if the model had learnt the departments' orders.
    pub taught: bool,
    /// `text_only` or `with_category`.
    pub input: String,
    /// Of the last month, or of those before.
    pub kept_out: bool,
    /// Whose; empty for all.
    pub department: String,
    /// Its orders.
    pub orders: usize,
    /// How often it was named.
    pub named: usize,
    /// How often rightly.
    pub right: usize,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct DutiesReport {
    /// For `calibration.json`; `None` if no margin reached the precision.
    pub bound: Option<DutyBound>,
    /// False if too few orders are like any duty to judge a margin by.
    pub judged: bool,
    /// Whether the precision is of the last month; else it is of the very orders that the bound was fitted on, and flattered.
    pub of_last_month: bool,
    /// All, and by department.
    pub rows: Vec<DutiesRow>,
}

impl DutiesReport {
    /// For people.
    pub fn text(&self) -> String {
        let Some(bound) = &self.bound else {
            return match self.judged {
                true => format!("no margin reaches {PRECISION}: no newcomer is named\n"),
                false => {
                    format!("fewer than {LEAST_ORDERS} orders are like any newcomer's duty: nothing can be judged by them\n")
                }
            };
        };
        let judged_on = match self.of_last_month {
            true => "on the last month",
            false => "on the orders that they were fitted on, since no later month has enough",
        };
        let mut text = format!(
            "similarity from {:.3}, margin from {:.3}: precision {:.3} {judged_on}\n",
            bound.similarity, bound.margin, bound.precision
        );
        text.push_str("model, input, months, department: orders; named, rightly, precision, recall\n");
        for row in &self.rows {
            let share = |part: usize, whole: usize| match whole {
                0 => "-".to_owned(),
                _ => format!("{:.3}", part as f64 / whole as f64),
            };
            let department = if row.department.is_empty() { "all" } else { &row.department };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:8} {:13} {:7} {department}: {}; {}, {}, {}, {}",
                if row.taught { "taught" } else { "untaught" },
                row.input,
                if row.kept_out { "last" } else { "fitted" },
                row.orders,
                row.named,
                row.right,
                share(row.right, row.named),
                share(row.right, row.orders)
            );
        }
        text
    }
}

/// Lets departments of the catalogue play the newcomer. `write` puts the bound into the folder of `model`.
pub fn measure(
    model: &Path,
    catalog: &Path,
    validation: &Path,
    untaught: &[PathBuf],
    write: Option<&Held>,
) -> Result<DutiesReport> {
    let catalog = DepartmentCatalog::open(catalog)?;
    let orders = Orders::read(validation)?;
    orders.report_faults();
    let mut trials: BTreeMap<(bool, &str), Vec<Trial>> = BTreeMap::new();
    for (folder, taught) in std::iter::once((model, true)).chain(untaught.iter().map(|folder| (folder.as_path(), false))) {
        crate::say(&format!("{}: reading the orders", folder.display()));
        let refused = || format!("{}: the model was refused", folder.display());
        let artifacts = Artifacts::open(folder).with_context(refused)?;
        ensure_not_learnt_from(folder, artifacts.manifest.as_ref(), &orders)?;
        let router = Router::from_artifacts(artifacts, Setting::default()).with_context(refused)?;
        for (input, categories) in [("text_only", false), ("with_category", true)] {
            let tried = tried(&router, &catalog, &orders.orders, categories, taught)?;
            trials.entry((taught, input)).or_default().extend(tried);
        }
    }
    ensure!(!trials.values().all(Vec::is_empty), "no department of the catalogue can play the newcomer");
    let judges = |kept_out: bool| -> Vec<Vec<&Trial>> {
        let chosen = trials.iter().filter(|((taught, _), _)| *taught == untaught.is_empty());
        chosen.map(|(_, trials)| trials.iter().filter(|trial| trial.kept_out == kept_out).collect()).collect()
    };
    let (fitted, last) = (judges(false), judges(true));
    let judged = is_enough(&fitted);
    let found = fit(&fitted).map(|bound| stated(bound, &fitted, &last));
    let of_last_month = found.as_ref().is_some_and(|(_, of_last_month)| *of_last_month);
    let bound = found.map(|(bound, _)| bound);
    let rows = bound.iter().flat_map(|bound| tabulated(&trials, bound)).collect();
    if let Some(held) = write {
        ensure!(
            judged,
            "{}: fewer than {LEAST_ORDERS} orders are like any newcomer's duty; nothing is written of what cannot be judged",
            validation.display()
        );
        amend(held, |calibration| calibration.duties = bound.clone())?;
    }
    Ok(DutiesReport { bound, judged, of_last_month, rows })
}

/// The month that is kept apart: the last, if there is any other to fit on.
fn kept_apart(orders: &[WorkOrder]) -> Option<(i32, u32)> {
    let months: BTreeSet<(i32, u32)> = orders.iter().filter_map(month).collect();
    if months.len() > 1 { months.last().copied() } else { None }
}

/// The bound with its precision, and whether that is of the last month: where too few are named there, it is of the fitted orders.
fn stated(bound: DutyBound, fitted: &[Vec<&Trial>], last: &[Vec<&Trial>]) -> (DutyBound, bool) {
    let named = |inputs: &[Vec<&Trial>]| -> Vec<bool> {
        inputs.iter().flatten().filter(|trial| trial.named(&bound)).map(|trial| trial.right).collect()
    };
    let later = named(last);
    let of_last_month = later.len() >= LEAST_ORDERS;
    let judged = if of_last_month { later } else { named(fitted) };
    let right = judged.iter().filter(|right| **right).count();
    // Two figures: more would claim more than so few orders can say.
    let precision = (100.0 * right as f32 / judged.len().max(1) as f32).round() / 100.0;
    (DutyBound { precision, ..bound }, of_last_month)
}

/// True if the most generous bound names enough orders of every input to say how often it is right.
fn is_enough(inputs: &[Vec<&Trial>]) -> bool {
    let least =
        DutyBound { similarity: hundredths(*SIMILARITIES.start()), margin: hundredths(*MARGINS.start()), precision: 0.0 };
    inputs.iter().all(|trials| trials.iter().filter(|trial| trial.named(&least)).count() >= LEAST_ORDERS)
}

fn hundredths(count: u16) -> f32 {
    f32::from(count) / 100.0
}

/// Every order of the file, asked about every department that can play the newcomer.
fn tried(
    router: &Router,
    catalog: &DepartmentCatalog,
    orders: &[WorkOrder],
    categories: bool,
    taught: bool,
) -> Result<Vec<Trial>> {
    let knows = |id: &str| router.department(id).is_some();
    let places: Vec<(&str, &str)> = catalog
        .departments
        .iter()
        .flat_map(|department| department.duties.iter().map(|duty| (department.id.as_str(), duty.text.as_str())))
        .collect();
    let duties = router.embed(&places.iter().map(|(_, text)| *text).collect::<Vec<_>>())?;
    let mut newcomers: Vec<&str> = places.iter().map(|(id, _)| *id).filter(|id| knows(id) == taught).collect();
    newcomers.dedup();
    let last = kept_apart(orders);
    let mut trials = Vec::new();
    for (order, embedding) in orders.iter().zip(embeddings(router, orders, categories)?) {
        let mut likest: BTreeMap<&str, f32> = BTreeMap::new();
        for ((id, _), duty) in places.iter().zip(&duties) {
            let similarity: f32 = duty.iter().zip(&embedding).map(|(a, b)| a * b).sum();
            let known = likest.entry(id).or_insert(similarity);
            *known = known.max(similarity);
        }
        let whose = order.department.as_deref().unwrap_or_default();
        for newcomer in &newcomers {
            // A department that plays no part in this trial has no orders either.
            if whose != *newcomer && !knows(whose) {
                continue;
            }
            let others = likest.iter().filter(|(id, _)| *id != newcomer && knows(id)).map(|(_, similarity)| *similarity);
            let (Some(rival), Some(similarity)) = (others.max_by(f32::total_cmp), likest.get(newcomer)) else { continue };
            trials.push(Trial {
                newcomer: (*newcomer).to_owned(),
                similarity: *similarity,
                margin: similarity - rival,
                right: whose == *newcomer,
                kept_out: last.is_some() && month(order) == last,
            });
        }
    }
    Ok(trials)
}

/// Of each order: what the router makes of it in the precision that the service has.
fn embeddings(router: &Router, orders: &[WorkOrder], categories: bool) -> Result<Vec<Vec<f32>>> {
    let mut embeddings = Vec::with_capacity(orders.len());
    for batch in orders.chunks(AT_ONCE) {
        let prepare = |order: &WorkOrder| -> Result<_> {
            let fields = order.appeal.fields().clone();
            let fields = match categories {
                true => fields,
                false => AppealFields { category: Vec::new(), appeal_type: String::new(), ..fields },
            };
            let mut prepared = router.prepare(&Appeal::parse(fields)?)?;
            // Only the embedding is asked.
            prepared.clauses.clear();
            prepared.parts.clear();
            Ok(prepared)
        };
        let prepared = batch.iter().map(prepare).collect::<Result<Vec<_>>>()?;
        embeddings.extend(router.route(&prepared)?.into_iter().map(|decision| decision.embedding));
    }
    Ok(embeddings)
}

/// Of the bounds at which each input reaches the precision, the one that finds most; of several, the most generous.
fn fit(inputs: &[Vec<&Trial>]) -> Option<DutyBound> {
    let at = |similarity, margin| DutyBound { similarity: hundredths(similarity), margin: hundredths(margin), precision: 0.0 };
    let found = |bound: &DutyBound| -> Option<usize> {
        let mut found = 0;
        for trials in inputs {
            let named: Vec<&&Trial> = trials.iter().filter(|trial| trial.named(bound)).collect();
            let right = named.iter().filter(|trial| trial.right).count();
            if named.len() < LEAST_ORDERS || (right as f64) < PRECISION * named.len() as f64 {
                return None;
            }
            found += right;
        }
        Some(found)
    };
    let bounds = SIMILARITIES.rev().flat_map(|similarity| MARGINS.rev().map(move |margin| at(similarity, margin)));
    // The last of equals wins.
    bounds.filter_map(|bound| Some((found(&bound)?, bound))).max_by_key(|(found, _)| *found).map(|(_, bound)| bound)
}

fn tabulated(trials: &BTreeMap<(bool, &str), Vec<Trial>>, bound: &DutyBound) -> Vec<DutiesRow> {
    let mut rows: BTreeMap<(bool, &str, bool, &str), DutiesRow> = BTreeMap::new();
    for ((taught, input), trials) in trials {
        for trial in trials {
            for department in ["", &trial.newcomer] {
                let row = rows.entry((*taught, input, trial.kept_out, department)).or_insert_with(|| DutiesRow {
                    taught: *taught,
                    input: (*input).to_owned(),
                    kept_out: trial.kept_out,
                    department: department.to_owned(),
                    orders: 0,
                    named: 0,
                    right: 0,
                });
                row.orders += usize::from(trial.right);
                row.named += usize::from(trial.named(bound));
                row.right += usize::from(trial.right && trial.named(bound));
            }
        }
    }
    rows.into_values().collect()
}

/// Year and month of receipt.
fn month(order: &WorkOrder) -> Option<(i32, u32)> {
    order.received_on.map(|day| (day.year(), day.month()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(of: &[(f32, usize, usize)]) -> Vec<Trial> {
        let one =
            |margin: f32, right: bool| Trial { newcomer: "数据".to_owned(), similarity: 0.9, margin, right, kept_out: false };
        let all = of.iter().flat_map(|(margin, right, wrong)| {
            (0..*right).map(|_| one(*margin, true)).chain((0..*wrong).map(|_| one(*margin, false))).collect::<Vec<_>>()
        });
        all.collect()
    }

    #[test]
    fn the_bound_finds_most_of_those_at_which_every_input_reaches_the_precision() {
        let (text, category) = (trials(&[(0.315, 40, 0), (0.215, 10, 30)]), trials(&[(0.315, 40, 0), (0.215, 0, 90)]));
        let bound = |inputs: &[&Vec<Trial>]| {
            fit(&inputs.iter().map(|trials| trials.iter().collect()).collect::<Vec<_>>()).map(|bound| bound.margin)
        };
        assert_eq!(bound(&[&text]), Some(0.0), "50 of 80");
        assert_eq!(bound(&[&text, &category]), Some(0.22), "40 of 130 are too few");
        assert_eq!(bound(&[&text, &trials(&[(0.315, 20, 0)])]), None, "twenty orders say nothing");
    }

    #[test]
    fn rows_count_all_and_each_department() {
        let table = BTreeMap::from([((false, "text_only"), trials(&[(0.3, 4, 1), (0.1, 2, 3)]))]);
        let rows = tabulated(&table, &DutyBound { similarity: 0.5, margin: 0.2, precision: 0.0 });
        let counts: Vec<_> = rows.iter().map(|row| (row.department.as_str(), row.orders, row.named, row.right)).collect();
        assert_eq!(counts, [("", 6, 5, 4), ("数据", 6, 5, 4)]);
    }

    #[test]
    fn a_month_is_kept_apart_only_if_there_is_another_to_fit_on() {
        let order = |day: Option<&str>| {
            let row = serde_json::json!({"order_id": "1", "appeal": "路灯不亮", "received_on": day});
            WorkOrder::parse(row.to_string().as_bytes()).expect("an order")
        };
        let (january, february) = (order(Some("2018-01-05")), order(Some("2018-02-01")));
        assert_eq!(kept_apart(&[january.clone(), order(None), january.clone()]), None, "one month only");
        assert_eq!(kept_apart(&[order(None)]), None, "nobody knows");
        assert_eq!(kept_apart(&[february, january]), Some((2018, 2)));
    }

    #[test]
    fn the_precision_is_of_the_last_month_only_if_enough_are_named_there() {
        let (fitted, few, many) = (trials(&[(0.3, 30, 10)]), trials(&[(0.3, 0, 29)]), trials(&[(0.3, 20, 20)]));
        let refer = |trials: &'static [Trial]| vec![trials.iter().collect::<Vec<&Trial>>()];
        let [fitted, few, many] = [fitted, few, many].map(|trials| refer(Vec::leak(trials)));
        let bound = || DutyBound { similarity: 0.5, margin: 0.2, precision: 0.0 };
        let stated = |last: &[Vec<&Trial>]| {
            let (bound, of_last_month) = stated(bound(), &fitted, last);
            (bound.precision, of_last_month)
        };
        assert_eq!(stated(&few), (0.75, false), "not nought of twenty-nine");
        assert_eq!(stated(&many), (0.5, true));
        assert!(is_enough(&fitted) && !is_enough(&few), "twenty-nine orders say nothing");
    }
}
