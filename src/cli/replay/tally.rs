//! What is kept of each order while a file goes by: numbers, no text.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use paidan::evaluation::{DepartmentScores, RiskScores, Truth, WorkOrder};
use paidan::model::ModelInfo;
use paidan::routing::{ReviewReason, Router};

use super::Args;
use super::measures::{Measures, Subset};
use super::window::Routed;

/// From so many training orders on a department is expected to be known.
pub const ENOUGH_TRAINING_ORDERS: usize = 30;

/// Scores of all orders so far.
pub struct Tally {
    model: ModelInfo,
    rows: HashMap<String, usize>,
    /// Where the answer of each department is put for the scores; kept to allocate it once.
    probabilities: Vec<f32>,
    pub departments: DepartmentScores,
    pub disputes: RiskScores,
    pub proposals: RiskScores,
    reasons: BTreeMap<ReviewReason, u64>,
    needs_review: u64,
    model_ms: Vec<f32>,
    skipped: u64,
    our_faults: u64,
    not_utf8: u64,
}

impl Tally {
    /// For a model's departments.
    pub fn new(model: &ModelInfo) -> Self {
        let labels: Vec<String> = model.departments.iter().map(|department| department.id.clone()).collect();
        Self {
            model: model.clone(),
            rows: labels.iter().cloned().zip(0..).collect(),
            probabilities: vec![0.0; labels.len()],
            departments: DepartmentScores::new(labels),
            disputes: RiskScores::default(),
            proposals: RiskScores::default(),
            reasons: BTreeMap::new(),
            needs_review: 0,
            model_ms: Vec::new(),
            skipped: 0,
            our_faults: 0,
            not_utf8: 0,
        }
    }

    /// Counts an order with its answer.
    pub fn routed(&mut self, router: &Router, routed: &Routed) {
        let (facts, decision) = (&routed.facts, &routed.decision);
        self.model_ms.push(routed.model_ms);
        self.needs_review += u64::from(decision.needs_review());
        for reason in &decision.review_reasons {
            *self.reasons.entry(*reason).or_default() += 1;
        }
        if let Some(label) = &facts.department {
            for ranked in &decision.departments {
                self.probabilities[self.rows[&ranked.department.id]] = ranked.probability;
            }
            let truth = router.department_row(label).map_or(Truth::Unknown(label), Truth::Known);
            self.departments.push(&self.probabilities, truth);
        }
        if let Some(rerouted) = facts.rerouted {
            if let Some(risk) = decision.dispute_risk {
                self.disputes.push(risk, rerouted);
            }
            if let Some(risk) = decision.proposed_dispatch_risk {
                self.proposals.push(risk, rerouted);
            }
        }
    }

    /// Counts a row that was left out.
    pub fn skipped(&mut self, reason: &str, our_fault: bool) {
        self.skipped += 1;
        self.our_faults += u64::from(our_fault);
        self.not_utf8 += u64::from(reason.starts_with(WorkOrder::NOT_UTF8));
    }

    /// Orders with an answer.
    pub fn appeals(&self) -> u64 {
        self.model_ms.len() as u64
    }

    /// Rows that were left out.
    pub fn skipped_rows(&self) -> u64 {
        self.skipped
    }

    /// Rows that were left out because the model could not be run.
    pub fn our_faults(&self) -> u64 {
        self.our_faults
    }

    /// Rows that were left out because they are in another encoding.
    pub fn not_utf8(&self) -> u64 {
        self.not_utf8
    }

    /// All measures.
    pub fn measures(&self, took: Duration, args: &Args) -> Measures {
        let trained: HashMap<&str, usize> =
            self.model.departments.iter().map(|department| (department.id.as_str(), department.training_orders)).collect();
        // Without counts in the model folder nobody knows which departments these are.
        let counted = trained.values().any(|orders| *orders > 0);
        let enough = |label: &str| trained.get(label).is_some_and(|orders| *orders >= ENOUGH_TRAINING_ORDERS);
        let subset = (counted && self.departments.orders() > 0).then(|| Subset {
            departments: trained.values().filter(|orders| **orders >= ENOUGH_TRAINING_ORDERS).count(),
            measures: self.departments.measures_within(enough),
        });
        let rows = self.departments.departments();
        let known = |name: &str| self.rows.contains_key(name);
        let mut ms = self.model_ms.clone();
        ms.sort_by(f32::total_cmp);
        let all = self.departments.measures();
        let (disputes, proposals) = (self.disputes.measures(), self.proposals.measures());
        Measures {
            appeals: self.appeals(),
            skipped: self.skipped,
            labelled: all.orders,
            accuracy: all.accuracy,
            macro_f1: all.macro_f1,
            top3: all.top3,
            ece: all.ece,
            dispute_auc: disputes.auc,
            dispute_average_precision: disputes.average_precision,
            dispute_ece: disputes.ece,
            proposed_dispatch_auc: proposals.auc,
            proposed_dispatch_average_precision: proposals.average_precision,
            seconds: took.as_secs_f64(),
            appeals_per_second: (self.appeals() > 0).then(|| self.appeals() as f64 / took.as_secs_f64().max(1e-9)),
            p50_ms: percentile(&ms, 0.50),
            p99_ms: percentile(&ms, 0.99),
            needs_review: (self.appeals() > 0).then(|| self.needs_review as f64 / self.appeals() as f64),
            review_reasons: self.reasons.clone(),
            at_least_30_training_orders: subset,
            all_departments: (all.orders > 0).then_some(all),
            dispute: (disputes.orders > 0).then_some(disputes),
            proposed_dispatch: (proposals.orders > 0).then_some(proposals),
            unknown_departments: rows
                .iter()
                .filter(|row| !known(&row.department))
                .map(|row| (row.department.clone(), row.support))
                .collect(),
            departments: rows,
            model: self.model.name.clone(),
            model_version: self.model.version.clone(),
            text_only: args.text_only,
            proposals: args.proposals,
        }
    }
}

/// The smallest value that at least this share does not exceed (nearest rank).
fn percentile(sorted: &[f32], share: f64) -> Option<f32> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<f32> = (1..=100_u8).map(f32::from).collect();
        assert_eq!((percentile(&hundred, 0.5), percentile(&hundred, 0.99)), (Some(50.0), Some(99.0)));
        assert_eq!((percentile(&[7.0], 0.99), percentile(&[], 0.5)), (Some(7.0), None));
    }
}
