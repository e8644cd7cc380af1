//! A measurement from the command line: what may be written is asked for before it begins, since it takes minutes.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use paidan_training::held::Held;
use paidan_training::say;
use serde::Serialize;

use crate::arguments::LikenessArgs;

/// A measurement of a model on the orders that it learnt from and on later ones; it writes to the model folder if that is held.
pub type OnModel<R> = fn(&Path, &Path, &Path, Option<&Held>) -> Result<R>;

/// Runs one of these.
pub fn on_model<R: Serialize>(args: &LikenessArgs, measure: OnModel<R>, text: fn(&R) -> String) -> Result<()> {
    let LikenessArgs { model, orders, validation, json, write } = args;
    measured(json.as_deref(), || measure(model, orders, validation, held(model, *write)?.as_ref()), text)
}

/// Measures, tells it, and writes it to `json` too.
pub fn measured<R: Serialize>(json: Option<&Path>, measure: impl FnOnce() -> Result<R>, text: fn(&R) -> String) -> Result<()> {
    json.map(try_to_write).transpose()?;
    let report = measure()?;
    say(&text(&report));
    let Some(path) = json else { return Ok(()) };
    std::fs::write(path, serde_json::to_vec_pretty(&report)?).map_err(unwritable).with_context(|| named(path))
}

/// The model folder, if it is to be written to. One that is not there is for the measurement to miss.
pub fn held(model: &Path, write: bool) -> Result<Option<Held>> {
    (write && model.is_dir()).then(|| Held::take(model)).transpose()
}

/// Finds out whether a file can be written, and leaves everything as it was. What is no file, a pipe say, is not touched: who reads
/// there would see its end.
fn try_to_write(path: &Path) -> Result<()> {
    let tried = match path.metadata() {
        Ok(there) if there.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(there) if there.is_file() => OpenOptions::new().write(true).open(path).map(drop),
        Ok(_) => Ok(()),
        Err(_) => OpenOptions::new().write(true).create_new(true).open(path).and_then(|_| std::fs::remove_file(path)),
    };
    tried.map_err(unwritable).with_context(|| named(path))
}

/// Where the folder is not there that is no missing input.
fn unwritable(error: std::io::Error) -> std::io::Error {
    std::io::Error::other(error)
}

fn named(path: &Path) -> String {
    format!("{}: cannot be written", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_for_the_table_is_tried_before_anything_is_measured_and_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("before.json"), "what was there").expect("written");
        let text = |_: &u8| String::new();
        for name in ["", "no such folder/table.json", "before.json/table.json"] {
            let mut has_measured = false;
            let told = measured(Some(&path(name)), || Ok(u8::from(std::mem::replace(&mut has_measured, true))), text);
            let refused = told.expect_err("no place for a file").to_string();
            assert!(refused.contains("cannot be written") && !has_measured, "{refused}");
        }
        for name in ["before.json", "new.json"] {
            measured::<u8>(Some(&path(name)), || anyhow::bail!("nothing to measure"), text).expect_err("not measured");
        }
        assert_eq!(std::fs::read_to_string(path("before.json")).expect("still there"), "what was there");
        assert!(!path("new.json").exists());
        measured(Some(&path("new.json")), || Ok(7), text).expect("measured");
        assert_eq!(std::fs::read_to_string(path("new.json")).expect("a table"), "7");
    }
}
