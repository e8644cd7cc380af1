//! Orders, their returns and their cases in the database. What follows from the returns is not stored but computed
//! ([`Course`]), so that it cannot be at odds with them; a case's row exists so that cases can be listed and closed.

mod cases;
mod orders;
mod returns;

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

pub use cases::{CasePage, CaseRow};
pub(super) use cases::{hand_on, reopen, settle, settled_orders};
pub use orders::ChangedOrders;

use super::{Store, StoreError};
use crate::disputes::{Course, Return, Settlement};
use crate::routing::{Objection, ReturnReason};

impl Store {
    /// Everything of an order; `None` if it is not known.
    pub async fn course(&self, order_id: &str) -> Result<Option<Course>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        course_within(&mut connection, order_id).await
    }
}

/// Reads it as it is within a transaction.
async fn course_within(connection: &mut AnyConnection, order_id: &str) -> Result<Option<Course>, StoreError> {
    let order = sqlx::query("SELECT * FROM orders WHERE order_id = $1").bind(order_id).fetch_optional(&mut *connection).await?;
    let Some(order) = order.as_ref().map(orders::order).transpose()? else { return Ok(None) };
    let rows = sqlx::query("SELECT * FROM returns WHERE order_id = $1").bind(order_id).fetch_all(&mut *connection).await?;
    let returns = rows.iter().map(returned).collect::<Result<Vec<_>, _>>()?;
    let case = sqlx::query("SELECT * FROM cases WHERE order_id = $1 AND ruling <> ''").bind(order_id);
    let settlement = case.fetch_optional(&mut *connection).await?.as_ref().map(settlement).transpose()?;
    Ok(Some(Course::new(order, returns, settlement)))
}

fn settlement(row: &AnyRow) -> Result<Settlement, StoreError> {
    let id: String = row.try_get("id")?;
    Ok(Settlement { ruling: row.try_get("ruling")?, closed_at: moment(&id, &row.try_get::<String, _>("closed_at")?)? })
}

fn returned(row: &AnyRow) -> Result<Return, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let id = text("id")?;
    let damaged = |what: &str| StoreError::Damaged { id: id.clone(), reason: format!("{what} cannot be read") };
    let optional = |text: String| Some(text).filter(|text| !text.is_empty());
    let objection = Objection {
        department: text("department")?,
        other_names: Vec::new(),
        unit: optional(text("unit")?),
        reason: ReturnReason::parse(&text("reason")?).ok_or_else(|| damaged("the reason"))?,
        day: text("day")?.parse().map_err(|_| damaged("the day"))?,
    };
    let deadline = optional(text("deadline")?).map(|day| day.parse().map_err(|_| damaged("the deadline"))).transpose()?;
    Ok(Return {
        order_id: text("order_id")?,
        objection,
        district: optional(text("district")?),
        note: text("note")?,
        returned_at: moment(&id, &text("returned_at")?)?,
        reported_at: moment(&id, &text("reported_at")?)?,
        deadline,
        contests: optional(text("contests")?),
        actor: text("actor")?,
        id,
    })
}

/// As times stand in the database: to the millisecond, so that texts sort as times do.
fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn moment(id: &str, text: &str) -> Result<DateTime<Utc>, StoreError> {
    let damaged = |_| StoreError::Damaged { id: id.to_owned(), reason: "a time cannot be read".to_owned() };
    Ok(DateTime::parse_from_rfc3339(text).map_err(damaged)?.to_utc())
}
