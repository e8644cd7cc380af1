//! The command line as scripts and people meet it: what is printed where, and which number a command ends with. Commands with more to
//! say have files of their own.

use std::process::Stdio;

use serde_json::Value;

use crate::place::{DATA, Ended, NO_INPUT, Place, UNAVAILABLE, USAGE};
use crate::support;

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::new();
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["route", "--help"],
        &["replay", "--help"],
        &["model", "--help"],
        &["model", "info", "--help"],
        &["model", "verify", "--help"],
        &["catalog", "--help"],
        &["catalog", "check", "--help"],
        &["catalog", "show", "--help"],
        &["config", "--help"],
        &["config", "show", "--help"],
        &["config", "check", "--help"],
    ] {
        let ended = place.run(command).well();
        assert!(ended.out.contains("Example:") && ended.out.contains("paidan "), "{command:?}: {}", ended.out);
    }
}

#[test]
fn a_wrong_use_exits_with_64_and_says_what_is_right() {
    let place = Place::new();
    place.run(&["rout", "路灯坏了"]).failed(USAGE, &["route"]);
    place.run(&["replay"]).failed(USAGE, &["--orders"]);
    place.run(&[]).failed(USAGE, &["Usage"]);
    place.run(&["route", "--set", "nonsense", "路灯"]).failed(USAGE, &["SECTION.KEY=VALUE"]);
}

#[test]
fn a_model_that_is_not_there_is_66_and_a_damaged_one_65() {
    let place = Place::new();
    place.run(&["model", "info", "--model", "nowhere"]).failed(NO_INPUT, &["nowhere", "owner/name@revision"]);
    place.run(&["model", "info", "--model", "a b@main"]).failed(USAGE, &["a b@main"]);
    place.run(&["model", "info", "--model", "city/router@v1", "--offline"]).failed(NO_INPUT, &["not in the cache"]);
    let weights = place.path("model/model.safetensors");
    let bytes = std::fs::read(&weights).expect("weights");
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).expect("cut");
    place.run(&["model", "verify"]).failed(DATA, &["model.safetensors"]);
    std::fs::remove_file(&weights).expect("removed");
    place.run(&["model", "verify"]).failed(NO_INPUT, &["model.safetensors is missing"]);
}

#[test]
fn what_is_wrong_is_told_once() {
    let place = Place::new();
    for args in [
        &["config", "check", "--config", "none.toml"][..],
        &["catalog", "check", "nowhere"],
        &["replay", "--orders", "none.jsonl", "--out", "out"],
    ] {
        let ended = place.run(args).failed(NO_INPUT, &[]);
        assert_eq!(ended.err.matches("No such file or directory").count(), 1, "{ended:?}");
    }
    std::fs::write(place.path("model/model.safetensors"), "cut").expect("damaged");
    let ended = place.run(&["model", "info"]).failed(DATA, &["model.safetensors: "]);
    assert_eq!(ended.err.matches("not a whole safetensors file").count(), 1, "{ended:?}");
}

#[test]
fn a_hub_that_cannot_be_reached_is_69() {
    let place = Place::new();
    let mut command = place.paidan(&["model", "info", "--model", "city/router@v1"]);
    let ended = Ended::of(command.env("HF_ENDPOINT", "http://127.0.0.1:9").output().expect("paidan runs"));
    ended.failed(UNAVAILABLE, &["http://127.0.0.1:9"]);
}

#[test]
fn model_info_and_verify_describe_a_sound_model() {
    let place = Place::new();
    let info = place.run(&["model", "info"]).well();
    assert!(info.out.contains("城管") && info.out.contains("100 training orders"), "{}", info.out);
    let info: Value = serde_json::from_str(&place.run(&["model", "info", "--json"]).well().out).expect("JSON");
    assert_eq!(info["departments"].as_array().map(Vec::len), Some(support::DEPARTMENTS.len()));
    support::write_manifest(&place.path("model"));
    let verified = place.run(&["model", "verify"]).well().out;
    assert!(verified.contains("sound; 5 files match manifest.json"), "{verified}");
}

#[test]
fn a_model_is_not_verified_by_a_manifest_that_is_missing_or_silent_on_a_file_that_is_read() {
    let place = Place::new();
    let verify = || place.run(&["model", "verify"]);
    let unverified = |code: i32, words: &[&str]| {
        let ended = verify().failed(code, words);
        assert!(!ended.out.contains("sound"), "{ended:?}");
        // To serve, neither is needed.
        place.run(&["route", "路灯坏了"]).well();
    };
    unverified(NO_INPUT, &["manifest.json is missing", "paidan-train"]);
    support::write_manifest(&place.path("model"));
    verify().well();
    let listed = std::fs::read(place.path("model/manifest.json")).expect("a manifest");
    for name in ["calibration.json", "departments.json"] {
        let mut manifest: Value = serde_json::from_slice(&listed).expect("json");
        manifest["files"].as_object_mut().expect("files").remove(name);
        place.write("model/manifest.json", manifest.to_string());
        unverified(DATA, &["manifest.json: does not list ", name]);
    }
    place.write("model/manifest.json", &listed);
    // Of after the manifest.
    support::write_dispute_model(&place.path("model"));
    support::write_manifest(&place.path("model"));
    unverified(DATA, &["manifest.json: does not list dispute.json"]);
}

#[test]
fn a_listed_file_that_only_people_read_is_verified_too() {
    let place = Place::new();
    place.write("model/README.md", "the card");
    support::write_manifest(&place.path("model"));
    let written = std::fs::read(place.path("model/manifest.json")).expect("a manifest");
    let mut manifest: Value = serde_json::from_slice(&written).expect("json");
    manifest["files"]["README.md"] = serde_json::json!({"sha256": paidan::model::sha256_hex(b"the card"), "bytes": 8});
    place.write("model/manifest.json", manifest.to_string());
    assert!(place.run(&["model", "verify"]).well().out.contains("6 files match"));
    place.write("model/README.md", "another card");
    place.run(&["model", "verify"]).failed(DATA, &["README.md: sha-256 is ", "manifest.json says"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let mut child =
        place.paidan(&["model", "info"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("paidan runs");
    drop(child.stdout.take());
    let ended = Ended::of(child.wait_with_output().expect("it ends"));
    assert!(ended.code == Some(0) && ended.err.is_empty(), "{ended:?}");
}
