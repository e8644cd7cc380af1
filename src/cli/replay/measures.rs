//! `metrics.json`: the figures of a run. What is not defined for these orders is left out.

use std::collections::BTreeMap;

use paidan::evaluation::{DepartmentMeasures, DepartmentRow, RiskMeasures};
use paidan::routing::ReviewReason;
use serde::Serialize;

/// All figures.
#[derive(Debug, Serialize)]
pub struct Measures {
    /// Orders with an answer.
    pub appeals: u64,
    /// Rows that were left out.
    pub skipped: u64,
    /// Orders whose department is known; accuracy, macro-F1, top-3 and calibration are of these.
    pub labelled: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top3: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ece: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispute_auc: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispute_average_precision: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispute_ece: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed_dispatch_auc: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed_dispatch_average_precision: Option<f64>,
    /// From the first row read to the last one written.
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appeals_per_second: Option<f64>,
    /// Half of the appeals were in a batch that took the model no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f32>,
    /// Share of the answers that a person should see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_review: Option<f64>,
    pub review_reasons: BTreeMap<ReviewReason, u64>,
    /// Over the departments that the model saw often enough, where its folder says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least_30_training_orders: Option<Subset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_departments: Option<DepartmentMeasures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispute: Option<RiskMeasures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed_dispatch: Option<RiskMeasures>,
    /// Departments that the model was never taught, with their orders: all wrong.
    pub unknown_departments: BTreeMap<String, u64>,
    pub departments: Vec<DepartmentRow>,
    pub model: String,
    pub model_version: String,
    pub text_only: bool,
    pub proposals: bool,
}

/// Measures over part of the departments.
#[derive(Debug, Serialize)]
pub struct Subset {
    /// How many departments these are.
    pub departments: usize,
    #[serde(flatten)]
    pub measures: DepartmentMeasures,
}

impl Measures {
    /// The figures that matter, one a line.
    pub fn for_people(&self) -> String {
        let mut lines = vec![format!("{:<28} {} ({} skipped)", "appeals", self.appeals, self.skipped)];
        let mut add = |name: &str, value: Option<f64>| lines.extend(value.map(|value| format!("{name:<28} {value:.4}")));
        add("accuracy", self.accuracy);
        add("macro_f1", self.macro_f1);
        add("top3", self.top3);
        add("ece", self.ece);
        if let Some(subset) = &self.at_least_30_training_orders {
            add("accuracy (>= 30 trained)", subset.measures.accuracy);
            add("macro_f1 (>= 30 trained)", subset.measures.macro_f1);
            add("top3 (>= 30 trained)", subset.measures.top3);
        }
        add("dispute_auc", self.dispute_auc);
        add("dispute_average_precision", self.dispute_average_precision);
        add("proposed_dispatch_auc", self.proposed_dispatch_auc);
        add("proposed_dispatch_ap", self.proposed_dispatch_average_precision);
        if let (Some(rate), Some(p50), Some(p99)) = (self.appeals_per_second, self.p50_ms, self.p99_ms) {
            lines.push(format!("{:<28} {rate:.1}, batch p50 {p50:.1} ms, p99 {p99:.1} ms", "appeals_per_second"));
        }
        lines.join("\n") + "\n"
    }
}
