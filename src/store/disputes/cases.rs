//! Cases: listed for the committee, closed by the ruling that settles them.

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::super::audit::{self, Action, NewEntry};
use super::super::{Store, StoreError};
use super::{moment, written};
use crate::disputes::Course;
use crate::rulings::{Ruling, RulingId};

/// A case in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRow {
    /// Its id.
    pub id: String,
    /// The order that it is about.
    pub order_id: String,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// The ruling that settled it; `None` while it is open.
    pub ruling: Option<RulingId>,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CasePage {
    /// By id.
    pub cases: Vec<CaseRow>,
    /// Where the next one begins; empty at the end.
    pub next_page_token: String,
}

impl Store {
    /// Cases by id, `size` at a time; only open ones if asked.
    pub async fn cases(&self, open_only: bool, size: usize, page_token: &str) -> Result<CasePage, StoreError> {
        let after = super::super::rulings::after(page_token)?;
        let condition = if open_only { "AND ruling = ''" } else { "" };
        let statement = format!("SELECT * FROM cases WHERE id > $1 {condition} ORDER BY id LIMIT {}", size + 1);
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(after).fetch_all(&self.pool).await?;
        let mut cases = rows.iter().map(case).collect::<Result<Vec<_>, _>>()?;
        let more = cases.len() > size;
        cases.truncate(size);
        let last = cases.last().filter(|_| more);
        Ok(CasePage { next_page_token: last.map(|last| format!("after:{}", last.id)).unwrap_or_default(), cases })
    }

    /// The orders of open cases, the latest first; at most `most`.
    pub async fn open_courses(&self, most: usize) -> Result<Vec<Course>, StoreError> {
        let rows = sqlx::query("SELECT order_id FROM cases WHERE ruling = '' ORDER BY opened_at DESC, id LIMIT $1")
            .bind(most as i64)
            .fetch_all(&self.pool)
            .await?;
        let mut courses = Vec::with_capacity(rows.len());
        for row in &rows {
            courses.extend(self.course(&row.try_get::<String, _>("order_id")?).await?);
        }
        Ok(courses)
    }

    /// How many returns and how many settled cases there are: as long as both stay, so does every open case.
    pub async fn case_counts(&self) -> Result<(i64, i64), StoreError> {
        let statement =
            "SELECT (SELECT COUNT(*) FROM returns) AS returned, (SELECT COUNT(*) FROM cases WHERE ruling <> '') AS settled";
        let row = sqlx::query(statement).fetch_one(&self.pool).await?;
        Ok((row.try_get("returned")?, row.try_get("settled")?))
    }

    /// A case by its id.
    pub async fn case(&self, id: &str) -> Result<CaseRow, StoreError> {
        let row = sqlx::query("SELECT * FROM cases WHERE id = $1").bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(case).transpose()?.ok_or_else(|| StoreError::NoCase { id: id.to_owned() })
    }
}

/// Closes a case by a ruling. Closed by the same ruling already it stays so.
pub(in crate::store) async fn settle(
    transaction: &mut AnyConnection,
    id: &str,
    ruling: &str,
    actor: &str,
) -> Result<(), StoreError> {
    let closed = sqlx::query("UPDATE cases SET ruling = $2, closed_at = $3 WHERE id = $1 AND ruling = ''")
        .bind(id)
        .bind(ruling)
        .bind(written(Utc::now()))
        .execute(&mut *transaction)
        .await?;
    let row = sqlx::query("SELECT * FROM cases WHERE id = $1").bind(id).fetch_optional(&mut *transaction).await?;
    let row = row.as_ref().map(case).transpose()?.ok_or_else(|| StoreError::NoCase { id: id.to_owned() })?;
    if closed.rows_affected() == 0 {
        return match row.ruling {
            Some(before) if before == ruling => Ok(()),
            before => Err(StoreError::Settled { order_id: row.order_id, ruling: before.unwrap_or_default() }),
        };
    }
    let detail = serde_json::json!({ "case": id }).to_string();
    let (order_id, ruling) = (row.order_id, ruling.to_owned());
    audit::append(transaction, &[NewEntry { order_id, ruling, detail, ..NewEntry::now(Action::CaseClosed, actor) }]).await?;
    Ok(())
}

/// Which cases that a ruling `$1` settled go to the one in its place, whose first day is `$2`. A standing ruling holds until then, and
/// so it goes on settling what came in before.
const HANDED_ON: &str = "SELECT c.* FROM cases c JOIN orders o ON o.order_id = c.order_id JOIN rulings f ON f.id = c.ruling \
     WHERE c.ruling = $1 AND (f.scope <> 'standing' OR f.effective_from >= $2 OR o.received_on = '' OR o.received_on >= $2) \
     ORDER BY c.order_id";

async fn handed_on(transaction: &mut AnyConnection, former: &str, successor: &Ruling) -> Result<Vec<CaseRow>, StoreError> {
    let first = successor.effective.from.map(|day| day.to_string()).unwrap_or_default();
    let rows = sqlx::query(HANDED_ON).bind(former).bind(first).fetch_all(&mut *transaction).await?;
    rows.iter().map(case).collect()
}

/// The orders of the cases that a ruling settled, or the one whose place it takes. As long as it counts it names them.
pub(in crate::store) async fn settled_orders(
    transaction: &mut AnyConnection,
    ruling: &Ruling,
) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query("SELECT * FROM cases WHERE ruling = $1 ORDER BY order_id").bind(&ruling.id);
    let rows = rows.fetch_all(&mut *transaction).await?;
    let mut cases = rows.iter().map(case).collect::<Result<Vec<_>, _>>()?;
    if let Some(former) = &ruling.supersedes {
        cases.extend(handed_on(transaction, former, ruling).await?);
    }
    Ok(cases.into_iter().map(|case| case.order_id).collect())
}

/// What a ruling settled its successor settles from now on.
pub(in crate::store) async fn hand_on(
    transaction: &mut AnyConnection,
    former: &str,
    successor: &Ruling,
    actor: &str,
) -> Result<(), StoreError> {
    let cases = handed_on(transaction, former, successor).await?;
    let mut entries = Vec::with_capacity(cases.len());
    for CaseRow { id, order_id, .. } in cases {
        sqlx::query("UPDATE cases SET ruling = $2, closed_at = $3 WHERE id = $1")
            .bind(&id)
            .bind(&successor.id)
            .bind(written(Utc::now()))
            .execute(&mut *transaction)
            .await?;
        let (ruling, detail) = (successor.id.clone(), serde_json::json!({ "case": id, "former": former }).to_string());
        entries.push(NewEntry { order_id, ruling, detail, ..NewEntry::now(Action::CaseClosed, actor) });
    }
    audit::append(transaction, &entries).await?;
    Ok(())
}

/// Opens the cases again that a ruling settled which counts no longer.
pub(in crate::store) async fn reopen(transaction: &mut AnyConnection, ruling: &str, actor: &str) -> Result<(), StoreError> {
    let rows = sqlx::query("SELECT * FROM cases WHERE ruling = $1").bind(ruling).fetch_all(&mut *transaction).await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let CaseRow { id, order_id, .. } = case(row)?;
        // The moment stays: whoever follows the cases finds what changed by it.
        sqlx::query("UPDATE cases SET ruling = '', closed_at = $2 WHERE id = $1")
            .bind(&id)
            .bind(written(Utc::now()))
            .execute(&mut *transaction)
            .await?;
        let (ruling, detail) = (ruling.to_owned(), serde_json::json!({ "case": id }).to_string());
        entries.push(NewEntry { order_id, ruling, detail, ..NewEntry::now(Action::CaseReopened, actor) });
    }
    audit::append(transaction, &entries).await?;
    Ok(())
}

fn case(row: &AnyRow) -> Result<CaseRow, StoreError> {
    let id: String = row.try_get("id")?;
    Ok(CaseRow {
        order_id: row.try_get("order_id")?,
        opened_at: moment(&id, &row.try_get::<String, _>("opened_at")?)?,
        ruling: Some(row.try_get::<String, _>("ruling")?).filter(|ruling| !ruling.is_empty()),
        id,
    })
}
