//! What may become of a ruling in the store, and what one that cannot be read does to the others, on SQLite and PostgreSQL alike.

use paidan::catalog::{Day, Validity};
use paidan::rulings::{Ruling, RulingDraft, Scope, Status};
use paidan::store::{Action, AuditFault, Filter, NewEntry, StoreError};
use sqlx::Connection;

use crate::database::databases;

fn ruling(id: &str) -> Ruling {
    let draft = RulingDraft {
        id: id.to_owned(),
        scope: "standing".to_owned(),
        matter: "餐饮油烟".to_owned(),
        description: "餐饮油烟由城管主办".to_owned(),
        lead: "城管".to_owned(),
        body: "committee".to_owned(),
        decided_on: "2026-03-01".to_owned(),
        orders: vec![format!("order-{id}")],
        ..RulingDraft::default()
    };
    draft.parse(None).expect("a ruling")
}

#[tokio::test]
async fn only_a_ruling_in_force_takes_the_place_of_another_and_only_one_does() {
    for database in databases().await {
        let store = &database.store;
        store.record(ruling("a"), None, "x").await.expect("recorded");
        let draft = Ruling { status: Status::Draft, ..ruling("b") };
        let refused = store.supersede("a", "r1", draft, "x").await;
        assert!(matches!(refused, Err(StoreError::State { status: "draft", .. })), "{refused:?}");
        assert_eq!(store.get("a").await.expect("there").ruling.status, Status::InForce, "{}", database.name);
        assert!(matches!(store.get("b").await, Err(StoreError::NotFound { .. })), "nothing of it is kept");

        let first = store.supersede("a", "r1", ruling("b"), "x").await.expect("superseded");
        let second = store.supersede("a", "r2", ruling("c"), "x").await;
        assert!(matches!(second, Err(StoreError::State { status: "superseded", .. })), "{second:?}");
        // Sent again by somebody who did not hear the answer: the same, with the etag of before or without.
        let again = store.record(first.ruling.clone(), Some("r0"), "x").await.expect("the same");
        assert_eq!(again, first, "{}", database.name);
        // Its successor was a mistake: another may be named.
        store.withdraw("b", "r1", "mistake", "x").await.expect("withdrawn");
        store.supersede("a", "r2", ruling("c"), "x").await.expect("superseded");
    }
}

#[tokio::test]
async fn a_standing_ruling_that_was_superseded_holds_until_its_successors_first_day() {
    let day = |text: &str| text.parse::<Day>().expect("a day");
    let from = |id: &str, first: &str| {
        let effective = Validity { from: Some(day(first)), to: None };
        Ruling { effective, supersedes: (id == "b").then(|| "a".to_owned()), ..ruling(id) }
    };
    for database in databases().await {
        let store = &database.store;
        let counting = async || -> Vec<(String, Option<Day>)> {
            let changes = store.changes_after(0, 10, "m1", true).await.expect("changes").changes;
            let mut rulings: Vec<Ruling> = changes.into_iter().map(|change| change.stored.ruling).collect();
            rulings.retain(|one| one.status == Status::InForce);
            rulings.sort_by(|one, other| one.id.cmp(&other.id));
            rulings.into_iter().map(|one| (one.id, one.effective.to)).collect()
        };
        let until = |last: &str| vec![("a".to_owned(), Some(day(last))), ("b".to_owned(), None)];
        store.record(from("a", "2026-03-01"), None, "x").await.expect("recorded");
        store.supersede("a", "r1", from("b", "2099-05-01"), "x").await.expect("superseded by one that is still to begin");
        assert_eq!(counting().await, until("2099-04-30"), "{}", database.name);
        assert_eq!(store.get("a").await.expect("there").ruling.status, Status::Superseded);
        // Servers that follow hear of it when the successor begins on another day.
        let known = store.last_change().await.expect("a number");
        store.record(from("b", "2026-04-01"), Some("r1"), "x").await.expect("changed");
        assert_eq!(counting().await, until("2026-03-31"), "{}", database.name);
        let heard = store.changes_after(known, 10, "m1", false).await.expect("changes").changes;
        assert!(heard.iter().any(|change| change.stored.ruling.id == "a"), "{}", database.name);
        store.record(from("b", "2026-03-01"), Some("r2"), "x").await.expect("changed");
        assert_eq!(counting().await, [("b".to_owned(), None)], "{}: nothing is left of the former", database.name);
        assert_eq!(store.verify_audit(10, |_, _| {}).await.expect("read").1, []);
        // What was a draft until then never held.
        store.record(Ruling { status: Status::Draft, ..from("e", "2026-03-01") }, None, "x").await.expect("recorded");
        for day in ["2026-04-01", "2026-04-02"] {
            let etag = (day == "2026-04-02").then_some("r1");
            let after = Ruling { supersedes: Some("e".to_owned()), ..from("f", day) };
            store.record(after, etag, "x").await.expect("superseded");
        }
        assert!(counting().await.iter().all(|one| one.0 != "e"), "{}", database.name);
        // On one order the last word counts, whenever that came in.
        let case = |id: &str| Ruling { scope: Scope::Case, ..ruling(id) };
        store.record(case("c"), None, "x").await.expect("recorded");
        let later = Ruling { effective: from("d", "2026-03-02").effective, ..case("d") };
        store.supersede("c", "r1", later, "x").await.expect("superseded");
        assert!(counting().await.iter().all(|one| one.0 != "c"), "{}", database.name);
    }
}

#[tokio::test]
async fn what_was_superseded_or_withdrawn_does_not_count_again_by_a_change() {
    for database in databases().await {
        let store = &database.store;
        for id in ["a", "w"] {
            store.record(ruling(id), None, "x").await.expect("recorded");
        }
        store.supersede("a", "r1", ruling("b"), "x").await.expect("superseded");
        store.withdraw("w", "r1", "mistake", "x").await.expect("withdrawn");
        for (id, ended) in [("a", Status::Superseded), ("w", Status::Withdrawn)] {
            for status in [Status::InForce, Status::Draft] {
                let change = Ruling { matter: "油烟".to_owned(), status, ..ruling(id) };
                let refused = store.record(change, Some("r2"), "x").await.expect_err("it has ended");
                assert!(matches!(refused, StoreError::State { .. }), "{}: {refused}", database.name);
                assert!(refused.to_string().contains("record a new ruling"), "{refused}");
            }
            // A slip of the pen in it may be mended all the same.
            let mended = Ruling { matter: "油烟".to_owned(), status: ended, ..ruling(id) };
            assert_eq!(store.record(mended, Some("r2"), "x").await.expect("mended").ruling.status, ended);
        }
        // Nor by two steps.
        let taken_back = Ruling { status: Status::Withdrawn, ..ruling("a") };
        store.record(taken_back, Some("r3"), "x").await.expect("a successor does not keep it from being withdrawn");
        assert!(matches!(store.record(ruling("a"), Some("r4"), "x").await, Err(StoreError::State { .. })));
        assert_eq!(store.get("b").await.expect("there").ruling.status, Status::InForce, "{}", database.name);
    }
}

#[tokio::test]
async fn no_ruling_supersedes_what_comes_after_it() {
    for database in databases().await {
        let store = &database.store;
        let after = |id: &str, former: &str| Ruling { supersedes: Some(former.to_owned()), ..ruling(id) };
        store.record(ruling("a"), None, "x").await.expect("recorded");
        store.record(after("b", "a"), None, "x").await.expect("recorded");
        store.record(after("c", "b"), None, "x").await.expect("recorded");
        for status in [Status::Superseded, Status::Withdrawn] {
            let circle = Ruling { status, ..after("a", "c") };
            let refused = store.record(circle, Some("r2"), "x").await.expect_err("a circle");
            assert!(matches!(&refused, StoreError::Circular { id, former } if id == "a" && former == "c"), "{refused}");
        }
        assert_eq!(store.get("a").await.expect("there").ruling.supersedes, None, "{}", database.name);
        store.record(after("d", "c"), None, "x").await.expect("a chain may go on");
    }
}

#[tokio::test]
async fn whoever_did_not_hear_that_it_was_done_and_asks_again_hears_so() {
    for database in databases().await {
        let store = &database.store;
        for id in ["a", "w"] {
            store.record(ruling(id), None, "x").await.expect("recorded");
        }
        let withdrawn = store.withdraw("w", "r1", "mistake", "x").await.expect("withdrawn");
        assert_eq!(store.withdraw("w", "r1", "mistake", "x").await.expect("said again"), withdrawn, "{}", database.name);
        let other = store.withdraw("w", "r1", "another reason", "x").await;
        assert!(matches!(other, Err(StoreError::Conflict { .. })), "somebody else was first: {other:?}");

        let unnamed = || Ruling { id: String::new(), ..ruling("b") };
        let successor = store.supersede("a", "r1", unnamed(), "x").await.expect("superseded");
        assert_eq!(store.supersede("a", "r1", unnamed(), "x").await.expect("said again"), successor, "{}", database.name);
        let other = store.supersede("a", "r1", ruling("c"), "x").await;
        assert!(matches!(other, Err(StoreError::Conflict { .. })), "somebody else was first: {other:?}");
        // What happened since is not undone by an answer of before.
        store.withdraw(&successor.ruling.id, "r1", "mistake", "x").await.expect("withdrawn");
        let late = store.supersede("a", "r1", unnamed(), "x").await;
        assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");

        let entries = store.audit_after(0, 100).await.expect("a trail");
        let count = |action: Action| entries.iter().filter(|entry| entry.action == action.name()).count();
        assert_eq!((count(Action::RulingWithdrawn), count(Action::RulingSuperseded)), (2, 1), "each is written once");
    }
}

#[tokio::test]
async fn a_time_of_another_zone_finds_what_was_recorded_then() {
    for database in databases().await {
        let store = &database.store;
        let recorded = store.record(ruling("a"), None, "x").await.expect("recorded").create_time;
        let utc: chrono::DateTime<chrono::Utc> = recorded.parse().expect("a time");
        let city = chrono::FixedOffset::east_opt(8 * 3600).expect("a zone");
        for (seconds, found) in [(-1, 1), (0, 0), (1, 0)] {
            let local = (utc + chrono::Duration::seconds(seconds)).with_timezone(&city).to_rfc3339();
            let filter = Filter::parse(&format!("create_time > \"{local}\"")).expect("a filter");
            assert_eq!(store.list(&filter, 5, "").await.expect("a list").rulings.len(), found, "{}: {local}", database.name);
        }
    }
}

#[tokio::test]
async fn the_same_ruling_sent_many_times_at_once_is_recorded_once_and_everybody_hears_so() {
    for database in databases().await {
        let sent: Vec<_> = (0..8)
            .map(|_| {
                let store = database.store.clone();
                tokio::spawn(async move { store.record(ruling("a"), None, "x").await })
            })
            .collect();
        for one in sent {
            let recorded = one.await.expect("no panic").unwrap_or_else(|error| panic!("{}: {error}", database.name));
            assert_eq!(recorded.revision, 1);
        }
    }
}

#[tokio::test]
async fn a_ruling_that_cannot_be_read_hides_no_other() {
    for database in databases().await {
        let store = &database.store;
        for id in ["a", "b", "c"] {
            store.record(ruling(id), None, "x").await.expect("recorded");
        }
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&database.url).await.expect("connected");
        sqlx::query("UPDATE rulings SET document = '{' WHERE id IN ('b', 'c')")
            .execute(&mut connection)
            .await
            .expect("damaged");
        // Only SQLite keeps a text that is none.
        if database.name == "sqlite" {
            let bytes = sqlx::query("UPDATE rulings SET document = CAST(x'7bff7d' AS TEXT) WHERE id = 'c'");
            bytes.execute(&mut connection).await.expect("damaged");
        }
        let page = store.list(&Filter::default(), 2, "").await.expect("a page");
        assert_eq!(page.rulings.iter().map(|one| one.ruling.id.as_str()).collect::<Vec<_>>(), ["a"], "{}", database.name);
        let next = store.list(&Filter::default(), 2, &page.next_page_token).await.expect("the next");
        assert!(next.rulings.is_empty() && next.next_page_token.is_empty());
        let changes = store.changes_after(0, 3, "m1", false).await.expect("changes");
        assert_eq!(
            (changes.changes.len(), changes.end, changes.full),
            (1, Some(3), true),
            "the end is known, so it is not read again"
        );
        assert!(matches!(store.get("b").await, Err(StoreError::Damaged { .. })));
        assert!(matches!(store.get_if("b", &Filter::default()).await, Ok(None)), "a search goes on to the next");
    }
}

#[tokio::test]
async fn a_file_of_rulings_may_name_a_successor_first_and_may_be_sent_again() {
    for database in databases().await {
        let store = &database.store;
        let file = || vec![Ruling { supersedes: Some("b-old".to_owned()), ..ruling("a-new") }, ruling("b-old")];
        for is_new in [true, false] {
            for (one, outcome) in file().iter().zip(store.record_all(file(), "x").await.expect("recorded")) {
                let recorded = outcome.unwrap_or_else(|error| panic!("{}: {error}", database.name));
                assert_eq!((&recorded.stored.ruling.id, recorded.is_new), (&one.id, is_new));
            }
        }
        let status = async |id: &str| store.get(id).await.expect("there").ruling.status;
        assert_eq!((status("a-new").await, status("b-old").await), (Status::InForce, Status::Superseded));
    }
}

#[tokio::test]
async fn an_entry_that_somebody_put_behind_the_last_is_named_and_is_in_no_story() {
    for database in databases().await {
        let store = &database.store;
        store.record(ruling("a"), None, "x").await.expect("recorded");
        assert!(store.verify_audit(10, |_, _| {}).await.expect("read").1.is_empty());
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&database.url).await.expect("connected");
        sqlx::query(
            "INSERT INTO audit_entries (number, time, actor, action, order_id, ruling, versions, detail, previous_hash, hash) \
             SELECT number + 1, time, 'forger', action, order_id, ruling, versions, detail, hash, hash FROM audit_entries",
        )
        .execute(&mut connection)
        .await
        .expect("forged");
        let faults = store.verify_audit(10, |_, _| {}).await.expect("read").1;
        assert_eq!(faults, [AuditFault::Behind { number: 2, head: 1 }], "{}", database.name);
        let story = store.audit_of_order("order-a").await.expect("a story");
        assert!(story.iter().all(|entry| entry.actor != "forger"));
    }
}

#[tokio::test]
async fn an_orders_story_has_its_decisions_however_often_it_was_asked_and_nothing_of_other_orders() {
    for database in databases().await {
        let store = &database.store;
        let entry = |action, order: &str| NewEntry { order_id: order.to_owned(), ..NewEntry::now(action, "x") };
        store.append_audit(&[entry(Action::Dispatched, "order-a")]).await.expect("noted");
        for _ in 0..11 {
            let answers: Vec<NewEntry> = (0..100).map(|_| entry(Action::Answered, "order-a")).collect();
            store.append_audit(&answers).await.expect("noted");
        }
        store.record(ruling("a"), None, "x").await.expect("recorded");
        // Answered by that ruling, but another order.
        let other = NewEntry { ruling: "a".to_owned(), ..entry(Action::Answered, "order-z") };
        store.append_audit(&[other, entry(Action::OrderClosed, "order-a")]).await.expect("noted");
        let story = store.audit_of_order("order-a").await.expect("a story");
        assert_eq!(story.len(), 1_000, "{}", database.name);
        assert!(story.is_sorted_by_key(|entry| entry.number));
        let decided: Vec<&str> =
            story.iter().map(|entry| entry.action.as_str()).filter(|action| *action != "answered").collect();
        assert_eq!(decided, ["dispatched", "ruling_recorded", "order_closed"]);
        assert!(story.iter().all(|entry| entry.order_id != "order-z"));
    }
}

#[tokio::test]
async fn a_ruling_that_somebody_changed_or_removed_in_the_database_is_named() {
    for database in databases().await {
        let store = &database.store;
        for id in ["a", "b", "c"] {
            store.record(ruling(id), None, "x").await.expect("recorded");
        }
        store.withdraw("c", "r1", "mistake", "x").await.expect("withdrawn");
        assert!(store.verify_audit(10, |_, _| {}).await.expect("read").1.is_empty(), "{}", database.name);
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&database.url).await.expect("connected");
        for statement in [
            "UPDATE rulings SET document = REPLACE(document, '城管', '住建') WHERE id = 'a'",
            "DELETE FROM ruling_words WHERE ruling = 'b'",
            "DELETE FROM ruling_names WHERE ruling = 'b'",
            "DELETE FROM rulings WHERE id = 'b'",
        ] {
            sqlx::query(statement).execute(&mut connection).await.expect("tampered");
        }
        let faults = store.verify_audit(10, |_, _| {}).await.expect("read").1;
        let expected =
            [AuditFault::Ruling { id: "a".to_owned(), number: 1 }, AuditFault::RulingGone { id: "b".to_owned(), number: 2 }];
        assert_eq!(faults, expected, "{}", database.name);
    }
}
