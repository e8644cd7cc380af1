//! The rulings bound to the trail: each change's entry has the digest of the record as it then was, so that a ruling which somebody
//! changed in the database, past the service, is found out.

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Row};

use super::super::bytes::text;
use super::super::{Store, StoreError};
use super::AuditFault;

/// Rulings that are read at once.
const AT_ONCE: i64 = 5_000;

/// Of a record as it is stored, in hex.
pub(in crate::store) fn digest(document: &str) -> String {
    Sha256::digest(document).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Store {
    /// The rulings that are not what their last entry recorded, and those that are gone; at most `most`. What was recorded before
    /// entries had digests, or whose last entry is archived, is not held against anything.
    pub(super) async fn verify_rulings(&self, most: usize) -> Result<Vec<AuditFault>, StoreError> {
        let mut faults = Vec::new();
        let mut after = String::new();
        loop {
            let statement = format!(
                "SELECT r.id AS id, {}, e.number AS number, versions FROM rulings r \
                 JOIN (SELECT ruling, MAX(number) AS number FROM audit_entries WHERE action LIKE 'ruling%' GROUP BY ruling) last \
                 ON last.ruling = r.id JOIN audit_entries e ON e.number = last.number WHERE r.id > $1 ORDER BY r.id LIMIT $2",
                self.text_column("document")
            );
            let rows = sqlx::query(AssertSqlSafe(statement)).bind(&after).bind(AT_ONCE).fetch_all(&self.pool).await?;
            let Some(last) = rows.last() else { break };
            after = last.try_get("id")?;
            for row in &rows {
                let versions: serde_json::Value =
                    serde_json::from_str(&row.try_get::<String, _>("versions")?).unwrap_or_default();
                let recorded = versions["document"].as_str();
                if recorded.is_some() && recorded != Some(&digest(&text(row, "document")?)) {
                    faults.push(AuditFault::Ruling { id: row.try_get("id")?, number: row.try_get("number")? });
                }
            }
        }
        let gone = sqlx::query(
            "SELECT ruling, MAX(number) AS number FROM audit_entries WHERE action = 'ruling_recorded' \
             AND ruling NOT IN (SELECT id FROM rulings) GROUP BY ruling ORDER BY ruling LIMIT $1",
        )
        .bind(most as i64)
        .fetch_all(&self.pool)
        .await?;
        for row in &gone {
            faults.push(AuditFault::RulingGone { id: row.try_get("ruling")?, number: row.try_get("number")? });
        }
        faults.truncate(most);
        Ok(faults)
    }
}
