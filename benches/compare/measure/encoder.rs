//! The seam between the comparison and the house: the one place that says how a model is opened with a precision. Everything else
//! here asks for `auto`, `f32`, `bf16` or `int8` and takes what it gets.

use std::path::Path;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use paidan::model::{Artifacts, Batch, Classifier, Look};
use paidan::routing::Router;

use crate::worker::{Encoder, Setup};

/// The encoder with its heads, as the router uses it.
pub struct Paidan {
    classifier: Classifier,
}

impl Paidan {
    /// Opens a model folder.
    pub fn open(setup: &Setup) -> Result<Self> {
        known(&setup.precision)?;
        // An error only says that an earlier `load` set the pool up, with the same number of threads.
        rayon::ThreadPoolBuilder::new().num_threads(setup.threads).build_global().ok();
        let artifacts = Artifacts::open(&setup.model)?;
        let (departments, with_dispute) = (artifacts.departments.len(), artifacts.has_dispute_head());
        let vb = VarBuilder::from_tensors(artifacts.tensors, DType::F32, &Device::Cpu);
        Ok(Self { classifier: Classifier::load(&artifacts.config, departments, with_dispute, vb)? })
    }
}

impl Encoder for Paidan {
    fn logits(&self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let types = vec![0; sequences.iter().map(|ids| ids.len()).max().context("an empty batch")?];
        let batch = Batch::new(sequences.iter().map(|ids| (*ids, &types[..ids.len()])), &Device::Cpu)?;
        let looks: Vec<Look> = (0..sequences.len()).map(|sequence| Look { sequence, hidden: 0..0 }).collect();
        Ok(self.classifier.forward(&batch, &looks, None)?.department_logits.to_vec2()?)
    }

    fn describe(&self) -> String {
        "f32".to_owned()
    }
}

/// A router with this precision.
pub fn router(folder: &Path, precision: &str) -> Result<Router> {
    known(precision)?;
    Ok(Router::open(folder)?)
}

/// The precisions there are.
fn known(precision: &str) -> Result<()> {
    if !["auto", "f32"].contains(&precision) {
        bail!("precision {precision} is not there yet");
    }
    Ok(())
}
