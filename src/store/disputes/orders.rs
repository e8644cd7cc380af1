//! Orders: remembered when they are routed under their number, forgotten after a while unless they came back.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::super::audit::{self, Action, NewEntry};
use super::super::error::unless_damaged;
use super::super::{Store, StoreError};
use super::{course_within, returned, written};
use crate::catalog::Day;
use crate::disputes::{Course, Objected, OrderRecord, Return};
use crate::repeats::CallerMark;

/// Orders that changed.
#[derive(Debug, Clone, Default)]
pub struct ChangedOrders {
    /// Those that can be read, in the order of their changes.
    pub orders: Vec<OrderRecord>,
    /// The number of the last change, readable or not; `None` if nothing changed.
    pub end: Option<i64>,
}

impl Store {
    /// Writes answers into the trail, and remembers the orders that they were about, in one transaction. Gives the number of the
    /// last entry.
    pub async fn append_answers(&self, entries: &[NewEntry], orders: &[OrderRecord]) -> Result<i64, StoreError> {
        let mut transaction = self.begin().await?;
        upsert(&mut transaction, orders).await?;
        let last = audit::append(&mut transaction, entries).await?;
        transaction.commit().await?;
        Ok(last)
    }

    /// Closes an order (办结): it can no longer be returned, and is nobody's repeat. Closed twice it is closed once.
    pub async fn close_order(&self, order_id: &str, actor: &str) -> Result<Course, StoreError> {
        let mut transaction = self.begin().await?;
        lock(&mut transaction, order_id).await?;
        let unknown = || StoreError::NoOrder { order_id: order_id.to_owned() };
        let mut course = course_within(&mut transaction, order_id).await?.ok_or_else(unknown)?;
        if course.order.closed {
            return Ok(course);
        }
        if course.case().is_some() && course.settlement.is_none() {
            return Err(StoreError::CaseOpen { order_id: order_id.to_owned() });
        }
        course.order.closed = true;
        upsert(&mut transaction, std::slice::from_ref(&course.order)).await?;
        let entry = NewEntry { order_id: order_id.to_owned(), ..NewEntry::now(Action::OrderClosed, actor) };
        audit::append(&mut transaction, &[entry]).await?;
        transaction.commit().await?;
        Ok(course)
    }

    /// Orders received on a day or later that changed after a number, by that number, closed ones too; at most `most`. For somebody
    /// who looks for repeats.
    pub async fn orders_after(&self, number: i64, since: Day, most: usize) -> Result<ChangedOrders, StoreError> {
        let rows = sqlx::query("SELECT * FROM orders WHERE change > $1 AND received_on >= $2 ORDER BY change LIMIT $3")
            .bind(number)
            .bind(since.to_string())
            .bind(most as i64)
            .fetch_all(&self.pool)
            .await?;
        let orders = rows.iter().filter_map(|row| unless_damaged(order(row)).transpose());
        Ok(ChangedOrders {
            orders: orders.collect::<Result<_, StoreError>>()?,
            end: rows.last().map(|row| row.try_get("change")).transpose()?,
        })
    }

    /// What was objected to the orders of which a return was reported, or whose case was closed or opened again, at a moment or
    /// later; each once.
    pub async fn objected_since(&self, moment: DateTime<Utc>) -> Result<Vec<Objected>, StoreError> {
        let statement = "SELECT returns.*, COALESCE(cases.ruling, '') AS settled_by FROM returns \
             LEFT JOIN cases ON cases.order_id = returns.order_id WHERE returns.order_id IN \
             (SELECT order_id FROM returns WHERE reported_at >= $1 UNION SELECT order_id FROM cases WHERE closed_at >= $1)";
        let rows = sqlx::query(statement).bind(written(moment)).fetch_all(&self.pool).await?;
        let mut orders: HashMap<String, (Vec<Return>, Option<String>)> = HashMap::new();
        for row in &rows {
            let (returns, settled_by) = orders.entry(row.try_get("order_id")?).or_default();
            *settled_by = Some(row.try_get::<String, _>("settled_by")?).filter(|ruling| !ruling.is_empty());
            returns.extend(unless_damaged(returned(row))?);
        }
        let objected = orders.into_iter().map(|(order_id, (returns, by))| Objected::new(order_id, returns, by));
        Ok(objected.collect())
    }

    /// Forgets orders that nothing happened to since `before`, and that never came back; gives how many. The trail keeps what was
    /// answered, without a text.
    pub async fn forget_orders(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query(
            "DELETE FROM orders WHERE update_time < $1 AND NOT EXISTS \
             (SELECT 1 FROM returns WHERE returns.order_id = orders.order_id)",
        )
        .bind(written(before))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Remembers orders as they now are. A closed one stays closed, whatever is routed under its number later.
pub(in crate::store) async fn upsert(transaction: &mut AnyConnection, orders: &[OrderRecord]) -> Result<(), StoreError> {
    if orders.is_empty() {
        return Ok(());
    }
    let last: i64 = sqlx::query_scalar("UPDATE last_order_change SET number = number + $1 RETURNING number")
        .bind(orders.len() as i64)
        .fetch_one(&mut *transaction)
        .await?;
    let now = written(Utc::now());
    for (change, order) in (last - orders.len() as i64 + 1..).zip(orders) {
        let fields = &order.fields;
        let appeal = serde_json::to_string(fields)
            .map_err(|error| StoreError::Damaged { id: fields.id.clone(), reason: error.to_string() })?;
        sqlx::query(
            "INSERT INTO orders (order_id, change, received_on, appeal, closed, update_time, caller) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (order_id) DO UPDATE SET change = excluded.change, received_on = excluded.received_on, \
             appeal = excluded.appeal, caller = excluded.caller, update_time = excluded.update_time, \
             closed = CASE WHEN orders.closed = 1 THEN 1 ELSE excluded.closed END",
        )
        .bind(&fields.id)
        .bind(change)
        .bind(&fields.received_at)
        .bind(&appeal)
        .bind(i64::from(order.closed))
        .bind(&now)
        .bind(order.caller.map(CallerMark::hex).unwrap_or_default())
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// Takes the order's turn: PostgreSQL lets two writers read at once, and both would believe that theirs is the first return. Of an
/// order that is not there yet it is the turn of all who write orders.
pub(super) async fn lock(transaction: &mut AnyConnection, order_id: &str) -> Result<(), StoreError> {
    let there = sqlx::query("UPDATE orders SET update_time = $2 WHERE order_id = $1")
        .bind(order_id)
        .bind(written(Utc::now()))
        .execute(&mut *transaction)
        .await?;
    if there.rows_affected() == 0 {
        sqlx::query("UPDATE last_order_change SET number = number").execute(&mut *transaction).await?;
    }
    Ok(())
}

pub(super) fn order(row: &AnyRow) -> Result<OrderRecord, StoreError> {
    let (id, appeal): (String, String) = (row.try_get("order_id")?, row.try_get("appeal")?);
    let fields = serde_json::from_str(&appeal);
    let fields = fields.map_err(|_| StoreError::Damaged { id, reason: "its appeal cannot be read".to_owned() })?;
    let caller = CallerMark::from_hex(&row.try_get::<String, _>("caller")?);
    Ok(OrderRecord { fields, caller, closed: row.try_get::<i64, _>("closed")? == 1 })
}
