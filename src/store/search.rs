//! Search by words. How alike a ruling is to a query in meaning is the router's to say; the two are put together by the service.

use std::collections::HashMap;

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{Filter, Store, StoreError};
use crate::rulings::{Ruling, query_words, searchable_words};

/// Most rulings that share a word with the query and are ranked: what is that common tells nothing.
const MOST_SHARING: usize = 20_000;

/// A ruling that shares words with a query. The ruling itself is read by whoever shows it: one may be as large as a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// The weight of the words it shares, in (0, 1]: each word weighs the more, the fewer rulings have it.
    pub score: f32,
    /// The words.
    pub words: Vec<String>,
}

impl Store {
    /// The rulings that share most with a query, best first; ties by id.
    pub async fn search(&self, query: &str, filter: &Filter, most: usize) -> Result<Vec<Found>, StoreError> {
        let words = query_words(query);
        if words.is_empty() || most == 0 {
            return Ok(Vec::new());
        }
        let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM rulings").fetch_one(&self.pool).await?;
        let (condition, values) = filter.sql(1);
        let mut shared: HashMap<String, (f64, Vec<String>)> = HashMap::new();
        let mut heaviest = 0.0;
        for word in &words {
            let having: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM ruling_words WHERE word = $1")
                .bind(word)
                .fetch_one(&self.pool)
                .await?;
            // Inverse document frequency, as BM25 has it; above zero.
            let weight = (1.0 + (total as f64 - having as f64 + 0.5) / (having as f64 + 0.5)).ln();
            heaviest += weight;
            if having == 0 {
                continue;
            }
            let statement = format!(
                "SELECT id FROM rulings WHERE id IN (SELECT ruling FROM ruling_words WHERE word = $1) AND ({condition}) \
                 LIMIT {MOST_SHARING}"
            );
            let mut query = sqlx::query(AssertSqlSafe(statement)).bind(word);
            for value in &values {
                query = query.bind(value);
            }
            for row in query.fetch_all(&self.pool).await? {
                let (score, words) = shared.entry(row.try_get("id")?).or_default();
                *score += weight;
                words.push(word.clone());
            }
        }
        let mut best: Vec<(String, (f64, Vec<String>))> = shared.into_iter().collect();
        best.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
        best.truncate(most);
        let found = |(id, (score, words))| Found { id, score: (score / heaviest) as f32, words };
        Ok(best.into_iter().map(found).collect())
    }
}

/// Words and names, anew.
pub(super) async fn index(transaction: &mut AnyConnection, ruling: &Ruling) -> Result<(), StoreError> {
    for statement in ["DELETE FROM ruling_words WHERE ruling = $1", "DELETE FROM ruling_names WHERE ruling = $1"] {
        sqlx::query(statement).bind(&ruling.id).execute(&mut *transaction).await?;
    }
    let words: Vec<String> = searchable_words(ruling).into_iter().collect();
    // Some hundred values a statement: neither database minds, and it is many times faster than one by one.
    for words in words.chunks(100) {
        let places: Vec<String> = (0..words.len()).map(|i| format!("(${}, $1)", i + 2)).collect();
        let statement = format!("INSERT INTO ruling_words (word, ruling) VALUES {}", places.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(&ruling.id);
        for word in words {
            query = query.bind(word);
        }
        query.execute(&mut *transaction).await?;
    }
    let contesting = ruling.positions.iter().map(|position| &position.department);
    let mut names: Vec<(&str, &String)> = Vec::new();
    names.extend(ruling.orders.iter().map(|name| ("order", name)));
    names.extend(ruling.districts.iter().map(|name| ("district", name)));
    names.extend(ruling.supporting.iter().map(|name| ("supporting", name)));
    names.extend(ruling.excluded.iter().map(|name| ("excluded", name)));
    names.extend(ruling.supersedes.iter().map(|name| ("supersedes", name)));
    names.extend(contesting.map(|name| ("contesting", name)));
    names.sort_unstable();
    names.dedup();
    for (kind, name) in names {
        sqlx::query("INSERT INTO ruling_names (kind, name, ruling) VALUES ($1, $2, $3)")
            .bind(kind)
            .bind(name)
            .bind(&ruling.id)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}
