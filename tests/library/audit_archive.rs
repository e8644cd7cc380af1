//! Old entries of the trail leave the database for a file: nothing is lost whatever breaks, and what is missing without a word is
//! still found. On SQLite and on PostgreSQL alike.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use paidan::store::{
    Action, ArchiveBounds, ArchiveError, AuditEntry, AuditFault, AuditHead, ChainCheck, NewEntry, Store, read_archive,
};

use crate::database::{self, Database, databases};

/// Entries of 2025, more than are read at once, and some of 2026.
const OLD: i64 = 1_203;
const YOUNG: i64 = 7;

fn entries(year: &str, count: i64) -> Vec<NewEntry> {
    let entry = |i: i64| NewEntry {
        time: format!("{year}-03-01T08:00:00.{:03}Z", i % 1_000),
        order_id: format!("order-{i}"),
        ..NewEntry::now(Action::Answered, "paidan")
    };
    (0..count).map(entry).collect()
}

async fn fill(store: &Store) {
    store.append_audit(&entries("2025", OLD)).await.expect("written");
    store.append_audit(&entries("2026", YOUNG)).await.expect("written");
}

fn new_year() -> DateTime<Utc> {
    "2026-01-01T00:00:00+08:00".parse().expect("a time")
}

async fn tamper(database: &Database, statements: &[&'static str]) {
    let pool = sqlx::AnyPool::connect(&database.url).await.expect("the database");
    for statement in statements {
        sqlx::query(*statement).execute(&pool).await.expect("a forger's statement");
    }
    pool.close().await;
}

/// All entries of an archive, and what is wrong with their chain.
fn read(path: &Path) -> Result<(Vec<AuditEntry>, ArchiveBounds, Vec<AuditFault>), ArchiveError> {
    let mut all: Vec<AuditEntry> = Vec::new();
    let bounds = read_archive(path, |entry| {
        all.push(entry);
        Ok(())
    })?;
    let mut check =
        ChainCheck::behind(AuditHead { number: bounds.first - 1, hash: all.first().expect("one").previous_hash.clone() });
    let faults = all.iter().flat_map(|entry| check.entry(entry)).collect();
    Ok((all, bounds, faults))
}

async fn faults(store: &Store) -> Vec<AuditFault> {
    store.verify_audit(100, |_, _| ()).await.expect("verified").1
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trail-2025.jsonl");
    (folder, path)
}

#[tokio::test]
async fn what_is_archived_lies_in_the_file_and_the_trail_holds_from_there() {
    for database in databases().await {
        let store = &database.store;
        fill(store).await;
        let before = store.audit_after(0, 10_000).await.expect("entries");
        let (folder, path) = place();
        let bounds = store.archive_audit(new_year(), &path, "数据组").await.expect("archived").expect("there was something");
        assert_eq!((bounds.first, bounds.last), (1, OLD), "{}", database.name);
        let (archived, told, broken) = read(&path).expect("an archive");
        assert_eq!((told, broken), (bounds.clone(), vec![]));
        let left = store.audit_after(0, 10_000).await.expect("entries");
        assert_eq!(left.len() as i64, YOUNG + 1, "and the entry that says so");
        let checkpoint = left.last().expect("the last");
        assert_eq!((checkpoint.action.as_str(), checkpoint.actor.as_str()), ("archived", "数据组"));
        assert!(checkpoint.detail.contains("trail-2025.jsonl") && checkpoint.detail.contains(&bounds.hash), "{checkpoint:?}");
        assert_eq!([archived, left[..YOUNG as usize].to_vec()].concat(), before, "each is in one of the two, as it was");

        assert_eq!(faults(store).await, []);
        let end = AuditHead { number: bounds.last, hash: bounds.hash };
        assert_eq!(store.verify_audit_behind(end.clone(), 10, |_, _| ()).await.expect("verified").1, []);
        assert_eq!(store.last_archived().await.expect("read").expect("there").end, end);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing unfinished is left");
    }
}

#[tokio::test]
async fn entries_that_are_missing_without_a_word_are_named_before_and_after_archiving() {
    for database in databases().await {
        let store = &database.store;
        fill(store).await;
        let (_folder, path) = place();
        tamper(&database, &["DELETE FROM audit_entries WHERE number <= 5"]).await;
        assert_eq!(faults(store).await, [AuditFault::Missing { expected: 1, number: 6 }], "{}", database.name);
        let refused = store.archive_audit(new_year(), &path, "x").await;
        assert!(matches!(refused, Err(ArchiveError::NotWhole { fault: AuditFault::Missing { .. } })), "{refused:?}");
        assert!(!path.exists() && store.audit_after(5, 1).await.expect("entries")[0].number == 6, "nothing was done");
    }
    for database in databases().await {
        let store = &database.store;
        fill(store).await;
        let (_folder, path) = place();
        store.archive_audit(new_year(), &path, "x").await.expect("archived");
        tamper(&database, &["DELETE FROM audit_entries WHERE number BETWEEN 1204 AND 1205"]).await;
        assert_eq!(faults(store).await, [AuditFault::Missing { expected: OLD + 1, number: OLD + 3 }]);
    }
}

#[tokio::test]
async fn a_trail_whose_word_on_the_archive_was_forged_does_not_hold() {
    for forgery in [
        // Says that more was archived, which is not there any more.
        &[
            "DELETE FROM audit_entries WHERE number = 1204",
            "UPDATE audit_entries SET detail = replace(detail, '1203', '1204') WHERE action = 'archived'",
        ][..],
        &["UPDATE audit_entries SET actor = 'nobody' WHERE action = 'archived'"],
        &["UPDATE audit_entries SET detail = replace(detail, '2025', '2024') WHERE action = 'archived'"],
        &["DELETE FROM audit_entries WHERE action = 'archived'"],
        &["UPDATE audit_entries SET detail = '{ }' WHERE number = 1204"],
    ] {
        for database in databases().await {
            let store = &database.store;
            fill(store).await;
            let (_folder, path) = place();
            store.archive_audit(new_year(), &path, "x").await.expect("archived");
            tamper(&database, forgery).await;
            assert_ne!(faults(store).await, [], "{}: {forgery:?}", database.name);
        }
    }
}

#[tokio::test]
async fn a_file_that_was_tampered_with_is_found_out_and_lets_nothing_be_removed() {
    let database = database::sqlite().await;
    let store = &database.store;
    fill(store).await;
    let (_folder, path) = place();
    let bounds = store.archive_audit(new_year(), &path, "x").await.expect("archived").expect("something");
    let good = std::fs::read_to_string(&path).expect("a file");
    let lines: Vec<&str> = good.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let whole = lines.len();
    let without_last = joined(&lines[..whole - 1]);
    for (what, bad, told) in [
        ("a word", good.replacen("order-17\"", "order-71\"", 1), "entry 18 was changed"),
        ("a line", joined(&[&lines[..20], &lines[21..]].concat()), "entry 21 is missing before entry 22"),
        ("the end", without_last.clone(), "its end is missing, behind entry 1203"),
        ("half a line", good[..good.len() / 2].to_owned(), "cut off"),
        ("an end of its own", without_last + "{\"archive\":{\"first\":1,\"last\":9,\"hash\":\"\"}}\n", "names other entries"),
        ("more behind the end", format!("{good}{}\n", lines[0]), "stands behind the last line"),
        ("another field", good.replacen("\"time\"", "\"thyme\"", 1), "jsonl:1: unknown field `thyme`"),
    ] {
        assert_ne!(bad, good, "{what}");
        std::fs::write(&path, &bad).expect("a forger's file");
        let error = match read(&path) {
            Ok((_, _, broken)) => broken.first().expect("a fault").to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(told), "{what}: {error}");
        store.archive_audit(new_year(), &path, "x").await.expect_err("it is believed by nobody");
        assert_eq!(store.audit_head().await.expect("a head").number, OLD + YOUNG + 1, "{what}: nothing was written");
    }
    // A forger who hashes anew has another end than the trail says.
    let mut forged: Vec<AuditEntry> = lines[..whole - 1].iter().map(|line| serde_json::from_str(line).expect("one")).collect();
    "committee".clone_into(&mut forged[17].actor);
    for i in 17..forged.len() {
        forged[i].previous_hash = forged[i - 1].hash.clone();
        forged[i].hash = forged[i].computed_hash();
    }
    let end = forged.last().map(|last| AuditHead { number: last.number, hash: last.hash.clone() }).expect("the last");
    assert_ne!(end.hash, bounds.hash);
    let found = store.verify_audit_behind(end, 10, |_, _| ()).await.expect("verified").1;
    assert_eq!(found, [AuditFault::Unlinked { number: OLD + 1 }]);
}

#[tokio::test]
async fn what_becomes_old_later_goes_into_another_file_and_all_files_are_one_chain() {
    for database in databases().await {
        let store = &database.store;
        fill(store).await;
        let (folder, first) = place();
        let second = folder.path().join("trail-2026.jsonl");
        store.archive_audit(new_year(), &first, "x").await.expect("archived").expect("something");
        let again = store.archive_audit(new_year(), &first, "x").await;
        assert!(matches!(again, Err(ArchiveError::Done { first: 1, last: OLD, .. })), "{again:?}");
        assert_eq!(store.archive_audit(new_year(), &second, "x").await.expect("no fault"), None, "nothing is so old");
        assert!(!second.exists());
        let later = "2026-06-01T00:00:00Z".parse().expect("a time");
        let bounds = store.archive_audit(later, &second, "x").await.expect("archived").expect("something");
        assert_eq!((bounds.first, bounds.last), (OLD + 1, OLD + YOUNG), "{}", database.name);
        assert_eq!(faults(store).await, []);
        let (one, two) = (read(&first).expect("an archive"), read(&second).expect("an archive"));
        assert_eq!(one.1.hash, two.0[0].previous_hash);
        store.append_audit(&entries("2027", 2)).await.expect("written");
        assert_eq!(faults(store).await, []);
        // Everything is old in the end: then the trail is what says so.
        let (third, far) = (folder.path().join("all.jsonl"), Utc::now() + chrono::Duration::days(3_650));
        store.archive_audit(far, &third, "x").await.expect("archived").expect("something");
        assert_eq!(store.audit_after(0, 100).await.expect("entries").len(), 1);
        assert_eq!(faults(store).await, []);
    }
}

#[tokio::test]
async fn what_breaks_off_between_file_and_removal_loses_nothing_and_is_taken_up_again() {
    for database in databases().await {
        let store = &database.store;
        fill(store).await;
        let (_folder, path) = place();
        let forbid: &[&str] = match database.name {
            "sqlite" => &["CREATE TRIGGER no BEFORE DELETE ON audit_entries BEGIN SELECT RAISE(ABORT, 'no'); END"],
            _ => &[
                "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'",
                "CREATE TRIGGER no BEFORE DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION no()",
            ],
        };
        tamper(&database, forbid).await;
        store.archive_audit(new_year(), &path, "x").await.expect_err("it breaks off");
        assert_eq!(read(&path).expect("an archive").0.len() as i64, OLD, "{}: the file is whole", database.name);
        assert_eq!(store.audit_after(0, 10_000).await.expect("entries").len() as i64, OLD + YOUNG, "and so is the trail");
        assert_eq!(faults(store).await, []);
        let allow = if database.name == "sqlite" { "DROP TRIGGER no" } else { "DROP TRIGGER no ON audit_entries" };
        tamper(&database, &[allow]).await;
        let bounds = store.archive_audit(new_year(), &path, "x").await.expect("taken up again").expect("something");
        assert_eq!(bounds.last, OLD);
        assert_eq!(store.audit_after(0, 10_000).await.expect("entries").len() as i64, YOUNG + 1);
        assert_eq!(faults(store).await, []);
    }
}

#[tokio::test]
async fn a_file_that_somebody_is_writing_is_not_touched() {
    let database = database::sqlite().await;
    fill(&database.store).await;
    let (_folder, path) = place();
    let unfinished = path.with_extension("jsonl.part");
    std::fs::write(&unfinished, "half a line").expect("another run's");
    let refused = database.store.archive_audit(new_year(), &path, "x").await.expect_err("somebody is at it");
    assert!(refused.to_string().contains("another run is writing it, or one was killed at it"), "{refused}");
    assert_eq!(std::fs::read_to_string(&unfinished).expect("still there"), "half a line");
    assert_eq!(faults(&database.store).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_that_archive_at_once_while_a_third_writes_lose_nothing() {
    for database in databases().await {
        fill(&database.store).await;
        let before = database.store.audit_after(0, 10_000).await.expect("entries");
        let (folder, _) = place();
        let paths = ["one.jsonl", "two.jsonl"].map(|name| folder.path().join(name));
        let replica = async |path: &Path| {
            let store = Store::open(&database.url).await.expect("a replica");
            store.archive_audit(new_year(), path, "replica").await
        };
        let writes = async {
            for _ in 0..20 {
                database.store.append_audit(&entries("2026", 3)).await.expect("written meanwhile");
            }
        };
        let (one, two, ()) = tokio::join!(replica(&paths[0]), replica(&paths[1]), writes);
        let won = [&one, &two].into_iter().filter(|outcome| matches!(outcome, Ok(Some(_)))).count();
        assert_eq!(won, 1, "{}: {one:?} {two:?}", database.name);
        let winner = if matches!(one, Ok(Some(_))) { &paths[0] } else { &paths[1] };
        let archived = read(winner).expect("an archive").0;
        let left = database.store.audit_after(0, 10_000).await.expect("entries");
        let all = [archived, left].concat();
        assert_eq!(all[..before.len()], before);
        assert_eq!(all.len() as i64, OLD + YOUNG + 60 + 1);
        assert_eq!(faults(&database.store).await, []);
    }
}
