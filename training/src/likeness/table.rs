//! The tables of the study: for programs as rows, for people as lines.

use std::fmt::Write;

use serde::Serialize;

use super::trials::Trial;
use super::{Report, share};

/// One line of the table of standing rulings.
#[derive(Debug, Clone, Serialize)]
pub struct StandingRow {
    /// `text_only` or `with_category`.
    pub input: String,
    /// Whether the rulings had required words.
    pub worded: bool,
    /// Least similarity.
    pub similarity: f32,
    /// True for the last month, which no bound was fitted on.
    pub kept_out: bool,
    /// Orders tried.
    pub orders: usize,
    /// Orders that a ruling applied to.
    pub applied: usize,
    /// Share of these whose department was the ruling's lead.
    pub precision: f64,
    /// Share of these whose department was the model's first.
    pub model_precision: f64,
    /// Orders for which ruling and model differ.
    pub differing: usize,
    /// Of these the ruling was right.
    pub differing_right: usize,
    /// Of these the model was right.
    pub differing_model_right: usize,
}

/// One line of the backtest of precedents: later disputed orders among past re-dispatches.
#[derive(Debug, Clone, Serialize)]
pub struct PrecedentRow {
    /// `text_only` or `with_category`.
    pub input: String,
    /// Least similarity.
    pub similarity: f32,
    /// Later orders that were disputed.
    pub disputed: usize,
    /// With a like precedent.
    pub found: usize,
    /// Of these: the precedent's lead was right.
    pub precedent_right: usize,
    /// Of these: the model's first was right.
    pub model_right: usize,
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} simulated standing rulings, {} with required words; {} past re-dispatches as precedents\n",
            self.rulings, self.worded_rulings, self.redispatches
        );
        text.push_str(
            "standing rulings: input, words, similarity >=, months, orders applied to, precision, the model's own, \
                       where both differ: ruling right / model right / all\n",
        );
        for row in &self.standing {
            let (words, months) = (if row.worded { "words" } else { "none" }, if row.kept_out { "kept out" } else { "fit" });
            let mark = match if row.worded { &self.bounds.worded } else { &self.bounds.unworded } {
                Some(bound) if bound.similarity == row.similarity => "  <- shipped",
                _ => "",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:14} {words:5} {:.3} {months:8} {:4} of {:4} ({:4.1} %)  {:.3}  {:.3}  {}/{}/{}{mark}",
                row.input,
                row.similarity,
                row.applied,
                row.orders,
                100.0 * share(row.applied, row.orders),
                row.precision,
                row.model_precision,
                row.differing_right,
                row.differing_model_right,
                row.differing,
            );
        }
        text.push_str("precedents for later disputed orders: input, similarity >=, found, precedent right, model right\n");
        for row in &self.precedents {
            let mark = if row.similarity == self.bounds.precedent_similarity { "  <- shipped" } else { "" };
            let _ = writeln!(
                text,
                "{:14} {:.3} {:3} of {:3}  {:3}  {:3}{mark}",
                row.input, row.similarity, row.found, row.disputed, row.precedent_right, row.model_right
            );
        }
        text
    }
}

impl StandingRow {
    pub(super) fn of(trials: &[Trial], similarity: f32, kept_out: bool) -> Self {
        let all: Vec<&Trial> = trials.iter().filter(|trial| trial.kept_out == kept_out).collect();
        let applied: Vec<&&Trial> = all.iter().filter(|trial| trial.similarity >= similarity).collect();
        let count = |holds: fn(&Trial) -> bool| applied.iter().filter(|trial| holds(trial)).count();
        Self {
            input: String::new(),
            worded: false,
            similarity,
            kept_out,
            orders: all.len(),
            applied: applied.len(),
            precision: share(count(|trial| trial.right), applied.len()),
            model_precision: share(count(|trial| trial.model_right), applied.len()),
            differing: count(|trial| trial.differs),
            differing_right: count(|trial| trial.differs && trial.right),
            differing_model_right: count(|trial| trial.differs && trial.model_right),
        }
    }
}

/// The similarities of a table: round ones, and the one that is shipped.
pub(super) fn steps(own: Option<f32>) -> Vec<f32> {
    let mut steps = vec![0.6, 0.7, 0.8, 0.85, 0.9, 0.95];
    steps.extend(own);
    steps.sort_by(f32::total_cmp);
    steps.dedup();
    steps
}
