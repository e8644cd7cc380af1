//! `paidan demo`: the whole story runs to its end with any model, leaves a page to look at, and touches no database of the city's.

use std::process::Command;

use chrono::{NaiveDateTime, TimeDelta};
use paidan::model::{Calibration, StandingBound};

use crate::support::{calibrate, tiny_model};

/// `paidan demo` without anybody's own settings.
fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidan"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PAIDAN_")) {
        command.env_remove(name);
    }
    command.arg("demo");
    command
}

#[test]
fn the_story_runs_to_its_end_and_leaves_the_case_file_as_a_page() {
    let (model, folder) = (tiny_model(), tempfile::tempdir().expect("a folder"));
    let (page, city) = (folder.path().join("case.html"), folder.path().join("city.db"));
    let output = demo()
        .arg("--model")
        .arg(model.path())
        .arg("--page")
        .arg(&page)
        .env("PAIDAN_STORE_URL", format!("sqlite:{}", city.display()))
        .env("TMPDIR", folder.path())
        .env("NO_COLOR", "1")
        .output()
        .expect("paidan runs");
    let said = String::from_utf8(output.stdout).expect("utf-8");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for scene in ["① 市民来电", "退单", "自动立案，案号 C-", "案卷关闭", "⑨ 全程留痕", "校验通过"]
    {
        assert!(said.contains(scene), "{scene} is missing from {said}");
    }
    // By the city's clock, as all that is told of an order.
    let trail = said.split("⑨ 全程留痕").nth(1).expect("a trail");
    let time = |line: &str| NaiveDateTime::parse_from_str(line.trim().split_once("  ")?.1.get(..19)?, "%Y-%m-%d %H:%M:%S").ok();
    let times: Vec<NaiveDateTime> = trail.lines().filter_map(time).collect();
    let now = chrono::Utc::now().naive_utc() + TimeDelta::hours(8);
    assert!(!times.is_empty() && times.iter().all(|time| (now - *time).num_minutes().abs() < 30), "{trail}");
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains("责任认定案卷") && html.contains("DEMO-0001"));
    assert!(!city.exists(), "the city's own database is not touched");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["case.html"], "nothing else is left behind");
}

#[test]
fn a_page_that_cannot_be_written_is_told_before_the_story_begins() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).expect("a folder");
    for (page, code, words) in
        [(taken.clone(), 64, "is a folder; name a file"), (folder.path().join("nowhere/case.html"), 66, "nowhere/case.html: ")]
    {
        // Nor is the model looked for: there is none.
        let output = demo().arg("--model").arg("none").arg("--page").arg(&page).output().expect("paidan runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{said}");
    }
    // What can be written is neither made nor changed by the look.
    let (new, old) = (folder.path().join("new.html"), folder.path().join("old.html"));
    std::fs::write(&old, "before").expect("written");
    for page in [&new, &old] {
        let output = demo().arg("--model").arg("none").arg("--page").arg(page).output().expect("paidan runs");
        assert!(String::from_utf8_lossy(&output.stderr).contains("\"none\""), "{output:?}");
    }
    assert!(!new.exists());
    assert_eq!(std::fs::read(&old).expect("still there"), b"before");
}

#[test]
fn a_file_without_such_a_story_is_told() {
    let (model, folder) = (tiny_model(), tempfile::tempdir().expect("a folder"));
    let orders = folder.path().join("orders.jsonl");
    std::fs::write(&orders, "{\"order_id\":\"1\",\"appeal\":\"路灯不亮\",\"department\":\"城管\"}\n").expect("written");
    let output = demo().arg("--model").arg(model.path()).arg("--orders").arg(&orders).output().expect("paidan runs");
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("orders.jsonl: "));
}

#[test]
fn a_file_of_orders_that_cannot_be_read_is_told_with_the_way_out_as_replay_tells_it() {
    let (model, folder) = (tiny_model(), tempfile::tempdir().expect("a folder"));
    // With it standing rulings may apply, so that a story is looked for.
    let mut calibration = Calibration::default();
    calibration.precedents.unworded = Some(StandingBound { similarity: 0.9, probability: 0.0, precision: 0.9 });
    calibrate(model.path(), &calibration);
    let row = "{\"order_id\":\"1\",\"appeal\":\"路灯不亮\",\"department\":\"城管\"}\n";
    let utf16: Vec<u8> = row.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, words) in [
        (encoding_rs::GB18030.encode(&row.repeat(3)).0.into_owned(), &["none of its 3 rows", "iconv -f GB18030 -t UTF-8"][..]),
        ([row.as_bytes(), b"{}\n"].concat(), &["another like it; 1 rows cannot be read"]),
        (utf16, &["iconv -f UTF-16 -t UTF-8"]),
        (Vec::new(), &["there is no order in it"]),
    ] {
        let orders = folder.path().join("orders.jsonl");
        std::fs::write(&orders, bytes).expect("written");
        let output = demo().arg("--model").arg(model.path()).arg("--orders").arg(&orders).output().expect("paidan runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} are not in {said}");
    }
}
