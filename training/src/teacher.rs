//! A teacher's answers: what other models say of the training orders, to learn from beside the labels.
//!
//! The label of a disputed order is what the hotline decided in the end; that another department was nearly as likely is in no
//! label. Models that did not learn from an order can say so ([`crate::crossfit`] lets each order be answered by such a one), and
//! a model that learns from their answers too knows better what it does not know (distillation, Hinton et al. 2015).

use std::collections::{BTreeMap, HashMap};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use paidan::evaluation::Rows;
use serde::{Deserialize, Serialize};

use crate::dataset::{Labels, Orders};
use crate::examples::Example;

/// How far the probabilities of one answer may be from one.
const ROUNDING: f32 = 0.02;

/// One line of a teacher's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    /// The order.
    pub order_id: String,
    /// Of each department; one that is not named has none. They sum to one.
    pub probabilities: BTreeMap<String, f32>,
}

/// What a teacher says, by order, in the labels' rows.
#[derive(Debug)]
pub struct Teacher {
    answers: HashMap<String, Arc<[f32]>>,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    path: PathBuf,
}

impl Teacher {
    /// Reads a file of JSON lines. A fault in it is an error, by file and line: half a teacher is none.
    pub fn read(path: &Path, labels: &Labels) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let sha256 = paidan::model::sha256_hex(&bytes);
        let mut answers = HashMap::new();
        for row in Rows::new(BufReader::new(&bytes[..])) {
            let row = row.with_context(|| format!("{}: cannot be read", path.display()))?;
            let lesson = row.bytes.context("line is too long").and_then(|bytes| Ok(serde_json::from_slice::<Lesson>(&bytes)?));
            let answer = lesson.and_then(|lesson| Ok((lesson.rows(labels)?, lesson.order_id)));
            let (rows, order_id) = answer.with_context(|| format!("{}:{}", path.display(), row.line))?;
            let place = (path.display(), row.line);
            ensure!(!answers.contains_key(&order_id), "{}:{}: order {order_id} was answered before", place.0, place.1);
            answers.insert(order_id, rows);
        }
        Ok(Self { answers, sha256, path: path.to_owned() })
    }

    /// Hands each example what the teacher says of its order. One that says nothing of some orders was cut off, and would be half a
    /// teacher.
    pub fn teach(&self, orders: &Orders, examples: &mut [Example]) -> Result<()> {
        for (order, example) in orders.orders.iter().zip(examples) {
            let answer = self.answers.get(&order.order_id).with_context(|| {
                format!(
                    "{}: no answer to order {} of {}; run paidan-train crossfit once more, it goes on where it stopped",
                    self.path.display(),
                    order.order_id,
                    orders.path.display()
                )
            })?;
            example.teacher = Some(Arc::clone(answer));
        }
        Ok(())
    }
}

impl Lesson {
    fn rows(&self, labels: &Labels) -> Result<Arc<[f32]>> {
        let mut rows = vec![0f32; labels.departments.len()];
        for (name, probability) in &self.probabilities {
            let row =
                labels.row(name).with_context(|| format!("probabilities.{name}: no training order has this department"))?;
            ensure!((0.0..=1.0).contains(probability), "probabilities.{name} must be between 0 and 1, not {probability}");
            rows[row] = *probability;
        }
        let sum: f32 = rows.iter().sum();
        ensure!((sum - 1.0).abs() <= ROUNDING, "probabilities sum to {sum}, not to 1");
        Ok(rows.into_iter().map(|probability| probability / sum).collect())
    }
}
