//! Calibrates a model folder anew: the weights stay, all that is fitted beside them is fitted again.
//!
//! The training orders must be the very ones that the model learnt from. Others would be taken for what they are not: what the
//! model makes of orders that it has seen says nothing of those to come, and validation orders among them would flatter it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use paidan::model::{CENTRES, DEPARTMENT_WORDS, DISPUTE_WORDS, Manifest};
use paidan::text::AppealTokenizer;

use crate::average::Ingredient;
use crate::checkpoint::Progress;
use crate::config::TrainConfig;
use crate::crossfit::{CrossWeights, ensure_of};
use crate::dataset::{Labels, Orders};
use crate::examples::Example;
use crate::export::Export;
use crate::opening::Opened;
use crate::place::Place;

/// Writes `out` from the weights of `model`, and returns its manifest. `crossfit` is the folder of a crossfit of the same orders.
pub fn refit(model: &Path, [orders, validation]: [&Path; 2], crossfit: Option<&Path>, out: &Path) -> Result<Manifest> {
    let place = Place::at(out)?;
    let Opened { artifacts, training, validation } = Opened::read(model, orders, validation)?;
    let manifest = artifacts.manifest.as_ref();
    let manifest = manifest.with_context(|| format!("{}: no manifest.json; paidan-train did not write it", model.display()))?;
    crossfit.map(|folder| ensure_of(folder, &training)).transpose()?;
    let weights = crossfit.map(CrossWeights::read).transpose()?.flatten();
    let labels = Labels::collect(&training)?;
    let same = labels.departments.iter().map(|d| &d.id).eq(artifacts.departments.iter().map(|d| &d.id));
    ensure!(same, "{}: its departments are not those of the model", orders.display());
    let progress = progress(manifest).with_context(|| format!("{}/manifest.json", model.display()))?;
    let tokenizer = AppealTokenizer::from_bytes(&artifacts.tokenizer)?;
    let examples =
        |orders: &Orders| -> Vec<Example> { orders.orders.iter().map(|order| Example::new(order, &labels)).collect() };
    let export = Export {
        base: &artifacts,
        labels: &labels,
        training: &training,
        training_examples: &examples(&training),
        validation: &validation,
        validation_examples: &examples(&validation),
        tokenizer: &tokenizer,
        progress: &progress,
        weights: weights.as_ref(),
        trained_by: Some(&manifest.git_commit),
    };
    let mut tensors = artifacts.tensors.clone();
    // These are found again.
    tensors.retain(|name, _| ![CENTRES, DEPARTMENT_WORDS, DISPUTE_WORDS].contains(&name.as_str()));
    Ok(export.write_weighted(&place.take()?, tensors)?.0)
}

/// What the manifest says of the run, or of the runs whose mean it is.
pub(crate) fn progress(manifest: &Manifest) -> Result<Progress> {
    let average_of: Vec<Ingredient> = match manifest.configuration.get("average_of") {
        Some(runs) => serde_json::from_value(runs.clone())?,
        None => Vec::new(),
    };
    let config = match average_of.first() {
        Some(first) => {
            // What a mean says of itself is not what its first run did.
            let about = manifest.configuration.get("about").and_then(|about| about.as_str());
            let about = about.map_or_else(|| first.configuration.about.clone(), str::to_owned);
            TrainConfig { name: manifest.name.clone(), about, ..first.configuration.clone() }
        }
        None => serde_json::from_value(manifest.configuration.clone())?,
    };
    Ok(Progress {
        config,
        inputs: Default::default(),
        step: 0,
        epoch: 0,
        step_in_epoch: 0,
        epoch_loss: 0.0,
        history: Vec::new(),
        losses: Vec::new(),
        average_of,
    })
}
