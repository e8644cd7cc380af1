//! The training configuration: a TOML file whose keys are checked, with defaults that gave the bundled model.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use paidan::model::{Artifacts, ops::Products};
use serde::{Deserialize, Serialize};

/// What matrices are multiplied in. Variables, sums and all else are f32 either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bf16 where that is faster, f32 elsewhere.
    #[default]
    Auto,
    /// f32.
    F32,
    /// bf16; refused where the processor cannot.
    Bf16,
}

impl Precision {
    /// What multiplies.
    pub fn products(self) -> Result<Products> {
        match self {
            Self::Auto => Ok(Products::fastest()),
            Self::F32 => Ok(Products::f32()),
            Self::Bf16 => Products::bf16().context("precision is bf16, which this processor cannot multiply; use auto or f32"),
        }
    }
}

/// Everything that shapes a run. The same configuration, data and base model give the same weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Name of the model: what it routes for. Defaults to the output folder's.
    pub name: String,
    /// What the model card says of the data: where it comes from, under which terms, what it leaves out.
    pub about: String,
    /// Seeds the order of the data, dropout and fresh weights.
    pub seed: u64,
    /// Most passes over the training orders.
    pub epochs: usize,
    /// Stops after this many epochs without a better one.
    pub patience: usize,
    /// Orders in a step.
    pub batch_size: usize,
    /// Longest input in training, in tokens; serving reads up to the model's own limit.
    pub max_tokens: usize,
    /// Highest learning rate of the encoder.
    pub learning_rate: f64,
    /// The heads learn this many times faster: they start from nothing.
    pub head_factor: f64,
    /// Decoupled weight decay; none on biases and norms.
    pub weight_decay: f64,
    /// Share of all steps in which the learning rate rises from 0.
    pub warmup: f64,
    /// Gradients are scaled down to this norm.
    pub max_gradient_norm: f64,
    /// Share of the truth that is spread over all departments.
    pub label_smoothing: f64,
    /// Share of the target that a teacher's answers have, where there is one (`--crossfit`).
    pub teacher_share: f64,
    /// sha-256 of the teacher's answers; `--crossfit` sets it. Empty: no teacher.
    pub teacher: String,
    /// Dropout of hidden states, attention probabilities and the pooled row.
    pub dropout: f32,
    /// Weight of the dispute loss beside the department loss.
    pub dispute_weight: f64,
    /// Probability that an order's category and type are hidden, so that text alone stays as good.
    pub hide_category: f64,
    /// Probability that the type alone is hidden where the category is shown.
    pub hide_type: f64,
    /// Departments with fewer training orders count for nothing when epochs are compared.
    pub min_orders: usize,
    /// A checkpoint is written after this many steps.
    pub checkpoint_steps: usize,
    /// What matrices are multiplied in.
    pub precision: Precision,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            about: String::new(),
            seed: 12_345,
            epochs: 6,
            patience: 2,
            batch_size: 32,
            max_tokens: 256,
            learning_rate: 1e-4,
            head_factor: 10.0,
            weight_decay: 0.01,
            warmup: 0.1,
            max_gradient_norm: 1.0,
            label_smoothing: 0.1,
            teacher_share: 0.5,
            teacher: String::new(),
            dropout: 0.1,
            dispute_weight: 0.5,
            hide_category: 0.5,
            hide_type: 0.7,
            min_orders: 30,
            checkpoint_steps: 50,
            precision: Precision::Auto,
        }
    }
}

impl TrainConfig {
    /// Reads a TOML file; unknown keys and impossible values are refused by name.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let config: Self =
            toml::from_str(&text).with_context(|| format!("{}: not a training configuration", path.display()))?;
        config.check().with_context(|| path.display().to_string())?;
        Ok(config)
    }

    /// Refuses values that cannot train.
    pub fn check(&self) -> Result<()> {
        let shares = [
            ("warmup", self.warmup),
            ("hide_category", self.hide_category),
            ("hide_type", self.hide_type),
            ("teacher_share", self.teacher_share),
        ];
        for (key, value) in shares {
            ensure!((0.0..=1.0).contains(&value), "{key} must be between 0 and 1, not {value}");
        }
        let below_one = [("label_smoothing", self.label_smoothing), ("dropout", f64::from(self.dropout))];
        for (key, value) in below_one {
            ensure!((0.0..1.0).contains(&value), "{key} must be at least 0 and below 1, not {value}");
        }
        let positive = [
            ("learning_rate", self.learning_rate),
            ("head_factor", self.head_factor),
            ("max_gradient_norm", self.max_gradient_norm),
        ];
        for (key, value) in positive {
            ensure!(value.is_finite() && value > 0.0, "{key} must be above 0, not {value}");
        }
        let not_negative = [("weight_decay", self.weight_decay), ("dispute_weight", self.dispute_weight)];
        for (key, value) in not_negative {
            ensure!(value.is_finite() && value >= 0.0, "{key} must not be negative, not {value}");
        }
        let counts = [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("patience", self.patience),
            ("checkpoint_steps", self.checkpoint_steps),
        ];
        for (key, value) in counts {
            ensure!(value >= 1, "{key} must be at least 1");
        }
        ensure!(self.max_tokens >= 8, "max_tokens must be at least 8, not {}", self.max_tokens);
        Ok(())
    }
}

/// Refuses to read longer inputs than the base model has positions for: the first long order would end the run, hours later.
pub fn ensure_fits(max_tokens: usize, base: &Artifacts) -> Result<()> {
    let most = base.config.max_position_embeddings;
    ensure!(
        max_tokens <= most,
        "max_tokens is {max_tokens}, but the base model reads {most} at most; lower it in the configuration"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_are_longer_than_the_base_model_reads_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        crate::support::write_base_model(folder.path(), 1);
        let base = Artifacts::open(folder.path()).expect("a base model");
        ensure_fits(512, &base).expect("as many as it has positions");
        let refused = ensure_fits(513, &base).expect_err("one more").to_string();
        assert!(refused.contains("max_tokens is 513, but the base model reads 512 at most"), "{refused}");
    }
}
