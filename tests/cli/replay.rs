//! `paidan replay`: past orders through the model, and files that are all of one run or of none.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::place::{DATA, Ended, NO_INPUT, Place, signal};
use crate::support;

fn replay(place: &Place, orders: &str, more: &[&str]) -> Ended {
    let mut args = vec!["replay", "--orders", orders, "--out", "out"];
    args.extend(more);
    place.run(&args)
}

fn metrics(place: &Place) -> Value {
    let bytes = std::fs::read(place.path("out/metrics.json")).expect("metrics.json");
    serde_json::from_slice(&bytes).expect("metrics.json is JSON")
}

fn lines(place: &Place, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path(name)).expect("a file of lines");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn order(id: usize, more: Value) -> String {
    let mut row = json!({"order_id": format!("A{id}"), "appeal": support::APPEALS[id % support::APPEALS.len()]});
    let fields = row.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    row.to_string()
}

#[test]
fn replay_writes_predictions_in_the_order_of_the_file_with_measures() {
    let place = Place::new();
    let rows: Vec<String> = (0..300)
        .map(|i| {
            let text = support::APPEALS[i % 8].repeat(1 + i % 7);
            let department = if i % 50 == 0 { "海事" } else { support::DEPARTMENTS[i % 6] };
            let more = json!({"appeal": text, "department": department, "rerouted": i % 9 == 0, "instructed": ["交警"],
                              "category": "市政/路灯", "appeal_type": "投诉"});
            order(i, more)
        })
        .collect();
    place.write("orders.jsonl", rows.join("\n"));
    let ended = replay(&place, "orders.jsonl", &["--proposals"]).well();
    assert!(ended.err.contains("海事 (6)"), "{}", ended.err);

    let predictions = lines(&place, "out/predictions.jsonl");
    let ids: Vec<&str> = predictions.iter().filter_map(|p| p["order_id"].as_str()).collect();
    assert_eq!(ids, (0..300).map(|i| format!("A{i}")).collect::<Vec<_>>());
    for prediction in &predictions {
        assert_eq!(prediction["departments"].as_array().map(Vec::len), Some(5));
        assert!(prediction["dispute_risk"].is_number() && prediction["proposed_dispatch_risk"].is_number());
        assert!(prediction["needs_review"].is_boolean() && prediction["reasons"].is_array());
    }
    let right = |p: &Value, i: usize| p["departments"][0]["department"] == support::DEPARTMENTS[i % 6] && !i.is_multiple_of(50);
    let accuracy = predictions.iter().enumerate().filter(|(i, p)| right(p, *i)).count() as f64 / 300.0;
    let metrics = metrics(&place);
    assert!((metrics["accuracy"].as_f64().expect("accuracy") - accuracy).abs() < 1e-9);
    assert_eq!((metrics["appeals"].as_u64(), metrics["skipped"].as_u64()), (Some(300), Some(0)));
    for name in [
        "macro_f1",
        "top3",
        "ece",
        "dispute_auc",
        "dispute_average_precision",
        "appeals_per_second",
        "p50_ms",
        "p99_ms",
        "proposed_dispatch_auc",
        "proposed_dispatch_average_precision",
    ] {
        assert!(metrics[name].is_number(), "{name} in {metrics}");
    }
    assert_eq!(metrics["at_least_30_training_orders"]["orders"], 294);
    assert_eq!(metrics["unknown_departments"]["海事"], 6);
    assert_eq!(metrics["dispute"]["review_budgets"].as_array().map(Vec::len), Some(4));
    let page = std::fs::read_to_string(place.path("out/report.html")).expect("report.html");
    assert!(page.contains("<svg") && !page.contains("NaN"));
    let left: Vec<_> = std::fs::read_dir(place.path("out")).expect("out").flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[test]
fn a_replayed_order_gets_the_answer_that_route_gives() {
    let place = Place::new();
    let rows: Vec<String> = (0..8).map(|i| order(i, json!({"category": ["市政", "路灯"]}))).collect();
    place.write("orders.jsonl", rows.join("\n"));
    replay(&place, "orders.jsonl", &[]).well();
    let with_category = lines(&place, "out/predictions.jsonl");
    replay(&place, "orders.jsonl", &["--text-only"]).well();
    let text_only = lines(&place, "out/predictions.jsonl");
    for (more, predictions) in [(&["--category", "市政/路灯"][..], with_category), (&[], text_only)] {
        let mut args = vec!["route", support::APPEALS[3], "--json"];
        args.extend(more);
        let answer: Value = serde_json::from_str(&place.run(&args).well().out).expect("JSON");
        let probability = |v: &Value| v["departments"][0]["probability"].as_f64().expect("a probability");
        assert_eq!(answer["departments"][0]["department"], predictions[3]["departments"][0]["department"]);
        assert!((probability(&answer) - probability(&predictions[3])).abs() < 1e-5);
    }
}

#[test]
fn replay_without_labels_measures_the_speed_only() {
    let place = Place::new();
    place.write("orders.jsonl", (0..5).map(|i| order(i, json!({})) + "\n").collect::<String>());
    replay(&place, "orders.jsonl", &["--limit", "3"]).well();
    let metrics = metrics(&place);
    assert_eq!(metrics["appeals"], 3);
    assert!(metrics["p50_ms"].is_number() && metrics.get("accuracy").is_none() && metrics.get("dispute_auc").is_none());
    assert_eq!(lines(&place, "out/predictions.jsonl").len(), 3);
}

#[test]
fn a_file_without_an_order_that_can_be_read_ends_badly_and_the_last_results_stay() {
    let place = Place::new();
    place.write("orders.jsonl", order(0, json!({})));
    replay(&place, "orders.jsonl", &[]).well();
    let of = |name: &str| std::fs::read(place.path("out").join(name)).expect("a result");
    let before = ["metrics.json", "predictions.jsonl", "skipped.jsonl", "report.html"].map(of);

    place.write("empty.jsonl", "\n\n");
    replay(&place, "empty.jsonl", &[]).failed(DATA, &["empty.jsonl: there is no order in it"]);
    let rows: String = (0..30).map(|i| order(i, json!({"department": "城管"})) + "\n").collect();
    place.write("gbk.jsonl", encoding_rs::GB18030.encode(&rows).0);
    let told =
        ["gbk.jsonl:20: not UTF-8", "none of its 30 rows", "30 rows are not UTF-8", "iconv -f GB18030 -t UTF-8 gbk.jsonl"];
    let ended = replay(&place, "gbk.jsonl", &[]).failed(DATA, &told);
    assert!(!ended.err.contains("skipped.jsonl"), "there is none: {}", ended.err);
    place.write("bad.jsonl", "{}\n".repeat(3));
    let ended = replay(&place, "bad.jsonl", &[]).failed(DATA, &["bad.jsonl:3: order_id is missing", "none of its 3 rows"]);
    assert!(!ended.err.contains("iconv"), "{}", ended.err);

    assert_eq!(["metrics.json", "predictions.jsonl", "skipped.jsonl", "report.html"].map(of), before);
    assert_eq!(std::fs::read_dir(place.path("out")).expect("out").count(), 4, "nothing is left beside them");
}

#[test]
fn bad_rows_are_named_by_file_and_line_and_the_good_ones_kept() {
    let place = Place::new();
    let mut file = Vec::new();
    for line in [
        order(0, json!({})).into_bytes(),
        b"not json at all".to_vec(),
        b"{\"order_id\": \"B1\", \"appeal\": \"\xff\xfe\"}".to_vec(),
        br#"{"order_id": "B2"}"#.to_vec(),
        br#"{"appeal": "secret words"}"#.to_vec(),
        br#"{"order_id": "B3", "appeal": "a\u0000b"}"#.to_vec(),
        vec![b'x'; (1 << 20) + 10],
        Vec::new(),
        order(1, json!({})).into_bytes(),
    ] {
        file.extend(line);
        file.push(b'\n');
    }
    place.write("orders.jsonl", file);
    let ended = replay(&place, "orders.jsonl", &[]).well();
    for line in [2, 3, 4, 5, 6, 7] {
        assert!(ended.err.contains(&format!("orders.jsonl:{line}: ")), "line {line} is not in {}", ended.err);
    }
    let skipped = lines(&place, "out/skipped.jsonl");
    assert_eq!(skipped.iter().filter_map(|s| s["line"].as_u64()).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
    assert!(!ended.err.contains("secret") && !skipped.iter().any(|s| s.to_string().contains("secret")));
    assert_eq!((metrics(&place)["appeals"].as_u64(), metrics(&place)["skipped"].as_u64()), (Some(2), Some(6)));
}

#[test]
fn only_the_first_twenty_bad_rows_are_named_on_the_terminal() {
    let place = Place::new();
    place.write("orders.jsonl", "bad\n".repeat(50) + &order(0, json!({})));
    let ended = replay(&place, "orders.jsonl", &[]).well();
    assert_eq!(ended.err.matches("orders.jsonl:").count(), 20);
    assert!(ended.err.contains("50 rows were left out"), "{}", ended.err);
    assert_eq!(lines(&place, "out/skipped.jsonl").len(), 50);
}

#[test]
fn a_folder_that_another_replay_writes_to_is_refused_and_left_alone() {
    let place = Place::new();
    place.write("orders.jsonl", order(1, json!({})));
    std::fs::create_dir(place.path("out")).expect("a folder");
    let other = std::fs::File::open(place.path("out")).expect("a folder");
    other.try_lock().expect("nobody has it");
    replay(&place, "orders.jsonl", &[]).failed(74, &["out: another replay is writing there"]);
    assert_eq!(std::fs::read_dir(place.path("out")).expect("a folder").count(), 0);
    drop(other);
    replay(&place, "orders.jsonl", &[]).well();
}

#[test]
fn replay_without_a_file_or_with_a_folder_says_so() {
    let place = Place::new();
    replay(&place, "nowhere.jsonl", &[]).failed(NO_INPUT, &["nowhere.jsonl"]);
    replay(&place, "model", &[]).failed(NO_INPUT, &["is a folder"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_replay_leaves_the_last_results_as_they_were() {
    let place = Place::new();
    place.write("orders.jsonl", order(0, json!({})));
    replay(&place, "orders.jsonl", &[]).well();
    let before = std::fs::read(place.path("out/metrics.json")).expect("metrics.json");

    let long: String = (0..200_000).map(|i| order(i, json!({"appeal": support::APPEALS[i % 8].repeat(20)})) + "\n").collect();
    place.write("long.jsonl", long);
    let child = place
        .paidan(&["replay", "--orders", "long.jsonl", "--out", "out"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("paidan runs");
    let begun = || std::fs::metadata(place.path("out/predictions.jsonl.part")).is_ok();
    while !begun() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    signal(child.id(), "INT");
    Ended::of(child.wait_with_output().expect("it ends")).failed(130, &["interrupted"]);
    assert_eq!(std::fs::read(place.path("out/metrics.json")).expect("metrics.json"), before);
    assert!(!begun());
}

/// A file that cannot be written, for want of room: one that stands for a disk that is always full is in its place.
#[cfg(target_os = "linux")]
#[test]
fn whichever_file_a_full_disk_has_no_room_for_the_last_results_stay_as_they_were() {
    const FULL: &str = "/dev/full";
    if !std::fs::exists(FULL).unwrap_or(false) || std::fs::write(FULL, "x").is_ok() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no {FULL}, so no full disk is tested");
        return;
    }
    let place = Place::new();
    place.write("orders.jsonl", [order(0, json!({})), "{".to_owned()].join("\n"));
    replay(&place, "orders.jsonl", &[]).well();
    let results = || -> BTreeMap<String, Vec<u8>> {
        let files = std::fs::read_dir(place.path("out")).expect("a folder").map(|file| file.expect("a file"));
        files.map(|file| (file.file_name().into_string().expect("a name"), std::fs::read(file.path()).expect("read"))).collect()
    };
    let before = results();
    assert_eq!(before.len(), 4, "{:?}", before.keys());
    place.write("more.jsonl", [order(1, json!({})), order(2, json!({})), "[".to_owned()].join("\n"));
    for name in before.keys() {
        std::os::unix::fs::symlink(FULL, place.path(&format!("out/{name}.part"))).expect("a link");
        replay(&place, "more.jsonl", &[]).failed(74, &[&format!("{name}.part: "), "No space left"]);
        assert!(results() == before, "{name}: all of the last, and nothing beside it");
    }
    replay(&place, "more.jsonl", &[]).well();
    assert!(results() != before);
}
