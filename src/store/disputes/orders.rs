//! Orders: remembered when they are routed under their number, forgotten after a while unless they came back.
//!
//! Whoever writes orders takes the turn of all who do, before anything else: it numbers the changes, and two writers who took the
//! rows of orders in two ways would wait for each other in PostgreSQL until one of them is refused.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::super::audit::{self, Action, NewEntry};
use super::super::error::unless_damaged;
use super::super::{Store, StoreError};
use super::{course_within, moment, returned, written};
use crate::catalog::Day;
use crate::disputes::{Course, Objected, OrderRecord, Return};
use crate::repeats::CallerMark;
use crate::routing::day_of;

/// Orders that are looked up at once.
const AT_ONCE: usize = 500;

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
    /// last entry. Of an order that is known, what was left out now stays; one that came back or was closed stays as it is.
    pub async fn append_answers(&self, entries: &[NewEntry], orders: &[OrderRecord]) -> Result<i64, StoreError> {
        let mut transaction = self.begin().await?;
        remember(&mut transaction, orders).await?;
        let last = audit::append(&mut transaction, entries).await?;
        transaction.commit().await?;
        Ok(last)
    }

    /// Closes an order (办结): it can no longer be returned, and is nobody's repeat. Closed twice it is closed once.
    pub async fn close_order(&self, order_id: &str, actor: &str) -> Result<Course, StoreError> {
        let mut transaction = self.begin().await?;
        take_turn(&mut transaction).await?;
        let unknown = || StoreError::NoOrder { order_id: order_id.to_owned() };
        let mut course = course_within(&mut transaction, order_id).await?.ok_or_else(unknown)?;
        if course.order.closed {
            return Ok(course);
        }
        if course.case().is_some() && course.settlement.is_none() {
            return Err(StoreError::CaseOpen { order_id: order_id.to_owned() });
        }
        course.order.closed = true;
        upsert(&mut transaction, &[&course.order]).await?;
        let entry = NewEntry { order_id: order_id.to_owned(), ..NewEntry::now(Action::OrderClosed, actor) };
        audit::append(&mut transaction, &[entry]).await?;
        transaction.commit().await?;
        Ok(course)
    }

    /// Orders that changed after a number, by that number, closed ones too; at most `most`. For somebody who looks for repeats: only
    /// those received on a day or later, and perhaps some of the day before; and whatever was written at a moment or later.
    pub async fn orders_after(
        &self,
        number: i64,
        since: Day,
        written_since: DateTime<Utc>,
        most: usize,
    ) -> Result<ChangedOrders, StoreError> {
        // Where an earlier version wrote the day it is a moment, and in UTC: its text may be of the day before.
        let day = since.pred_opt().unwrap_or(since).to_string();
        let statement =
            "SELECT * FROM orders WHERE change > $1 AND (received_on >= $2 OR update_time >= $3) ORDER BY change LIMIT $4";
        let rows = sqlx::query(statement)
            .bind(number)
            .bind(day)
            .bind(written(written_since))
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
        take_turn(&mut transaction).await?;
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

/// Remembers orders that were routed. Whatever was, is written anew: who follows the changes hears what became of it.
async fn remember(transaction: &mut AnyConnection, routed: &[OrderRecord]) -> Result<(), StoreError> {
    if routed.is_empty() {
        return Ok(());
    }
    take_turn(transaction).await?;
    let ids: Vec<&str> = routed.iter().map(|order| order.fields.id.as_str()).collect();
    let mut orders: BTreeMap<String, Known> = BTreeMap::new();
    for ids in ids.chunks(AT_ONCE) {
        orders.extend(known(transaction, ids).await?);
    }
    for order in routed {
        let known = orders.remove(&order.fields.id);
        let now = match known {
            None => Known { order: order.clone().dated(), fixed: false },
            Some(Known { order: known, fixed: false }) => Known { order: known.asked_again(order.clone()), fixed: false },
            Some(fixed) => fixed,
        };
        orders.insert(order.fields.id.clone(), now);
    }
    let orders: Vec<&OrderRecord> = orders.values().map(|known| &known.order).collect();
    upsert(transaction, &orders).await
}

/// An order that is there already.
struct Known {
    order: OrderRecord,
    /// It came back or was closed: what it was then is what people decided on.
    fixed: bool,
}

/// Those of some orders that are there and can be read: one that cannot is mended by what is routed now.
async fn known(transaction: &mut AnyConnection, ids: &[&str]) -> Result<Vec<(String, Known)>, StoreError> {
    let places = (1..=ids.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
    let statement = format!(
        "SELECT orders.*, (SELECT COUNT(*) FROM returns WHERE returns.order_id = orders.order_id) AS times_returned \
         FROM orders WHERE order_id IN ({places})"
    );
    let query = ids.iter().fold(sqlx::query(AssertSqlSafe(statement)), |query, id| query.bind(*id));
    let rows = query.fetch_all(&mut *transaction).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(order) = unless_damaged(order(row))? {
            let fixed = order.closed || row.try_get::<i64, _>("times_returned")? > 0;
            all.push((order.fields.id.clone(), Known { order, fixed }));
        }
    }
    Ok(all)
}

/// Writes orders as they now are, each once, by whoever has the turn. A closed one stays closed, and one that is there was first seen
/// when it was.
pub(super) async fn upsert(transaction: &mut AnyConnection, orders: &[&OrderRecord]) -> Result<(), StoreError> {
    let count = orders.len() as i64;
    let last: i64 = sqlx::query_scalar("UPDATE last_order_change SET number = number + $1 RETURNING number")
        .bind(count)
        .fetch_one(&mut *transaction)
        .await?;
    let now = written(Utc::now());
    for (change, order) in (last - count + 1..).zip(orders) {
        let fields = &order.fields;
        let appeal = serde_json::to_string(fields)
            .map_err(|error| StoreError::Damaged { id: fields.id.clone(), reason: error.to_string() })?;
        sqlx::query(
            "INSERT INTO orders (order_id, change, received_on, appeal, closed, update_time, caller, first_seen) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (order_id) DO UPDATE SET change = excluded.change, received_on = excluded.received_on, \
             appeal = excluded.appeal, caller = excluded.caller, update_time = excluded.update_time, \
             closed = CASE WHEN orders.closed = 1 THEN 1 ELSE excluded.closed END, \
             first_seen = CASE WHEN orders.first_seen = '' THEN excluded.first_seen ELSE orders.first_seen END",
        )
        .bind(&fields.id)
        .bind(change)
        .bind(day_of(&fields.received_at).map(|day| day.to_string()).unwrap_or_default())
        .bind(&appeal)
        .bind(i64::from(order.closed))
        .bind(&now)
        .bind(order.caller.map(CallerMark::hex).unwrap_or_default())
        // Finer than other times: two orders may come within a millisecond.
        .bind(order.first_seen.to_rfc3339_opts(SecondsFormat::Micros, true))
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// Takes the turn of all who write orders. PostgreSQL lets two writers read at once, and both would believe that theirs is the first
/// return.
pub(super) async fn take_turn(transaction: &mut AnyConnection) -> Result<(), StoreError> {
    sqlx::query("UPDATE last_order_change SET number = number").execute(&mut *transaction).await?;
    Ok(())
}

pub(super) fn order(row: &AnyRow) -> Result<OrderRecord, StoreError> {
    let (id, appeal): (String, String) = (row.try_get("order_id")?, row.try_get("appeal")?);
    let fields = serde_json::from_str(&appeal);
    let fields = fields.map_err(|_| StoreError::Damaged { id: id.clone(), reason: "its appeal cannot be read".to_owned() })?;
    let caller = CallerMark::from_hex(&row.try_get::<String, _>("caller")?);
    // A server of an earlier version beside this one notes no moment.
    let first_seen = match row.try_get::<String, _>("first_seen")? {
        none if none.is_empty() => row.try_get("update_time")?,
        moment => moment,
    };
    let first_seen = moment(&id, &first_seen)?;
    Ok(OrderRecord { fields, caller, closed: row.try_get::<i64, _>("closed")? == 1, first_seen })
}
