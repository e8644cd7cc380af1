//! One program at a time writes to a place: to a model folder `<out>` and to what lies beside it, `.run`, `.new` and `.previous`.
//!
//! Two runs in one place would take each other's checkpoints and best variables for their own, and both would end well with the
//! weights of one under the other's name. The lock is the system's, on a file in `<out>.run`: it goes with the process, so that a
//! run that was killed leaves nothing to clear away.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::checkpoint::{RunError, RunFolder, beside};

const LOCK: &str = "lock";

/// The right to write to a place, for as long as it lives.
pub struct Held {
    /// Where the model folder goes.
    pub out: PathBuf,
    /// What lies beside it.
    pub run: RunFolder,
    _lock: File,
}

impl Held {
    /// Takes the place, and makes its run folder if there is none.
    pub fn take(out: &Path) -> Result<Self> {
        ensure!(out.file_name().is_some(), "{}: names no folder of its own", out.display());
        let run = RunFolder::create(out)?;
        let lock = lock(run.path())?;
        Ok(Self { out: out.to_owned(), run, _lock: lock })
    }

    /// Takes the place if somebody wrote to it before; makes nothing.
    pub fn take_if_there(out: &Path) -> Result<Option<Self>> {
        beside(out, "run").is_dir().then(|| Self::take(out)).transpose()
    }
}

/// Locks a folder that is there, until the file is dropped; refused at once if another program has it.
pub fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = opened.with_context(|| format!("{}: cannot be opened", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::InUse(folder.to_owned()).into()),
        // Some network drives have no locks. To refuse would make them useless, to be silent would promise what nobody keeps.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
            let folder = folder.display();
            crate::say(&format!("{folder}: this file system has no locks; see to it that no other run writes there"));
            Ok(file)
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("{}: cannot be locked", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_held_by_one_at_a_time_and_is_free_when_that_one_has_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("model");
        assert!(Held::take_if_there(&out).expect("nobody has it").is_none());
        assert!(!beside(&out, "run").exists(), "to ask makes nothing");
        let first = Held::take(&out).expect("free");
        for second in [Held::take(&out).map(Some), Held::take_if_there(&out)] {
            let refused = second.err().expect("held").to_string();
            assert!(refused.contains("model.run is in use by another run"), "{refused}");
        }
        Held::take(&folder.path().join("other")).expect("another place");
        drop(first);
        Held::take_if_there(&out).expect("free again").expect("its run folder is there");
    }
}
