//! How like is like enough: simulated standing rulings tried on later orders, and past re-dispatches tried as precedents.
//!
//! Nobody has recorded rulings yet, so they are made of training orders ([`trials`]): a subject (the operator's leaf category, other
//! than 其他) that went to one department more often than not stands for one standing ruling, its first orders are the examples, and
//! the character pairs that most of them share and few others have are its required words. Tried on a validation order, the ruling is right if its lead is
//! the department that handled it. Bounds are fitted on all validation months but the last, and their precision is stated on the
//! last. The model learnt from the training orders, so examples lie closer to their department than a new ruling's would: the
//! coverage is flattered by that, the precision less so, since the orders they are tried on are new.

mod measure;
mod table;
mod trials;

use std::collections::{BTreeMap, BTreeSet};

use chrono::Datelike;
use paidan::evaluation::WorkOrder;
use paidan::model::calibration::Scales;
use paidan::model::{Calibration, Likeness, StandingBound};
use serde::Serialize;

pub use measure::measure;
use table::steps;
pub use table::{PrecedentRow, StandingRow};
use trials::{Simulated, Trial, likest_precedents, simulated, tried};

use crate::dataset::Labels;
use crate::validate::Answers;

/// What a standing ruling must reach on the months of the fit. More than is promised (0.97): a bound that was chosen on some months
/// flatters itself on them. Half a point and no more: with a former bundled model another point moved the bound of rulings with words
/// from .86 to .89 and took a fifth of what they applied to, and no override that was left out so said otherwise than the model.
const PRECISION: f64 = 0.975;
/// What the lead of a precedent that is shown must reach, over all orders: right more often than not. It moves no
/// ranking: it is read beside the model's answer, and heard as one witness of a dispute.
const PRECEDENT_PRECISION: f64 = 0.6;
/// A precision of fewer orders says nothing.
const LEAST_ORDERS: usize = 50;
/// Least probability of the lead of a ruling without words.
const POSSIBLE: f32 = 0.1;
/// Orders with what the model made of them.
pub struct Read<'a> {
    /// The orders.
    pub orders: &'a [WorkOrder],
    /// Of each, of length one.
    pub embeddings: &'a [Vec<f32>],
    /// Calibrated, of each; may be empty for training orders.
    pub probabilities: Vec<Vec<f32>>,
}

impl<'a> Read<'a> {
    pub(crate) fn of_training(orders: &'a [WorkOrder], answers: &'a Answers) -> Self {
        Self { orders, embeddings: &answers.embeddings, probabilities: Vec::new() }
    }

    pub(crate) fn both_inputs(
        orders: &'a [WorkOrder],
        text: &'a Answers,
        category: &'a Answers,
        calibration: &Calibration,
    ) -> [(&'static str, Self); 2] {
        let read = |answers: &'a Answers, scales: &Scales| Self {
            orders,
            embeddings: &answers.embeddings,
            probabilities: (0..orders.len()).map(|i| answers.probabilities(i, scales)).collect(),
        };
        let (text, category) = (read(text, &calibration.text_only), read(category, &calibration.with_category));
        [("text_only", text), ("with_category", category)]
    }
}

/// What was measured, and the bounds that follow from it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// For `calibration.json`.
    pub bounds: Likeness,
    /// Simulated standing rulings.
    pub rulings: usize,
    /// Of these with required words.
    pub worded_rulings: usize,
    /// Re-dispatched training orders, imported as case rulings.
    pub redispatches: usize,
    /// Standing rulings.
    pub standing: Vec<StandingRow>,
    /// Precedents.
    pub precedents: Vec<PrecedentRow>,
}

/// Tries rulings and precedents made of `training` on the later orders, read once as text alone and once with the category.
pub fn study(labels: &Labels, training: &Read<'_>, later: &[(&str, Read<'_>); 2]) -> Report {
    let rulings = simulated(labels, training.orders);
    let months: BTreeSet<(i32, u32)> = later[0].1.orders.iter().filter_map(month).collect();
    let last = if months.len() > 1 { months.last().copied() } else { None };
    let mut trials: BTreeMap<bool, [Vec<Trial>; 2]> = BTreeMap::new();
    for worded in [false, true] {
        let chosen: Vec<&Simulated> = rulings.iter().filter(|one| !worded || !one.words.is_empty()).collect();
        trials.insert(worded, [0, 1].map(|kind| tried(labels, training, &later[kind].1, &chosen, worded, last)));
    }
    let bound = |worded: bool| {
        let similarity = least(&trials[&worded], |trial| !trial.kept_out, |trial| trial.right, PRECISION)?;
        let applied = trials[&worded].iter().flatten().filter(|trial| trial.similarity >= similarity);
        let (kept, fitted): (Vec<&Trial>, Vec<&Trial>) = applied.partition(|trial| trial.kept_out);
        let judged = if kept.len() >= LEAST_ORDERS { kept } else { fitted };
        let precision = share(judged.iter().filter(|trial| trial.right).count(), judged.len()) as f32;
        // Three figures: more would claim more than so few orders can say.
        let precision = (precision * 1e3).round() / 1e3;
        Some(StandingBound { similarity, probability: if worded { 0.0 } else { POSSIBLE }, precision })
    };
    let mut bounds = Likeness { worded: bound(true), unworded: bound(false), ..Likeness::default() };
    let redispatched: Vec<usize> = (0..training.orders.len()).filter(|i| training.orders[*i].rerouted == Some(true)).collect();
    let found = [0, 1].map(|kind| likest_precedents(labels, training, &later[kind].1, &redispatched));
    let shown = least(&found, |_| true, |trial| trial.right, PRECEDENT_PRECISION);
    bounds.precedent_similarity = shown.unwrap_or(bounds.precedent_similarity);
    let mut report = Report {
        rulings: rulings.len(),
        worded_rulings: rulings.iter().filter(|one| !one.words.is_empty()).count(),
        redispatches: redispatched.len(),
        standing: Vec::new(),
        precedents: Vec::new(),
        bounds,
    };
    report.tabulate(later, &trials, &found);
    report
}

impl Report {
    fn tabulate(&mut self, later: &[(&str, Read<'_>); 2], trials: &BTreeMap<bool, [Vec<Trial>; 2]>, found: &[Vec<Trial>; 2]) {
        let at = |bound: &Option<StandingBound>| bound.as_ref().map(|bound| bound.similarity);
        for (kind, (input, read)) in later.iter().enumerate() {
            for (worded, own) in [(true, at(&self.bounds.worded)), (false, at(&self.bounds.unworded))] {
                for similarity in steps(own) {
                    for kept_out in [false, true] {
                        let all = &trials[&worded][kind];
                        let row = StandingRow::of(all, similarity, kept_out);
                        self.standing.push(StandingRow { input: (*input).to_owned(), worded, ..row });
                    }
                }
            }
            let disputed: Vec<&Trial> = found[kind]
                .iter()
                .zip(known(read.orders))
                .filter_map(|(trial, order)| (order.rerouted == Some(true)).then_some(trial))
                .collect();
            for similarity in steps(Some(self.bounds.precedent_similarity)) {
                let like: Vec<&&Trial> = disputed.iter().filter(|trial| trial.similarity >= similarity).collect();
                self.precedents.push(PrecedentRow {
                    input: (*input).to_owned(),
                    similarity,
                    disputed: disputed.len(),
                    found: like.len(),
                    precedent_right: like.iter().filter(|trial| trial.right).count(),
                    model_right: like.iter().filter(|trial| trial.model_right).count(),
                });
            }
        }
    }
}

/// The least similarity from which on the share of right ones reaches `precision`, for both inputs.
fn least(
    trials: &[Vec<Trial>; 2],
    counts: impl Fn(&Trial) -> bool,
    right: impl Fn(&Trial) -> bool,
    precision: f64,
) -> Option<f32> {
    let reaches = |similarity: f32| {
        trials.iter().all(|trials| {
            let applied: Vec<&Trial> = trials.iter().filter(|trial| counts(trial) && trial.similarity >= similarity).collect();
            let right = applied.iter().filter(|trial| right(trial)).count();
            applied.len() >= LEAST_ORDERS && share(right, applied.len()) >= precision
        })
    };
    (100..200).map(|step| step as f32 / 200.0).find(|similarity| reaches(*similarity))
}

fn known(orders: &[WorkOrder]) -> impl Iterator<Item = &WorkOrder> {
    orders.iter().filter(|order| order.department.is_some())
}

/// Year and month of receipt.
fn month(order: &WorkOrder) -> Option<(i32, u32)> {
    order.received_on.map(|day| (day.year(), day.month()))
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Orders;

    fn trial(similarity: f32, right: bool) -> Trial {
        Trial { similarity, kept_out: false, right, model_right: true, differs: false }
    }

    /// So many right ones at a similarity, and so many wrong ones.
    fn trials(of: &[(f32, usize, usize)]) -> Vec<Trial> {
        let all = of.iter().flat_map(|(similarity, right, wrong)| {
            let right = (0..*right).map(|_| trial(*similarity, true));
            right.chain((0..*wrong).map(|_| trial(*similarity, false)))
        });
        all.collect()
    }

    #[test]
    fn the_bound_is_the_least_at_which_the_precision_is_reached_for_both_inputs() {
        let text = || trials(&[(0.96, 50, 0), (0.86, 49, 1), (0.76, 40, 10)]);
        let category = trials(&[(0.96, 50, 0), (0.91, 47, 3), (0.84, 500, 0)]);
        let bound = |kinds: &[Vec<Trial>; 2]| least(kinds, |_| true, |trial| trial.right, 0.98);
        assert_eq!(bound(&[text(), text()]), Some(0.765));
        assert_eq!(bound(&[text(), category]), Some(0.765));
        let late = trials(&[(0.96, 50, 0), (0.91, 40, 10)]);
        assert_eq!(bound(&[text(), late]), Some(0.915), "both inputs must reach it");
        assert_eq!(bound(&[text(), trials(&[(0.9, 10, 0)])]), None, "ten orders say nothing");
    }

    #[test]
    fn rulings_are_made_of_subjects_that_one_department_mostly_handled() {
        let line = |i: usize, department: &str, category: &str, text: &str| {
            let row = serde_json::json!({"order_id": format!("{i}"), "appeal": text, "department": department,
                                         "category": ["城市管理", category], "received_on": "2018-01-05"});
            WorkOrder::parse(row.to_string().as_bytes()).expect("a row of the test")
        };
        let mut orders = Vec::new();
        for i in 0..6 {
            orders.push(line(i, "城管", "路灯", "门口路灯坏了"));
            orders.push(line(10 + i, "城管", "其他", "什么事都有"));
            orders.push(line(20 + i, if i < 3 { "住建" } else { "水务" }, "井盖", "井盖没了"));
        }
        // Of as many orders again the subjects are their own, so that the words are rare.
        orders.extend((0..300).map(|i| line(100 + i, "交警", &format!("题{i}"), "车辆停放")));
        let read = Orders { path: "test".into(), orders, faults: Vec::new(), sha256: String::new() };
        let labels = Labels::collect(&read).expect("labels");
        let orders = read.orders;
        let rulings = simulated(&labels, &orders);
        let leads: Vec<&str> = rulings.iter().map(|one| labels.departments[one.lead].id.as_str()).collect();
        assert_eq!(leads, ["城管"], "halves are no majority, and 其他 is no matter");
        assert_eq!(rulings[0].examples.len(), 5);
        assert!(rulings[0].words.iter().all(|word| "门口路灯坏了".contains(word.as_str())) && rulings[0].words.len() == 2);
        assert_eq!(month(&orders[0]), Some((2018, 1)));
    }
}
