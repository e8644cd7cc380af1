//! Checkpoints: a run that is killed at any moment goes on from the last one, to the same weights as an unbroken run.
//!
//! A checkpoint is written beside the old one, flushed to disk, and then takes its place by a rename: whatever happens, one
//! whole checkpoint is there.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor, Var};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::average::Ingredient;
use crate::config::TrainConfig;
use crate::model::Trainee;
use crate::optimizer::{AdamW, Moments};

/// Where a run is, beside its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The configuration; a run cannot go on with another.
    pub config: TrainConfig,
    /// sha-256 of training file, validation file and the base model's weights; a run cannot go on with others.
    pub inputs: [String; 3],
    /// Steps done in all.
    pub step: usize,
    /// Epoch that the next step belongs to, from 0.
    pub epoch: usize,
    /// Steps done in that epoch.
    pub step_in_epoch: usize,
    /// Sum of the losses in that epoch.
    pub epoch_loss: f64,
    /// One entry for each epoch done.
    pub history: Vec<EpochRecord>,
    /// Loss of each step, for the report's curve.
    pub losses: Vec<f32>,
    /// The runs whose mean this is; empty for a run of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub average_of: Vec<Ingredient>,
}

/// What an epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Mean loss of its steps.
    pub training_loss: f64,
    /// What epochs are compared by: the mean of accuracy and macro-F1, of text alone and with category.
    pub score: f64,
    /// Validation accuracy of text alone: of the frequent departments, or of all if no validation order is of a frequent one.
    pub accuracy: f64,
    /// Its macro-F1.
    pub macro_f1: f64,
    /// Accuracy with category and type.
    pub accuracy_with_category: f64,
    /// Its macro-F1.
    pub macro_f1_with_category: f64,
    /// Of the dispute head alone.
    pub dispute_auc: Option<f64>,
}

impl EpochRecord {
    /// A line for the person who waits.
    pub fn say(&self, what: &str) {
        crate::say(&format!(
            "{what}: loss {:.4}; text alone accuracy {:.4} macro-F1 {:.4}; with category {:.4} {:.4}; dispute AUC {}",
            self.training_loss,
            self.accuracy,
            self.macro_f1,
            self.accuracy_with_category,
            self.macro_f1_with_category,
            self.dispute_auc.map_or("-".to_owned(), |auc| format!("{auc:.3}")),
        ));
    }
}

impl Progress {
    /// The best epoch so far: the first of equals.
    pub fn best_epoch(&self) -> Option<usize> {
        let better = |best: usize, i: usize| if self.history[i].score > self.history[best].score { i } else { best };
        (0..self.history.len()).reduce(better)
    }
}

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It is not there.
    #[error("{}: no such run; name the folder that was given to train as --out", .0.display())]
    Missing(PathBuf),
    /// Another program writes there.
    #[error("{} is in use by another run; wait until that has ended, or name another folder", .0.display())]
    InUse(PathBuf),
}

/// The folder of a run: `checkpoint/` and `best.safetensors`.
pub struct RunFolder {
    root: PathBuf,
}

const STATE: &str = "state.safetensors";
const PROGRESS: &str = "progress.json";

impl RunFolder {
    /// `<out>.run`, beside the model folder. Whoever writes to it holds it ([`crate::held`]).
    pub(crate) fn create(out: &Path) -> Result<Self> {
        let root = beside(out, "run");
        std::fs::create_dir_all(&root).with_context(|| format!("{}: cannot be created", root.display()))?;
        Ok(Self { root })
    }

    /// The run beside a model folder that is there already.
    pub fn open(out: &Path) -> Result<Self> {
        let root = beside(out, "run");
        if root.is_dir() { Ok(Self { root }) } else { Err(RunError::Missing(root).into()) }
    }

    /// How the run went, as of its last checkpoint.
    pub fn progress<P: DeserializeOwned>(&self) -> Result<P> {
        let folder = self.current().with_context(|| format!("{}: no checkpoint", self.root.display()))?;
        let path = folder.join(PROGRESS);
        let bytes = std::fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{}: not a checkpoint of this program", folder.display()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Removes what an earlier run left: its best variables too, which would else be taken for this run's until its first epoch is
    /// done.
    pub fn clear(&self) -> Result<()> {
        for name in ["checkpoint", "checkpoint.old", "checkpoint.new"] {
            remove_if_there(&self.root.join(name))?;
        }
        let best = self.best();
        if best.exists() {
            std::fs::remove_file(&best).with_context(|| format!("{}: cannot be removed", best.display()))?;
        }
        Ok(())
    }

    /// True if a whole checkpoint is there.
    pub fn has_checkpoint(&self) -> bool {
        self.current().is_some()
    }

    /// `checkpoint`, or `checkpoint.old` if a kill came between the two renames.
    fn current(&self) -> Option<PathBuf> {
        ["checkpoint", "checkpoint.old"].map(|name| self.root.join(name)).into_iter().find(|path| path.join(PROGRESS).is_file())
    }

    /// Writes a checkpoint. `progress.json` is its last file.
    pub fn save(&self, variables: &BTreeMap<String, Var>, adamw: &AdamW, progress: &impl Serialize) -> Result<()> {
        let (new, current, old) =
            (self.root.join("checkpoint.new"), self.root.join("checkpoint"), self.root.join("checkpoint.old"));
        remove_if_there(&new)?;
        std::fs::create_dir_all(&new).with_context(|| format!("{}: cannot be created", new.display()))?;
        let mut tensors: HashMap<String, Tensor> = HashMap::new();
        for (name, variable) in variables {
            tensors.insert(name.clone(), variable.as_tensor().clone());
        }
        for (name, moments) in &adamw.moments {
            let length = moments.first.len();
            tensors.insert(format!("adam.first.{name}"), Tensor::from_slice(&moments.first, length, &Device::Cpu)?);
            tensors.insert(format!("adam.second.{name}"), Tensor::from_slice(&moments.second, length, &Device::Cpu)?);
        }
        write_tensors(&tensors, &new.join(STATE))?;
        write_flushed(&new.join(PROGRESS), &serde_json::to_vec_pretty(progress)?)?;
        make_way(&current, &old)?;
        rename(&new, &current)?;
        sync_folder(&self.root)?;
        remove_if_there(&old)
    }

    /// Restores the moments, and hands out where the run was and the variables' values. How many steps were done is the progress's
    /// to say.
    pub fn load<P: DeserializeOwned>(&self, adamw: &mut AdamW) -> Result<(P, HashMap<String, Tensor>)> {
        let folder = self.current().with_context(|| format!("{}: no checkpoint to resume from", self.root.display()))?;
        let progress = self.progress()?;
        let mut tensors = candle_core::safetensors::load(folder.join(STATE), &Device::Cpu)
            .with_context(|| format!("{}: the checkpoint is damaged; start again without --resume", folder.display()))?;
        for (name, moments) in &mut adamw.moments {
            let mut take = |part: &str| -> Result<Vec<f32>> {
                let tensor = tensors.remove(&format!("adam.{part}.{name}")).with_context(|| format!("no moments of {name}"))?;
                ensure!(tensor.elem_count() == moments.first.len(), "the moments of {name} are of another size");
                Ok(tensor.flatten_all()?.to_vec1()?)
            };
            let (first, second) = (take("first")?, take("second")?);
            *moments = Moments { first, second };
        }
        Ok((progress, tensors))
    }

    /// Keeps the variables as the best so far.
    pub fn save_best(&self, trainee: &Trainee) -> Result<()> {
        let temporary = self.root.join("best.new");
        write_tensors(&trainee.snapshot()?, &temporary)?;
        rename(&temporary, &self.best())
    }

    /// The file of the best variables.
    pub fn best(&self) -> PathBuf {
        self.root.join("best.safetensors")
    }

    /// The best variables.
    pub fn load_best(&self) -> Result<HashMap<String, Tensor>> {
        let path = self.best();
        candle_core::safetensors::load(&path, &Device::Cpu).with_context(|| format!("{}: cannot be read", path.display()))
    }
}

/// Makes `current` the old one. Where a kill came between two renames there is an old one only: it stays until the new is there.
fn make_way(current: &Path, old: &Path) -> Result<()> {
    if !current.exists() {
        return Ok(());
    }
    remove_if_there(old)?;
    rename(current, old)
}

fn remove_if_there(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("{}: cannot be removed", folder.display()))?;
    }
    Ok(())
}

/// Gives a file or folder its name.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).with_context(|| format!("{}: cannot be renamed to {}", from.display(), to.display()))
}

/// Waits until what was renamed in a folder is on disk.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|opened| opened.sync_all());
    synced.with_context(|| format!("{}: cannot be flushed to disk", folder.display()))
}

/// `<path>.<suffix>`, beside it.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{suffix}"));
    path.with_file_name(name)
}

/// Writes a file and waits until it is on disk.
pub fn write_flushed(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let named = || format!("{}: cannot be written", path.display());
    let mut file = File::create(path).with_context(named)?;
    file.write_all(bytes).with_context(named)?;
    file.sync_all().with_context(named)
}

/// Writes tensors and waits until they are on disk.
pub fn write_tensors(tensors: &HashMap<String, Tensor>, path: &Path) -> Result<()> {
    let named = || format!("{}: cannot be written", path.display());
    // They are written through a temporary file that nobody but its owner may read, and that would stay so: who copies or serves a
    // model is often another user. A file made here tells what the umask allows. Bytes made beforehand would not need it, but they
    // are as large as all tensors together once more.
    let allowed = File::create(path).and_then(|made| made.metadata()).with_context(named)?.permissions();
    candle_core::safetensors::save(tensors, path).with_context(named)?;
    std::fs::set_permissions(path, allowed).with_context(named)?;
    File::open(path).and_then(|written| written.sync_all()).with_context(named)
}

/// Whether a file holds these tensors, to the last bit. One that is not there does not.
pub fn holds(path: &Path, tensors: &HashMap<String, Tensor>) -> Result<bool> {
    let is_there = path.is_file();
    let read = || std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()));
    Ok(is_there && read()? == safetensors::serialize(tensors, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_starts_again_has_no_best_variables_of_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = RunFolder::create(&folder.path().join("model")).expect("a run");
        std::fs::create_dir(run.path().join("checkpoint")).expect("a folder");
        std::fs::write(run.best(), "of the run before").expect("written");
        run.clear().expect("cleared");
        assert!(!run.best().exists() && !run.path().join("checkpoint").exists());
        run.clear().expect("nothing to clear is no fault");
    }

    #[test]
    fn the_only_checkpoint_is_not_removed_before_the_next_one_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let (current, old) = (folder.path().join("checkpoint"), folder.path().join("checkpoint.old"));
        std::fs::create_dir(&old).expect("a folder");
        make_way(&current, &old).expect("nothing is in the way");
        assert!(old.is_dir(), "a kill came between the two renames");
        std::fs::create_dir_all(current.join("newer")).expect("a folder");
        make_way(&current, &old).expect("made way");
        assert!(old.join("newer").is_dir() && !current.exists());
    }

    /// Somebody else serves or copies a model than the one who trained it.
    #[test]
    #[cfg(unix)]
    fn tensors_are_readable_by_whom_other_files_are() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().expect("a folder");
        let (plain, weights) = (folder.path().join("plain"), folder.path().join("model.safetensors"));
        std::fs::write(&plain, "x").expect("written");
        let tensors = HashMap::from([("a".to_owned(), Tensor::new(&[1.0f32], &Device::Cpu).expect("a tensor"))]);
        let mode = |path: &Path| std::fs::metadata(path).expect("a file").permissions().mode();
        for _ in 0..2 {
            write_tensors(&tensors, &weights).expect("written");
            assert_eq!(mode(&weights), mode(&plain));
            assert!(holds(&weights, &tensors).expect("read") && !holds(&weights, &HashMap::new()).expect("read"));
        }
        assert!(!holds(&plain.join("none"), &tensors).expect("nothing is there"));
    }

    #[test]
    fn a_checkpoint_that_cannot_be_written_is_named_by_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = RunFolder::create(&folder.path().join("model")).expect("a run");
        std::fs::write(run.path().join("checkpoint.new"), "a file in the way").expect("written");
        let adamw = AdamW::new(&BTreeMap::new(), 0.0, 1.0);
        let refused = run.save(&BTreeMap::new(), &adamw, &"progress").expect_err("in the way").to_string();
        assert!(refused.contains("model.run") && refused.contains("checkpoint.new: cannot be removed"), "{refused}");
    }

    #[test]
    fn figures_come_back_from_a_checkpoint_to_the_last_digit() {
        // Some of these were read one unit in the last place off.
        let mut value = 0.5f64;
        let losses: Vec<f64> = std::iter::repeat_with(|| {
            value = 3.9 * value * (1.0 - value);
            value
        })
        .take(2_000)
        .collect();
        let read: Vec<f64> = serde_json::from_slice(&serde_json::to_vec_pretty(&losses).expect("json")).expect("numbers");
        assert_eq!(read, losses);
    }
}
