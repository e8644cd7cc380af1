//! `paidan-train`: from a city's labelled orders to a model folder that `paidan` serves.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use paidan::model::Artifacts;
use paidan::text::AppealTokenizer;
use paidan_training::config::TrainConfig;
use paidan_training::dataset::{Labels, Orders};
use paidan_training::examples::Example;
use paidan_training::export::Export;
use paidan_training::say;
use paidan_training::trainer::Trainer;

/// Retrains paidan's router on a city's own labelled orders.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Example:\n  paidan-train train --orders train.jsonl --validation validation.jsonl --base bge-small-zh-v1.5 --out models/ourcity"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fine-tunes a base model, calibrates it and writes a model folder.
    Train(TrainArgs),
}

#[derive(Args)]
struct TrainArgs {
    /// Labelled orders to learn from, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// Later orders to judge by: never learnt from.
    #[arg(long, value_name = "FILE")]
    validation: PathBuf,
    /// Folder of the base model: config.json, tokenizer.json, model.safetensors.
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// Where the model folder goes; checkpoints lie beside it in DIR.run, an earlier model stays as DIR.previous.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Training configuration (TOML); without it the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Go on from the last checkpoint.
    #[arg(long)]
    resume: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(args) => train(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("paidan-train: {error:#}"));
            ExitCode::from(65)
        }
    }
}

fn train(args: &TrainArgs) -> Result<()> {
    let mut config = match &args.config {
        Some(path) => TrainConfig::read(path)?,
        None => TrainConfig::default(),
    };
    if config.name.is_empty() {
        config.name = args.out.file_name().context("--out names no folder")?.to_string_lossy().into_owned();
    }
    let training = Orders::read(&args.orders)?;
    let validation = Orders::read(&args.validation)?;
    training.report_faults();
    validation.report_faults();
    let labels = Labels::collect(&training)?;
    labels.report(&training, &validation, config.min_orders);
    let base = Artifacts::open(&args.base).context("the base model was refused")?;
    let tokenizer = AppealTokenizer::from_bytes(&base.tokenizer)?;
    let examples =
        |orders: &Orders| -> Vec<Example> { orders.orders.iter().map(|order| Example::new(order, &labels)).collect() };
    let (training_examples, validation_examples) = (examples(&training), examples(&validation));
    let trainer = Trainer {
        config: &config,
        base: &base,
        labels: &labels,
        training: &training_examples,
        validation: &validation_examples,
        tokenizer: &tokenizer,
        has_dispute_head: Labels::has_disputes(&training),
        inputs: Trainer::inputs(&training, &validation, &base),
    };
    let progress = trainer.run(&args.out, args.resume)?;
    let export = Export {
        base: &base,
        labels: &labels,
        training: &training,
        training_examples: &training_examples,
        validation: &validation,
        validation_examples: &validation_examples,
        tokenizer: &tokenizer,
        progress: &progress,
    };
    let manifest = export.write(&args.out)?;
    for (name, value) in &manifest.metrics {
        say(&format!("{name:55} {value:.4}"));
    }
    say(&format!(
        "{}: version {}; serve it with: paidan serve --model {}",
        args.out.display(),
        manifest.version,
        args.out.display()
    ));
    Ok(())
}
