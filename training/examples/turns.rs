//! Part (c) of `benches/compare`: how long a training step takes, by the very code that trains. Answers requests on standard input,
//! one JSON object a line, as `benches/compare/torch_step.py` does: `{"op": "steps", "kind": "random", "count": 3}`.
//!
//! The batches, 32 random sequences of 128 tokens and batches of 32 real orders as an epoch has them, are written to a file, so
//! that PyTorch reads the same tokens.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use paidan::model::Artifacts;
use paidan::text::{AppealTokenizer, Encoding, Reading};
use paidan_training::config::{Precision, TrainConfig};
use paidan_training::dataset::{Labels, Orders};
use paidan_training::examples::{EncodedExample, Example, StepBatch, epoch_batches};
use paidan_training::kept_memory::keep_memory;
use paidan_training::optimizer::AdamW;
use paidan_training::step::step;
use paidan_training::trainer::Trainer;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::json;

/// The fixed shape: sequences and tokens.
const RANDOM: (usize, usize) = (32, 128);
/// Batches of real orders, evenly from the whole epoch.
const REAL_BATCHES: usize = 16;

#[derive(Parser)]
struct Args {
    /// Folder of the base model.
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// Labelled orders to learn from.
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// Where the batches are written for PyTorch.
    #[arg(long, value_name = "FILE")]
    batches: PathBuf,
    /// auto, f32 or bf16.
    #[arg(long, default_value = "auto")]
    precision: Precision,
}

#[derive(Deserialize)]
struct Request {
    kind: Kind,
    count: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Random,
    Real,
}

fn main() -> Result<()> {
    keep_memory();
    let args = Args::parse();
    let config = TrainConfig { batch_size: RANDOM.0, precision: args.precision, ..TrainConfig::default() };
    let base = Artifacts::open(&args.base)?;
    let tokenizer = AppealTokenizer::from_bytes(&base.tokenizer)?;
    let orders = Orders::read(&args.orders)?;
    let labels = Labels::collect(&orders)?;
    let examples: Vec<Example> = orders.orders.iter().map(|order| Example::new(order, &labels)).collect();
    let all = epoch_batches(&examples, &tokenizer, &config, 0)?;
    let stride = (all.len() / REAL_BATCHES).max(1);
    let real: Vec<_> = all.into_iter().step_by(stride).take(REAL_BATCHES).collect();
    let random = vec![random(base.config.vocab_size, labels.departments.len())];
    write(&args.batches, &random, &real, labels.departments.len())?;

    let trainer = Trainer {
        config: &config,
        base: &base,
        labels: &labels,
        training: &examples,
        validation: &[],
        tokenizer: &tokenizer,
        has_dispute_head: true,
        inputs: Default::default(),
    };
    let trainee = trainer.trainee()?;
    let mut adamw = AdamW::new(&trainee.variables, config.weight_decay, config.max_gradient_norm);
    let (mut done, mut out) = (0, std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?).context("not a request")?;
        let batches = match request.kind {
            Kind::Random => &random,
            Kind::Real => &real,
        };
        let began = Instant::now();
        for batch in batches.iter().cycle().take(request.count) {
            let batch = StepBatch::new(batch, labels.departments.len(), &config)?;
            step(&config, &trainee, &mut adamw, &batch, (done, 1_000_000))?;
            done += 1;
        }
        writeln!(out, "{}", json!({"ms": began.elapsed().as_secs_f64() * 1e3}))?;
        out.flush()?;
    }
    Ok(())
}

/// Random tokens, the same each time.
fn random(vocabulary: usize, departments: usize) -> Vec<EncodedExample> {
    let mut rng = ChaCha8Rng::seed_from_u64(12345);
    let sequence = |rng: &mut ChaCha8Rng| Encoding {
        ids: (0..RANDOM.1).map(|_| rng.random_range(100..vocabulary as u32)).collect(),
        type_ids: vec![0; RANDOM.1],
        spans: vec![None; RANDOM.1],
        tokens_given: RANDOM.1,
        reading: Reading::Whole,
    };
    let example = |i: usize| EncodedExample {
        encoding: sequence(&mut rng),
        department: i % departments,
        disputed: Some(i.is_multiple_of(8)),
        teacher: None,
    };
    (0..RANDOM.0).map(example).collect()
}

/// Writes the batches beside and renames them, so that nobody reads half a file.
fn write(path: &Path, random: &[Vec<EncodedExample>], real: &[Vec<EncodedExample>], departments: usize) -> Result<()> {
    let batch = |batch: &Vec<EncodedExample>| {
        json!({
            "ids": batch.iter().map(|e| &e.encoding.ids).collect::<Vec<_>>(),
            "type_ids": batch.iter().map(|e| &e.encoding.type_ids).collect::<Vec<_>>(),
            "departments": batch.iter().map(|e| e.department).collect::<Vec<_>>(),
            "disputed": batch.iter().map(|e| u8::from(e.disputed == Some(true))).collect::<Vec<_>>(),
            "known": batch.iter().map(|e| u8::from(e.disputed.is_some())).collect::<Vec<_>>(),
        })
    };
    let all = |batches: &[Vec<EncodedExample>]| batches.iter().map(batch).collect::<Vec<_>>();
    let part = path.with_extension(format!("part{}", std::process::id()));
    std::fs::write(&part, json!({"departments": departments, "random": all(random), "real": all(real)}).to_string())?;
    Ok(std::fs::rename(part, path)?)
}
