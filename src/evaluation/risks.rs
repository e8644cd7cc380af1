//! How well a risk (that a dispatch is disputed, that a proposed dispatch comes back) ranks and states what happened.

use serde::{Deserialize, Serialize};

use super::calibration::Reliability;
use super::ranking::surest_first;

/// The shares of orders that a hotline can afford to look at again.
pub const REVIEW_BUDGETS: [f64; 4] = [0.01, 0.03, 0.05, 0.10];

/// Stated risks and what happened, one pair an order (8 bytes).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RiskScores {
    pairs: Vec<(f32, bool)>,
}

/// What a review of the riskiest orders would have caught.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Share of all orders that may be reviewed.
    pub reviewed: f64,
    /// Share of the positives among those. Where the limit falls between orders of equal risk, they count in proportion, so
    /// that the figure does not depend on the order of the file.
    pub caught: f64,
}

/// The measures of a risk. `None`: not defined for these orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskMeasures {
    /// Orders for which it is known what happened.
    pub orders: u64,
    /// How many of them were positive.
    pub positives: u64,
    /// Probability that a positive is ranked above a negative, ties counted half (Mann-Whitney); equals scikit-learn's
    /// `roc_auc_score`.
    pub auc: Option<f64>,
    /// Sum over thresholds of precision times gain in recall; equals scikit-learn's `average_precision_score`.
    pub average_precision: Option<f64>,
    /// Mean squared difference of risk and outcome; equals `brier_score_loss`.
    pub brier: Option<f64>,
    /// Mean of minus the logarithm of the probability given to what happened; equals `log_loss`.
    pub negative_log_likelihood: Option<f64>,
    /// Expected calibration error of the positive class, 15 bins over the stated risk.
    pub ece: Option<f64>,
    /// Share of positives caught when 1, 3, 5 or 10 % of all orders may be reviewed; empty without positives.
    pub review_budgets: Vec<Budget>,
}

impl RiskScores {
    /// Adds one order.
    pub fn push(&mut self, risk: f32, happened: bool) {
        self.pairs.push((risk, happened));
    }

    /// The pairs, in the order they came.
    pub fn pairs(&self) -> &[(f32, bool)] {
        &self.pairs
    }

    /// Stated risk against what happened.
    pub fn reliability(&self) -> Reliability {
        Reliability::of(self.pairs.iter().copied())
    }

    /// All measures at once.
    pub fn measures(&self) -> RiskMeasures {
        let sorted = surest_first(&self.pairs);
        let positives = sorted.iter().filter(|p| p.1).count();
        let mean = |f: fn(f64, bool) -> f64| {
            let sum: f64 = self.pairs.iter().map(|&(risk, happened)| f(f64::from(risk), happened)).sum();
            (!self.pairs.is_empty()).then(|| sum / self.pairs.len() as f64).filter(|v| v.is_finite())
        };
        RiskMeasures {
            orders: sorted.len() as u64,
            positives: positives as u64,
            auc: area_under_curve(&sorted, positives),
            average_precision: average_precision(&sorted, positives),
            brier: mean(|risk, happened| (risk - f64::from(u8::from(happened))).powi(2)),
            negative_log_likelihood: mean(|risk, happened| {
                -(if happened { risk } else { 1.0 - risk }).clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
            }),
            ece: self.reliability().expected_calibration_error(),
            review_budgets: budgets(&sorted, positives),
        }
    }
}

/// Runs of equal score in what is sorted: (orders, positives) of each.
fn ties(sorted: &[(f32, bool)]) -> impl Iterator<Item = (usize, usize)> {
    sorted.chunk_by(|a, b| a.0 == b.0).map(|run| (run.len(), run.iter().filter(|p| p.1).count()))
}

fn area_under_curve(sorted: &[(f32, bool)], positives: usize) -> Option<f64> {
    let negatives = sorted.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (mut above, mut wins) = (0_usize, 0.0_f64);
    for (orders, true_ones) in ties(sorted) {
        let false_ones = (orders - true_ones) as f64;
        // Every negative of this run lost against the positives above it, and half against those beside it.
        wins += false_ones * (above as f64 + true_ones as f64 / 2.0);
        above += true_ones;
    }
    Some(wins / (positives as f64 * negatives as f64))
}

fn average_precision(sorted: &[(f32, bool)], positives: usize) -> Option<f64> {
    if positives == 0 {
        return None;
    }
    let (mut taken, mut found, mut sum) = (0_usize, 0_usize, 0.0_f64);
    for (orders, true_ones) in ties(sorted) {
        taken += orders;
        found += true_ones;
        sum += (true_ones as f64 / positives as f64) * (found as f64 / taken as f64);
    }
    Some(sum)
}

fn budgets(sorted: &[(f32, bool)], positives: usize) -> Vec<Budget> {
    if positives == 0 {
        return Vec::new();
    }
    let caught = |reviewed: f64| {
        let mut left = reviewed * sorted.len() as f64;
        let mut caught = 0.0;
        for (orders, true_ones) in ties(sorted) {
            let taken = left.min(orders as f64);
            caught += true_ones as f64 * taken / orders as f64;
            left -= taken;
            if left <= 0.0 {
                break;
            }
        }
        caught / positives as f64
    };
    REVIEW_BUDGETS.iter().map(|&reviewed| Budget { reviewed, caught: caught(reviewed) }).collect()
}
