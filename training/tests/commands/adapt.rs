//! `paidan-train adapt`: a base model that has read a hotline's orders, labelled or not.

use std::process::{Command, Output};

use crate::workshop::{QUICK, Workshop, assert_success, orders, stderr};

const CONFIG: &str = "epochs = 12\nstep_tokens = 128\nmax_tokens = 64\nlearning_rate = 2e-3\ncheckpoint_steps = 2\n";

/// A workshop whose orders have notes and no labels.
fn unlabelled() -> Workshop {
    let workshop = Workshop::new(QUICK);
    let mut text = String::new();
    for line in orders(160, 0).lines() {
        let mut order: serde_json::Value = serde_json::from_str(line).expect("json");
        order["handling_note"] = "电话 13876543210 小区停电了\n电话 13876543210 小区停电了".into();
        for label in ["department", "rerouted", "instructed"] {
            order.as_object_mut().expect("an object").remove(label);
        }
        text.push_str(&format!("{order}\n"));
    }
    workshop.write("train.jsonl", text.as_bytes());
    workshop.write("adapt.toml", CONFIG.as_bytes());
    workshop
}

fn command(workshop: &Workshop, out: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    command.arg("adapt").arg("--orders").arg(workshop.path("train.jsonl")).arg("--base").arg(workshop.path("base"));
    command.arg("--config").arg(workshop.path("adapt.toml")).arg("--out").arg(workshop.path(out)).args(more);
    command
}

fn adapt(workshop: &Workshop, out: &str, more: &[&str]) -> Output {
    command(workshop, out, more).output().expect("paidan-train runs")
}

/// The surprise at the words kept aside: before, and after each epoch.
fn surprises(workshop: &Workshop, out: &str) -> Vec<f64> {
    let path = workshop.path(&format!("{out}.run")).join("checkpoint/progress.json");
    let course: serde_json::Value = serde_json::from_slice(&std::fs::read(path).expect("a checkpoint")).expect("json");
    let guesses = course["guesses"].as_array().expect("guesses");
    guesses.iter().map(|guess| guess["surprise"].as_f64().expect("a number")).collect()
}

#[test]
fn a_base_model_learns_to_guess_hidden_words_and_is_fine_tuned_like_any_other() {
    let workshop = unlabelled();
    let output = adapt(&workshop, "adapted", &[]);
    assert_success(&output);
    assert!(stderr(&output).contains("160 orders to read, 160 with a note"), "{}", stderr(&output));
    let surprises = surprises(&workshop, "adapted");
    assert_eq!(surprises.len(), 13, "before, and after each epoch");
    assert!(surprises[12] < surprises[0] / 2.0, "the words kept aside surprise as before: {surprises:?}");
    let card = std::fs::read_to_string(workshop.path("adapted/README.md")).expect("a card");
    assert!(card.contains("| 12 |") && card.contains("160 orders"), "{card}");
    let page = std::fs::read_to_string(workshop.path("adapted.run/report.html")).expect("a report");
    assert!(page.contains("<svg"), "a report has plots");

    workshop.write("train.jsonl", orders(64, 0).as_bytes());
    let base = workshop.path("adapted");
    let mut train = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    train.arg("train").arg("--orders").arg(workshop.path("train.jsonl")).arg("--validation");
    train.arg(workshop.path("validation.jsonl")).arg("--base").arg(base).arg("--out").arg(workshop.path("model"));
    train.arg("--config").arg(workshop.path("config.toml"));
    assert_success(&train.output().expect("paidan-train runs"));
    let tensors = safetensors::SafeTensors::deserialize(&workshop.weights("model")).expect("weights").names().len();
    assert!(tensors > 0);
    assert!(
        !safetensors::SafeTensors::deserialize(&workshop.weights("model"))
            .expect("weights")
            .names()
            .iter()
            .any(|n| n.starts_with("cls.")),
        "the head that guesses words is not the router's"
    );
}

#[test]
fn an_adaptation_that_is_killed_again_and_again_ends_as_an_unbroken_one() {
    let workshop = unlabelled();
    assert_success(&adapt(&workshop, "unbroken", &[]));
    workshop.kill_again_and_again("broken", || command(&workshop, "broken", &["--resume"]));
    assert!(!workshop.path("broken").exists(), "it was killed before it was done");
    let output = adapt(&workshop, "broken", &["--resume"]);
    assert_success(&output);
    assert!(stderr(&output).contains("resuming at epoch"), "{}", stderr(&output));
    assert_eq!(workshop.losses("broken"), workshop.losses("unbroken"));
    assert_eq!(surprises(&workshop, "broken"), surprises(&workshop, "unbroken"));
    assert_eq!(workshop.weights("broken"), workshop.weights("unbroken"));
}

#[test]
fn an_adaptation_that_is_done_is_not_written_once_more() {
    let workshop = unlabelled();
    workshop.write("adapt.toml", CONFIG.replace("epochs = 12", "epochs = 1").as_bytes());
    assert_success(&adapt(&workshop, "adapted", &[]));
    let first = workshop.weights("adapted");
    workshop.write("adapt.toml", format!("seed = 9\n{}", CONFIG.replace("epochs = 12", "epochs = 1")).as_bytes());
    assert_success(&adapt(&workshop, "adapted", &[]));
    let second = workshop.weights("adapted");
    assert_ne!(first, second);
    let output = adapt(&workshop, "adapted", &["--resume"]);
    assert_success(&output);
    assert!(
        stderr(&output).contains("adapted: this run is done") && stderr(&output).contains("nothing is changed"),
        "{output:?}"
    );
    assert_eq!((workshop.weights("adapted.previous"), workshop.weights("adapted")), (first, second.clone()));
    // A model that is not whole is written again.
    std::fs::remove_file(workshop.path("adapted/tokenizer.json")).expect("removed");
    assert_success(&adapt(&workshop, "adapted", &["--resume"]));
    assert!(workshop.path("adapted/tokenizer.json").is_file() && workshop.weights("adapted") == second);
}

#[test]
fn a_file_that_is_named_twice_is_refused_and_an_order_in_two_files_is_said() {
    let workshop = unlabelled();
    workshop.write("adapt.toml", CONFIG.replace("epochs = 12", "epochs = 1").as_bytes());
    std::fs::copy(workshop.path("train.jsonl"), workshop.path("copy.jsonl")).expect("copied");
    workshop.write("more.jsonl", orders(20, 150).as_bytes());
    let with = |name: &str| {
        let path = workshop.path(name).to_string_lossy().into_owned();
        adapt(&workshop, "adapted", &["--orders", &path])
    };
    for same in ["train.jsonl", "copy.jsonl"] {
        let output = with(same);
        assert_eq!(output.status.code(), Some(65));
        assert!(stderr(&output).contains(&format!("{same}: holds the same as --orders")), "{}", stderr(&output));
    }
    assert!(!workshop.path("adapted.run").exists());
    let output = with("more.jsonl");
    assert_success(&output);
    let said = stderr(&output);
    assert!(
        said.contains("180 orders to read") && said.contains("10 of them were read before under the same order_id"),
        "{said}"
    );
}

#[test]
fn a_checkpoint_of_other_orders_or_another_configuration_is_refused() {
    let workshop = unlabelled();
    assert_success(&adapt(&workshop, "adapted", &[]));
    workshop.write("adapt.toml", CONFIG.replace("epochs = 12", "epochs = 13").as_bytes());
    let output = adapt(&workshop, "adapted", &["--resume"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("another configuration"), "{}", stderr(&output));
    workshop.write("adapt.toml", CONFIG.as_bytes());
    workshop.write("train.jsonl", orders(80, 0).as_bytes());
    let output = adapt(&workshop, "adapted", &["--resume"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("other orders"), "{}", stderr(&output));
}

#[test]
fn bad_rows_are_named_and_good_ones_read_and_nothing_to_read_is_an_error() {
    let workshop = unlabelled();
    let good = orders(80, 0);
    workshop.write("train.jsonl", format!("{good}{{\"order_id\": \"X\"}}\nno json\n").as_bytes());
    let output = adapt(&workshop, "adapted", &[]);
    assert_success(&output);
    let said = stderr(&output);
    assert!(
        said.contains("train.jsonl:81: neither appeal nor content") && said.contains("train.jsonl:82: not a JSON object"),
        "{said}"
    );
    assert!(said.contains("80 orders to read, 0 with a note"), "{said}");
    workshop.write("train.jsonl", b"no json\n");
    let output = adapt(&workshop, "none", &[]);
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("no order can be read"), "{}", stderr(&output));
    workshop.write("adapt.toml", b"hidden = 0.3\n");
    assert!(stderr(&adapt(&workshop, "none", &[])).contains("hidden"), "the unknown key is named");
}
