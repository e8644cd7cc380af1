//! One number of a finished model folder is measured again: `calibration.json` is written anew, and its checksum into the manifest.

use std::path::Path;

use anyhow::{Context, Result};
use paidan::model::{Artifacts, Calibration, FileRecord, file, sha256_hex};
use paidan::routing::Router;

use crate::checkpoint::write_flushed;

/// Changes the calibration of a folder; what it was not asked to change stays. Fails if the folder no longer opens after it.
pub fn amend(model: &Path, change: impl FnOnce(&mut Calibration)) -> Result<()> {
    let Artifacts { mut calibration, manifest, .. } = Artifacts::open(model)?;
    change(&mut calibration);
    let bytes = serde_json::to_vec_pretty(&calibration)?;
    write_flushed(&model.join(file::CALIBRATION), &bytes)?;
    if let Some(mut manifest) = manifest {
        let record = FileRecord { sha256: sha256_hex(&bytes), bytes: bytes.len() as u64 };
        manifest.files.insert(file::CALIBRATION.to_owned(), record);
        write_flushed(&model.join(file::MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    }
    Router::open(model).context("the model no longer opens")?;
    Ok(())
}
