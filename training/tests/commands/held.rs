//! One run at a time in one place: a second one is refused at once, and a run that was killed leaves the place free.

use std::process::{Command, Stdio};

use crate::workshop::{QUICK, Workshop, assert_success, stderr};
use paidan_training::held::{Held, lock};

fn command(workshop: &Workshop, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    // Paths are those in the workshop's folder.
    command.current_dir(workshop.folder.path()).args(arguments);
    command
}

#[test]
fn a_place_that_another_run_is_at_work_in_is_refused_by_every_command_that_writes_there() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 1"));
    assert_success(&workshop.train("model", &[]));
    std::fs::create_dir(workshop.path("cross")).expect("a folder");
    let files = || {
        let read = |name: &str| std::fs::read(workshop.path(name)).expect("a file");
        ["model/manifest.json", "model.run/checkpoint/progress.json", "model.run/best.safetensors"].map(read)
    };
    let before = files();
    let held = (Held::take(&workshop.path("model")).expect("free"), lock(&workshop.path("cross")).expect("free"));
    let orders = ["--orders", "train.jsonl"];
    let both = [&orders[..], &["--validation", "validation.jsonl"]].concat();
    let learn = [&both[..], &["--base", "base", "--out", "model"]].concat();
    for (name, arguments, place) in [
        ("train", learn.clone(), "model.run"),
        ("train", [&learn[..], &["--resume"]].concat(), "model.run"),
        ("average", [&learn[..], &["--run", "a", "--run", "b"]].concat(), "model.run"),
        ("adapt", [&orders[..], &["--base", "base", "--out", "model"]].concat(), "model.run"),
        ("calibrate", [&both[..], &["--model", "model", "--out", "model"]].concat(), "model.run"),
        ("likeness", [&both[..], &["--model", "model", "--write"]].concat(), "model.run"),
        ("returns", [&both[..], &["--model", "model", "--write"]].concat(), "model.run"),
        ("recurrences", [&both[..], &["--model", "model", "--write"]].concat(), "model.run"),
        ("duties", vec!["--model", "model", "--catalog", "none", "--validation", "validation.jsonl", "--write"], "model.run"),
        ("crossfit", [&orders[..], &["--base", "base", "--out", "cross"]].concat(), "cross"),
    ] {
        let output = command(&workshop, &[&[name], &arguments[..]].concat()).output().expect("paidan-train runs");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(69), "{name}: {said}");
        assert!(said.contains(&format!("{place} is in use by another run")), "{name}: {said}");
    }
    assert_eq!(files(), before, "nothing of the run that is at work was touched");
    // Who only reads is in nobody's way.
    let mut reading = command(&workshop, &[&["likeness", "--model", "model"], &both[..]].concat());
    assert_success(&reading.output().expect("paidan-train runs"));
    drop(held);
    assert_success(&workshop.train("model", &[]));
}

#[test]
fn two_trainings_in_one_place_do_not_mix_and_a_killed_one_leaves_it_free() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 500\npatience = 500"));
    let mut first = workshop.command("model", &[]).stderr(Stdio::null()).spawn().expect("paidan-train runs");
    let checkpoint = workshop.path("model.run/checkpoint/progress.json");
    while !checkpoint.exists() && first.try_wait().expect("a child").is_none() {
        std::thread::yield_now();
    }
    let second = workshop.train("model", &[]);
    let is_at_work = first.try_wait().expect("a child").is_none();
    first.kill().ok();
    first.wait().expect("a child");
    assert!(is_at_work, "the first ended too early to tell");
    assert_eq!(second.status.code(), Some(69), "{}", stderr(&second));
    assert!(!workshop.path("model").exists() && checkpoint.is_file(), "the first one's checkpoint stays");
    workshop.write("config.toml", QUICK.as_bytes());
    assert_success(&workshop.train("model", &[]));
}
