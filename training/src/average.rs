//! The mean of several runs' weights: a "model soup" (Wortsman et al. 2022).
//!
//! Runs that learnt from the same orders, with another seed, another number of epochs, or another adaptation of one base
//! ([`crate::adapt`]), end in one valley of the loss; the mean of their weights lies deeper in it than each of them, and costs no more
//! to serve than one. Fresh heads are no hindrance: their rows are the same departments, and the pooler starts as the identity.
//!
//! A model that was written earlier may take part. If it is a mean itself it counts as often as there are runs in it, so that the
//! mean of a mean is the mean of all runs.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;
use paidan::model::{Artifacts, CENTRES, DEPARTMENT_WORDS, DISPUTE_WORDS};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Progress, RunFolder, beside, write_tensors};
use crate::config::TrainConfig;
use crate::held::Held;
use crate::place::Place;
use crate::refit;

/// One of the runs behind a mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ingredient {
    /// Its configuration.
    pub configuration: TrainConfig,
    /// The epoch that was kept, from 1; 0 for a finished model, whose folder does not tell.
    pub best_epoch: usize,
}

/// What takes part in a mean: its weights, and the runs that they are of.
struct Part {
    tensors: HashMap<String, Tensor>,
    progress: Progress,
}

impl Part {
    /// The best variables of a run. Its orders must be those whose hashes are `orders` (training, validation).
    fn of_run(run: &Path, orders: &[String]) -> Result<Self> {
        let folder = RunFolder::open(run)?;
        let progress: Progress = folder.progress()?;
        for (i, name) in ["training file", "validation file"].iter().enumerate() {
            ensure!(progress.inputs[i] == orders[i], "this run had another {name}");
        }
        ensure!(!progress.history.is_empty(), "this run has not finished an epoch; let it go on with train --resume");
        Ok(Self { tensors: folder.load_best()?, progress })
    }

    /// The weights of a model folder.
    fn of_model(model: &Path, orders: &[String], base: &Artifacts) -> Result<Self> {
        let Artifacts { mut tensors, tokenizer, manifest, .. } = Artifacts::open(model).context("the model was refused")?;
        ensure!(tokenizer == base.tokenizer, "this model reads with another tokenizer than the base");
        let manifest = manifest.context("no manifest.json; paidan-train did not write it")?;
        let known = [manifest.data.training_sha256.as_str(), manifest.data.validation_sha256.as_str()];
        for (i, name) in ["training file", "validation file"].iter().enumerate() {
            ensure!(known[i] == orders[i], "this model had another {name}");
        }
        // These are found again for the mean.
        tensors.retain(|name, _| ![CENTRES, DEPARTMENT_WORDS, DISPUTE_WORDS].contains(&name.as_str()));
        Ok(Self { tensors, progress: refit::progress(&manifest)? })
    }

    /// The runs that it is of: one, unless it is a mean.
    fn ingredients(&self) -> Vec<Ingredient> {
        if !self.progress.average_of.is_empty() {
            return self.progress.average_of.clone();
        }
        let best_epoch = self.progress.best_epoch().map_or(0, |epoch| epoch + 1);
        vec![Ingredient { configuration: self.progress.config.clone(), best_epoch }]
    }
}

/// Writes the mean of the best variables of `runs` (their `--out` folders) and of the weights of `models` as the best of the
/// run at `place`, and says how the first went. `inputs` are the hashes of the orders that all must have learnt from, and of `base`. A run over
/// another base takes part, since that may be the same one adapted; whether it was is for the mean's figures to tell.
pub fn average(
    runs: &[PathBuf],
    models: &[PathBuf],
    place: Place,
    inputs: &[String; 3],
    base: &Artifacts,
) -> Result<(Progress, Held)> {
    ensure!(runs.len() + models.len() >= 2, "a mean needs at least two parts; name each with --run or --model");
    ensure_nothing_lost(place.out(), runs.iter().chain(models))?;
    ensure_each_once(runs.iter().chain(models))?;
    let runs = runs.iter().map(|run| (run, Part::of_run(run, inputs)));
    let models = models.iter().map(|model| (model, Part::of_model(model, inputs, base)));
    let mut average_of: Vec<Ingredient> = Vec::new();
    let mut sum: HashMap<String, Tensor> = HashMap::new();
    let mut first = None;
    for (path, part) in runs.chain(models) {
        let part = part.with_context(|| path.display().to_string())?;
        if part.progress.inputs[2] != inputs[2] && !part.progress.inputs[2].is_empty() {
            let path = path.display();
            crate::say(&format!("{path}: over another base; if both are not adapted from one, the mean is worth nothing"));
        }
        let ingredients = part.ingredients();
        add(&mut sum, part.tensors, ingredients.len() as f64).with_context(|| path.display().to_string())?;
        average_of.extend(ingredients);
        first.get_or_insert(part.progress);
    }
    let count = average_of.len() as f64;
    let mean = sum.into_iter().map(|(name, tensor)| Ok((name, (tensor / count)?))).collect::<Result<HashMap<_, _>>>()?;
    let held = place.take()?;
    write_tensors(&mean, &held.run.best())?;
    // There are two at least, so there is a first.
    let first = first.context("nothing takes part")?;
    // How the first of them learnt is not how the mean did.
    Ok((Progress { average_of, history: Vec::new(), losses: Vec::new(), ..first }, held))
}

/// Refuses an `out` that has a run: the mean would be written over its best variables, and resumed that run would be exported as
/// what it is not. Nor may it be one of the parts.
fn ensure_nothing_lost<'a>(out: &Path, mut parts: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    let another = "name another folder as --out";
    let is_out =
        |part: &PathBuf| part == out || part.canonicalize().is_ok_and(|part| out.canonicalize().is_ok_and(|out| out == part));
    ensure!(!parts.any(is_out), "--out {}: takes part in the mean itself; {another}", out.display());
    let run = beside(out, "run");
    let has_run = run.is_dir() && RunFolder::open(out)?.has_checkpoint();
    ensure!(!has_run, "{}: a run that the mean would be written over; {another}", run.display());
    Ok(())
}

/// Refuses a part that is named twice, be it as a run and as the model of that run: it would count twice, and the mean would say that
/// it is of more runs than it is.
fn ensure_each_once<'a>(parts: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    // A run that was cut off has no model folder yet, and a model that was copied here no run.
    let place = |part: &PathBuf| {
        let of_model = part.canonicalize().map(|model| beside(&model, "run"));
        of_model.or_else(|_| beside(part, "run").canonicalize()).unwrap_or_else(|_| part.clone())
    };
    let mut seen: HashSet<PathBuf> = HashSet::new();
    for part in parts {
        ensure!(seen.insert(place(part)), "{}: takes part twice; name each run or model once", part.display());
    }
    Ok(())
}

/// Adds the tensors of one part, times `share`; all must have the same names and shapes.
fn add(sum: &mut HashMap<String, Tensor>, tensors: HashMap<String, Tensor>, share: f64) -> Result<()> {
    let scaled = |tensor: Tensor| -> candle_core::Result<Tensor> { tensor * share };
    if sum.is_empty() {
        *sum = tensors.into_iter().map(|(name, tensor)| Ok((name, scaled(tensor)?))).collect::<Result<_>>()?;
        return Ok(());
    }
    ensure!(sum.len() == tensors.len(), "it has {} tensors, the runs before it {}", tensors.len(), sum.len());
    for (name, tensor) in tensors {
        match sum.get_mut(&name) {
            Some(total) if total.shape() == tensor.shape() => *total = (&*total + scaled(tensor)?)?,
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
        add(&mut sum, tensors(&[("a", &[1.0, 2.0]), ("b", &[3.0])]), 1.0).expect("the first");
        add(&mut sum, tensors(&[("b", &[5.0]), ("a", &[10.0, 20.0])]), 2.0).expect("the second");
        assert_eq!(sum["a"].to_vec1::<f32>().expect("values"), [21.0, 42.0]);
        assert_eq!(sum["b"].to_vec1::<f32>().expect("values"), [13.0]);
    }

    #[test]
    fn a_run_of_another_shape_is_refused_by_name() {
        let mut sum = tensors(&[("a", &[1.0, 2.0])]);
        let other_shape = add(&mut sum, tensors(&[("a", &[1.0])]), 1.0).expect_err("another shape").to_string();
        assert!(other_shape.contains("a is [1]"), "{other_shape}");
        let other_name = add(&mut sum, tensors(&[("c", &[1.0, 2.0])]), 1.0).expect_err("another name").to_string();
        assert!(other_name.contains("c is in none"), "{other_name}");
    }

    #[test]
    fn a_run_takes_part_once_however_it_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("model")).expect("a folder");
        std::fs::create_dir_all(path("cut-off.run")).expect("a folder");
        ensure_each_once([&path("model"), &path("cut-off"), &path("nowhere")].into_iter()).expect("three places");
        for (one, other) in [("model", "model/."), ("model", "../model"), ("cut-off", "./cut-off"), ("nowhere", "nowhere")] {
            let other = if other.starts_with("..") { path("model").join(other) } else { path(other) };
            let refused = ensure_each_once([&path(one), &other].into_iter()).expect_err("the same").to_string();
            assert!(refused.contains("takes part twice"), "{refused}");
        }
    }

    #[test]
    fn a_mean_is_not_written_over_a_run_nor_over_a_part_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (out, part) = (folder.path().join("mean"), folder.path().join("part"));
        ensure_nothing_lost(&out, [&part].into_iter()).expect("nothing is there");
        std::fs::create_dir_all(&out).expect("a folder");
        let refused = ensure_nothing_lost(&out, [&part, &out.join(".")].into_iter()).expect_err("a part").to_string();
        assert!(refused.contains("takes part in the mean itself"), "{refused}");
        let checkpoint = folder.path().join("mean.run/checkpoint");
        std::fs::create_dir_all(&checkpoint).expect("a folder");
        ensure_nothing_lost(&out, [&part].into_iter()).expect("an earlier mean has no checkpoint");
        std::fs::write(checkpoint.join("progress.json"), "{}").expect("written");
        let refused = ensure_nothing_lost(&out, [&part].into_iter()).expect_err("a run").to_string();
        assert!(refused.contains("mean.run") && refused.contains("name another folder"), "{refused}");
    }
}
