//! Token ids and labels of labelled orders, text only, as the service would read them: one file for all rivals, so that none has an
//! easier text than another.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result};
use paidan::evaluation::{Rows, WorkOrder};
use paidan::model::Artifacts;
use paidan::text::{AppealTokenizer, clean};
use serde_json::json;

/// From so many training orders on a department is expected to be known, as `paidan replay` has it.
const ENOUGH_TRAINING_ORDERS: usize = 30;

/// Reads `orders`, writes `out`.
pub fn run(model: &Path, orders: &Path, out: &Path, max_tokens: usize) -> Result<()> {
    let artifacts = Artifacts::open(model)?;
    let tokenizer = AppealTokenizer::from_bytes(&artifacts.tokenizer)?;
    let (mut ids, mut labels) = (Vec::new(), Vec::new());
    let file = File::open(orders).with_context(|| orders.display().to_string())?;
    for row in Rows::new(BufReader::new(file)) {
        let bytes = row?.bytes.unwrap_or_default();
        // A row that cannot be read is no text to measure with.
        let Ok(order) = WorkOrder::parse(&bytes) else { continue };
        let encoding = tokenizer.encode(&clean(&order.appeal.fields().text), None, max_tokens)?;
        ids.push(encoding.ids);
        labels.push(order.department.and_then(|name| artifacts.departments.iter().position(|d| d.id == name)));
    }
    let frequent: Vec<bool> = artifacts.departments.iter().map(|d| d.training_orders >= ENOUGH_TRAINING_ORDERS).collect();
    let made = json!({"ids": ids, "labels": labels, "frequent": frequent, "pad": tokenizer.pad_id()});
    let mut file = File::create(out).with_context(|| out.display().to_string())?;
    Ok(file.write_all(made.to_string().as_bytes())?)
}
