//! The command line as scripts and people meet it: what is printed where, and which number a command ends with.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const USAGE: i32 = 64;
const DATA: i32 = 65;
const NO_INPUT: i32 = 66;
const UNAVAILABLE: i32 = 69;

/// A folder of its own, with a tiny model in it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a place for the test");
        std::fs::create_dir(folder.path().join("model")).expect("a folder");
        support::write_tiny_model(&folder.path().join("model"), 1);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).expect("a file of the test");
        self.path(name)
    }

    /// `paidan` in this folder, free of the environment's settings, with the tiny model.
    fn paidan(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paidan"));
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("PAIDAN_") || name_text.starts_with("HF_") {
                command.env_remove(&name);
            }
        }
        command
            .env("PAIDAN_MODEL", self.path("model"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("HF_HOME", self.path("hf"))
            .env("NO_COLOR", "1");
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.paidan(args).output().expect("paidan runs"))
    }

    fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut child =
            self.paidan(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("paidan runs");
        // It may end before it has read everything.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        Ended::of(child.wait_with_output().expect("it ends"))
    }

    fn replay(&self, orders: &str, more: &[&str]) -> Ended {
        let mut args = vec!["replay", "--orders", orders, "--out", "out"];
        args.extend(more);
        self.run(&args)
    }

    fn metrics(&self) -> Value {
        let bytes = std::fs::read(self.path("out/metrics.json")).expect("metrics.json");
        serde_json::from_slice(&bytes).expect("metrics.json is JSON")
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).expect("a file of lines");
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }
}

#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what we print is UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    #[track_caller]
    fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in {self:?}");
        }
        self
    }
}

fn order(id: usize, more: Value) -> String {
    let mut row = json!({"order_id": format!("A{id}"), "appeal": support::APPEALS[id % support::APPEALS.len()]});
    let fields = row.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    row.to_string()
}

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
fn route_prints_the_ranked_departments_for_people() {
    let ended = Place::new().run(&["route", "小区门口的路灯坏了很久没人修", "--proposed", "供电"]).well();
    for word in ["承办单位", "  1  ", "%", "争议风险", "拟派供电", "模型"] {
        assert!(ended.out.contains(word), "{word} is not in {}", ended.out);
    }
    assert!(!ended.out.contains('\x1b'), "colours are for a terminal");
}

#[test]
fn route_reads_standard_input_and_prints_json() {
    let place = Place::new();
    for args in [&["route", "--json"][..], &["route", "-", "--json", "--top", "2"]] {
        let ended = place.run_with_input(args, "小区停电了,请问什么时候来电\n".as_bytes()).well();
        let answer: Value = serde_json::from_str(&ended.out).expect("JSON");
        let departments = answer["departments"].as_array().expect("a list");
        assert_eq!(departments.len(), if args.len() == 2 { 5 } else { 2 });
        let probabilities: Vec<f64> = departments.iter().filter_map(|d| d["probability"].as_f64()).collect();
        assert!(probabilities.is_sorted_by(|a, b| a >= b), "{probabilities:?}");
        assert!(
            answer["dispute_risk"].is_number() && answer["needs_review"].is_boolean() && answer["model_version"].is_string()
        );
    }
}

#[test]
fn route_refuses_what_is_no_appeal_and_says_the_way_out() {
    let place = Place::new();
    place.run(&["route", ""]).failed(DATA, &["text"]);
    place.run_with_input(&["route"], b"\xff\xfe").failed(DATA, &["UTF-8", "iconv"]);
    place.run_with_input(&["route"], &vec![b'a'; (1 << 20) + 1]).failed(DATA, &["replay"]);
    place.run_with_input(&["route"], "长".repeat(20_001).as_bytes()).failed(DATA, &["20"]);
    place.run(&["route", "路灯坏了", "--proposed", "城管局"]).failed(DATA, &["城管局", "did you mean"]);
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
    assert!(place.run(&["model", "verify"]).well().out.contains("sound"));
}

#[test]
fn config_show_tells_where_each_value_comes_from_and_can_be_read_back() {
    let place = Place::new();
    let file = place.write("paidan.toml", "[server]\nqueue_capacity = 64\n[log]\nlevel = \"debug\"\n");
    let mut command = place.paidan(&["config", "show", "--set", "log.format=json"]);
    let shown = Ended::of(command.env("PAIDAN_SERVER_MAX_BATCH_TOKENS", "2048").output().expect("paidan runs")).well().out;
    for (line, origin) in [
        ("queue_capacity = 64", "paidan.toml"),
        ("max_batch_tokens = 2048", "PAIDAN_SERVER_MAX_BATCH_TOKENS"),
        ("format = \"json\"", "flag"),
        ("address = \"127.0.0.1:50051\"", "default"),
        ("path = ", "PAIDAN_MODEL"),
    ] {
        // Two sections have a path: one of them is the model's.
        let found = shown.lines().any(|l| l.starts_with(line) && l.ends_with(&format!("# {origin}")));
        assert!(found, "{line} from {origin} is not in {shown}");
    }
    std::fs::write(&file, &shown).expect("written back");
    place.run(&["config", "check"]).well();
}

#[test]
fn flags_win_over_environment_and_environment_over_file() {
    let place = Place::new();
    place.write("paidan.toml", "[server]\naddress = \"127.0.0.1:1\"\n");
    let of = |command: &mut Command| Ended::of(command.output().expect("paidan runs")).well().out;
    assert!(of(&mut place.paidan(&["config", "check"])).contains("127.0.0.1:1"));
    let mut command = place.paidan(&["config", "check"]);
    assert!(of(command.env("PAIDAN_SERVER_ADDRESS", "127.0.0.1:2")).contains("127.0.0.1:2"));
    let mut command = place.paidan(&["config", "check", "--set", "server.address=127.0.0.1:3"]);
    assert!(of(command.env("PAIDAN_SERVER_ADDRESS", "127.0.0.1:2")).contains("127.0.0.1:3"));
}

#[test]
fn a_bad_configuration_exits_with_64_and_names_key_and_origin() {
    let place = Place::new();
    for (text, words) in [
        ("[server]\nmax_batch_token = 5\n", &["server.max_batch_token", "did you mean \"max_batch_tokens\"", "bad.toml"][..]),
        ("[servre]\n", &["servre", "did you mean \"server\""]),
        ("[server]\nqueue_capacity = 0\n", &["server.queue_capacity", "must be from 1"]),
        ("[server]\nmax_request_time_ms = 0\n", &["server.max_request_time_ms", "must last"]),
        ("[server]\nqueue_capacity = \"many\"\n", &["server.queue_capacity", "many"]),
        ("[server]\nqueue_capacity = -1\n", &["server.queue_capacity"]),
        ("[server]\naddress = \"localhost\"\n", &["server.address", "IP:PORT"]),
        ("[log]\nlevel = \"loud\"\n", &["log.level", "error, warn"]),
        ("[server\n", &["bad.toml", "line 1"]),
    ] {
        place.write("bad.toml", text);
        place.run(&["config", "check", "--config", "bad.toml"]).failed(USAGE, words);
    }
    place.run(&["config", "check", "--config", "none.toml"]).failed(NO_INPUT, &["none.toml"]);
    place.run(&["config", "check", "--set", "server.colour=red"]).failed(USAGE, &["server.colour"]);
    let mut command = place.paidan(&["config", "check"]);
    let ended = Ended::of(command.env("PAIDAN_SERVER_QUEUE_CAPACTY", "5").output().expect("paidan runs"));
    ended.failed(USAGE, &["PAIDAN_SERVER_QUEUE_CAPACTY", "did you mean \"queue_capacity\""]);
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
    let ended = place.replay("orders.jsonl", &["--proposals"]).well();
    assert!(ended.err.contains("海事 (6)"), "{}", ended.err);

    let predictions = place.lines("out/predictions.jsonl");
    let ids: Vec<&str> = predictions.iter().filter_map(|p| p["order_id"].as_str()).collect();
    assert_eq!(ids, (0..300).map(|i| format!("A{i}")).collect::<Vec<_>>());
    for prediction in &predictions {
        assert_eq!(prediction["departments"].as_array().map(Vec::len), Some(5));
        assert!(prediction["dispute_risk"].is_number() && prediction["proposed_dispatch_risk"].is_number());
        assert!(prediction["needs_review"].is_boolean() && prediction["reasons"].is_array());
    }
    let right = |p: &Value, i: usize| p["departments"][0]["department"] == support::DEPARTMENTS[i % 6] && !i.is_multiple_of(50);
    let accuracy = predictions.iter().enumerate().filter(|(i, p)| right(p, *i)).count() as f64 / 300.0;
    let metrics = place.metrics();
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
    place.replay("orders.jsonl", &[]).well();
    let with_category = place.lines("out/predictions.jsonl");
    place.replay("orders.jsonl", &["--text-only"]).well();
    let text_only = place.lines("out/predictions.jsonl");
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
    place.replay("orders.jsonl", &["--limit", "3"]).well();
    let metrics = place.metrics();
    assert_eq!(metrics["appeals"], 3);
    assert!(metrics["p50_ms"].is_number() && metrics.get("accuracy").is_none() && metrics.get("dispute_auc").is_none());
    assert_eq!(place.lines("out/predictions.jsonl").len(), 3);
}

#[test]
fn an_empty_file_is_replayed_to_nothing() {
    let place = Place::new();
    place.write("orders.jsonl", "\n\n");
    place.replay("orders.jsonl", &[]).well();
    assert_eq!(place.metrics()["appeals"], 0);
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
    let ended = place.replay("orders.jsonl", &[]).well();
    for line in [2, 3, 4, 5, 6, 7] {
        assert!(ended.err.contains(&format!("orders.jsonl:{line}: ")), "line {line} is not in {}", ended.err);
    }
    let skipped = place.lines("out/skipped.jsonl");
    assert_eq!(skipped.iter().filter_map(|s| s["line"].as_u64()).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
    assert!(!ended.err.contains("secret") && !skipped.iter().any(|s| s.to_string().contains("secret")));
    assert_eq!((place.metrics()["appeals"].as_u64(), place.metrics()["skipped"].as_u64()), (Some(2), Some(6)));
}

#[test]
fn only_the_first_twenty_bad_rows_are_named_on_the_terminal() {
    let place = Place::new();
    place.write("orders.jsonl", "bad\n".repeat(50) + &order(0, json!({})));
    let ended = place.replay("orders.jsonl", &[]).well();
    assert_eq!(ended.err.matches("orders.jsonl:").count(), 20);
    assert!(ended.err.contains("50 rows were left out"), "{}", ended.err);
    assert_eq!(place.lines("out/skipped.jsonl").len(), 50);
}

#[test]
fn replay_without_a_file_or_with_a_folder_says_so() {
    let place = Place::new();
    place.replay("nowhere.jsonl", &[]).failed(NO_INPUT, &["nowhere.jsonl"]);
    place.replay("model", &[]).failed(NO_INPUT, &["is a folder"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_replay_leaves_the_last_results_as_they_were() {
    let place = Place::new();
    place.write("orders.jsonl", order(0, json!({})));
    place.replay("orders.jsonl", &[]).well();
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

#[cfg(unix)]
#[test]
fn serve_says_when_it_is_ready_and_drains_on_sigterm() {
    let place = Place::new();
    for name in ["TERM", "INT"] {
        let mut child = place
            .paidan(&["serve", "--address", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a ready line");
        assert!(
            line.starts_with("paidan is ready on 127.0.0.1:") && line.contains("6 departments") && line.contains("loaded in"),
            "{line}"
        );
        let address = line.split([' ', ':']).find_map(|word| word.parse::<u16>().ok()).expect("a port");
        std::net::TcpStream::connect(("127.0.0.1", address)).expect("it listens");
        signal(child.id(), name);
        Ended::of(child.wait_with_output().expect("it ends")).well();
    }
}

#[test]
fn serve_on_a_taken_address_says_the_way_out() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    place.run(&["serve", "--address", &address]).failed(UNAVAILABLE, &[&address, "--address"]);
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

#[cfg(unix)]
fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), process.to_string()]).status().expect("kill");
    assert!(status.success());
}
