//! One number of a finished model folder is measured again. The model then answers otherwise, so it is another version of it: made
//! beside the folder, checked, and put in its place by a rename; the one before stays as `<model>.previous`.

use std::path::Path;

use anyhow::{Context, Result};
use paidan::model::{Artifacts, Calibration, DisputeModel, FileRecord, Manifest, file, sha256_hex};
use paidan::routing::Router;

use crate::checkpoint::write_flushed;
use crate::held::Held;
use crate::place::{fresh_beside, take_place};

/// The model card.
pub(crate) const CARD: &str = "README.md";

/// Changes the calibration of a folder that is held; what it was not asked to change stays. A folder that would no longer open is left as it is.
pub fn amend(held: &Held, change: impl FnOnce(&mut Calibration)) -> Result<()> {
    let model = &held.out;
    let Artifacts { mut calibration, dispute, manifest, .. } = Artifacts::open(model)?;
    let before = calibration.clone();
    change(&mut calibration);
    if calibration == before {
        crate::say(&format!("{}: that is what it says already; nothing is changed", model.display()));
        return Ok(());
    }
    let new = fresh_beside(held)?;
    copy(model, &new)?;
    write_flushed(&new.join(file::CALIBRATION), &serde_json::to_vec_pretty(&calibration)?)?;
    if let Some(manifest) = manifest {
        renew(&new, manifest, &calibration, dispute.as_ref())?;
    }
    Router::open(&new).context("the model no longer opens")?;
    take_place(&new, held)
}

/// The name of a set of weights and how it answers by them: two calibrations of the same weights are two versions.
pub(crate) fn version(
    created_at: &str,
    mut weights: Vec<u8>,
    calibration: &Calibration,
    dispute: Option<&DisputeModel>,
) -> Result<String> {
    weights.extend(serde_json::to_vec(&(calibration, dispute))?);
    Ok(format!("{}-{}", created_at.get(..10).unwrap_or_default().replace('-', ""), &sha256_hex(&weights)[..8]))
}

/// The new version in manifest and card, and both files' checksums.
fn renew(folder: &Path, mut manifest: Manifest, calibration: &Calibration, dispute: Option<&DisputeModel>) -> Result<()> {
    let read = |name: &str| {
        std::fs::read(folder.join(name)).with_context(|| format!("{}: cannot be read", folder.join(name).display()))
    };
    let version = version(&manifest.created_at, read(file::WEIGHTS)?, calibration, dispute)?;
    if folder.join(CARD).is_file() {
        let card = String::from_utf8_lossy(&read(CARD)?).into_owned();
        let (old, new) = (format!("version {}\n", manifest.version), format!("version {version}\n"));
        write_flushed(&folder.join(CARD), card.replacen(&old, &new, 1).as_bytes())?;
    }
    manifest.version = version;
    for name in [file::CALIBRATION, CARD].into_iter().filter(|name| folder.join(name).is_file()) {
        let bytes = read(name)?;
        manifest.files.insert(name.to_owned(), FileRecord { sha256: sha256_hex(&bytes), bytes: bytes.len() as u64 });
    }
    write_flushed(&folder.join(file::MANIFEST), &serde_json::to_vec_pretty(&manifest)?)
}

/// All that is in a folder.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| format!("{}: cannot be read", from.display()))? {
        let (path, copied) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if path.is_dir() {
            std::fs::create_dir(&copied).with_context(|| format!("{}: cannot be created", copied.display()))?;
            copy(&path, &copied)?;
            continue;
        }
        std::fs::copy(&path, &copied).with_context(|| format!("{}: cannot be copied", path.display()))?;
        let flushed = std::fs::File::open(&copied).and_then(|file| file.sync_all());
        flushed.with_context(|| format!("{}: cannot be flushed to disk", copied.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_number_is_another_version_and_the_model_before_it_stays_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let model = folder.path().join("model");
        std::fs::create_dir(&model).expect("a folder");
        crate::support::write_tiny_model(&model, 3);
        std::fs::write(model.join(CARD), "# tiny, version 20260101-00000000\n").expect("a card");
        let manifest = serde_json::json!({"format": 1, "name": "tiny", "version": "20260101-00000000", "files": {},
            "created_at": "2026-01-01T00:00:00Z", "git_commit": "", "configuration": {}, "metrics": {},
            "data": {"training_orders": 4, "training_sha256": "", "validation_orders": 0, "validation_sha256": ""}});
        std::fs::write(model.join(file::MANIFEST), manifest.to_string()).expect("a manifest");
        let version = |model: &Path| Artifacts::open(model).expect("a whole model").info().version;
        let held = Held::take(&model).expect("nobody is at work there");
        let set = |bound: f32| amend(&held, |calibration| calibration.recurrence_similarity = bound);

        set(0.75).expect("written");
        let first = version(&model);
        assert!(first.starts_with("20260101-") && first != "20260101-00000000", "{first}");
        let previous = folder.path().join("model.previous");
        assert_eq!(version(&previous), "20260101-00000000");
        let card = std::fs::read_to_string(model.join(CARD)).expect("a card");
        assert!(card.contains(&first), "{card}");
        set(0.75).expect("nothing to change");
        assert_eq!(version(&previous), "20260101-00000000", "and so nothing makes way");

        set(7.5).expect_err("no likeness");
        assert_eq!(version(&model), first, "what does not open takes nobody's place");
        set(0.8).expect("written");
        assert_ne!(version(&model), first);
        assert_eq!(version(&previous), first);
    }
}
