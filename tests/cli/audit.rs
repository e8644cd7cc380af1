//! `paidan audit` as an administrator uses it year after year, and what a kill at any moment of archiving leaves.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use paidan::store::{Action, NewEntry, Store, read_archive};

struct Office {
    folder: tempfile::TempDir,
}

impl Office {
    /// With so many entries of 2025 and three of today.
    fn new(old: i64) -> Self {
        let office = Self { folder: tempfile::tempdir().expect("a folder") };
        office.in_store(async |store| {
            let entry = |i: i64| NewEntry {
                time: "2025-06-01T04:00:00.000Z".to_owned(),
                order_id: format!("A{i}"),
                ..NewEntry::now(Action::Answered, "paidan")
            };
            let all: Vec<NewEntry> = (1..=old).map(entry).collect();
            store.append_audit(&all).await.expect("written");
            let today = || NewEntry { order_id: "B".to_owned(), ..NewEntry::now(Action::Dispatched, "派单员") };
            store.append_audit(&[today(), today(), today()]).await.expect("written");
        });
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn paidan(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paidan"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PAIDAN_")) {
            command.env_remove(name);
        }
        let url = format!("sqlite:{}", self.path("paidan.db").display());
        command.args(args).env("PAIDAN_STORE_URL", url).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.paidan(args).output().expect("paidan runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (status.code().expect("an end of its own"), text(stdout), text(stderr))
    }

    /// Number of the first entry that is still in the database.
    fn first_entry(&self) -> i64 {
        self.in_store(async |store| store.audit_after(0, 1).await.expect("entries")[0].number)
    }

    /// Runs on the database from within the test.
    fn in_store<T>(&self, work: impl AsyncFnOnce(Store) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let url = format!("sqlite:{}", self.path("paidan.db").display());
        runtime.block_on(async {
            let store = Store::open(&url).await.expect("a database");
            let outcome = work(store.clone()).await;
            // So that all of it lies in one file.
            store.close().await;
            outcome
        })
    }
}

fn last_word(text: &str) -> String {
    text.trim().rsplit(' ').next().expect("a word").to_owned()
}

const ARCHIVE: [&str; 8] = ["audit", "archive", "--before", "2026-01-01", "--out", "trail-2025.jsonl", "--actor", "数据组"];

#[test]
fn a_year_goes_into_a_file_and_verify_says_so_plainly() {
    let office = Office::new(40);
    let (_, before, _) = office.run(&["audit", "verify"]);
    assert!(before.starts_with("the audit trail is whole: 43 entries, the last one "), "{before}");
    let noted = office.in_store(async |store| store.audit_after(11, 1).await.expect("entries")[0].hash.clone());
    let (code, out, err) = office.run(&ARCHIVE);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.starts_with("entries 1 to 40 are in trail-2025.jsonl and no longer in the database; the last one is "),
        "{out}"
    );
    let end = last_word(&out);

    let (code, out, _) = office.run(&["audit", "verify"]);
    assert_eq!(code, 0, "{out}");
    let told = "entries 1 to 40 were archived, the last of them in \"trail-2025.jsonl\" by \"数据组\", ";
    assert!(out.starts_with(told) && out.contains(&format!("the last of them is {end}")), "{out}");
    assert!(out.contains("the audit trail is whole from there: entries 41 to 44, the last one "), "{out}");

    let (code, out, _) = office.run(&["audit", "verify", "trail-2025.jsonl"]);
    assert!(code == 0 && out.starts_with(&format!("trail-2025.jsonl: entries 1 to 40, the last one {end}\n")), "{out}");
    assert!(out.contains("archives and database are one trail: 44 entries, the last one "), "{out}");
    let (code, out, _) = office.run(&["audit", "verify", "trail-2025.jsonl", "--set", "store.url=none"]);
    assert!(code == 0 && out.contains("there is no database to compare them with"), "{out}");

    let noted = ["--number", "12", "--hash", &noted];
    let (code, _, err) = office.run(&[&["audit", "verify"][..], &noted].concat());
    assert!(code == 64 && err.contains("entry 12 was archived; give the archive that has it"), "{err}");
    assert_eq!(office.run(&[&["audit", "verify", "trail-2025.jsonl"][..], &noted].concat()).0, 0);
    let another = "5f70".repeat(16);
    let (code, out, _) = office.run(&["audit", "verify", "trail-2025.jsonl", "--number", "12", "--hash", &another]);
    assert!(code == 65 && out.contains("entry 12 is not the one that was noted"), "{out}");
    assert_eq!(
        office.run(&["audit", "verify", "trail-2025.jsonl", noted[0], noted[1], noted[2], &noted[3].to_uppercase()]).0,
        0
    );
    for short in ["5f70", &noted[3][..63], "5f70bf18a0860070..."] {
        let (code, out, err) = office.run(&["audit", "verify", "trail-2025.jsonl", "--number", "12", "--hash", short]);
        assert!(code == 64 && err.contains("a hash has 64 digits"), "no false alarm: {out}{err}");
    }
    let young = office.in_store(async |store| store.audit_after(41, 1).await.expect("entries")[0].hash.clone());
    assert_eq!(office.run(&["audit", "verify", "trail-2025.jsonl", "--number", "42", "--hash", &young]).0, 0);
}

#[test]
fn the_story_of_an_order_says_where_older_entries_are() {
    let office = Office::new(5);
    office.run(&ARCHIVE);
    let (code, out, _) = office.run(&["audit", "show", "--order", "B"]);
    assert!(code == 0 && out.starts_with("entries 1 to 5 were archived") && out.contains("人工派单"), "{out}");
    let (code, _, err) = office.run(&["audit", "show", "--order", "A3"]);
    assert!(code == 66 && err.contains("knows nothing of order \"A3\"; entries 1 to 5 were archived"), "{err}");
    assert!(std::fs::read_to_string(office.path("trail-2025.jsonl")).expect("a file").contains("\"order_id\":\"A3\""));
}

#[test]
fn what_is_young_or_nothing_or_done_is_told_and_the_trail_is_left_alone() {
    let office = Office::new(5);
    let today = chrono::Utc::now().format("%Y-%m-%d").to_string();
    let (code, _, err) = office.run(&["audit", "archive", "--before", &today, "--out", "x.jsonl"]);
    assert!(code == 64 && err.contains("is less than 90 days ago"), "{err}");
    let (code, _, err) = office.run(&["audit", "archive", "--before", "2026-02-30", "--out", "x.jsonl"]);
    assert!(code == 64 && err.contains("--before"), "{err}");
    let (code, out, _) = office.run(&["audit", "archive", "--before", "2025-06-01", "--out", "x.jsonl"]);
    assert_eq!((code, out.as_str()), (0, "no entry is from before 2025-06-01; nothing was archived\n"));
    let (code, _, err) = office.run(&["audit", "archive", "--before", "2026-01-01", "--out", "nowhere/x.jsonl"]);
    assert!(code == 74 && err.contains("nowhere/x.jsonl"), "{err}");
    assert!(office.run(&["audit", "verify"]).1.contains("whole: 8 entries"));
    office.run(&ARCHIVE);
    let (code, _, err) = office.run(&ARCHIVE);
    assert!(code == 64 && err.contains("holds entries 1 to 5, which were removed before; name another file"), "{err}");
    let (code, _, err) = office.run(&["audit", "verify", "trail-2024.jsonl"]);
    assert!(code == 66 && err.contains("trail-2024.jsonl"), "{err}");
}

#[test]
fn an_archive_that_was_changed_or_left_out_is_named_with_its_entry() {
    let office = Office::new(5);
    office.run(&ARCHIVE);
    office.in_store(async |store| {
        let old = NewEntry { time: "2025-12-01T00:00:00Z".to_owned(), ..NewEntry::now(Action::Answered, "paidan") };
        store.append_audit(&[old]).await.expect("written");
        let all = "2999-01-01T00:00:00Z".parse().expect("a time");
        store.archive_audit(all, &office.path("later.jsonl"), "x").await.expect("archived");
    });
    assert_eq!(office.run(&["audit", "verify", "trail-2025.jsonl", "later.jsonl"]).0, 0);
    let (code, out, _) = office.run(&["audit", "verify", "later.jsonl"]);
    assert!(code == 0 && out.contains("from entry 6 on; give the archives before it as well"), "{out}");
    let (code, out, _) = office.run(&["audit", "verify", "trail-2025.jsonl"]);
    assert!(code == 65 && out.contains("entries 6 to 10 are missing before entry 11"), "{out}");
    let (code, out, _) = office.run(&["audit", "verify", "later.jsonl", "trail-2025.jsonl"]);
    assert!(code == 65 && out.contains("trail-2025.jsonl: "), "{out}");
    let text = std::fs::read_to_string(office.path("trail-2025.jsonl")).expect("a file");
    std::fs::write(office.path("trail-2025.jsonl"), text.replace("\"A3\"", "\"A4\"")).expect("a forger's file");
    let (code, out, err) = office.run(&["audit", "verify", "trail-2025.jsonl", "later.jsonl"]);
    assert!(code == 65 && out.contains("trail-2025.jsonl: entry 3 was changed") && err.contains("1 faults"), "{out}{err}");
}

/// `PAIDAN_KILLS=200 cargo test --release --test cli kill -- --nocapture` is the long run.
#[test]
fn a_kill_at_any_moment_of_archiving_loses_no_entry() {
    let rounds: usize = std::env::var("PAIDAN_KILLS").map_or(6, |rounds| rounds.parse().expect("a number"));
    let entries = 41_000;
    let office = Office::new(entries);
    let whole = std::fs::read(office.path("paidan.db")).expect("a database");
    let mut half = 0;
    for round in 0..rounds {
        for name in ["paidan.db-wal", "paidan.db-shm", "trail-2025.jsonl", "trail-2025.jsonl.part"] {
            let _ = std::fs::remove_file(office.path(name));
        }
        std::fs::write(office.path("paidan.db"), &whole).expect("as it was");
        let mut child = office.paidan(&ARCHIVE).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("paidan runs");
        // Killed as soon as there is something of the file, the whole file, or a first removal.
        let mut begun = || {
            let done = child.try_wait().expect("a state").is_some();
            done || match round % 3 {
                0 => office.path("trail-2025.jsonl.part").exists(),
                1 => office.path("trail-2025.jsonl").exists(),
                _ => office.path("trail-2025.jsonl").exists() && office.first_entry() > 1,
            }
        };
        while !begun() {
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        child.wait().expect("gone");
        let faults = office.in_store(async |store| store.verify_audit(10, |_, _| ()).await.expect("verified").1);
        assert_eq!(faults, [], "round {round}");
        let left = office.first_entry();
        half += usize::from(left > 1 && left <= entries);
        if office.path("trail-2025.jsonl").exists() {
            let bounds = read_archive(&office.path("trail-2025.jsonl"), |_| Ok(())).expect("whole, since it has its name");
            assert_eq!((bounds.first, bounds.last), (1, entries), "round {round}");
        } else {
            assert_eq!(left, 1, "round {round}: nothing is removed without a file");
            let _ = std::fs::remove_file(office.path("trail-2025.jsonl.part"));
        }
        // The same command takes it up again, unless it was done.
        let (code, _, err) = office.run(&ARCHIVE);
        assert!(code == 0 || err.contains("were removed before"), "round {round}: {err}");
        let (code, out, err) = office.run(&["audit", "verify", "trail-2025.jsonl"]);
        assert_eq!(code, 0, "round {round}: {out}{err}");
    }
    let said = format!("{rounds} kills, {half} of them between two removals, no entry lost\n");
    std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).expect("told");
}
