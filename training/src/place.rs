//! The place that a model folder goes to: made beside it, and put there by a rename.
//!
//! What was there before stays as `<out>.previous`, and what was there before that is removed. So nothing but a model may be
//! there: a mistaken `--out` would otherwise cost a folder of orders, at once or the second time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use paidan::model::file;

use crate::checkpoint::{beside, rename};
use crate::held::Held;

/// What is in every model folder, and hardly ever together in any other.
const MARKS: [&str; 2] = [file::CONFIG, file::WEIGHTS];

/// A place that a model may go to. It is taken when the work begins that ends there: a command that is refused before that leaves
/// nothing behind.
pub struct Place {
    out: PathBuf,
    held: Option<Held>,
}

impl Place {
    /// Refuses what [`ensure_free`] does, and a place where another run is at work: at once, not after all orders were read.
    pub fn at(out: &Path) -> Result<Self> {
        ensure_free(out)?;
        Ok(Self { out: out.to_owned(), held: Held::take_if_there(out)? })
    }

    /// Where it is.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// From here on nobody else writes there.
    pub fn take(self) -> Result<Held> {
        self.held.map_or_else(|| Held::take(&self.out), Ok)
    }
}

/// Refuses an `--out` that would push aside or remove what is no model. To be asked before the work, not after hours of it.
pub fn ensure_free(out: &Path) -> Result<()> {
    ensure!(out.file_name().is_some(), "--out {}: names no folder of its own", out.display());
    for path in [out.to_owned(), beside(out, "previous")] {
        let is_model = MARKS.iter().all(|name| path.join(name).is_file());
        ensure!(is_model || is_empty(&path)?, "{}: there already and no model folder; {WAY_OUT}", path.display());
    }
    // A run that was killed leaves half a model here.
    let new = beside(out, "new");
    let is_begun = MARKS.iter().any(|name| new.join(name).is_file());
    ensure!(is_begun || is_empty(&new)?, "{}: there already and no half-made model; {WAY_OUT}", new.display());
    Ok(())
}

const WAY_OUT: &str = "it would be removed sooner or later, so move it away or name another folder as --out";

/// True if nothing is there, or a folder with nothing in it.
fn is_empty(path: &Path) -> Result<bool> {
    if !path.is_dir() {
        return Ok(path.symlink_metadata().is_err());
    }
    let mut entries = std::fs::read_dir(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    Ok(entries.next().is_none())
}

/// An empty folder beside a place that is held, to make things in before they take it.
pub(crate) fn fresh_beside(Held { out, .. }: &Held) -> Result<PathBuf> {
    ensure_free(out)?;
    let new = beside(out, "new");
    if new.exists() {
        std::fs::remove_dir_all(&new).with_context(|| format!("{}: cannot be removed", new.display()))?;
    }
    std::fs::create_dir_all(&new).with_context(|| format!("{}: cannot be created", new.display()))?;
    Ok(new)
}

/// Puts `new` in its place; what was there becomes `<out>.previous`.
pub(crate) fn take_place(new: &Path, Held { out, .. }: &Held) -> Result<()> {
    // Training takes hours: something else may have come there since it was asked first.
    ensure_free(out)?;
    let previous = beside(out, "previous");
    if out.exists() {
        if previous.exists() {
            std::fs::remove_dir_all(&previous).with_context(|| format!("{}: cannot be removed", previous.display()))?;
        }
        rename(out, &previous)?;
    }
    rename(new, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_model(folder: &Path, weights: &str) {
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(folder.join(file::CONFIG), "{}").expect("written");
        std::fs::write(folder.join(file::WEIGHTS), weights).expect("written");
    }

    #[test]
    fn a_model_makes_way_for_the_next_and_the_one_before_it_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("model");
        let held = Held::take(&out).expect("free");
        for weights in ["first", "second", "third"] {
            let new = fresh_beside(&held).expect("free");
            write_model(&new, weights);
            take_place(&new, &held).expect("taken");
        }
        let weights = |path: &Path| std::fs::read_to_string(path.join(file::WEIGHTS)).expect("weights");
        assert_eq!((weights(&out), weights(&beside(&out, "previous"))), ("third".to_owned(), "second".to_owned()));
    }

    #[test]
    fn nothing_and_an_empty_folder_and_half_a_model_are_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("model");
        ensure_free(&out).expect("nothing is there");
        std::fs::create_dir(&out).expect("a folder");
        std::fs::create_dir(beside(&out, "new")).expect("a folder");
        ensure_free(&out).expect("nothing is in them");
        std::fs::write(beside(&out, "new").join(file::WEIGHTS), "half").expect("written");
        ensure_free(&out).expect("a killed run left it");
    }

    #[test]
    fn what_is_no_model_is_refused_by_its_path_and_stays() {
        for name in ["work", "work.previous", "work.new"] {
            let folder = tempfile::tempdir().expect("a folder");
            let (out, path) = (folder.path().join("work"), folder.path().join(name));
            std::fs::create_dir_all(path.join("orders")).expect("a folder");
            let refused = ensure_free(&out).expect_err("a folder of something else").to_string();
            assert!(refused.starts_with(&format!("{}: there already", path.display())), "{refused}");
            assert!(refused.contains("name another folder as --out"), "{refused}");
            let held = Held::take(&out).expect("nobody is at work there");
            assert!(fresh_beside(&held).is_err() && path.join("orders").is_dir());
            std::fs::remove_dir_all(&path).expect("removed");
            std::fs::write(&path, "a file").expect("written");
            assert!(ensure_free(&out).is_err(), "{name} is a file");
        }
        assert!(ensure_free(Path::new("..")).expect_err("no name").to_string().contains("names no folder"));
    }
}
