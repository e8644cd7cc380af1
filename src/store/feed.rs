//! What changed since: how every replica, the one that wrote included, learns of rulings; and the embeddings that were computed
//! of them, so that a restart does not compute them again.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::rulings::{StoredRuling, readable};
use super::{Store, StoreError};
use crate::catalog::Day;

/// A ruling as its last change left it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its number; a greater one came later.
    pub number: i64,
    /// The ruling as it counts: a superseded one that still holds is in force until its successor's first day.
    pub stored: StoredRuling,
    /// Its texts' embeddings by the model that was asked for, one after the other; empty if there are none yet.
    pub embeddings: Vec<f32>,
}

/// Some changes, by their number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Those that can be read; the log names any other.
    pub changes: Vec<Change>,
    /// The number of the last one, readable or not; `None` if nothing changed.
    pub end: Option<i64>,
    /// True if there are as many as were asked for, so that there may be more.
    pub full: bool,
}

/// Embeddings to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// Id of the ruling.
    pub ruling: String,
    /// The revision whose texts they are of.
    pub revision: i64,
    /// One after the other.
    pub vectors: Vec<f32>,
}

impl Store {
    /// The number of the last change. Cheap.
    pub async fn last_change(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT number FROM last_change").fetch_one(&self.pool).await?)
    }

    /// At most `most` rulings that changed after `number`, in order; `counting_only` leaves out those that do not count, for
    /// somebody who knows of none yet.
    pub async fn changes_after(
        &self,
        number: i64,
        most: usize,
        model_version: &str,
        counting_only: bool,
    ) -> Result<Changes, StoreError> {
        let succeeded = "r.status = 'superseded' AND r.scope = 'standing' AND r.succeeded_on <> ''";
        let counting = if counting_only { format!("AND (r.status = 'in_force' OR {succeeded})") } else { String::new() };
        let statement = self.changes(&format!("r.change > $1 {counting} ORDER BY r.change LIMIT {most}"));
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(number).bind(model_version).fetch_all(&self.pool).await?;
        Ok(Changes {
            changes: rows.iter().filter_map(|row| change(row).transpose()).collect::<Result<_, StoreError>>()?,
            end: rows.last().map(|row| row.try_get("change")).transpose()?,
            full: rows.len() == most,
        })
    }

    /// One ruling as its last change left it; `None` if it cannot be read.
    pub async fn change_of(&self, id: &str, model_version: &str) -> Result<Option<Change>, StoreError> {
        let statement = self.changes("r.id = $1");
        let row = sqlx::query(AssertSqlSafe(statement)).bind(id).bind(model_version).fetch_optional(&self.pool).await?;
        row.as_ref().map_or(Ok(None), change)
    }

    /// The statement for changes of some rulings, with their embeddings by the model of version `$2`.
    fn changes(&self, which: &str) -> String {
        let document = self.text_column("document");
        format!(
            "SELECT r.id AS id, r.revision AS revision, r.create_time AS create_time, r.update_time AS update_time, \
             {document}, r.change AS change, r.succeeded_on AS succeeded_on, e.vectors AS vectors FROM rulings r \
             LEFT JOIN ruling_embeddings e ON e.ruling = r.id AND e.revision = r.revision AND e.model_version = $2 \
             WHERE {which}"
        )
    }

    /// Keeps embeddings by a model. They can be computed again, so a loss is no harm.
    pub async fn keep_embeddings(&self, model_version: &str, embedded: &[Embedded]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for Embedded { ruling, revision, vectors } in embedded {
            let bytes: Vec<u8> = vectors.iter().flat_map(|value| value.to_le_bytes()).collect();
            sqlx::query(
                "INSERT INTO ruling_embeddings (ruling, model_version, revision, vectors) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (ruling, model_version) DO UPDATE SET revision = excluded.revision, vectors = excluded.vectors",
            )
            .bind(ruling)
            .bind(model_version)
            .bind(revision)
            .bind(bytes)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn change(row: &AnyRow) -> Result<Option<Change>, StoreError> {
    let Some(mut stored) = readable(row)? else { return Ok(None) };
    let first: Option<Day> = row.try_get::<String, _>("succeeded_on")?.parse().ok();
    if let Some(counting) = first.and_then(|first| stored.ruling.until(first)) {
        stored.ruling = counting;
    }
    let vectors: Option<Vec<u8>> = row.try_get("vectors")?;
    let embeddings = floats(&vectors.unwrap_or_default());
    Ok(Some(Change { number: row.try_get("change")?, stored, embeddings }))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}
