//! How long a training step takes and how much memory the run needs: forward, backward and AdamW on random tokens, with dropout,
//! as the trainer does them. Prints one line of JSON.
//!
//! `cargo run --release -p paidan-training --example step -- --base DIR [--precision bf16 --steps 10 --batch 32 --tokens 128]`
#![allow(clippy::print_stdout, reason = "its result is its output")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use clap::Parser;
use paidan::model::{Artifacts, Batch};
use paidan_training::config::{Precision, TrainConfig};
use paidan_training::examples::StepBatch;
use paidan_training::model::Trainee;
use paidan_training::optimizer::AdamW;
use paidan_training::step::step;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Steps before the clock runs.
const WARM_UP: usize = 2;

/// Departments to tell apart.
const DEPARTMENTS: usize = 24;

/// Times training steps.
#[derive(Parser)]
struct Args {
    /// Folder of the base model.
    #[arg(long)]
    base: PathBuf,
    /// What matrices are multiplied in.
    #[arg(long, default_value = "auto")]
    precision: Precision,
    /// Steps to time.
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Sequences in a step.
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Tokens in a sequence.
    #[arg(long, default_value_t = 128)]
    tokens: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let config = TrainConfig::default();
    let base = Artifacts::open(&args.base).context("the base model was refused")?;
    let mut bert = base.config.clone();
    (bert.hidden_dropout_prob, bert.attention_probs_dropout_prob) = (config.dropout, config.dropout);
    let trainee = Trainee::fresh(&base, &bert, DEPARTMENTS, true, config.seed)?.with_products(args.precision.products()?);
    let mut adamw = AdamW::new(&trainee.variables, config.weight_decay, config.max_gradient_norm);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let total = WARM_UP + args.steps;
    let (mut times, mut last_loss) = (Vec::new(), 0f32);
    for at in 0..total {
        let batch = random_batch(&mut rng, args.batch, args.tokens, base.config.vocab_size as u32)?;
        let start = Instant::now();
        (last_loss, _) = step(&config, &trainee, &mut adamw, &batch, (at, total))?;
        if at >= WARM_UP {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    let result = serde_json::json!({
        "precision": args.precision,
        "batch": args.batch,
        "tokens": args.tokens,
        "steps": args.steps,
        "median_ms": times[times.len() / 2],
        "min_ms": times[0],
        "peak_rss_mb": peak_rss_mb(),
        "loss": last_loss,
    });
    println!("{result}");
    Ok(())
}

/// Sequences of random ids with random labels.
fn random_batch(rng: &mut ChaCha8Rng, count: usize, tokens: usize, vocabulary: u32) -> Result<StepBatch> {
    let sequences: Vec<Vec<u32>> = (0..count).map(|_| (0..tokens).map(|_| rng.random_range(1..vocabulary)).collect()).collect();
    let types = vec![0u32; tokens];
    let device = &Device::Cpu;
    let departments: Vec<u32> = (0..count).map(|_| rng.random_range(0..DEPARTMENTS as u32)).collect();
    let disputed: Vec<f32> = (0..count).map(|_| rng.random_range(0..2) as f32).collect();
    Ok(StepBatch {
        tokens: Batch::new(sequences.iter().map(|ids| (&ids[..], &types[..])), device)?,
        departments: Tensor::from_vec(departments, count, device)?,
        disputed: Tensor::from_vec(disputed, count, device)?,
        known: Tensor::ones(count, candle_core::DType::F32, device)?,
    })
}

/// The most memory that this process has held, in MB; `None` where the system does not say.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
