//! The mean of several runs' weights: a "model soup" (Wortsman et al. 2022).
//!
//! Runs that started from the same base and learnt from the same orders, with another seed or another number of epochs, end in one
//! valley of the loss; the mean of their weights lies deeper in it than each of them, and costs no more to serve than one. Fresh
//! heads are no hindrance: their rows are the same departments, and the pooler starts as the identity.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Progress, RunFolder, write_tensors};
use crate::config::TrainConfig;

/// One of the runs behind a mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ingredient {
    /// Its configuration.
    pub configuration: TrainConfig,
    /// The epoch that was kept, from 1.
    pub best_epoch: usize,
}

/// Writes the mean of the best variables of `runs` (their `--out` folders) as the best of `out`'s run, and says how the first went.
/// `inputs` are the hashes of the orders and the base that all runs must have learnt from.
pub fn average(runs: &[PathBuf], out: &Path, inputs: &[String; 3]) -> Result<Progress> {
    ensure!(runs.len() >= 2, "a mean needs at least two runs; name each with --run");
    let mut progresses = Vec::with_capacity(runs.len());
    let mut sum: HashMap<String, Tensor> = HashMap::new();
    for run in runs {
        let folder = RunFolder::open(run)?;
        let progress: Progress = folder.progress()?;
        for (i, name) in ["training file", "validation file", "base model"].iter().enumerate() {
            ensure!(progress.inputs[i] == inputs[i], "{}: this run had another {name}", run.display());
        }
        add(&mut sum, folder.load_best()?).with_context(|| run.display().to_string())?;
        progresses.push(progress);
    }
    let count = runs.len() as f64;
    let mean = sum.into_iter().map(|(name, tensor)| Ok((name, (tensor / count)?))).collect::<Result<HashMap<_, _>>>()?;
    write_tensors(&mean, &RunFolder::create(out)?.best())?;
    let ingredient = |progress: &Progress| Ingredient {
        configuration: progress.config.clone(),
        best_epoch: progress.best_epoch().map_or(0, |epoch| epoch + 1),
    };
    let average_of = progresses.iter().map(ingredient).collect();
    // Two runs at least, so there is a first.
    let first = progresses.into_iter().next().context("no runs")?;
    Ok(Progress { average_of, ..first })
}

/// Adds the tensors of one run; all must have the same names and shapes.
fn add(sum: &mut HashMap<String, Tensor>, tensors: HashMap<String, Tensor>) -> Result<()> {
    if sum.is_empty() {
        *sum = tensors;
        return Ok(());
    }
    ensure!(sum.len() == tensors.len(), "it has {} tensors, the runs before it {}", tensors.len(), sum.len());
    for (name, tensor) in tensors {
        match sum.get_mut(&name) {
            Some(total) if total.shape() == tensor.shape() => *total = (&*total + tensor)?,
            Some(total) => bail!("{name} is {:?}, in the runs before it {:?}", tensor.shape(), total.shape()),
            None => bail!("{name} is in none of the runs before it"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn tensors(values: &[(&str, &[f32])]) -> HashMap<String, Tensor> {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).expect("a tensor");
        values.iter().map(|(name, values)| ((*name).to_owned(), tensor(values))).collect()
    }

    #[test]
    fn tensors_are_added_by_name() {
        let mut sum = HashMap::new();
        add(&mut sum, tensors(&[("a", &[1.0, 2.0]), ("b", &[3.0])])).expect("the first");
        add(&mut sum, tensors(&[("b", &[5.0]), ("a", &[10.0, 20.0])])).expect("the second");
        assert_eq!(sum["a"].to_vec1::<f32>().expect("values"), [11.0, 22.0]);
        assert_eq!(sum["b"].to_vec1::<f32>().expect("values"), [8.0]);
    }

    #[test]
    fn a_run_of_another_shape_is_refused_by_name() {
        let mut sum = tensors(&[("a", &[1.0, 2.0])]);
        let other_shape = add(&mut sum, tensors(&[("a", &[1.0])])).expect_err("another shape").to_string();
        assert!(other_shape.contains("a is [1]"), "{other_shape}");
        let other_name = add(&mut sum, tensors(&[("c", &[1.0, 2.0])])).expect_err("another name").to_string();
        assert!(other_name.contains("c is in none"), "{other_name}");
    }
}
