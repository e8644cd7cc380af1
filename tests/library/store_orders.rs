//! What the store tells those who follow orders and returns, on SQLite and PostgreSQL alike.

use chrono::{DateTime, Utc};
use paidan::disputes::{Objected, OrderRecord, Return};
use paidan::routing::{Objection, ReturnReason};
use paidan::store::Store;
use paidan::text::AppealFields;
use sqlx::Connection;

use crate::database::{Database, databases};

fn moment(hour: u32) -> DateTime<Utc> {
    format!("2026-03-02T{hour:02}:00:00Z").parse().expect("a time")
}

fn order(id: &str) -> OrderRecord {
    let fields =
        AppealFields {
            id: id.into(), text: "路灯不亮".into(), received_at: "2026-03-01".into(), ..AppealFields::default()
        };
    OrderRecord { fields, caller: None, closed: false }
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
        let day = "2026-03-01".parse().expect("a day");
        let changed = store.orders_after(0, day, 10).await.expect("read");
        assert_eq!(
            changed.orders.iter().map(|one| one.fields.id.as_str()).collect::<Vec<_>>(),
            ["1", "2"],
            "{}",
            database.name
        );
        // The damaged one is the last: whoever follows goes on behind it.
        assert!(store.orders_after(changed.end.expect("an end"), day, 10).await.expect("read").orders.is_empty());
    }
}
