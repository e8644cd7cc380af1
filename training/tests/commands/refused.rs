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
