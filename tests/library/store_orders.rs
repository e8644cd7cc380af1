//! What the store tells those who follow orders and returns, on SQLite and PostgreSQL alike.

use chrono::{DateTime, Utc};
use paidan::catalog::Day;
use paidan::disputes::{Objected, OrderRecord, Return};
use paidan::repeats::CallerMark;
use paidan::routing::{Objection, ReturnReason};
use paidan::store::{Action, NewEntry, Store, StoreError};
use paidan::text::AppealFields;
use sqlx::Connection;
use tokio::task::JoinSet;

use crate::database::{Database, databases};

fn moment(hour: u32) -> DateTime<Utc> {
    format!("2026-03-02T{hour:02}:00:00Z").parse().expect("a time")
}

fn order(id: &str) -> OrderRecord {
    let fields =
        AppealFields {
            id: id.into(), text: "路灯不亮".into(), received_at: "2026-03-01".into(), ..AppealFields::default()
        };
    OrderRecord { fields, caller: None, closed: false, first_seen: moment(1) }
}

/// The same order with other words, of another day and district, asked for later.
fn told_anew(id: &str) -> OrderRecord {
    let fields = AppealFields {
        text: "拖欠工资".into(),
        received_at: "2026-03-02".into(),
        district: "西区".into(),
        category: vec!["劳动".into()],
        ..order(id).fields
    };
    OrderRecord { fields, caller: CallerMark::of("c2"), closed: false, first_seen: moment(9) }
}

async fn route(store: &Store, orders: &[OrderRecord]) {
    store.append_answers(&[NewEntry::now(Action::Answered, "paidan")], orders).await.expect("written");
}

async fn known(store: &Store, id: &str) -> OrderRecord {
    store.course(id).await.expect("read").expect("an order").order
}

/// After everything that is written here.
fn never() -> DateTime<Utc> {
    Utc::now() + chrono::Duration::days(1)
}

/// The numbers of the orders that changed after a change, and of the last change: those received since a day, or just written.
async fn changed(store: &Store, number: i64, since: &str, written_since: DateTime<Utc>) -> (Vec<String>, i64) {
    let since: Day = since.parse().expect("a day");
    let changed = store.orders_after(number, since, written_since, 100).await.expect("read");
    (changed.orders.into_iter().map(|one| one.fields.id).collect(), changed.end.unwrap_or(number))
}

fn returned(id: &str, order_id: &str, department: &str, hour: u32, reported: u32) -> Return {
    let objection = Objection {
        department: department.into(),
        other_names: Vec::new(),
        unit: None,
        reason: ReturnReason::DutiesOverlap,
        day: "2026-03-02".parse().expect("a day"),
    };
    Return {
        id: id.into(),
        order_id: order_id.into(),
        objection,
        district: None,
        note: String::new(),
        returned_at: moment(hour),
        reported_at: moment(reported),
        deadline: None,
        contests: None,
        actor: "x".into(),
    }
}

async fn report(store: &Store, one: Return) {
    let adopted = store.course(&one.order_id).await.expect("a database").is_none().then(|| order(&one.order_id));
    store.report_return(one, adopted).await.expect("reported");
}

async fn damage(database: &Database, statement: &'static str) {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(&database.url).await.expect("connected");
    sqlx::query(statement).execute(&mut connection).await.expect("damaged");
}

/// Each order with who objected, by its number.
fn objectors(mut objected: Vec<Objected>) -> Vec<(String, Vec<String>)> {
    objected.sort_by(|a, b| a.order_id.cmp(&b.order_id));
    let objectors = |one: Objected| (one.order_id, one.objections.into_iter().map(|one| one.department).collect());
    objected.into_iter().map(objectors).collect()
}

fn told(order_id: &str, departments: &[&str]) -> (String, Vec<String>) {
    (order_id.to_owned(), departments.iter().map(|one| (*one).to_owned()).collect())
}

#[tokio::test]
async fn who_follows_the_returns_hears_all_objections_to_an_order_by_their_time_and_of_orders_that_are_new() {
    for database in databases().await {
        let store = &database.store;
        // The second return is reported first; the first late; an order of long before is none of this.
        report(store, returned("a", "1", "城管", 5, 6)).await;
        report(store, returned("b", "1", "住建", 4, 9)).await;
        report(store, returned("c", "2", "水务", 5, 6)).await;
        report(store, returned("d", "3", "交警", 8, 8)).await;
        let objected = store.objected_since(moment(7)).await.expect("read");
        assert_eq!(objectors(objected), [told("1", &["住建", "城管"]), told("3", &["交警"])], "{}", database.name);
        assert!(store.objected_since(moment(10)).await.expect("read").is_empty());
    }
}

#[tokio::test]
async fn a_return_or_an_order_that_cannot_be_read_hides_no_other() {
    for database in databases().await {
        let store = &database.store;
        for (id, order_id) in [("a", "1"), ("b", "2"), ("c", "3")] {
            report(store, returned(id, order_id, "城管", 5, 6)).await;
        }
        damage(&database, "UPDATE returns SET reason = '?' WHERE id = 'b'").await;
        damage(&database, "UPDATE orders SET appeal = '{' WHERE order_id = '3'").await;
        let objected = store.objected_since(moment(1)).await.expect("read");
        let wanted = [told("1", &["城管"]), told("2", &[]), told("3", &["城管"])];
        assert_eq!(objectors(objected), wanted, "{}", database.name);
        let (told, end) = changed(store, 0, "2026-03-01", never()).await;
        assert_eq!(told, ["1", "2"], "{}", database.name);
        // The damaged one is the last: whoever follows goes on behind it.
        assert!(end == 3 && changed(store, end, "2026-03-01", never()).await.0.is_empty());
    }
}

#[tokio::test]
async fn what_is_left_out_when_an_order_is_routed_again_stays_and_it_was_first_seen_when_it_was() {
    for database in databases().await {
        let store = &database.store;
        let mut first = order("1");
        (first.fields.district, first.fields.category) = ("东区".into(), vec!["市政".into()]);
        first.caller = CallerMark::of("c1");
        route(store, std::slice::from_ref(&first)).await;
        let blank = AppealFields { id: "1".into(), text: "路灯还是不亮".into(), ..AppealFields::default() };
        let blank = OrderRecord { fields: blank, caller: None, closed: false, first_seen: moment(9) };
        // Twice in one transaction, as under load.
        route(store, &[OrderRecord { fields: order("1").fields, ..blank.clone() }, blank]).await;
        first.fields.text = "路灯还是不亮".into();
        assert_eq!(known(store, "1").await, first, "{}", database.name);
        route(store, &[told_anew("1")]).await;
        assert_eq!(known(store, "1").await, OrderRecord { first_seen: moment(1), ..told_anew("1") }, "what is said counts");
    }
}

#[tokio::test]
async fn an_order_without_a_time_of_receipt_stays_one_of_the_day_on_which_it_was_first_asked_for() {
    for database in databases().await {
        let store = &database.store;
        let undated = |at: &str| {
            let fields = AppealFields { received_at: String::new(), ..order("1").fields };
            OrderRecord { fields, first_seen: at.parse().expect("a time"), ..order("1") }
        };
        for at in ["2026-03-02T16:30:00Z", "2026-04-09T01:00:00Z"] {
            route(store, &[undated(at)]).await;
            assert_eq!(known(store, "1").await.fields.received_at, "2026-03-03", "{}", database.name);
        }
    }
}

#[tokio::test]
async fn an_order_that_came_back_or_was_closed_stays_as_it_was_whatever_is_routed_under_its_number() {
    for database in databases().await {
        let store = &database.store;
        route(store, &[order("open"), order("returned"), order("closed")]).await;
        report(store, Return { district: Some("东区".into()), ..returned("a", "returned", "城管", 5, 6) }).await;
        store.close_order("closed", "x").await.expect("closed");
        let before = [known(store, "returned").await, known(store, "closed").await];
        assert_eq!((before[0].fields.district.as_str(), before[1].closed), ("东区", true), "{}", database.name);
        let (_, number) = changed(store, 0, "2026-03-01", never()).await;
        route(store, &["open", "returned", "closed"].map(told_anew)).await;
        assert_eq!([known(store, "returned").await, known(store, "closed").await], before, "{}", database.name);
        assert_eq!(known(store, "open").await.fields, told_anew("open").fields);
        // Whoever took it for new hears that it is not.
        let (mut told, _) = changed(store, number, "2026-03-01", never()).await;
        told.sort_unstable();
        assert_eq!(told, ["closed", "open", "returned"]);
    }
}

#[tokio::test]
async fn an_order_that_was_routed_while_its_return_came_with_an_appeal_keeps_what_it_was_routed_with() {
    for database in databases().await {
        let store = &database.store;
        route(store, &[order("1")]).await;
        let one = Return { district: Some("东区".into()), ..returned("a", "1", "城管", 5, 6) };
        let course = store.report_return(one, Some(told_anew("1"))).await.expect("reported");
        assert_eq!((course.order.fields.text.as_str(), course.order.fields.district.as_str()), ("路灯不亮", "东区"));
        // Who reads the order alone hears of the district as well.
        let day = "2026-03-01".parse().expect("a day");
        let told = store.orders_after(0, day, never(), 10).await.expect("read").orders.remove(0);
        assert_eq!(told.fields.district, "东区", "{}", database.name);
    }
}

#[tokio::test]
async fn an_order_received_before_dawn_is_one_of_the_citys_day_and_so_is_one_that_an_earlier_version_wrote() {
    for database in databases().await {
        let store = &database.store;
        let fields = AppealFields { received_at: "2026-02-28T16:30:00Z".into(), ..order("1").fields };
        route(store, &[OrderRecord { fields, ..order("1") }]).await;
        let since = |day| changed(store, 0, day, never());
        assert_eq!(since("2026-03-01").await.0, ["1"], "{}", database.name);
        assert!(since("2026-03-03").await.0.is_empty());
        assert_eq!(changed(store, 0, "2026-03-03", moment(1)).await.0, ["1"], "written since");
        damage(&database, "UPDATE orders SET received_on = '2026-02-28T16:30:00Z', first_seen = ''").await;
        assert_eq!(since("2026-03-01").await.0, ["1"], "{}", database.name);
        assert!(known(store, "1").await.first_seen > moment(1), "the last time comes nearest");
    }
}

#[tokio::test]
async fn those_who_route_return_close_and_forget_the_same_orders_at_once_do_not_wait_for_each_other_in_a_circle() {
    for database in databases().await {
        let ids: Vec<String> = (0..12).map(|i| i.to_string()).collect();
        let orders: Vec<OrderRecord> = ids.iter().map(|id| order(id)).collect();
        route(&database.store, &orders).await;
        let mut tasks: JoinSet<Result<(), StoreError>> = JoinSet::new();
        for start in [0, 5, 11] {
            let (store, mut orders) = (database.store.clone(), orders.clone());
            orders.rotate_left(start);
            if start > 5 {
                orders.reverse();
            }
            tasks.spawn(async move {
                for _ in 0..8 {
                    store.append_answers(&[NewEntry::now(Action::Answered, "paidan")], &orders).await?;
                    store.forget_orders(moment(1)).await?;
                }
                Ok(())
            });
        }
        for id in ids {
            let store = database.store.clone();
            tasks.spawn(async move {
                let one = returned(&format!("T-{id}"), &id, "城管", 5, 6);
                store.report_return(Return { district: Some("东区".into()), ..one }, None).await?;
                store.close_order(&id, "x").await.map(drop)
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic").unwrap_or_else(|error| panic!("{}: {error:?}", database.name));
        }
        for order in &orders {
            assert!(known(&database.store, &order.fields.id).await.closed, "{}", database.name);
        }
    }
}
