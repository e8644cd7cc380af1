//! The seam between the comparison and the house: the one place that says how a model is opened with a precision. Everything else
//! here asks for `auto`, `f32`, `bf16` or `int8` and takes what it gets.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use paidan::model::{Artifacts, Cores, Encoder, Look, Sequence, Setting};
use paidan::routing::Router;

use crate::worker::{Encoder as Rival, Setup};

/// The encoder with its heads, as the router uses it.
pub struct Paidan {
    encoder: Encoder,
    cores: Cores,
}

impl Paidan {
    /// Opens a model folder.
    pub fn open(setup: &Setup) -> Result<Self> {
        // An error only says that an earlier `load` set the pool up, with the same number of threads.
        rayon::ThreadPoolBuilder::new().num_threads(setup.threads).build_global().ok();
        let encoder = Encoder::new(&Artifacts::open(&setup.model)?, setting(&setup.precision)?)?;
        // As the service does it: one batch a core under load, all cores on what comes alone.
        Ok(Self { encoder, cores: if setup.streams > 1 { Cores::One } else { Cores::All } })
    }
}

impl Rival for Paidan {
    fn logits(&self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let types = vec![0; sequences.iter().map(|ids| ids.len()).max().context("an empty batch")?];
        let looks: Vec<Look> = (0..sequences.len()).map(|sequence| Look { sequence, hidden: 0..0 }).collect();
        let count = sequences.len();
        let sequences: Vec<Sequence<'_>> =
            sequences.iter().map(|ids| Sequence { ids, type_ids: &types[..ids.len()] }).collect();
        let logits = self.encoder.forward(&sequences, &looks, self.cores)?.department_logits;
        Ok(logits.chunks_exact(logits.len() / count).map(<[f32]>::to_vec).collect())
    }

    fn describe(&self) -> String {
        self.encoder.description()
    }
}

/// A router with this precision.
pub fn router(folder: &Path, precision: &str) -> Result<Router> {
    Ok(Router::open_with(folder, setting(precision)?)?)
}

fn setting(precision: &str) -> Result<Setting> {
    Ok(Setting { precision: precision.parse().map_err(|reason: String| anyhow!(reason))?, kernel: None })
}
