//! `paidan-train recurrences` as a data team runs it, over a tiny model.

use std::process::{Command, Output};

use crate::support::{APPEALS, calibrate, only_itself, write_dispute_model, write_tiny_model};
use paidan::model::{Calibration, Likeness};
use paidan::routing::Router;
use serde_json::{Value, json};

/// Disputes about lamps, and about water: the instructed department, the one that handled it, how often.
fn orders(month: u32, kinds: &[(usize, &str, &str, bool, usize)]) -> String {
    let mut lines = String::new();
    for (kind, (text, instructed, department, rerouted, count)) in kinds.iter().enumerate() {
        for i in 0..*count {
            let row = json!({"order_id": format!("T{month}-{kind}-{i}"), "received_on": format!("2026-{month:02}-{:02}", i + 1),
                "appeal": APPEALS[*text], "department": department, "instructed": [instructed], "rerouted": rerouted});
            lines.push_str(&format!("{row}\n"));
        }
    }
    lines
}

#[test]
fn the_rulings_of_the_largest_groups_are_tried_on_later_orders_and_their_error_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let model = path("model");
    std::fs::create_dir(&model).expect("a folder");
    write_tiny_model(&model, 1);
    write_dispute_model(&model);
    let precedents = Likeness { precedent_similarity: 0.71, ..only_itself() };
    calibrate(&model, &Calibration { precedents, ..Calibration::default() });
    let training = orders(1, &[(0, "城管", "供电", true, 4), (2, "住建", "水务", true, 3), (3, "交警", "交警", false, 5)]);
    // Two settled as the training orders were, one otherwise; and one like them that nobody disputed.
    let validation = orders(2, &[(0, "城管", "供电", true, 2), (2, "水务", "住建", true, 1), (0, "城管", "城管", false, 1)]);
    std::fs::write(path("train.jsonl"), training).expect("written");
    std::fs::write(path("validation.jsonl"), validation).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    command.arg("recurrences").arg("--model").arg(&model).arg("--orders").arg(path("train.jsonl"));
    command.arg("--validation").arg(path("validation.jsonl")).arg("--json").arg(path("report.json"));
    let Output { status, stderr, .. } = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{said}");
    assert!(said.contains("7 re-dispatched training orders"), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(path("report.json")).expect("a report")).expect("JSON");
    let best = &report["bound"];
    let outcomes = report["outcomes"].as_array().expect("outcomes");
    let row = outcomes.iter().find(|row| row["bound"] == *best && row["worded"] == true && row["input"] == "text_only");
    let row = row.expect("the row of the best bound");
    let count = |set: &str, what: &str| row[set][what].as_u64().expect("a number");
    assert_eq!((count("disputed", "orders"), count("disputed", "applied"), count("disputed", "right")), (3, 3, 2), "{row:#}");
    assert_eq!((count("all", "orders"), count("all", "applied"), count("all", "right")), (4, 4, 2), "{row:#}");
    assert_eq!(report["choice"].as_array().expect("the choice").iter().filter(|row| row["bound"] == *best).count(), 1);
    let similarity = || Router::open(&model).expect("a model").recurrence_similarity();
    assert_eq!(similarity(), Calibration::default().recurrence_similarity, "nothing is written unasked");
    assert!(command.arg("--write").output().expect("it runs").status.success());
    assert_eq!(similarity(), best.as_f64().expect("a bound") as f32, "the model folder knows the bound");
}
