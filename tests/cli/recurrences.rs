//! `paidan rulings recurrences` as the committee's office uses it: from re-dispatched orders to drafts, and from drafts that people
//! completed to disputes that no longer come up.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use paidan::model::Calibration;
use paidan::rulings::RulingDraft;
use serde_json::{Value, json};

use crate::support::{APPEALS, calibrate, only_itself, tiny_model};

/// A folder with a model for which only a text itself is alike, and a database.
struct Office {
    folder: tempfile::TempDir,
    model: tempfile::TempDir,
}

impl Office {
    fn new() -> Self {
        let model = tiny_model();
        let calibration = Calibration { precedents: only_itself(), recurrence_similarity: 0.99, ..Calibration::default() };
        calibrate(model.path(), &calibration);
        Self { folder: tempfile::tempdir().expect("a folder"), model }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paidan"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PAIDAN_")) {
            command.env_remove(name);
        }
        command.env("PAIDAN_STORE_URL", format!("sqlite:{}", self.path("paidan.db").display()));
        command.env("PAIDAN_MODEL_PATH", self.model.path()).env("PAIDAN_CATALOG_PATH", "none");
        let Output { status, stdout, stderr } =
            command.args(args).current_dir(self.folder.path()).stdin(Stdio::null()).output().expect("paidan runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (status.code().expect("an end of its own"), text(stdout), text(stderr))
    }

    fn import(&self, orders: &[Value]) {
        let lines: Vec<String> = orders.iter().map(Value::to_string).collect();
        std::fs::write(self.path("orders.jsonl"), lines.join("\n")).expect("a file");
        let (code, _, err) = self.run(&["rulings", "import", "--from-orders", "orders.jsonl"]);
        assert_eq!(code, 0, "{err}");
    }

    fn groups(&self, more: &[&str]) -> Value {
        let (code, out, err) = self.run(&[&["rulings", "recurrences", "--json"], more].concat());
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).expect("JSON")
    }
}

fn order(id: &str, day: &str, appeal: &str, instructed: &str, department: &str) -> Value {
    json!({"order_id": id, "received_on": day, "appeal": appeal, "instructed": [instructed], "department": department, "rerouted": true})
}

/// Four about lamps, three of them handled by 供电; three about water; one like no other.
fn orders() -> Vec<Value> {
    vec![
        order("Q1", "2026-01-05", APPEALS[0], "城管", "供电"),
        order("Q2", "2026-01-02", APPEALS[0], "城管", "供电"),
        order("Q3", "2026-03-01", APPEALS[0], "住建", "供电"),
        order("Q4", "2026-02-01", APPEALS[0], "供电", "城管"),
        order("Q5", "2026-01-07", APPEALS[2], "住建", "水务"),
        order("Q6", "2026-01-08", APPEALS[2], "住建", "水务"),
        order("Q7", "2026-01-09", APPEALS[2], "城管", "水务"),
        order("Q8", "2026-01-10", APPEALS[3], "交警", "供电"),
    ]
}

#[test]
fn disputes_that_come_back_are_told_to_people_in_chinese_with_who_contests_them_since_when() {
    let office = Office::new();
    office.import(&orders());
    let (code, out, err) = office.run(&["rulings", "recurrences"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("共比对争议 8 件：已有类案认定 0 件，没有同类的 1 件；3 件以上的同类争议 2 组"), "{out}");
    for words in ["2026-01-02 至 2026-03-01", "供电 75.0%", "城管 2 件、住建 1 件、供电 1 件", "主办 供电", APPEALS[0]]
    {
        assert!(out.contains(words), "{words} is not said in\n{out}");
    }
    let (_, out, _) = office.run(&["rulings", "recurrences", "--similarity", "0.99", "--min", "4", "--most", "1"]);
    assert!(out.contains("4 件以上的同类争议 1 组") && !out.contains(APPEALS[2]), "{out}");
}

#[test]
fn a_draft_that_people_completed_is_imported_and_its_disputes_come_up_no_more() {
    let office = Office::new();
    office.import(&orders());
    let before = office.groups(&["--drafts", "drafts.jsonl", "--most", "1"]);
    assert_eq!((&before["disputes"], &before["covered"], &before["single"]), (&json!(8), &json!(0), &json!(1)));
    let lamps = &before["groups"][0];
    assert_eq!((&lamps["disputes"], &lamps["lead_share"]), (&json!(4), &json!(0.75)));
    assert_eq!(lamps["contesting"][0], json!({"department": "城管", "disputes": 2}));
    let text = std::fs::read_to_string(office.path("drafts.jsonl")).expect("the drafts");
    assert_eq!(text.lines().count(), 1, "as many as were told");
    let (code, _, err) = office.run(&["rulings", "import", "drafts.jsonl"]);
    assert!(code == 65 && err.contains("drafts.jsonl:1: body: ") && err.contains("drafts.jsonl:1: decided_on: "), "{err}");
    let mut draft = RulingDraft::from_json(text.trim()).expect("a draft");
    (draft.body, draft.decided_on) = ("committee".to_owned(), "2026-04-01".to_owned());
    let import = |draft: &RulingDraft| {
        std::fs::write(office.path("drafts.jsonl"), serde_json::to_vec(draft).expect("json")).expect("a file");
        let (code, _, err) = office.run(&["rulings", "import", "drafts.jsonl"]);
        assert_eq!(code, 0, "{err}");
    };
    import(&draft);
    assert_eq!(office.groups(&[])["covered"], 0, "a draft settles nothing");
    draft.status = "in_force".to_owned();
    import(&draft);
    let after = office.groups(&[]);
    assert_eq!((&after["covered"], after["groups"].as_array().map(Vec::len)), (&json!(4), Some(1)), "{after:#}");
    assert_eq!(after["groups"][0]["leads"][0]["department"], "水务");
}

#[test]
fn the_answer_is_the_same_whatever_the_order_of_import() {
    let (one, other) = (Office::new(), Office::new());
    one.import(&orders());
    other.import(&orders().into_iter().rev().collect::<Vec<_>>());
    assert_eq!(one.groups(&[]), other.groups(&[]));
}

#[test]
fn drafts_go_into_a_spreadsheet_as_well_and_a_file_of_another_kind_is_refused_before_anything_is_read() {
    let office = Office::new();
    assert_eq!(office.run(&["rulings", "recurrences", "--drafts", "drafts.docx"]).0, 64);
    assert_eq!(office.run(&["rulings", "recurrences"]).0, 66, "there is no database");
    assert!(!office.path("paidan.db").exists());
    office.import(&orders());
    office.groups(&["--drafts", "drafts.xlsx"]);
    let bytes = std::fs::read(office.path("drafts.xlsx")).expect("a workbook");
    let rows = paidan::store::exchange::read(paidan::store::exchange::Format::Xlsx, &bytes).expect("our own workbook");
    let leads: Vec<String> = rows.into_iter().map(|row| row.draft.expect("a row").lead).collect();
    assert_eq!(leads, ["供电", "水务"]);
}

#[test]
fn where_nothing_was_disputed_yet_people_are_told_where_disputes_come_from() {
    let office = Office::new();
    office.import(&[]);
    let (code, out, _) = office.run(&["rulings", "recurrences"]);
    assert!(code == 0 && out.contains("--from-orders"), "{out}");
    assert!(Path::new(&office.path("paidan.db")).exists());
}
