//! What `paidan-train` refuses before it begins: the wrong place to write to, and orders that cannot judge; and what it makes of
//! those that hardly can.

use std::process::{Command, Output};

use crate::workshop::{QUICK, Workshop, assert_success, orders, stderr};

fn quick() -> Workshop {
    Workshop::new(&QUICK.replace("epochs = 3", "epochs = 1"))
}

fn calibrate(workshop: &Workshop, model: &str, out: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    command.arg("calibrate").arg("--model").arg(workshop.path(model)).arg("--orders").arg(workshop.path("train.jsonl"));
    command.arg("--validation").arg(workshop.path("validation.jsonl")).arg("--out").arg(workshop.path(out));
    command.output().expect("paidan-train runs")
}

fn adapt(workshop: &Workshop, out: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    command.arg("adapt").arg("--orders").arg(workshop.path("train.jsonl")).arg("--base").arg(workshop.path("base"));
    command.arg("--out").arg(workshop.path(out)).output().expect("paidan-train runs")
}

/// Orders as [`orders`] makes them, each taken in on that day.
fn of_day(count: usize, first: usize, day: &str) -> String {
    orders(count, first).replace("\"order_id\"", &format!("\"received_on\":\"{day}\",\"order_id\""))
}

#[test]
fn a_folder_that_is_no_model_is_not_pushed_aside() {
    let workshop = quick();
    assert_success(&workshop.train("model", &[]));
    std::fs::create_dir_all(workshop.path("work/orders")).expect("a folder");
    workshop.write("work/orders/2026.jsonl", b"x");
    // Not the first time, when it would be pushed aside; nor the second, when it would be removed.
    for _ in 0..2 {
        let average = |workshop: &Workshop| workshop.any_command("average", "work", &[]).output().expect("paidan-train runs");
        let outputs =
            [workshop.train("work", &[]), calibrate(&workshop, "model", "work"), adapt(&workshop, "work"), average(&workshop)];
        for output in outputs {
            assert_eq!(output.status.code(), Some(65));
            let said = stderr(&output);
            assert!(said.contains("work: there already and no model folder") && said.contains("move it away"), "{said}");
        }
    }
    assert_eq!(std::fs::read(workshop.path("work/orders/2026.jsonl")).expect("still there"), b"x");
    std::fs::rename(workshop.path("work"), workshop.path("model.previous")).expect("renamed");
    let said = stderr(&calibrate(&workshop, "model", "model"));
    assert!(said.contains("model.previous: there already and no model folder"), "{said}");
    assert!(!workshop.path("work.run").exists() && workshop.path("model.previous/orders/2026.jsonl").is_file());
}

#[test]
fn validation_orders_that_were_learnt_from_are_refused() {
    let workshop = quick();
    assert_success(&workshop.train("model", &[]));
    for (validation, reason) in [
        (orders(64, 0), "the same file as"),
        (orders(20, 50), "14 of its 20 orders are in"),
        (String::new(), "none of its 0 good rows"),
    ] {
        workshop.write("validation.jsonl", validation.as_bytes());
        for output in [workshop.train("other", &[]), calibrate(&workshop, "model", "other")] {
            assert_eq!(output.status.code(), Some(65));
            assert!(stderr(&output).contains(reason), "{} does not say {reason}", stderr(&output));
        }
    }
    assert!(!workshop.path("other").exists() && !workshop.path("other.run").exists());
}

#[test]
fn the_card_calls_validation_later_only_if_it_is() {
    let workshop = quick();
    let card = |out: &str| std::fs::read_to_string(workshop.path(out).join("README.md")).expect("a card");
    assert_success(&workshop.train("dayless", &[]));
    assert!(card("dayless").contains("40 other orders for validation, of which it is not known"), "{}", card("dayless"));
    workshop.write("train.jsonl", of_day(64, 0, "2026-06-30").as_bytes());
    workshop.write("validation.jsonl", of_day(40, 1000, "2026-02-01").as_bytes());
    let output = workshop.train("earlier", &[]);
    assert_success(&output);
    assert!(stderr(&output).contains("came in on 2026-02-01, before the last training order (2026-06-30)"), "{output:?}");
    assert!(card("earlier").contains("some of them earlier than the last training order"), "{}", card("earlier"));
    workshop.write("validation.jsonl", of_day(40, 1000, "2026-07-01").as_bytes());
    let output = workshop.train("later", &[]);
    assert_success(&output);
    assert!(!stderr(&output).contains("before the last training order"), "{}", stderr(&output));
    assert!(card("later").contains("64 training orders, 40 later orders for validation. The epoch"), "{}", card("later"));
}

#[test]
fn where_no_department_is_frequent_all_of_them_choose_the_epoch_and_int8_does_not_pass() {
    let workshop = Workshop::new(&QUICK.replace("min_orders = 4", "min_orders = 99"));
    let output = workshop.train("model", &[]);
    assert_success(&output);
    let said = stderr(&output);
    assert_eq!(said.matches("no validation order is of a department with 99 training orders").count(), 1, "{said}");
    assert!(said.contains("int8 did not pass the accuracy gate") && said.contains("text_only.accuracy"), "{said}");
    let path = workshop.path("model.run/checkpoint/progress.json");
    let progress: serde_json::Value = serde_json::from_slice(&std::fs::read(path).expect("a checkpoint")).expect("json");
    let history = progress["history"].as_array().expect("a history");
    assert!(history.iter().any(|epoch| epoch["score"].as_f64().expect("a number") > 0.0), "measured after all: {history:?}");
}

/// A measurement on a finished model, with these orders.
fn measured(workshop: &Workshop, name: &str, orders: &str, validation: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    command.arg(name).arg("--model").arg(workshop.path("model")).arg("--orders").arg(workshop.path(orders));
    command.arg("--validation").arg(workshop.path(validation)).arg("--write").output().expect("paidan-train runs")
}

#[test]
fn a_model_is_measured_by_its_own_training_orders_and_by_others_only() {
    let workshop = quick();
    assert_success(&workshop.train("model", &[]));
    let before = std::fs::read(workshop.path("model/manifest.json")).expect("a manifest");
    workshop.write("other.jsonl", orders(64, 500).as_bytes());
    for name in ["likeness", "returns", "recurrences"] {
        for (learnt, judged, reason) in [
            ("other.jsonl", "validation.jsonl", "learnt from another file"),
            ("train.jsonl", "train.jsonl", "the same file as"),
        ] {
            let output = measured(&workshop, name, learnt, judged);
            assert_eq!(output.status.code(), Some(65), "{name}");
            assert!(stderr(&output).contains(reason), "{name}: {} does not say {reason}", stderr(&output));
        }
    }
    assert_eq!(std::fs::read(workshop.path("model/manifest.json")).expect("a manifest"), before, "nothing is written");
}

#[test]
fn a_measurement_that_is_written_makes_another_version_and_keeps_the_one_before() {
    let workshop = quick();
    assert_success(&workshop.train("model", &[]));
    let version = |name: &str| paidan::routing::Router::open(&workshop.path(name)).expect("a model").info().version.clone();
    let trained = version("model");
    // What training measured itself is found again: that changes nothing.
    assert_success(&measured(&workshop, "likeness", "train.jsonl", "validation.jsonl"));
    assert_eq!(version("model"), trained);
    let mut calibration: serde_json::Value =
        serde_json::from_slice(&std::fs::read(workshop.path("model/calibration.json")).expect("numbers")).expect("json");
    calibration["precedents"]["precedent_similarity"] = 0.125.into();
    workshop.write("model/calibration.json", calibration.to_string().as_bytes());
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(workshop.path("model/manifest.json")).expect("a manifest")).expect("json");
    manifest["files"].as_object_mut().expect("files").remove("calibration.json");
    workshop.write("model/manifest.json", manifest.to_string().as_bytes());
    assert_success(&measured(&workshop, "likeness", "train.jsonl", "validation.jsonl"));
    assert_eq!(version("model"), trained, "the same weights and numbers as at first");
    assert!(workshop.path("model.previous/model.safetensors").is_file());
}

#[test]
fn a_mean_is_not_written_over_a_run() {
    let workshop = quick();
    assert_success(&workshop.train("first", &[]));
    assert_success(&workshop.train("second", &[]));
    assert_success(&workshop.train("third", &[]));
    let best = || std::fs::read(workshop.path("third.run/best.safetensors")).expect("weights");
    let before = best();
    let path = |name: &str| workshop.path(name).to_string_lossy().into_owned();
    let average = |out: &str| {
        let parts = ["--run", &path("first"), "--model", &path("second")];
        workshop.any_command("average", out, &parts).output().expect("paidan-train runs")
    };
    let refused = |out: &str, reason: &str| {
        let output = average(out);
        assert_eq!(output.status.code(), Some(65));
        assert!(stderr(&output).contains(reason), "{} does not say {reason}", stderr(&output));
    };
    refused("third", "third.run: a run that the mean would be written over");
    refused("second", "takes part in the mean itself");
    assert_eq!(best(), before);
    assert_success(&average("mean"));
    assert_success(&average("mean"));
    let page = std::fs::read_to_string(workshop.path("mean.run/report.html")).expect("a report");
    assert!(page.contains("mean of several runs") && !page.contains("How it learnt"), "no run's loss is the mean's");
}

#[test]
fn longer_inputs_than_the_base_reads_are_refused_before_anything_is_read() {
    let workshop = Workshop::new(&QUICK.replace("max_tokens = 64", "max_tokens = 600"));
    let mut crossfit = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    crossfit.arg("crossfit").arg("--orders").arg(workshop.path("train.jsonl")).arg("--base").arg(workshop.path("base"));
    crossfit.arg("--config").arg(workshop.path("config.toml")).arg("--out").arg(workshop.path("cross"));
    workshop.write("adapt.toml", b"max_tokens = 600\n");
    let mut adapt = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    adapt.arg("adapt").arg("--orders").arg(workshop.path("train.jsonl")).arg("--base").arg(workshop.path("base"));
    adapt.arg("--config").arg(workshop.path("adapt.toml")).arg("--out").arg(workshop.path("adapted"));
    for mut command in [workshop.command("model", &[]), crossfit, adapt] {
        let output = command.output().expect("paidan-train runs");
        assert_eq!(output.status.code(), Some(65));
        let said = stderr(&output);
        assert!(said.contains("max_tokens is 600, but the base model reads 512 at most"), "{said}");
    }
    assert!(!workshop.path("model.run").exists() && !workshop.path("adapted.run").exists());
}
