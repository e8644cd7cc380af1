//! How `paidan-train` ends: the number that a script sees, and what it makes of a reader that went away.

use std::process::{Command, Stdio};

use crate::workshop::{QUICK, Workshop};

fn ending(arguments: &[&str]) -> Option<i32> {
    Command::new(env!("CARGO_BIN_EXE_paidan-train")).args(arguments).output().expect("paidan-train runs").status.code()
}

#[test]
fn a_script_learns_by_the_number_what_is_wrong() {
    assert_eq!(ending(&["--version"]), Some(0));
    assert_eq!(ending(&["train", "--no-such-flag"]), Some(64));
    let workshop = Workshop::new(QUICK);
    let path = |name: &str| workshop.path(name).to_string_lossy().into_owned();
    let (orders, labels) = (path("train.jsonl"), path("labels.tsv"));
    let repeats = |orders: &str, more: &[&str]| ending(&[&["repeats", "--orders", orders, "--labels", &labels], more].concat());
    assert_eq!(repeats(&path("no such.jsonl"), &[]), Some(66));
    let table = path("no such folder/table.json");
    assert_eq!(repeats(&path("no such.jsonl"), &["--json", &table]), Some(74), "where the table goes is tried first");
    workshop.write("labels.tsv", b"no labels\n");
    assert_eq!(repeats(&orders, &[]), Some(65));
    assert_eq!(workshop.train("train.jsonl/model", &[]).status.code(), Some(74), "no folder can be made there");
    std::fs::remove_dir_all(workshop.path("base")).expect("removed");
    assert_eq!(workshop.train("model", &[]).status.code(), Some(66), "the base model is not there");
}

#[test]
fn a_reader_that_goes_away_does_not_end_a_training() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 1"));
    let mut child = workshop.command("model", &[]).stderr(Stdio::piped()).spawn().expect("paidan-train runs");
    drop(child.stderr.take());
    assert!(child.wait().expect("it ends").success());
    assert!(workshop.path("model/manifest.json").is_file());
}
