//! `paidan config`: which settings are in force, where each came from, and what is wrong with the others.

use std::process::Command;

use crate::place::{Ended, NO_INPUT, Place, USAGE};

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
fn what_is_no_file_of_settings_is_a_wrong_configuration_and_not_a_missing_file() {
    let place = Place::new();
    std::fs::create_dir(place.path("conf")).expect("a folder");
    place.run(&["config", "check", "--config", "conf"]).failed(USAGE, &["conf: is a folder; name a file", "conf/paidan.toml"]);
    // As an editor in Windows saves it in China: the comment is not UTF-8, however well the settings are.
    place.write("gbk.toml", encoding_rs::GB18030.encode("# 派单\n[server]\nqueue_capacity = 64\n").0);
    let words = ["gbk.toml: not UTF-8 at byte 3", "iconv -f GB18030 -t UTF-8"];
    place.run(&["config", "check", "--config", "gbk.toml"]).failed(USAGE, &words);
    let mut command = place.paidan(&["config", "check"]);
    Ended::of(command.env("PAIDAN_CONFIG", "gbk.toml").output().expect("paidan runs")).failed(USAGE, &words);
}

#[test]
fn a_text_of_digits_is_a_text_wherever_it_is_given() {
    let place = Place::new();
    for name in ["20260101", "007", "1e5", "true", "-1", "[x]"] {
        let of = |command: &mut Command| Ended::of(command.output().expect("paidan runs")).well().out;
        let line = format!("path = \"{name}\"");
        let set = format!("model.path={name}");
        for (shown, origin) in [
            (of(&mut place.paidan(&["config", "show", "--set", &set])), "flag"),
            (of(&mut place.paidan(&["config", "show", &format!("--model={name}")])), "flag"),
            (of(place.paidan(&["config", "show"]).env("PAIDAN_MODEL", name)), "PAIDAN_MODEL"),
        ] {
            let found = shown.lines().any(|l| l.starts_with(&line) && l.ends_with(&format!("# {origin}")));
            assert!(found, "{line} from {origin} is not in {shown}");
        }
    }
    // A number stays one.
    place.run(&["config", "check", "--set", "server.queue_capacity=64"]).well();
    place.run(&["config", "check", "--set", "server.queue_capacity=many"]).failed(USAGE, &["server.queue_capacity", "many"]);
    place.run(&["config", "check", "--set", ".path=1"]).failed(USAGE, &[".path"]);
}

#[test]
fn a_password_is_never_shown() {
    let place = Place::new();
    for url in ["postgres://u:geheim@h/db", "postgres://h/db?user=u&password=geheim", "postgres://h/db?PASSWORD=%67eheim#x"] {
        let set = format!("store.url={url}");
        let shown = place.run(&["config", "show", "--set", &set]).well().out;
        assert!(!shown.contains("eheim") && shown.contains("***"), "{shown}");
        // What is shown can still be read.
        shown.parse::<toml::Table>().expect("TOML");
    }
}
