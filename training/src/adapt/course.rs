//! How an adaptation went: what a checkpoint remembers beside its tensors, and what the folder's card says.

use std::fmt;
use std::path::Path;

use paidan::evaluation::{Report, Series, loss_curve};
use serde::{Deserialize, Serialize};

use super::config::AdaptConfig;
use super::passages::Passages;
use crate::report::smoothed;

/// The last steps whose mean loss is shown.
const RECENT: usize = 50;

/// How well hidden words were guessed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Guesses {
    /// How many words were hidden.
    pub words: usize,
    /// Mean surprise at them, in nats.
    pub surprise: f64,
    /// Share that was guessed first.
    pub right: f64,
}

impl fmt::Display for Guesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {} words kept aside {:.1} % guessed, surprise {:.3}", self.words, self.right * 100.0, self.surprise)
    }
}

/// Where an adaptation is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// The configuration; it cannot go on with another.
    pub config: AdaptConfig,
    /// sha-256 of each file of orders and of the base model's weights; it cannot go on with others.
    pub inputs: Vec<String>,
    /// Steps done in all.
    pub step: usize,
    /// Epoch that the next step belongs to, from 0.
    pub epoch: usize,
    /// Steps done in that epoch.
    pub step_in_epoch: usize,
    /// Loss of each step.
    pub losses: Vec<f32>,
    /// On the orders kept aside: before, and after each epoch.
    pub guesses: Vec<Guesses>,
}

impl Course {
    pub(super) fn beginning(config: &AdaptConfig, inputs: Vec<String>) -> Self {
        Self { config: config.clone(), inputs, step: 0, epoch: 0, step_in_epoch: 0, losses: Vec::new(), guesses: Vec::new() }
    }

    /// Mean loss of the last steps.
    pub(super) fn recent_loss(&self) -> f64 {
        let recent = &self.losses[self.losses.len().saturating_sub(RECENT)..];
        recent.iter().map(|loss| f64::from(*loss)).sum::<f64>() / recent.len().max(1) as f64
    }

    /// The run's page: how the loss fell, and how well the words kept aside were guessed.
    pub(super) fn page(&self, name: &str) -> String {
        let by_epoch = |value: fn(&Guesses) -> f64| -> Vec<(f64, f64)> {
            self.guesses.iter().enumerate().map(|(epoch, guesses)| (epoch as f64, value(guesses))).collect()
        };
        let curve = |name, points, x| loss_curve(&[Series { name, points }], x, name);
        let figures = [
            ("training loss", curve("loss", smoothed(&self.losses), "step")),
            ("surprise at the words kept aside, nats", curve("surprise", by_epoch(|guesses| guesses.surprise), "epoch")),
            ("share of them that was guessed first", curve("guessed", by_epoch(|guesses| guesses.right), "epoch")),
        ];
        Report::new(name, "adaptation").figures("How it learnt", &figures).render()
    }

    /// The folder's README.
    pub(super) fn card(&self, base: &Path, passages: &Passages) -> String {
        let name = base.file_name().unwrap_or_default().to_string_lossy();
        let rows: String = self
            .guesses
            .iter()
            .enumerate()
            .map(|(epoch, g)| format!("| {epoch} | {:.1} % | {:.3} |\n", g.right * 100.0, g.surprise))
            .collect();
        let words = self.guesses.first().map_or(0, |guesses| guesses.words);
        format!(
            "# A base model, adapted\n\n`paidan-train adapt` let {name} read {} orders, {} of them with the note of how they were \
             handled. It has no head that routes: `paidan-train train --base` makes a model of it.\n\nOf {words} hidden words of \
             orders kept aside:\n\n| epoch | guessed | surprise (nats) |\n|---|---|---|\n{rows}\nInputs (sha-256, the base last): \
             {}\n\nConfiguration:\n\n```json\n{}\n```\n",
            passages.len(),
            passages.noted,
            self.inputs.join(", "),
            serde_json::to_string_pretty(&self.config).unwrap_or_default(),
        )
    }
}
