//! One step: forward, backward, update.

use anyhow::Result;
use candle_core::Tensor;
use paidan::model::{Look, StepDropout, ops::Dropout};

use crate::config::TrainConfig;
use crate::examples::StepBatch;
use crate::loss::{department_loss, dispute_loss};
use crate::model::{Trainee, rule};
use crate::optimizer::AdamW;

/// Learns from one batch as step number `at.0` of `at.1`. Returns the loss and the gradient's norm.
pub fn step(
    config: &TrainConfig,
    trainee: &Trainee,
    adamw: &mut AdamW,
    batch: &StepBatch,
    at: (usize, usize),
) -> Result<(f32, f64)> {
    let loss = loss(config, trainee, batch, at.0)?;
    let value = loss.to_scalar::<f32>()?;
    let gradients = loss.backward()?;
    let rate = config.learning_rate * schedule(at.0, at.1, config.warmup);
    let norm = adamw.step(&trainee.variables, &gradients, rate, |name| rule(name, config.head_factor))?;
    Ok((value, norm))
}

/// The loss of one step, with the dropout masks of step number `step`.
pub fn loss(config: &TrainConfig, trainee: &Trainee, batch: &StepBatch, step: usize) -> Result<Tensor> {
    let looks: Vec<Look> = (0..batch.tokens.sequences()).map(|sequence| Look { sequence, hidden: 0..0 }).collect();
    let dropout = masks(config.dropout, config.seed, step);
    let output = trainee.classifier.forward(&batch.tokens, &looks, Some(&dropout))?;
    let loss = department_loss(&output.department_logits, &batch.targets)?;
    match &output.dispute_logits {
        Some(logits) => {
            let dispute = dispute_loss(logits, &batch.disputed, &batch.known)?;
            Ok((loss + (dispute * config.dispute_weight)?)?)
        }
        None => Ok(loss),
    }
}

/// The dropout masks of a run's step.
pub(crate) fn masks(dropout: f32, seed: u64, step: usize) -> StepDropout {
    let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(step as u64);
    StepDropout { hidden: Dropout::new(dropout, seed), attention: Dropout::new(dropout, !seed) }
}

/// Share of the highest learning rate at a step: a linear rise in the first `warmup` of all steps, then a linear fall to 0.
pub(crate) fn schedule(step: usize, total: usize, warmup: f64) -> f64 {
    let (step, total) = (step as f64 + 1.0, total.max(1) as f64);
    let rise = (total * warmup).max(1.0);
    if step <= rise { step / rise } else { ((total - step) / (total - rise).max(1.0)).max(0.0) }
}

#[cfg(test)]
mod tests {
    use super::schedule;

    #[test]
    fn the_learning_rate_rises_and_falls_in_straight_lines() {
        assert!((schedule(0, 100, 0.1) - 0.1).abs() < 1e-9);
        assert!((schedule(9, 100, 0.1) - 1.0).abs() < 1e-9);
        assert!((schedule(54, 100, 0.1) - 0.5).abs() < 1e-9);
        assert!(schedule(99, 100, 0.1).abs() < 1e-9);
        assert!((schedule(0, 100, 0.0) - 1.0).abs() < 1e-9);
    }
}
