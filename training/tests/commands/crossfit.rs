//! `paidan-train crossfit`, and training with what it writes: a teacher, and weights for the witnesses of a dispute.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::workshop::{QUICK, Workshop, assert_success, orders, stderr};

const ENOUGH: &str =
    "name = \"tiny\"\nepochs = 20\nbatch_size = 8\nmax_tokens = 64\nlearning_rate = 1e-3\ncheckpoint_steps = 2\n";

fn crossfit(workshop: &Workshop, out: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    command.arg("crossfit").arg("--orders").arg(workshop.path("train.jsonl")).arg("--base").arg(workshop.path("base"));
    command.arg("--config").arg(workshop.path("config.toml")).arg("--out").arg(workshop.path(out)).args(["--folds", "2"]);
    command
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).expect("a file");
    text.lines().map(|line| serde_json::from_str(line).expect("json")).collect()
}

/// A crossfit's folder with nothing but these lessons about the training orders.
fn lessons(workshop: &Workshop, text: &str) -> String {
    std::fs::create_dir_all(workshop.path("lessons")).expect("a folder");
    let orders = paidan::model::sha256_hex(&std::fs::read(workshop.path("train.jsonl")).expect("orders"));
    workshop.write("lessons/crossfit.json", serde_json::json!({ "orders": orders }).to_string().as_bytes());
    workshop.write("lessons/teacher.jsonl", text.as_bytes());
    workshop.path("lessons").to_string_lossy().into_owned()
}

#[test]
fn every_order_is_answered_and_a_planted_wrong_label_is_doubted_most() {
    let workshop = Workshop::new(ENOUGH);
    let mut planted: Vec<serde_json::Value> =
        orders(96, 0).lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    assert_eq!(planted[8]["department"], "城管");
    planted[8]["department"] = "供电".into();
    // Disputed orders were first sent to somebody else.
    for order in planted.iter_mut().filter(|order| order["rerouted"] == true) {
        order["instructed"] = serde_json::json!([if order["department"] == "水务" { "交警" } else { "水务" }]);
    }
    let text: String = planted.iter().map(|order| format!("{order}\n")).collect();
    workshop.write("train.jsonl", text.as_bytes());
    let output = crossfit(&workshop, "cross").output().expect("paidan-train runs");
    assert_success(&output);
    assert!(stderr(&output).contains("96 orders answered by models that did not learn from them"), "{}", stderr(&output));

    let teacher = lines(&workshop.path("cross/teacher.jsonl"));
    let ids: BTreeSet<&str> = teacher.iter().map(|lesson| lesson["order_id"].as_str().expect("a number")).collect();
    assert_eq!((teacher.len(), ids.len()), (96, 96));
    for lesson in &teacher {
        let probabilities = lesson["probabilities"].as_object().expect("probabilities");
        let sum: f64 = probabilities.values().map(|p| p.as_f64().expect("a number")).sum();
        assert!((sum - 1.0).abs() < 5e-3, "{lesson}");
    }
    let doubts = std::fs::read_to_string(workshop.path("cross/doubts.tsv")).expect("a table");
    let first: Vec<&str> = doubts.lines().nth(1).expect("a doubt").split('\t').collect();
    assert_eq!((first[0], first[1], first[3]), ("T8", "供电", "城管"), "{doubts}");
    // What it found of disputes is of the training orders, and a model that is made with it says so.
    let weights: serde_json::Value =
        serde_json::from_slice(&std::fs::read(workshop.path("cross/weights.json")).expect("weights")).expect("json");
    let doubt = weights["text_only"]["proposal"]["witnesses"]["doubt"]["weight"].as_f64().expect("a weight");
    assert!(doubt > 0.0, "disputed orders had been sent to somebody unlikely: {weights}");
    let cross = workshop.path("cross").to_string_lossy().into_owned();
    assert_success(&workshop.train("model", &["--crossfit", &cross]));
    let disputed = planted.iter().filter(|order| order["rerouted"] == true).count();
    let card = std::fs::read_to_string(workshop.path("model/README.md")).expect("a card");
    assert!(card.contains(&format!("fitted on the {disputed} disputes of the training orders")), "{card}");
    // A citizen's words are in neither.
    assert!(!doubts.contains("垃圾") && !teacher.iter().any(|lesson| lesson.to_string().contains("垃圾")));
}

#[test]
fn a_run_that_is_killed_goes_on_to_the_same_teacher() {
    let workshop = Workshop::new(QUICK);
    assert_success(&crossfit(&workshop, "unbroken").output().expect("runs"));
    let mut child = crossfit(&workshop, "broken").stderr(Stdio::null()).spawn().expect("runs");
    let first = workshop.path("broken/fold-1.jsonl");
    while !first.exists() && child.try_wait().expect("a child").is_none() {
        std::thread::yield_now();
    }
    child.kill().ok();
    child.wait().expect("a child");
    let answered = std::fs::metadata(&first).expect("the first model's answers").modified().expect("a time");
    assert_success(&crossfit(&workshop, "broken").output().expect("runs"));
    assert_eq!(std::fs::metadata(&first).expect("answers").modified().expect("a time"), answered, "done once");
    let teacher = |out: &str| std::fs::read(workshop.path(out).join("teacher.jsonl")).expect("a teacher");
    assert_eq!(teacher("broken"), teacher("unbroken"));

    workshop.write("config.toml", format!("seed = 9\n{QUICK}").as_bytes());
    let output = crossfit(&workshop, "broken").output().expect("runs");
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("name another folder"), "{}", stderr(&output));
}

#[test]
fn a_teacher_changes_what_is_learnt_and_stands_in_the_manifest() {
    let workshop = Workshop::new(QUICK);
    let lesson = |i: usize| serde_json::json!({"order_id": format!("T{i}"), "probabilities": {"城管": 0.4, "交警": 0.3, "供电": 0.2, "水务": 0.1}});
    let text: String = (0..64).map(|i| format!("{}\n", lesson(i))).collect();
    let folder = lessons(&workshop, &text);
    let output = workshop.train("taught", &["--crossfit", &folder]);
    assert_success(&output);
    assert!(stderr(&output).contains("the teacher answers all 64 training orders"), "{}", stderr(&output));
    assert_success(&workshop.train("untaught", &[]));
    assert_ne!(workshop.losses("taught"), workshop.losses("untaught"));
    let manifest = std::fs::read_to_string(workshop.path("taught/manifest.json")).expect("a manifest");
    let sha256 = paidan::model::sha256_hex(text.as_bytes());
    assert!(manifest.contains(&sha256), "{manifest}");
    // A checkpoint belongs to its teacher.
    let output = workshop.train("taught", &["--resume"]);
    assert!(stderr(&output).contains("another configuration"), "{}", stderr(&output));
}

#[test]
fn half_a_teacher_is_none() {
    let workshop = Workshop::new(QUICK);
    let good = r#"{"order_id":"T1","probabilities":{"城管":1.0}}"#;
    for (bad, reason) in [
        (r#"{"order_id":"T2","probabilities":{"消防":1.0}}"#, "probabilities.消防: no training order has this department"),
        (r#"{"order_id":"T2","probabilities":{"城管":0.5}}"#, "probabilities sum to 0.5, not to 1"),
        (r#"{"order_id":"T2","probabilities":{"城管":1.5,"交警":-0.5}}"#, "must be between 0 and 1"),
        (good, "order T1 was answered before"),
        (r#"{"order_id":"T2"}"#, "missing field `probabilities`"),
        ("not json", "expected"),
    ] {
        let folder = lessons(&workshop, &format!("{good}\n{bad}\n"));
        let output = workshop.train("model", &["--crossfit", &folder]);
        assert_eq!(output.status.code(), Some(65));
        assert!(stderr(&output).contains("teacher.jsonl:2") && stderr(&output).contains(reason), "{}", stderr(&output));
    }
    // One that was cut off between two lines has no fault in it but its end.
    let lesson = |i: usize| format!("{}\n", good.replace("T1", &format!("T{i}")));
    let folder = lessons(&workshop, &(0..63).map(lesson).collect::<String>());
    let output = workshop.train("model", &["--crossfit", &folder]);
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("teacher.jsonl: no answer to order T63 of "), "{}", stderr(&output));
    assert!(!workshop.path("model.run").exists(), "refused before anything begins");
}

#[test]
fn a_crossfit_that_is_stopped_while_it_writes_is_not_done_and_comes_to_its_end_the_next_time() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 1"));
    // Something in the way of a file stops it where a kill could.
    for (name, way) in [("doubts.tsv", "a folder"), ("teacher.jsonl.new", "another")] {
        std::fs::create_dir_all(workshop.path("cross").join(name)).expect("a folder");
        let output = crossfit(&workshop, "cross").output().expect("runs");
        assert_eq!(output.status.code(), Some(74), "{way}: {}", stderr(&output));
        assert!(!workshop.path("cross/teacher.jsonl").exists(), "the mark of being done comes last");
        let cross = workshop.path("cross").to_string_lossy().into_owned();
        let said = stderr(&workshop.train("model", &["--crossfit", &cross]));
        assert!(said.contains("cross: no teacher.jsonl; let paidan-train crossfit come to its end first"), "{said}");
        std::fs::remove_dir(workshop.path("cross").join(name)).expect("removed");
    }
    assert_success(&crossfit(&workshop, "cross").output().expect("runs"));
    assert_eq!(lines(&workshop.path("cross/teacher.jsonl")).len(), 64);
    assert!(workshop.path("cross/doubts.tsv").is_file() && !workshop.path("cross/teacher.jsonl.new").exists());
}

#[test]
fn a_crossfit_of_other_orders_or_one_that_is_not_done_is_refused() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 1"));
    assert_success(&workshop.train("model", &[]));
    let folder = lessons(&workshop, "");
    let mut calibrate = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    calibrate.arg("calibrate").arg("--model").arg(workshop.path("model")).arg("--orders").arg(workshop.path("train.jsonl"));
    calibrate.arg("--validation").arg(workshop.path("validation.jsonl")).arg("--out").arg(workshop.path("other"));
    calibrate.arg("--crossfit").arg(&folder);
    let mut refused = |reason: &str| {
        for output in [workshop.train("other", &["--crossfit", &folder]), calibrate.output().expect("paidan-train runs")] {
            assert!(!output.status.success() && stderr(&output).contains(reason), "{} does not say {reason}", stderr(&output));
        }
    };
    std::fs::remove_file(workshop.path("lessons/teacher.jsonl")).expect("removed");
    refused("lessons: no teacher.jsonl");
    workshop.write("lessons/crossfit.json", b"{\"orders\": \"of last year\"}");
    refused("crossfit.json: made from other orders than");
    std::fs::remove_file(workshop.path("lessons/crossfit.json")).expect("removed");
    refused("crossfit.json: cannot be read; name a folder that paidan-train crossfit wrote");
}
