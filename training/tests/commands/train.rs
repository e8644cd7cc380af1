//! `paidan-train` as a data team runs it: on files, from the command line, over a tiny base model.

use std::path::Path;
use std::process::Command;

use crate::workshop::{QUICK, Workshop, assert_success, orders, stderr};
use paidan::evaluation::WorkOrder;
use paidan::routing::Router;
use paidan::text::Appeal;

#[test]
fn training_writes_a_folder_that_routes_and_that_verifies() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 20\npatience = 20"));
    assert_success(&workshop.train("model", &[]));
    let router = Router::open(&workshop.path("model")).expect("the trained model");
    assert_eq!(router.info().name, "tiny");
    assert!(router.info().has_dispute_head && router.info().calibrated);
    let mut right = 0;
    for line in orders(40, 2000).lines() {
        let order = WorkOrder::parse(line.as_bytes()).expect("an order");
        let appeal = Appeal::from_text(&order.appeal.fields().text).expect("an appeal");
        let decision = router.route(&[router.prepare(&appeal).expect("prepared")]).expect("routed").remove(0);
        right += usize::from(Some(decision.lead().department.id.as_str()) == order.department.as_deref());
    }
    assert!(right >= 36, "only {right} of 40 easy orders are right");
    let card = std::fs::read_to_string(workshop.path("model/README.md")).expect("a model card");
    assert!(card.contains("Limits") && card.contains("version"));
    let page = std::fs::read_to_string(workshop.path("model.run/report.html")).expect("a report");
    assert!(page.contains("<svg"), "a report has plots");
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    let workshop = Workshop::new(QUICK);
    assert_success(&workshop.train("one", &[]));
    assert_success(&workshop.train("two", &[]));
    assert_eq!(workshop.weights("one"), workshop.weights("two"));
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_an_unbroken_one() {
    let workshop = Workshop::new(QUICK);
    assert_success(&workshop.train("unbroken", &[]));
    workshop.kill_again_and_again("broken", || workshop.command("broken", &["--resume"]));
    assert!(!workshop.path("broken/manifest.json").exists(), "it was killed before it was done");
    let output = workshop.train("broken", &["--resume"]);
    assert_success(&output);
    assert!(stderr(&output).contains("resuming at epoch"), "{}", stderr(&output));
    assert_eq!(workshop.losses("broken"), workshop.losses("unbroken"));
    assert_eq!(workshop.weights("broken"), workshop.weights("unbroken"));
}

#[test]
fn a_checkpoint_of_another_configuration_or_other_data_is_refused() {
    let workshop = Workshop::new(QUICK);
    assert_success(&workshop.train("model", &[]));
    workshop.write("config.toml", QUICK.replace("seed", "").replace("epochs = 3", "epochs = 4").as_bytes());
    let output = workshop.train("model", &["--resume"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("another configuration"), "{}", stderr(&output));
    workshop.write("config.toml", QUICK.as_bytes());
    workshop.write("train.jsonl", orders(32, 0).as_bytes());
    let output = workshop.train("model", &["--resume"]);
    assert!(stderr(&output).contains("another training file"), "{}", stderr(&output));
}

#[test]
fn an_earlier_model_stays_beside_the_new_one() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 1"));
    assert_success(&workshop.train("model", &[]));
    let first = workshop.weights("model");
    workshop.write("config.toml", format!("seed = 9\n{}", QUICK.replace("epochs = 3", "epochs = 1")).as_bytes());
    assert_success(&workshop.train("model", &[]));
    assert_ne!(workshop.weights("model"), first);
    assert_eq!(std::fs::read(workshop.path("model.previous/model.safetensors")).expect("weights"), first);
    Router::open(&workshop.path("model.previous")).expect("a rollback is a rename");
}

#[test]
fn a_run_that_is_done_is_not_exported_once_more() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 1"));
    assert_success(&workshop.train("model", &[]));
    let first = workshop.weights("model");
    workshop.write("config.toml", format!("seed = 9\n{}", QUICK.replace("epochs = 3", "epochs = 1")).as_bytes());
    assert_success(&workshop.train("model", &[]));
    let manifest = || std::fs::read(workshop.path("model/manifest.json")).ok();
    let second = manifest();
    let output = workshop.train("model", &["--resume"]);
    assert_success(&output);
    assert!(stderr(&output).contains("this run is done") && stderr(&output).contains("nothing is changed"), "{output:?}");
    assert_eq!(manifest(), second);
    assert_eq!(workshop.weights("model.previous"), first, "what one would roll back to is still there");
    // A model that is not whole is written again.
    std::fs::remove_file(workshop.path("model/calibration.json")).expect("removed");
    assert_success(&workshop.train("model", &["--resume"]));
    Router::open(&workshop.path("model")).expect("a whole model");
}

#[test]
fn a_model_that_begins_with_another_does_not_take_its_bounds() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 1"));
    assert_success(&workshop.train("first", &[]));
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(workshop.path(name)).expect("a file")).expect("json")
    };
    let mut calibration = read("first/calibration.json");
    calibration["recurrence_similarity"] = 0.875.into();
    calibration["takeover_strength"] = 0.25.into();
    calibration["duties"] = serde_json::json!({"similarity": 0.3, "margin": 0.0, "precision": 0.7});
    workshop.write("first/calibration.json", calibration.to_string().as_bytes());
    let mut manifest = read("first/manifest.json");
    manifest["files"].as_object_mut().expect("files").remove("calibration.json");
    workshop.write("first/manifest.json", manifest.to_string().as_bytes());
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    command.arg("train").arg("--orders").arg(workshop.path("train.jsonl")).arg("--validation");
    command.arg(workshop.path("validation.jsonl")).arg("--base").arg(workshop.path("first"));
    command.arg("--config").arg(workshop.path("config.toml")).arg("--out").arg(workshop.path("second"));
    assert_success(&command.output().expect("paidan-train runs"));
    let second = read("second/calibration.json");
    let defaults = paidan::model::Calibration::default();
    assert_eq!(second["recurrence_similarity"].as_f64().map(|x| x as f32), Some(defaults.recurrence_similarity));
    assert_eq!(second["takeover_strength"].as_f64().map(|x| x as f32), Some(defaults.takeover_strength));
    assert!(second.get("duties").is_none(), "{second}");
}

#[test]
fn the_mean_of_two_runs_is_calibrated_and_routes_and_says_what_it_is_made_of() {
    let quick = QUICK.replace("epochs = 3", "epochs = 1");
    let workshop = Workshop::new(&quick);
    assert_success(&workshop.train("first", &[]));
    workshop.write("config.toml", format!("seed = 9\n{quick}").as_bytes());
    assert_success(&workshop.train("second", &[]));
    let run = |name: &str| workshop.path(name).to_string_lossy().into_owned();
    let (first, second) = (run("first"), run("second"));
    let average_to =
        |out: &str, parts: &[&str]| workshop.any_command("average", out, parts).output().expect("paidan-train runs");
    let average = |parts: &[&str]| average_to("mean", parts);
    assert_success(&average(&["--run", &first, "--run", &second]));

    let weights = |name: &str| {
        let tensors = candle_core::safetensors::load(workshop.path(name).join("model.safetensors"), &candle_core::Device::Cpu);
        tensors.expect("weights")["classifier.bias"]
            .to_dtype(candle_core::DType::F32)
            .expect("f32")
            .to_vec1::<f32>()
            .expect("a row")
    };
    let (one, other, mean) = (weights("first"), weights("second"), weights("mean"));
    assert!(one.iter().zip(&other).any(|(a, b)| (a - b).abs() > 1e-4), "two seeds, two runs");
    for ((a, b), mean) in one.iter().zip(&other).zip(&mean) {
        assert!(((a + b) / 2.0 - mean).abs() < 1e-4, "{mean} is not the mean of {a} and {b}");
    }
    Router::open(&workshop.path("mean")).expect("a model");
    let card = std::fs::read_to_string(workshop.path("mean/README.md")).expect("a card");
    assert!(card.contains("The mean of the weights of 2 runs: seed 12345 (epoch 1 of 1), seed 9 (epoch 1 of 1)."), "{card}");
    let manifest = std::fs::read_to_string(workshop.path("mean/manifest.json")).expect("a manifest");
    assert!(manifest.contains("average_of") && manifest.contains("\"seed\": 9"), "{manifest}");

    // What a mean says of itself stays with it when it is calibrated anew.
    workshop.write("config.toml", format!("about = \"A mean of two.\"\nseed = 9\n{quick}").as_bytes());
    assert_success(&average_to("told", &["--run", &first, "--run", &second]));
    let mut calibrate = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
    calibrate.arg("calibrate").arg("--model").arg(run("told")).arg("--orders").arg(workshop.path("train.jsonl"));
    calibrate.arg("--validation").arg(workshop.path("validation.jsonl")).arg("--out").arg(workshop.path("again"));
    assert_success(&calibrate.output().expect("paidan-train runs"));
    let card = std::fs::read_to_string(workshop.path("again/README.md")).expect("a card");
    assert!(card.contains("A mean of two.") && card.contains("The mean of the weights of 2 runs"), "{card}");

    // A mean that takes part counts as often as there are runs in it.
    assert_success(&average_to("further", &["--run", &first, "--model", &run("mean")]));
    for ((a, mean), further) in one.iter().zip(&mean).zip(&weights("further")) {
        assert!(((a + 2.0 * mean) / 3.0 - further).abs() < 1e-4, "{further} is not the mean of {a} and twice {mean}");
    }
    let card = std::fs::read_to_string(workshop.path("further/README.md")).expect("a card");
    assert!(card.contains("The mean of the weights of 3 runs: seed 12345 (epoch 1 of 1), seed 12345"), "{card}");
    assert_success(&average_to("finished", &["--run", &second, "--model", &first]));
    let card = std::fs::read_to_string(workshop.path("finished/README.md")).expect("a card");
    assert!(card.contains("seed 9 (epoch 1 of 1), seed 12345 (at most 1 epochs)"), "its folder does not tell which: {card}");

    let refused = |parts: &[&str]| stderr(&average(parts));
    assert!(refused(&["--run", &first]).contains("at least two parts"));
    let nowhere = average(&["--run", &first, "--run", "elsewhere"]);
    assert!(stderr(&nowhere).contains("no such run") && nowhere.status.code() == Some(66), "{nowhere:?}");
    assert!(refused(&["--run", &first, "--run", &first]).contains("first: takes part twice"));
    assert!(refused(&["--run", &first, "--model", &first]).contains("first: takes part twice"));
    let checkpoint = workshop.path("second.run/checkpoint/progress.json");
    let mut progress: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&checkpoint).expect("a checkpoint")).expect("json");
    progress["history"] = serde_json::json!([]);
    std::fs::write(&checkpoint, progress.to_string()).expect("written");
    assert!(refused(&["--run", &first, "--run", &second]).contains("second: this run has not finished an epoch"));
    workshop.write("train.jsonl", orders(32, 0).as_bytes());
    assert!(refused(&["--run", &first, "--run", &second]).contains("had another training file"));
}

#[test]
fn a_model_is_calibrated_anew_without_touching_its_weights() {
    let workshop = Workshop::new(QUICK);
    assert_success(&workshop.train("model", &[]));
    // A folder from before there were witnesses: neither they nor their words.
    let (model, manifest) = (workshop.path("model"), workshop.path("model/manifest.json"));
    let read =
        |path: &Path| -> serde_json::Value { serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("json") };
    let mut old = read(&manifest);
    old["files"].as_object_mut().expect("files").remove("dispute.json");
    old["git_commit"] = "the-first".into();
    std::fs::write(&manifest, old.to_string()).expect("written");
    std::fs::remove_file(model.join("dispute.json")).expect("training wrote it");

    let calibrate = |orders: &str, out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
        command.arg("calibrate").arg("--model").arg(&model).arg("--orders").arg(workshop.path(orders));
        command.arg("--validation").arg(workshop.path("validation.jsonl")).arg("--out").arg(workshop.path(out));
        command.output().expect("paidan-train runs")
    };
    let bound = serde_json::json!({"similarity": 0.3, "margin": 0.0, "precision": 0.7});
    let path = model.join("calibration.json");
    let mut calibration = read(&path);
    calibration["duties"] = bound.clone();
    std::fs::write(&path, calibration.to_string()).expect("written");
    old["files"].as_object_mut().expect("files").remove("calibration.json");
    std::fs::write(&manifest, old.to_string()).expect("written");
    assert_success(&calibrate("train.jsonl", "anew"));
    let anew = Router::open(&workshop.path("anew")).expect("a model");
    assert_eq!(anew.info().name, "tiny");
    assert!(anew.info().metrics.contains_key("text_only.proposal_auc_cross_validated"), "{:?}", anew.info().metrics);
    assert!(workshop.path("anew/dispute.json").is_file());
    let kept = &read(&workshop.path("anew/calibration.json"))["duties"];
    assert!(kept["similarity"].is_number() && kept["precision"].is_number(), "what was measured on embeddings is kept: {kept}");
    assert_eq!(workshop.weights("model"), workshop.weights("anew"), "the same weights, centres and words");
    let manifest = read(&workshop.path("anew/manifest.json"));
    assert_eq!(manifest["git_commit"], "the-first");
    assert!(manifest["calibrated_by"].is_string(), "{manifest}");

    let refused = stderr(&calibrate("validation.jsonl", "wrong"));
    assert!(refused.contains("learnt from another file"), "{refused}");
    assert!(!workshop.path("wrong").exists());
}

#[test]
fn bad_rows_are_named_by_file_and_line_and_good_ones_kept() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 1"));
    let mut file = orders(64, 0).into_bytes();
    file.extend_from_slice(b"{\"order_id\": \"X1\", \"appeal\": \"secret words\"}\n");
    file.extend_from_slice(b"{\"order_id\": \"X2\", \"appeal\": \"\xff\xfe\", \"department\": \"a\"}\n");
    file.extend_from_slice(b"\n{\"order_id\": \"T3\", \"appeal\": \"again\", \"department\": \"a\"}\nnot json\n");
    workshop.write("train.jsonl", &file);
    let output = workshop.train("model", &[]);
    assert_success(&output);
    let text = stderr(&output);
    for line in [
        "train.jsonl:65: department is missing",
        "train.jsonl:66: not UTF-8",
        "train.jsonl:68: order_id stands in line 4 already",
        "train.jsonl:69: not a JSON object",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("secret words"), "a message quotes a citizen");
    assert!(text.contains("64 training orders of 4 departments"), "{text}");
}

#[test]
fn one_department_only_is_refused_and_missing_dispute_labels_are_said() {
    let workshop = Workshop::new(&QUICK.replace("epochs = 3", "epochs = 1"));
    let one: String = orders(64, 0).lines().filter(|line| line.contains("城管")).map(|line| format!("{line}\n")).collect();
    workshop.write("train.jsonl", one.as_bytes());
    let output = workshop.train("model", &[]);
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("at least two are needed"), "{}", stderr(&output));
    workshop.write("train.jsonl", b"");
    assert!(stderr(&workshop.train("model", &[])).contains("0 good rows"));
    let unlabelled =
        orders(64, 0).replace("\"rerouted\":true", "\"rerouted\":null").replace("\"rerouted\":false", "\"rerouted\":null");
    workshop.write("train.jsonl", unlabelled.as_bytes());
    let output = workshop.train("model", &[]);
    assert_success(&output);
    assert!(stderr(&output).contains("the model will have no dispute head"), "{}", stderr(&output));
    assert!(!Router::open(&workshop.path("model")).expect("a model").info().has_dispute_head);
}

#[test]
fn a_wrong_configuration_is_named_by_its_key() {
    for (config, reason) in [
        ("epoch = 3\n", "epoch"),
        ("warmup = 1.5\n", "warmup must be between 0 and 1"),
        ("learning_rate = -1.0\n", "learning_rate must be above 0"),
        ("seed = \"x\"\n", "seed"),
    ] {
        let workshop = Workshop::new(config);
        let output = workshop.train("model", &[]);
        assert_eq!(output.status.code(), Some(65));
        assert!(stderr(&output).contains(reason), "{} does not say {reason}", stderr(&output));
    }
}

#[test]
fn a_base_model_that_is_none_is_refused() {
    let workshop = Workshop::new(QUICK);
    std::fs::remove_file(workshop.path("base").join("model.safetensors")).expect("removed");
    let output = workshop.train("model", &[]);
    assert!(stderr(&output).contains("model.safetensors is missing"), "{}", stderr(&output));
    assert!(!Path::new(&workshop.path("model")).exists(), "nothing half-made is left");
}

/// The program starts once more to have its memory kept: nobody outside may see it, but in the time.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_program_that_starts_itself_anew_has_the_same_arguments_and_ending() {
    let ask = |own: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
        command.args(["repeats", "--orders", "no such/订单 \"1\".jsonl", "--labels", "", "--json", "-x"]);
        command.env_remove("MALLOC_TRIM_THRESHOLD_").env_remove("MALLOC_MMAP_THRESHOLD_");
        command.envs(own.map(|limit| ("MALLOC_MMAP_THRESHOLD_", limit)));
        let output = command.output().expect("paidan-train runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (anew, at_once) = (ask(None), ask(Some("1048576")));
    assert_eq!(anew, at_once);
    assert!(anew.0.is_some_and(|code| code != 0), "{anew:?}");
}

/// The limits are in the environment that the program started anew with, unless somebody set one.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn memory_is_kept_unless_somebody_else_decided() {
    let folder = tempfile::tempdir().expect("a folder");
    // A named pipe: the program waits in it, so that its environment can be read in peace.
    let pipe = folder.path().join("orders.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    for (own, expected) in [(None, "MALLOC_TRIM_THRESHOLD_=17179869184"), (Some("1"), "MALLOC_MMAP_THRESHOLD_=1")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
        command.arg("repeats").arg("--orders").arg(&pipe).args(["--labels", "none"]);
        command.env_remove("MALLOC_TRIM_THRESHOLD_").env_remove("MALLOC_MMAP_THRESHOLD_");
        command.envs(own.map(|limit| ("MALLOC_MMAP_THRESHOLD_", limit)));
        let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("paidan-train runs");
        // Opening succeeds when the program has opened the other end: then it has long been started anew.
        let writer = std::fs::OpenOptions::new().write(true).open(&pipe).expect("the other end is open");
        let environment = std::fs::read(format!("/proc/{}/environ", child.id())).expect("its environment");
        drop(writer);
        child.wait().expect("it ends");
        let environment = String::from_utf8_lossy(&environment);
        assert!(environment.split('\0').any(|one| one == expected), "{expected} is not in {environment:?}");
        assert_eq!(own.is_some(), !environment.contains("MALLOC_TRIM_THRESHOLD_"));
    }
}
