//! A bit of the trail that flipped on the disk, or was flipped: found, and named, whichever it is. On SQLite, whose file keeps whatever
//! bytes it is given; PostgreSQL takes no text that is none.

use paidan::store::{Action, AuditFault, NewEntry};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use crate::database::{Database, sqlite};
use crate::drafts::{parsed, standing};

/// A ruling and two answers: three entries.
async fn trail() -> (Database, AnyConnection) {
    let (database, ruling) = (sqlite().await, parsed(&standing("R1", "楼下餐馆油烟扰民", "城管")));
    database.store.record((*ruling).clone(), None, "committee").await.expect("recorded");
    let [order_id, versions, detail] = ["A1", "{}", "{}"].map(str::to_owned);
    let answered = NewEntry { order_id, versions, detail, ..NewEntry::now(Action::Answered, "intake") };
    database.store.append_audit(&[answered.clone(), answered]).await.expect("written");
    assert_eq!(faults(&database).await, []);
    sqlx::any::install_default_drivers();
    let connection = AnyConnection::connect(&database.url).await.expect("connected");
    (database, connection)
}

async fn faults(database: &Database) -> Vec<AuditFault> {
    database.store.verify_audit(100, |_, _| ()).await.expect("verified").1
}

/// Flips a bit of the first byte of a text, and gives what stood there.
async fn flip(connection: &mut AnyConnection, table: &str, column: &str, condition: &str, bit: u32) -> Vec<u8> {
    let statement = format!("SELECT CAST({column} AS BLOB) AS bytes FROM {table} WHERE {condition}");
    let row = sqlx::query(AssertSqlSafe(statement)).fetch_one(&mut *connection).await.expect("a row");
    let before: Vec<u8> = row.try_get("bytes").expect("bytes");
    let mut bytes = before.clone();
    *bytes.first_mut().unwrap_or_else(|| panic!("{column} is empty")) ^= 1 << bit;
    put(connection, table, column, condition, bytes).await;
    before
}

async fn put(connection: &mut AnyConnection, table: &str, column: &str, condition: &str, bytes: Vec<u8>) {
    let statement = format!("UPDATE {table} SET {column} = CAST($1 AS TEXT) WHERE {condition}");
    sqlx::query(AssertSqlSafe(statement)).bind(bytes).execute(&mut *connection).await.expect("written");
}

#[tokio::test]
async fn any_bit_of_an_entry_is_found_and_the_entry_is_named() {
    let (database, mut connection) = trail().await;
    for column in ["time", "actor", "action", "order_id", "versions", "detail", "previous_hash", "hash"] {
        for bit in 0..8 {
            let before = flip(&mut connection, "audit_entries", column, "number = 2", bit).await;
            let found = faults(&database).await;
            assert!(found.contains(&AuditFault::Changed { number: 2 }), "{column}, bit {bit}: {found:?}");
            put(&mut connection, "audit_entries", column, "number = 2", before).await;
        }
    }
    assert_eq!(faults(&database).await, []);
}

#[tokio::test]
async fn any_bit_of_the_noted_end_is_found_and_so_is_an_end_that_is_gone() {
    let (database, mut connection) = trail().await;
    for bit in 0..8 {
        let before = flip(&mut connection, "audit_head", "hash", "number = 3", bit).await;
        assert_eq!(faults(&database).await, [AuditFault::End { last: 3, head: 3 }], "bit {bit}");
        put(&mut connection, "audit_head", "hash", "number = 3", before).await;
    }
    sqlx::query("DELETE FROM audit_head").execute(&mut connection).await.expect("removed");
    assert!(faults(&database).await.contains(&AuditFault::Behind { number: 3, head: 0 }));
}

#[tokio::test]
async fn any_bit_of_a_ruling_is_found_and_the_ruling_is_named() {
    let (database, mut connection) = trail().await;
    for bit in 0..8 {
        let before = flip(&mut connection, "rulings", "document", "id = 'R1'", bit).await;
        assert_eq!(faults(&database).await, [AuditFault::Ruling { id: "R1".to_owned(), number: 1 }], "bit {bit}");
        put(&mut connection, "rulings", "document", "id = 'R1'", before).await;
    }
}
