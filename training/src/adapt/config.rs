//! What shapes an adaptation: a TOML file whose keys are checked.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use paidan::text::MIN_TOKENS;
use serde::{Deserialize, Serialize};

use crate::config::Precision;

/// The same configuration, orders and base model give the same weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptConfig {
    /// Seeds the order of the data, the hidden words, dropout and fresh weights.
    pub seed: u64,
    /// Passes over the orders.
    pub epochs: usize,
    /// Tokens in a step, about.
    pub step_tokens: usize,
    /// Longest input, in tokens.
    pub max_tokens: usize,
    /// Share of the words that are hidden.
    pub hide: f64,
    /// Probability that an order's note is read with it, where it has one; else its category, or nothing, as often.
    pub with_note: f64,
    /// Highest learning rate of the encoder.
    pub learning_rate: f64,
    /// The head that guesses learns this many times faster.
    pub head_factor: f64,
    /// Decoupled weight decay; none on biases and norms.
    pub weight_decay: f64,
    /// Share of all steps in which the learning rate rises from 0.
    pub warmup: f64,
    /// Gradients are scaled down to this norm.
    pub max_gradient_norm: f64,
    /// Dropout of hidden states and attention probabilities.
    pub dropout: f32,
    /// A checkpoint is written after this many steps.
    pub checkpoint_steps: usize,
    /// What matrices are multiplied in.
    pub precision: Precision,
}

impl Default for AdaptConfig {
    fn default() -> Self {
        Self {
            seed: 12_345,
            epochs: 8,
            step_tokens: 4096,
            max_tokens: 256,
            hide: 0.2,
            with_note: 0.6,
            learning_rate: 2e-4,
            head_factor: 5.0,
            weight_decay: 0.01,
            warmup: 0.06,
            max_gradient_norm: 1.0,
            dropout: 0.1,
            checkpoint_steps: 50,
            precision: Precision::Auto,
        }
    }
}

impl AdaptConfig {
    /// Reads a TOML file; unknown keys and impossible values are refused by name.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let config: Self =
            toml::from_str(&text).with_context(|| format!("{}: not a configuration of adapt", path.display()))?;
        config.check().with_context(|| path.display().to_string())?;
        Ok(config)
    }

    /// Refuses values that cannot train.
    pub fn check(&self) -> Result<()> {
        for (key, value) in [("warmup", self.warmup), ("with_note", self.with_note)] {
            ensure!((0.0..=1.0).contains(&value), "{key} must be between 0 and 1, not {value}");
        }
        ensure!(self.hide > 0.0 && self.hide < 1.0, "hide must be above 0 and below 1, not {}", self.hide);
        ensure!((0.0..1.0).contains(&self.dropout), "dropout must be at least 0 and below 1, not {}", self.dropout);
        let positive = [
            ("learning_rate", self.learning_rate),
            ("head_factor", self.head_factor),
            ("max_gradient_norm", self.max_gradient_norm),
        ];
        for (key, value) in positive {
            ensure!(value.is_finite() && value > 0.0, "{key} must be above 0, not {value}");
        }
        ensure!(self.weight_decay.is_finite() && self.weight_decay >= 0.0, "weight_decay must not be below 0");
        for (key, value, least) in [
            ("epochs", self.epochs, 1),
            ("step_tokens", self.step_tokens, MIN_TOKENS),
            ("max_tokens", self.max_tokens, MIN_TOKENS),
            ("checkpoint_steps", self.checkpoint_steps, 1),
        ] {
            ensure!(value >= least, "{key} must be at least {least}, not {value}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_train_is_refused_by_name() {
        assert!(AdaptConfig::default().check().is_ok());
        for (text, key) in [
            ("hide = 0.0", "hide"),
            ("epochs = 0", "epochs"),
            ("with_note = 1.5", "with_note"),
            ("max_tokens = 3", "max_tokens"),
        ] {
            let config: AdaptConfig = toml::from_str(text).expect("toml");
            let error = config.check().expect_err("refused").to_string();
            assert!(error.starts_with(key), "{error}");
        }
        assert!(toml::from_str::<AdaptConfig>("hidden = 0.2").is_err(), "an unknown key");
    }
}
