//! The store: what it acknowledges is there, on SQLite and on PostgreSQL alike.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use paidan::rulings::{BasisDraft, Ruling, RulingDraft, Status};
use paidan::store::{Action, AuditFault, Filter, NewEntry, StoreError, verify_chain};

use crate::database::{self, databases, sqlite};

fn draft(id: &str, matter: &str, lead: &str) -> RulingDraft {
    RulingDraft {
        id: id.to_owned(),
        scope: "standing".to_owned(),
        matter: matter.to_owned(),
        description: format!("{matter}由{lead}主办"),
        lead: lead.to_owned(),
        body: "committee".to_owned(),
        decided_on: "2026-03-01".to_owned(),
        basis: vec![BasisDraft {
            level: "会议纪要".to_owned(), document: "第3次会商".to_owned(), ..BasisDraft::default()
        }],
        orders: vec![format!("order-{id}")],
        ..RulingDraft::default()
    }
}

fn ruling(id: &str, matter: &str, lead: &str) -> Ruling {
    draft(id, matter, lead).parse(None).expect("a ruling")
}

fn all() -> Filter {
    Filter::default()
}

#[tokio::test]
async fn what_is_recorded_is_read_back_as_it_was_also_by_another_process() {
    for database in databases().await {
        let recorded = database.store.record(ruling("a", "餐饮油烟", "城管"), None, "committee").await.expect("recorded");
        assert_eq!((recorded.revision, recorded.etag().as_str()), (1, "r1"), "{}", database.name);
        let again = paidan::store::Store::open(&database.url).await.expect("a second one");
        assert_eq!(again.get("a").await.expect("there"), recorded, "{}", database.name);
        assert!(matches!(again.get("b").await, Err(StoreError::NotFound { .. })));
    }
}

#[tokio::test]
async fn the_same_ruling_sent_twice_is_recorded_once_and_another_of_its_id_is_refused() {
    for database in databases().await {
        let store = &database.store;
        let first = store.record(ruling("", "餐饮油烟", "城管"), None, "x").await.expect("recorded");
        let second = store.record(ruling("", "餐饮油烟", "城管"), None, "x").await.expect("recorded");
        assert_eq!(first, second, "{}", database.name);
        let other = Ruling { lead: "生态环境".to_owned(), ..first.ruling.clone() };
        assert!(matches!(store.record(other, None, "x").await, Err(StoreError::Exists { .. })));
        assert_eq!(store.list(&all(), 10, "").await.expect("a list").rulings.len(), 1);
    }
}

#[tokio::test]
async fn of_two_who_change_the_same_revision_the_second_is_told_so() {
    for database in databases().await {
        let store = &database.store;
        let read = store.record(ruling("a", "餐饮油烟", "城管"), None, "x").await.expect("recorded");
        let change = |lead: &str| Ruling { lead: lead.to_owned(), ..read.ruling.clone() };
        let etag = read.etag();
        let (one, two) = tokio::join!(
            store.record(change("生态环境"), Some(&etag), "one"),
            store.record(change("市场监管"), Some(&etag), "two")
        );
        let kept = match (&one, &two) {
            (Ok(kept), Err(StoreError::Conflict { .. })) | (Err(StoreError::Conflict { .. }), Ok(kept)) => kept,
            other => panic!("{}: {other:?}", database.name),
        };
        assert_eq!(store.get("a").await.expect("there"), *kept);
        let stale = store.withdraw("a", &etag, "mistake", "x").await;
        assert!(matches!(stale, Err(StoreError::Conflict { .. })));
        let withdrawn = store.withdraw("a", &kept.etag(), "mistake", "x").await.expect("withdrawn");
        assert_eq!(withdrawn.ruling.status, Status::Withdrawn);
        let twice = store.withdraw("a", &withdrawn.etag(), "mistake", "x").await;
        assert!(matches!(twice, Err(StoreError::State { .. })));
    }
}

#[tokio::test]
async fn a_successor_takes_the_place_of_the_former_ruling_in_one_step() {
    for database in databases().await {
        let store = &database.store;
        let former = store.record(ruling("a", "餐饮油烟", "城管"), None, "x").await.expect("recorded");
        let next = store.supersede("a", &former.etag(), ruling("b", "餐饮油烟", "生态环境"), "x").await.expect("superseded");
        assert_eq!(next.ruling.supersedes.as_deref(), Some("a"));
        assert_eq!(store.get("a").await.expect("there").ruling.status, Status::Superseded, "{}", database.name);
        let missing = store.supersede("nobody", "r1", ruling("c", "x", "城管"), "x").await;
        assert!(matches!(missing, Err(StoreError::NotFound { .. })));
        assert!(matches!(store.get("c").await, Err(StoreError::NotFound { .. })), "nothing of it was kept");
    }
}

#[tokio::test]
async fn a_filtered_list_comes_in_pages_without_gap_or_repeat() {
    for database in databases().await {
        let store = &database.store;
        for i in 0..25 {
            let lead = if i % 2 == 0 { "城管" } else { "交警" };
            store.record(ruling(&format!("r{i:02}"), "占道经营", lead), None, "x").await.expect("recorded");
        }
        let filter = Filter::parse("lead = \"城管\" AND body >= joint_meeting AND matter:\"占道\"").expect("a filter");
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = store.list(&filter, 5, &token).await.expect("a page");
            assert!(page.rulings.len() <= 5);
            seen.extend(page.rulings.into_iter().map(|one| one.ruling.id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        let wanted: Vec<String> = (0..25).step_by(2).map(|i| format!("r{i:02}")).collect();
        assert_eq!(seen, wanted, "{}", database.name);
        let by_order = Filter::parse("orders:\"order-r07\"").expect("a filter");
        assert_eq!(store.list(&by_order, 5, "").await.expect("a page").rulings[0].ruling.id, "r07");
        assert!(matches!(store.list(&filter, 5, "nonsense").await, Err(StoreError::PageToken)));
    }
}

#[tokio::test]
async fn chinese_words_are_found_and_the_rarer_word_weighs_more() {
    for database in databases().await {
        let store = &database.store;
        for (id, matter) in [("a", "餐馆油烟扰民"), ("b", "广场舞噪声扰民"), ("c", "工地夜间施工噪声扰民"), ("d", "路灯不亮")]
        {
            store.record(ruling(id, matter, "城管"), None, "x").await.expect("recorded");
        }
        let found = store.search("楼下的油烟扰民", &all(), 10).await.expect("found");
        let ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"], "{}", database.name);
        assert!(found[0].words.contains(&"油烟".to_owned()) && found[0].score > found[1].score);
        assert!(store.search("油盐", &all(), 10).await.expect("found").is_empty());
        assert_eq!(store.search("路灯", &all(), 10).await.expect("found")[0].id, "d");
    }
}

#[tokio::test]
async fn changes_come_in_the_order_in_which_they_were_made_with_the_embeddings_that_are_known() {
    for database in databases().await {
        let store = &database.store;
        for id in ["a", "b"] {
            store.record(ruling(id, "餐饮油烟", "城管"), None, "x").await.expect("recorded");
        }
        let kept = paidan::store::Embedded { ruling: "a".to_owned(), revision: 1, vectors: vec![0.5, -1.0] };
        store.keep_embeddings("m1", &[kept]).await.expect("kept");
        let changes = store.changes_after(0, 10, "m1", false).await.expect("changes").changes;
        assert_eq!(changes.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2], "{}", database.name);
        assert_eq!((changes[0].embeddings.clone(), changes[1].embeddings.len()), (vec![0.5, -1.0], 0));
        assert!(
            store.changes_after(0, 1, "m2", false).await.expect("changes").changes[0].embeddings.is_empty(),
            "another model's"
        );
        store.withdraw("a", "r1", "mistake", "x").await.expect("withdrawn");
        let changes = store.changes_after(2, 10, "m1", false).await.expect("changes").changes;
        assert_eq!((changes[0].number, changes[0].stored.ruling.status), (3, Status::Withdrawn));
        assert!(changes[0].embeddings.is_empty(), "of a revision that is no more");
        assert_eq!(store.changes_after(0, 10, "m1", true).await.expect("changes").changes.len(), 1);
        assert_eq!(store.last_change().await.expect("a number"), 3);
    }
}

/// SQLite's own way is that whoever asks at the right moment is next. On one thread: between counting and standing in line nothing
/// else runs.
#[tokio::test]
async fn who_writes_one_entry_waits_for_no_more_than_what_was_there_before() {
    let database = sqlite().await;
    let written = Arc::new(AtomicUsize::new(0));
    let busy = {
        let (store, written) = (database.store.clone(), Arc::clone(&written));
        let entries = vec![NewEntry::now(Action::Answered, "intake"); 50];
        // Like the trail's writer under load, it begins anew as soon as it has ended.
        tokio::spawn(async move {
            loop {
                store.append_audit(&entries).await.expect("written");
                written.fetch_add(1, SeqCst);
            }
        })
    };
    for round in 0..100 {
        let before = written.load(SeqCst);
        database.store.append_audit(&[NewEntry::now(Action::Dispatched, "x")]).await.expect("written");
        let passed = written.load(SeqCst) - before;
        assert!(passed <= 2, "round {round}: {passed} came later and were written first");
        tokio::task::yield_now().await;
    }
    assert!(written.load(SeqCst) > 10, "they were at it together");
    busy.abort();
}

/// A database that was lost while it committed may have kept what it never said that it kept.
#[tokio::test]
async fn whoever_does_not_know_whether_an_entry_was_written_can_ask() {
    for database in databases().await {
        let store = &database.store;
        let entry = |order: &str| NewEntry { order_id: order.to_owned(), ..NewEntry::now(Action::Answered, "intake") };
        let (first, second) = (entry("order-a"), entry("order-b"));
        assert!(!store.has_entry_after(0, &first).await.expect("asked"), "{}", database.name);
        let last = store.append_answers(std::slice::from_ref(&first), &[]).await.expect("written");
        assert!(store.has_entry_after(0, &first).await.expect("asked"));
        assert!(!store.has_entry_after(last, &first).await.expect("asked"), "it stands before that");
        assert!(!store.has_entry_after(0, &second).await.expect("asked"), "another order's");
        let detail = NewEntry { detail: "{\"probability\":0.5}".to_owned(), ..first.clone() };
        assert!(!store.has_entry_after(0, &detail).await.expect("asked"), "another answer");
        let written = store.append_answers(std::slice::from_ref(&second), &[]).await.expect("written");
        assert_eq!(written, last + 1);
        assert!(store.has_entry_after(last, &second).await.expect("asked"));
    }
}

#[tokio::test]
async fn every_change_is_in_the_trail_and_any_tampering_is_named() {
    for database in databases().await {
        let store = &database.store;
        for id in ["a", "b", "c"] {
            store.record(ruling(id, "餐饮油烟", "城管"), None, "committee").await.expect("recorded");
        }
        let answered = NewEntry { order_id: "order-a".to_owned(), ..NewEntry::now(Action::Answered, "intake") };
        store.append_audit(&[answered.clone(), answered]).await.expect("written");
        let (head, faults) = store.verify_audit(100, |_, _| ()).await.expect("verified");
        assert_eq!((head.number, faults.len()), (5, 0), "{}", database.name);
        let story: Vec<String> =
            store.audit_of_order("order-a").await.expect("a story").into_iter().map(|entry| entry.action).collect();
        assert_eq!(story, ["ruling_recorded", "answered", "answered"]);

        let entries = store.audit_after(0, 100).await.expect("entries");
        let mut flipped = entries.clone();
        flipped[1].detail.replace_range(2..3, "S");
        assert_eq!(verify_chain(&flipped, &head), [AuditFault::Changed { number: 2 }]);
        let mut rehashed = flipped.clone();
        rehashed[1].hash = rehashed[1].computed_hash();
        assert_eq!(verify_chain(&rehashed, &head), [AuditFault::Unlinked { number: 3 }], "a careful forger");
        let mut removed = entries.clone();
        removed.remove(2);
        assert_eq!(verify_chain(&removed, &head), [AuditFault::Missing { expected: 3, number: 4 }]);
        let cut = &entries[..4];
        assert_eq!(verify_chain(cut, &head), [AuditFault::End { last: 4, head: 5 }]);
        let mut swapped = entries.clone();
        swapped.swap(3, 4);
        assert!(verify_chain(&swapped, &head).contains(&AuditFault::Missing { expected: 4, number: 5 }));
        let mut renumbered = swapped.clone();
        for (entry, number) in renumbered.iter_mut().zip(1..) {
            entry.number = number;
        }
        assert!(verify_chain(&renumbered, &head).contains(&AuditFault::Changed { number: 4 }));
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_lost_or_half_written() {
    // SQLite can be told how large it may grow: then it is as if the disk were full.
    let database = sqlite().await;
    let store = &database.store;
    store.record(ruling("a", "餐饮油烟", "城管"), None, "x").await.expect("recorded");
    let small = paidan::store::Store::open_limited(&database.url, 64).await.expect("a small one");
    let (mut kept, mut full) = (1, false);
    for i in 0..500 {
        match small.record(ruling(&format!("r{i}"), &"很长的事项".repeat(30), "城管"), None, "x").await {
            Ok(_) => kept += 1,
            Err(StoreError::Full) => {
                full = true;
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(full, "it never filled up");
    // It lives, reads, and records again as soon as there is room.
    assert_eq!(small.list(&all(), 1_000, "").await.expect("a list").rulings.len(), kept);
    store.record(ruling("b", "路灯不亮", "城管"), None, "x").await.expect("there is room again");
    let (head, faults) = store.verify_audit(10, |_, _| ()).await.expect("verified");
    assert_eq!((head.number as usize, faults.len()), (kept + 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_that_crashes_in_mid_write_loses_nothing_acknowledged_and_is_found_again() {
    let Some(mut server) = database::Postgres::start() else { return };
    server.create("crash");
    let store = paidan::store::Store::open(&server.url("crash")).await.expect("a database");
    let (sender, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            for i in 0.. {
                match store.record(ruling(&format!("r{i:05}"), "餐饮油烟", "城管"), None, "x").await {
                    Ok(stored) => sender.send(stored.ruling.id).expect("heard"),
                    Err(StoreError::Unavailable(_)) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    };
    let mut ids = Vec::new();
    while ids.len() < 50 {
        ids.push(acknowledged.recv().await.expect("an acknowledgement"));
    }
    tokio::task::block_in_place(|| server.crash());
    writing.await.expect("the writer ended");
    while let Some(id) = acknowledged.recv().await {
        ids.push(id);
    }
    assert!(matches!(store.get("r00000").await, Err(StoreError::Unavailable(_))));
    tokio::task::block_in_place(|| server.launch());
    for id in &ids {
        store.get(id).await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }
    store.record(ruling("after", "路灯", "城管"), None, "x").await.expect("it writes again");
    assert!(store.verify_audit(10, |_, _| ()).await.expect("verified").1.is_empty());
}
