//! Rulings in the database: recorded, changed, read, listed. `changes` says what may become of one that is there,
//! `names` how its columns are written.

mod changes;
mod names;

use chrono::{SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::audit::{self, Action, NewEntry};
use super::bytes::bytes;
use super::error::unless_damaged;
use super::filter::Filter;
use super::{Store, StoreError};
use crate::rulings::{Ruling, RulingDraft, Status, predecessors_first};
pub(super) use names::{body_rank, scope_name, status_name};

/// A ruling with what the store knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRuling {
    /// The record.
    pub ruling: Ruling,
    /// Counted from 1; the etag is made of it.
    pub revision: i64,
    /// RFC 3339.
    pub create_time: String,
    /// RFC 3339.
    pub update_time: String,
}

impl StoredRuling {
    /// Whoever changes the ruling sends it, to say what he saw.
    pub fn etag(&self) -> String {
        format!("r{}", self.revision)
    }

    /// What it was before the last change.
    fn etag_before(&self) -> String {
        format!("r{}", self.revision - 1)
    }
}

/// What became of a ruling that was to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// As it is there now.
    pub stored: StoredRuling,
    /// False if it was there already and says the same: nothing was written.
    pub is_new: bool,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// By id.
    pub rulings: Vec<StoredRuling>,
    /// Where the next one begins; empty at the end.
    pub next_page_token: String,
}

const COLUMNS: &str = "id, revision, create_time, update_time, document";

impl Store {
    /// Records a ruling. Without an id it gets one made of its content, so that the same one sent twice is recorded once. If there
    /// is one of this id: the same content is the same ruling, and answered as such; other content needs the `etag` of the one it
    /// replaces, and a ruling that it supersedes becomes superseded, all in one step. The cases that it settled, or that the one
    /// did whose place it takes, stay with it while it counts, and it names their orders; otherwise they are open again. With a
    /// standing ruling stay those of orders that came in before the first day of whatever takes its place.
    pub async fn record(&self, ruling: Ruling, etag: Option<&str>, actor: &str) -> Result<StoredRuling, StoreError> {
        let mut transaction = self.begin().await?;
        let Recorded { stored, .. } = record_within(&mut transaction, ruling, etag, actor).await?;
        transaction.commit().await?;
        Ok(stored)
    }

    /// Records a ruling and closes the case that it settles, in one step.
    pub async fn record_for_case(
        &self,
        ruling: Ruling,
        etag: Option<&str>,
        case: &str,
        actor: &str,
    ) -> Result<StoredRuling, StoreError> {
        let mut transaction = self.begin().await?;
        let Recorded { stored, .. } = record_within(&mut transaction, ruling, etag, actor).await?;
        if stored.ruling.status != Status::InForce {
            let (id, status) = (stored.ruling.id, status_name(stored.ruling.status));
            return Err(StoreError::State { id, status, asked: "the end of a case" });
        }
        super::disputes::settle(&mut transaction, case, &stored.ruling.id, actor).await?;
        transaction.commit().await?;
        Ok(stored)
    }

    /// Records many, each as [`Self::record`] without an etag, in one transaction, and one that supersedes another of them after that
    /// one; gives the outcome of each, in their order. A conflict concerns its own ruling only; any other error undoes all.
    pub async fn record_all(&self, rulings: Vec<Ruling>, actor: &str) -> Result<Vec<Result<Recorded, StoreError>>, StoreError> {
        let mut transaction = self.begin().await?;
        let mut outcomes = Vec::with_capacity(rulings.len());
        for (place, ruling) in predecessors_first(rulings) {
            match record_within(&mut transaction, ruling, None, actor).await {
                Err(error @ (StoreError::Full | StoreError::Unavailable(_))) => return Err(error),
                outcome => outcomes.push((place, outcome)),
            }
        }
        transaction.commit().await?;
        outcomes.sort_by_key(|(place, _)| *place);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Takes a ruling back. A case that it settled is open again. Asked for twice it is done once.
    pub async fn withdraw(&self, id: &str, etag: &str, reason: &str, actor: &str) -> Result<StoredRuling, StoreError> {
        let mut transaction = self.begin().await?;
        let mut stored = get_within(&mut transaction, id).await?;
        if changes::was_withdrawn(&mut transaction, &stored, etag, reason).await? {
            return Ok(stored);
        }
        expect_etag(&stored, etag)?;
        if matches!(stored.ruling.status, Status::Withdrawn | Status::Superseded) {
            let status = status_name(stored.ruling.status);
            return Err(StoreError::State { id: id.to_owned(), status, asked: "withdrawn" });
        }
        stored.ruling.status = Status::Withdrawn;
        write(&mut transaction, &mut stored).await?;
        let entry = NewEntry::of_ruling(Action::RulingWithdrawn, actor, &stored, &serde_json::json!({ "reason": reason }));
        audit::append(&mut transaction, &[entry]).await?;
        super::disputes::reopen(&mut transaction, id, actor).await?;
        transaction.commit().await?;
        Ok(stored)
    }

    /// Records `successor`, which must be in force, in the place of the ruling `id`. Asked for twice it is done once.
    pub async fn supersede(&self, id: &str, etag: &str, successor: Ruling, actor: &str) -> Result<StoredRuling, StoreError> {
        let mut transaction = self.begin().await?;
        let former = get_within(&mut transaction, id).await?;
        let successor = Ruling { supersedes: Some(id.to_owned()), ..successor };
        if let Some(done) = changes::taken_by(&mut transaction, &former, etag, &successor).await? {
            return Ok(done);
        }
        expect_etag(&former, etag)?;
        let Recorded { stored, .. } = record_within(&mut transaction, successor, None, actor).await?;
        if stored.ruling.status != Status::InForce {
            let (id, status) = (stored.ruling.id, status_name(stored.ruling.status));
            return Err(StoreError::State { id, status, asked: "put in the place of another" });
        }
        transaction.commit().await?;
        Ok(stored)
    }

    /// What is asked of rulings, so that a damaged one is one.
    pub(super) fn ruling_columns(&self) -> String {
        format!("id, revision, create_time, update_time, {}", self.text_column("document"))
    }

    /// One ruling.
    pub async fn get(&self, id: &str) -> Result<StoredRuling, StoreError> {
        let statement = format!("SELECT {} FROM rulings WHERE id = $1", self.ruling_columns());
        let row = sqlx::query(AssertSqlSafe(statement)).bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(stored).transpose()?.ok_or_else(|| StoreError::NotFound { id: id.to_owned() })
    }

    /// One ruling, if there is one that can be read and it passes the filter.
    pub async fn get_if(&self, id: &str, filter: &Filter) -> Result<Option<StoredRuling>, StoreError> {
        let (condition, values) = filter.sql(1);
        let statement = format!("SELECT {} FROM rulings WHERE id = $1 AND ({condition})", self.ruling_columns());
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(id);
        for value in &values {
            query = query.bind(value);
        }
        query.fetch_optional(&self.pool).await?.as_ref().map_or(Ok(None), readable)
    }

    /// Rulings by id, `size` at a time.
    pub async fn list(&self, filter: &Filter, size: usize, page_token: &str) -> Result<Page, StoreError> {
        let (condition, mut values) = filter.sql(1);
        values.insert(0, after(page_token)?);
        let columns = self.ruling_columns();
        let statement = format!("SELECT {columns} FROM rulings WHERE id > $1 AND ({condition}) ORDER BY id LIMIT {}", size + 1);
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for value in &values {
            query = query.bind(value);
        }
        let rows = query.fetch_all(&self.pool).await?;
        let (page, more) = rows.split_at(size.min(rows.len()));
        let next_page_token = match (page.last(), more) {
            (Some(last), [_, ..]) => format!("after:{}", last.try_get::<String, _>("id")?),
            _ => String::new(),
        };
        let rulings = page.iter().filter_map(|row| readable(row).transpose()).collect::<Result<Vec<_>, _>>()?;
        Ok(Page { next_page_token, rulings })
    }
}

/// The id that a page begins after.
pub(super) fn after(page_token: &str) -> Result<String, StoreError> {
    match page_token {
        "" => Ok(String::new()),
        token => {
            let after = token.strip_prefix("after:").filter(|after| !after.chars().any(char::is_control));
            after.map(str::to_owned).ok_or(StoreError::PageToken)
        }
    }
}

async fn record_within(
    transaction: &mut AnyConnection,
    mut ruling: Ruling,
    etag: Option<&str>,
    actor: &str,
) -> Result<Recorded, StoreError> {
    if ruling.id.is_empty() {
        ruling.id = content_id(&ruling);
    }
    // The turn of whoever writes rulings, before anything is read: of two who send the same, the second finds what the first made.
    sqlx::query("UPDATE last_change SET number = number").execute(&mut *transaction).await?;
    let before = match get_within(transaction, &ruling.id).await {
        Ok(before) => Some(before),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let in_force = ruling.status == Status::InForce;
    let counts = in_force || changes::still_counts(transaction, &ruling).await?;
    if counts && (before.is_some() || ruling.supersedes.is_some()) {
        changes::name_settled(transaction, &mut ruling).await?;
    }
    let action = if before.is_some() { Action::RulingChanged } else { Action::RulingRecorded };
    let mut stored = match (before, etag) {
        (None, None) => StoredRuling { ruling, revision: 0, create_time: String::new(), update_time: String::new() },
        (None, Some(_)) => return Err(StoreError::NotFound { id: ruling.id }),
        // Sent again by somebody who did not hear the answer, or a file imported twice.
        (Some(before), _) if before.ruling == ruling => return Ok(Recorded { stored: before, is_new: false }),
        // The same, of before another took its place: a file that is imported again.
        (Some(before), None)
            if before.ruling.status == Status::Superseded
                && ruling.status == Status::InForce
                && before.ruling == (Ruling { status: Status::Superseded, ..ruling.clone() }) =>
        {
            return Ok(Recorded { stored: before, is_new: false });
        }
        (Some(_), None) => return Err(StoreError::Exists { id: ruling.id }),
        (Some(before), Some(etag)) => {
            expect_etag(&before, etag)?;
            changes::expect_possible(&before.ruling, &ruling)?;
            StoredRuling { ruling, ..before }
        }
    };
    changes::expect_no_circle(transaction, &stored.ruling).await?;
    if let Some(former) = stored.ruling.supersedes.clone().filter(|_| in_force) {
        changes::supersede(transaction, &former, &stored.ruling, actor).await?;
    }
    write(transaction, &mut stored).await?;
    let detail = serde_json::json!({
        "scope": scope_name(stored.ruling.scope), "status": status_name(stored.ruling.status), "lead": stored.ruling.lead,
        "supersedes": stored.ruling.supersedes, "orders": stored.ruling.orders,
    });
    audit::append(transaction, &[NewEntry::of_ruling(action, actor, &stored, &detail)]).await?;
    match &stored.ruling.supersedes {
        _ if !counts => super::disputes::reopen(transaction, &stored.ruling.id, actor).await?,
        Some(former) if in_force => super::disputes::hand_on(transaction, former, &stored.ruling, actor).await?,
        _ => {}
    }
    Ok(Recorded { stored, is_new: true })
}

fn expect_etag(stored: &StoredRuling, etag: &str) -> Result<(), StoreError> {
    if stored.etag() == etag { Ok(()) } else { Err(StoreError::Conflict { id: stored.ruling.id.clone() }) }
}

async fn get_within(transaction: &mut AnyConnection, id: &str) -> Result<StoredRuling, StoreError> {
    let statement = format!("SELECT {COLUMNS} FROM rulings WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(statement)).bind(id).fetch_optional(&mut *transaction).await?;
    row.as_ref().map(stored).transpose()?.ok_or_else(|| StoreError::NotFound { id: id.to_owned() })
}

/// Writes the next revision of a ruling with everything that it is found by.
async fn write(transaction: &mut AnyConnection, stored: &mut StoredRuling) -> Result<(), StoreError> {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    if stored.revision == 0 {
        stored.create_time = now.clone();
    }
    stored.update_time = now;
    stored.revision += 1;
    // The row is the turn: who changed it last and has not committed yet is waited for, so that numbers are committed in order.
    let change: i64 =
        sqlx::query_scalar("UPDATE last_change SET number = number + 1 RETURNING number").fetch_one(&mut *transaction).await?;
    let ruling = &stored.ruling;
    let draft = RulingDraft::from(ruling);
    let document = serde_json::to_string(&draft)
        .map_err(|error| StoreError::Damaged { id: ruling.id.clone(), reason: error.to_string() })?;
    let statement = if stored.revision == 1 {
        "INSERT INTO rulings (revision, change, scope, status, body, matter, lead_department, decided_on, effective_from, \
         effective_to, create_time, update_time, document, id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    } else {
        "UPDATE rulings SET revision = $1, change = $2, scope = $3, status = $4, body = $5, matter = $6, lead_department = $7, \
         decided_on = $8, effective_from = $9, effective_to = $10, create_time = $11, update_time = $12, document = $13 \
         WHERE id = $14 AND revision = $1 - 1"
    };
    let written = sqlx::query(statement)
        .bind(stored.revision)
        .bind(change)
        .bind(scope_name(ruling.scope))
        .bind(status_name(ruling.status))
        .bind(body_rank(ruling.body))
        .bind(&ruling.matter)
        .bind(&ruling.lead)
        .bind(&draft.decided_on)
        .bind(&draft.effective_from)
        .bind(&draft.effective_to)
        .bind(&stored.create_time)
        .bind(&stored.update_time)
        .bind(&document)
        .bind(&ruling.id)
        .execute(&mut *transaction)
        .await
        .map_err(|error| match error.as_database_error() {
            // Two writers made the same ruling at once: in PostgreSQL neither saw the other's.
            Some(taken) if taken.is_unique_violation() => StoreError::Conflict { id: ruling.id.clone() },
            _ => error.into(),
        })?;
    if written.rows_affected() != 1 {
        return Err(StoreError::Conflict { id: ruling.id.clone() });
    }
    super::search::index(transaction, ruling).await
}

/// An id that says nothing but is the same for the same content.
fn content_id(ruling: &Ruling) -> String {
    let document = serde_json::to_vec(&RulingDraft::from(ruling)).unwrap_or_default();
    let digest = Sha256::digest(document);
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("R-{hex}")
}

pub(super) fn stored(row: &AnyRow) -> Result<StoredRuling, StoreError> {
    let id: String = row.try_get("id")?;
    let damaged = |reason: String| StoreError::Damaged { id: id.clone(), reason };
    let document = String::from_utf8(bytes(row, "document")?).map_err(|_| damaged("not UTF-8".to_owned()))?;
    let draft = RulingDraft::from_json(&document).map_err(|fault| damaged(fault.to_string()))?;
    let ruling = draft.restore().map_err(|faults| damaged(faults[0].to_string()))?;
    Ok(StoredRuling {
        ruling,
        revision: row.try_get("revision")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
    })
}

/// The same where one damaged row must not hide all others.
pub(super) fn readable(row: &AnyRow) -> Result<Option<StoredRuling>, StoreError> {
    unless_damaged(stored(row))
}
