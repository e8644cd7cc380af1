//! How well departments are told apart: accuracy, macro-F1, top-3, calibration, and which department is mistaken for which.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::calibration::Reliability;
use super::ranking::{Coverage, coverage_at, coverage_points};

/// More names of departments that the model does not know are counted as one: a file of garbage must not fill the memory.
const MAX_UNKNOWN_NAMES: usize = 10_000;

/// Where an order went in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth<'a> {
    /// To the label with this index.
    Known(usize),
    /// To a department the model was never taught: the answer is wrong whatever it says.
    Unknown(&'a str),
}

/// What is kept of one order: 20 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    /// Index among the labels, or past them an unknown name's.
    truth: u32,
    predicted: u32,
    confidence: f32,
    /// 1 for the most likely; 0 for a truth that the model does not know.
    rank: u32,
    /// Probability of the truth; 0 if unknown.
    of_truth: f32,
}

/// Ranked answers against where the orders went.
#[derive(Debug, Clone, Default)]
pub struct DepartmentScores {
    labels: Vec<String>,
    unknown: BTreeMap<String, u32>,
    rows: Vec<Row>,
    /// Sum over orders of the squared distance between probabilities and outcome.
    squared: f64,
}

/// One department's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DepartmentRow {
    /// Its label.
    pub department: String,
    /// Of the orders sent there, the share that belonged there; 0 if none was sent.
    pub precision: f64,
    /// Of the orders that belonged there, the share sent there; 0 if none belonged.
    pub recall: f64,
    /// Harmonic mean of both; 0 if both are.
    pub f1: f64,
    /// Orders that belonged there.
    pub support: u64,
    /// Orders sent there.
    pub predicted: u64,
}

/// The measures over a set of orders. `None`: there were no orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DepartmentMeasures {
    /// Orders whose department is known.
    pub orders: u64,
    /// Share whose most likely department was right.
    pub accuracy: Option<f64>,
    /// Mean F1; equals scikit-learn's `f1_score(average="macro", labels=…, zero_division=0)`.
    pub macro_f1: Option<f64>,
    /// Share whose department was among the three most likely.
    pub top3: Option<f64>,
    /// Mean of one over the rank of the right department; an unknown one gives 0.
    pub mean_reciprocal_rank: Option<f64>,
    /// Expected calibration error of the first answer's probability, 15 bins.
    pub ece: Option<f64>,
    /// Mean squared distance between probabilities and outcome, in [0, 2] (Brier 1950; scikit-learn's `scale_by_half=False`).
    /// A department that the model does not know counts as one more class with probability 0.
    pub brier: Option<f64>,
    /// Mean of minus the logarithm of the right department's probability, floored at 2.2e-16 as scikit-learn's `log_loss`.
    pub negative_log_likelihood: Option<f64>,
    /// Share that may go out alone at 95 % precision.
    pub coverage_at_95: Option<Coverage>,
    /// Share that may go out alone at 98 % precision.
    pub coverage_at_98: Option<Coverage>,
}

impl DepartmentScores {
    /// For a model with these labels, in the order of its probabilities.
    pub fn new(labels: Vec<String>) -> Self {
        Self { labels, ..Self::default() }
    }

    /// The labels.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How many orders were pushed.
    pub fn orders(&self) -> usize {
        self.rows.len()
    }

    /// Names of departments that orders went to and the model does not know.
    pub fn unknown_names(&self) -> impl Iterator<Item = &str> {
        self.unknown.keys().map(String::as_str)
    }

    /// The truth for a department's label.
    pub fn truth<'a>(&self, label: &'a str) -> Truth<'a> {
        self.labels.iter().position(|l| l == label).map_or(Truth::Unknown(label), Truth::Known)
    }

    /// Adds one order: one probability for each label, and where it went. Among equal probabilities the earlier label is ranked
    /// first; NaN is ranked last.
    ///
    /// # Panics
    /// If the number of probabilities is not that of the labels, or the truth is not one of them: a bug of the caller.
    pub fn push(&mut self, probabilities: &[f32], truth: Truth<'_>) {
        assert_eq!(probabilities.len(), self.labels.len(), "one probability for each label");
        let value = |i: usize| if probabilities[i].is_nan() { f32::NEG_INFINITY } else { probabilities[i] };
        let before = |a: usize, b: usize| value(a) > value(b) || (value(a) == value(b) && a < b);
        let Some(predicted) = (0..probabilities.len()).reduce(|best, i| if before(i, best) { i } else { best }) else { return };

        let sum_of_squares: f64 = probabilities.iter().map(|&p| f64::from(p).powi(2)).sum();
        let (truth, rank, of_truth) = match truth {
            Truth::Known(t) => {
                assert!(t < self.labels.len(), "the truth is one of the labels");
                (t as u32, 1 + (0..probabilities.len()).filter(|&i| before(i, t)).count() as u32, value(t).max(0.0))
            }
            Truth::Unknown(name) => (self.unknown_index(name), 0, 0.0),
        };
        // sum over labels of (p - y)^2, y being 1 for the truth and 0 elsewhere
        self.squared += sum_of_squares - 2.0 * f64::from(of_truth) + 1.0;
        self.rows.push(Row { truth, predicted: predicted as u32, confidence: value(predicted).max(0.0), rank, of_truth });
    }

    fn unknown_index(&mut self, name: &str) -> u32 {
        let name = if self.unknown.len() < MAX_UNKNOWN_NAMES { name } else { "(further names)" };
        let next = (self.labels.len() + self.unknown.len()) as u32;
        *self.unknown.entry(name.to_owned()).or_insert(next)
    }

    /// Measures over all orders. Macro-F1 is taken over every label that an order had or was sent to, unknown ones (F1 = 0)
    /// included: scikit-learn's `labels=None`.
    pub fn measures(&self) -> DepartmentMeasures {
        let labels: BTreeSet<u32> = self.rows.iter().flat_map(|r| [r.truth, r.predicted]).collect();
        let mut measures = measures_of(&self.rows, &labels);
        let orders = self.rows.len();
        measures.brier = (orders > 0).then(|| self.squared / orders as f64).filter(|b| b.is_finite());
        measures
    }

    /// Measures over the orders that went to the departments `keep` accepts, macro-F1 over the departments that it accepts, in
    /// scikit-learn's words `m = isin(y_true, labels); f1_score(y_true[m], y_pred[m], labels=labels, average="macro")`. So the
    /// figures for "departments with at least 30 training orders" are made. No Brier score: it is kept for all orders only.
    pub fn measures_within(&self, keep: impl Fn(&str) -> bool) -> DepartmentMeasures {
        let labels: BTreeSet<u32> = (0..self.labels.len()).filter(|&i| keep(&self.labels[i])).map(|i| i as u32).collect();
        let rows: Vec<Row> = self.rows.iter().filter(|r| labels.contains(&r.truth)).copied().collect();
        measures_of(&rows, &labels)
    }

    /// Each label's figures, unknown names last, in the order of the labels. Labels that no order had or was sent to are left out.
    pub fn departments(&self) -> Vec<DepartmentRow> {
        let mut names: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        let mut unknown: Vec<(&str, u32)> = self.unknown.iter().map(|(name, &i)| (name.as_str(), i)).collect();
        unknown.sort_by_key(|u| u.1);
        names.extend(unknown.iter().map(|u| u.0));
        let labels: BTreeSet<u32> = (0..names.len() as u32).collect();
        count(&self.rows, &labels)
            .into_iter()
            .filter(|(_, c)| c.support + c.predicted > 0)
            .map(|(label, c)| DepartmentRow {
                department: names[label as usize].to_owned(),
                precision: c.precision(),
                recall: c.recall(),
                f1: c.f1(),
                support: c.support,
                predicted: c.predicted,
            })
            .collect()
    }

    /// Confidence of the first answer and whether it was right, in the order of the file.
    pub fn confidences(&self) -> Vec<(f32, bool)> {
        confidences(&self.rows)
    }
}

/// What one label was and was taken for.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    right: u64,
    support: u64,
    predicted: u64,
}

impl Count {
    fn precision(self) -> f64 {
        ratio(self.right, self.predicted)
    }

    fn recall(self) -> f64 {
        ratio(self.right, self.support)
    }

    fn f1(self) -> f64 {
        ratio(2 * self.right, self.support + self.predicted)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn count(rows: &[Row], labels: &BTreeSet<u32>) -> BTreeMap<u32, Count> {
    let mut counts: BTreeMap<u32, Count> = labels.iter().map(|&l| (l, Count::default())).collect();
    for row in rows {
        if let Some(c) = counts.get_mut(&row.truth) {
            c.support += 1;
            c.right += u64::from(row.truth == row.predicted);
        }
        if let Some(c) = counts.get_mut(&row.predicted) {
            c.predicted += 1;
        }
    }
    counts
}

fn confidences(rows: &[Row]) -> Vec<(f32, bool)> {
    rows.iter().map(|r| (r.confidence, r.truth == r.predicted)).collect()
}

fn measures_of(rows: &[Row], labels: &BTreeSet<u32>) -> DepartmentMeasures {
    let mean = |f: fn(&Row) -> f64| (!rows.is_empty()).then(|| rows.iter().map(f).sum::<f64>() / rows.len() as f64);
    let pairs = confidences(rows);
    let points = coverage_points(&pairs);
    let f1: f64 = count(rows, labels).values().map(|c| c.f1()).sum();
    DepartmentMeasures {
        orders: rows.len() as u64,
        accuracy: mean(|r| f64::from(u8::from(r.truth == r.predicted))),
        macro_f1: (!rows.is_empty() && !labels.is_empty()).then(|| f1 / labels.len() as f64),
        top3: mean(|r| f64::from(u8::from((1..=3).contains(&r.rank)))),
        mean_reciprocal_rank: mean(|r| if r.rank == 0 { 0.0 } else { 1.0 / f64::from(r.rank) }),
        ece: Reliability::of(pairs.iter().copied()).expected_calibration_error(),
        brier: None,
        negative_log_likelihood: mean(|r| -f64::from(r.of_truth).clamp(f64::EPSILON, 1.0).ln()),
        coverage_at_95: coverage_at(&points, 0.95),
        coverage_at_98: coverage_at(&points, 0.98),
    }
}
