//! The audit trail (责任追溯): who did what to which order or ruling, when, on which versions. Each entry holds the hash of the one
//! before it and is hashed itself, so that nobody can change, remove, add or reorder one unnoticed. No text of an appeal and no
//! phone number is ever in it.
//!
//! Old entries may leave the database for a file that is verified as the trail itself is: `archive`. What left it is an entry too, so
//! that nothing is missing without a word; `chain` finds what is.
//!
//! What the chain alone cannot show is that its whole end was rewritten by somebody who can write the database: for that, note
//! the hash that `paidan audit verify` prints outside of it now and then.

mod archive;
mod bound;
mod chain;

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::bytes::text;
use super::{Store, StoreError, StoredRuling};
use crate::rulings::RulingDraft;

pub use archive::{ArchiveBounds, ArchiveError, Archived, read_archive};
pub use chain::{AuditFault, AuditHead, ChainCheck, verify_chain};

/// Entries that are read at once.
const PAGE: usize = 1_000;

/// An entry's columns, but for its number.
const TEXTS: [&str; 9] = ["time", "actor", "action", "order_id", "ruling", "versions", "detail", "previous_hash", "hash"];

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The service answered.
    Answered,
    /// A dispatcher sent the order out.
    Dispatched,
    /// A ruling was recorded.
    RulingRecorded,
    /// A ruling was changed.
    RulingChanged,
    /// A ruling was replaced by another.
    RulingSuperseded,
    /// A ruling was taken back.
    RulingWithdrawn,
    /// A unit returned an order.
    Returned,
    /// An order became a case.
    CaseOpened,
    /// A ruling settled a case.
    CaseClosed,
    /// The ruling that settled a case was taken back.
    CaseReopened,
    /// An order was closed.
    OrderClosed,
    /// Another dispatch catalogue was taken into use.
    CatalogExchanged,
    /// Old entries left the database for a file; the detail says which, and which file.
    Archived,
    /// Entries could not be written for a while; the detail says how many.
    Missed,
}

impl Action {
    /// As it stands in the trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Dispatched => "dispatched",
            Self::RulingRecorded => "ruling_recorded",
            Self::RulingChanged => "ruling_changed",
            Self::RulingSuperseded => "ruling_superseded",
            Self::RulingWithdrawn => "ruling_withdrawn",
            Self::Returned => "returned",
            Self::CaseOpened => "case_opened",
            Self::CaseClosed => "case_closed",
            Self::CaseReopened => "case_reopened",
            Self::OrderClosed => "order_closed",
            Self::CatalogExchanged => "catalog_exchanged",
            Self::Archived => "archived",
            Self::Missed => "missed",
        }
    }
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// RFC 3339, when it happened.
    pub time: String,
    /// Who.
    pub actor: String,
    /// What.
    pub action: Action,
    /// Which order; may be empty.
    pub order_id: String,
    /// Which ruling; may be empty.
    pub ruling: String,
    /// Versions of model, catalogue and rulings, as JSON.
    pub versions: String,
    /// Whatever else, as JSON; no text of an appeal.
    pub detail: String,
}

impl NewEntry {
    /// An entry of now.
    pub fn now(action: Action, actor: &str) -> Self {
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let [order_id, ruling, versions] = [const { String::new() }; 3];
        Self { time, actor: actor.to_owned(), action, order_id, ruling, versions, detail: "{}".to_owned() }
    }

    pub(super) fn of_ruling(action: Action, actor: &str, stored: &StoredRuling, detail: &serde_json::Value) -> Self {
        // An entry can be looked up by one order; the others are in the detail.
        let order_id = stored.ruling.orders.first().cloned().unwrap_or_default();
        // As `rulings` writes it.
        let document = serde_json::to_string(&RulingDraft::from(&stored.ruling)).unwrap_or_default();
        let versions = serde_json::json!({ "revision": stored.revision, "document": bound::digest(&document) }).to_string();
        let ruling = stored.ruling.id.clone();
        Self { order_id, ruling, versions, detail: detail.to_string(), ..Self::now(action, actor) }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// From 1, without gaps.
    pub number: i64,
    /// RFC 3339.
    pub time: String,
    /// Who.
    pub actor: String,
    /// [`Action::name`].
    pub action: String,
    /// Which order.
    pub order_id: String,
    /// Which ruling.
    pub ruling: String,
    /// JSON.
    pub versions: String,
    /// JSON.
    pub detail: String,
    /// Of the entry before; empty for the first.
    pub previous_hash: String,
    /// SHA-256 of everything above, in hex.
    pub hash: String,
}

impl AuditEntry {
    /// What was done, in Chinese for people; as it stands where it is of a later version.
    pub fn action_in_chinese(&self) -> &str {
        match self.action.as_str() {
            "answered" => "系统建议",
            "dispatched" => "人工派单",
            "ruling_recorded" => "记录认定",
            "ruling_changed" => "修改认定",
            "ruling_superseded" => "认定被替代",
            "ruling_withdrawn" => "撤回认定",
            "returned" => "退单",
            "case_opened" => "立案",
            "case_closed" => "结案",
            "case_reopened" => "恢复办理",
            "order_closed" => "办结",
            "catalog_exchanged" => "更换派单目录",
            "archived" => "留痕归档",
            "missed" => "留痕缺失",
            other => other,
        }
    }

    /// True if it is of a time before this one. Of what is no time nobody can say so.
    fn is_before(&self, moment: DateTime<Utc>) -> bool {
        DateTime::parse_from_rfc3339(&self.time).is_ok_and(|time| time < moment)
    }

    /// SHA-256 over all other fields, each with its length before it, so that nothing can move from one field to the next.
    pub fn computed_hash(&self) -> String {
        let mut hasher = Sha256::new();
        let number = self.number.to_string();
        let fields = [
            &number,
            &self.time,
            &self.actor,
            &self.action,
            &self.order_id,
            &self.ruling,
            &self.versions,
            &self.detail,
            &self.previous_hash,
        ];
        for field in fields {
            hasher.update((field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Writes entries behind the last one, and gives the number of the new last one. The head's row is the turn of all writers, so it is
/// taken last in a transaction.
pub(super) async fn append(transaction: &mut AnyConnection, new: &[NewEntry]) -> Result<i64, StoreError> {
    let count = new.len() as i64;
    let row = sqlx::query("UPDATE audit_head SET number = number + $1 RETURNING number, hash")
        .bind(count)
        .fetch_one(&mut *transaction)
        .await?;
    let (last, mut previous_hash): (i64, String) = (row.try_get("number")?, row.try_get("hash")?);
    for (number, new) in (last - count + 1..).zip(new) {
        let NewEntry { time, actor, action, order_id, ruling, versions, detail } = new.clone();
        let action = action.name().to_owned();
        let hash = String::new();
        let mut entry = AuditEntry { number, time, actor, action, order_id, ruling, versions, detail, previous_hash, hash };
        entry.hash = entry.computed_hash();
        sqlx::query(
            "INSERT INTO audit_entries (number, time, actor, action, order_id, ruling, versions, detail, previous_hash, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(entry.number)
        .bind(&entry.time)
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.order_id)
        .bind(&entry.ruling)
        .bind(&entry.versions)
        .bind(&entry.detail)
        .bind(&entry.previous_hash)
        .bind(&entry.hash)
        .execute(&mut *transaction)
        .await?;
        previous_hash = entry.hash;
    }
    sqlx::query("UPDATE audit_head SET hash = $1").bind(&previous_hash).execute(&mut *transaction).await?;
    Ok(last)
}

impl Store {
    fn entry_columns(&self) -> String {
        let texts = TEXTS.map(|column| self.text_column(column));
        format!("number, {}", texts.join(", "))
    }

    /// Writes entries in one transaction.
    pub async fn append_audit(&self, entries: &[NewEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        append(&mut transaction, entries).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whether an entry was written behind a number. A database that was lost in the middle of a commit may have kept what it never
    /// said that it kept: whoever writes it again asks first.
    pub async fn has_entry_after(&self, number: i64, entry: &NewEntry) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT count(*) AS found FROM audit_entries WHERE number > $1 AND time = $2 AND actor = $3 AND action = $4 AND \
             order_id = $5 AND ruling = $6 AND versions = $7 AND detail = $8",
        )
        .bind(number)
        .bind(&entry.time)
        .bind(&entry.actor)
        .bind(entry.action.name())
        .bind(&entry.order_id)
        .bind(&entry.ruling)
        .bind(&entry.versions)
        .bind(&entry.detail)
        .fetch_one(&self.pool)
        .await?;
        Ok(row.try_get::<i64, _>("found")? > 0)
    }

    /// The end of the trail as it was noted. Where somebody removed the note no entry is vouched for.
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        let hash = self.text_column("hash");
        let statement = format!("SELECT number, {hash} FROM audit_head");
        let row = sqlx::query(AssertSqlSafe(statement)).fetch_optional(&self.pool).await?;
        let head = row.map(|row| Ok::<_, StoreError>(AuditHead { number: row.try_get("number")?, hash: text(&row, "hash")? }));
        Ok(head.transpose()?.unwrap_or_default())
    }

    /// At most `most` entries after a number, in order.
    pub async fn audit_after(&self, number: i64, most: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let statement =
            format!("SELECT {} FROM audit_entries WHERE number > $1 ORDER BY number LIMIT $2", self.entry_columns());
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(number).bind(most as i64).fetch_all(&self.pool).await?;
        rows.iter().map(entry).collect()
    }

    /// Everything about an order, and what became of the rulings that name it, in order; at most a thousand entries. Of more it is
    /// the oldest answers that are left out: whoever asks at every keystroke must not hide what was decided.
    pub async fn audit_of_order(&self, order_id: &str) -> Result<Vec<AuditEntry>, StoreError> {
        let statement = format!(
            "SELECT {} FROM (SELECT * FROM audit_entries WHERE number <= (SELECT number FROM audit_head) AND (order_id = $1 OR \
             (action LIKE 'ruling%' AND ruling IN (SELECT ruling FROM ruling_names WHERE kind = 'order' AND name = $1))) \
             ORDER BY CASE WHEN action = 'answered' THEN 1 ELSE 0 END, number DESC LIMIT 1000) AS kept ORDER BY number",
            self.entry_columns()
        );
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(order_id).fetch_all(&self.pool).await?;
        rows.iter().map(entry).collect()
    }

    /// Walks the whole trail and tells every fault, at most `most` of them; gives the end that was reached. `progress` hears how
    /// many entries were read. What was archived is vouched for by the entry that says so; whatever else is missing is a fault.
    pub async fn verify_audit(
        &self,
        most: usize,
        mut progress: impl FnMut(i64, i64),
    ) -> Result<(AuditHead, Vec<AuditFault>), StoreError> {
        loop {
            let base = self.archived_end().await?;
            let outcome = self.verify_audit_behind(base.clone(), most, &mut progress).await?;
            // What somebody archived while it was read is not missing.
            if outcome.1.is_empty() || self.archived_end().await? == base {
                return Ok(outcome);
            }
        }
    }

    /// The same for somebody who has verified the archives up to an entry.
    pub async fn verify_audit_behind(
        &self,
        base: AuditHead,
        most: usize,
        mut progress: impl FnMut(i64, i64),
    ) -> Result<(AuditHead, Vec<AuditFault>), StoreError> {
        // Read first: what is written meanwhile is not missed at the end.
        let head = self.audit_head().await?;
        let (mut last, mut faults) = (base.number, Vec::new());
        let mut check = ChainCheck::behind(base);
        loop {
            let entries = self.audit_after(last, PAGE).await?;
            let fresh = entries.iter().filter(|entry| entry.number <= head.number);
            faults.extend(fresh.flat_map(|entry| check.entry(entry)));
            last = entries.last().map_or(last, |entry| entry.number);
            progress(last.min(head.number), head.number);
            if entries.is_empty() || last >= head.number || faults.len() >= most {
                break;
            }
        }
        if faults.len() >= most {
            faults.truncate(most);
            return Ok((head, faults));
        }
        let (reached, fault) = check.end(&head);
        faults.extend(fault);
        // In this order: an entry and its place as the last one are written in one step.
        let last: Option<i64> = sqlx::query_scalar("SELECT MAX(number) FROM audit_entries").fetch_one(&self.pool).await?;
        let head = self.audit_head().await?.number;
        faults.extend(last.filter(|last| *last > head).map(|number| AuditFault::Behind { number, head }));
        // A trail that is not whole proves nothing about rulings.
        if faults.is_empty() {
            faults = self.verify_rulings(most).await?;
        }
        Ok((reached, faults))
    }
}

fn entry(row: &AnyRow) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        number: row.try_get("number")?,
        time: text(row, "time")?,
        actor: text(row, "actor")?,
        action: text(row, "action")?,
        order_id: text(row, "order_id")?,
        ruling: text(row, "ruling")?,
        versions: text(row, "versions")?,
        detail: text(row, "detail")?,
        previous_hash: text(row, "previous_hash")?,
        hash: text(row, "hash")?,
    })
}
