//! `paidan-train`: from a city's labelled orders to a model folder that `paidan` serves.

mod arguments;
mod ending;
mod measured;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use arguments::{
    AdaptArgs, AverageArgs, CalibrateArgs, Common, CrossfitArgs, DutiesArgs, LabelledArgs, LikenessArgs, MattersArgs, TrainArgs,
};
use clap::{Parser, Subcommand};
use measured::{held, measured, on_model};
use paidan::model::{Artifacts, Manifest};
use paidan::text::AppealTokenizer;
use paidan_training::adapt::{AdaptConfig, adapt};
use paidan_training::apart::ensure_apart;
use paidan_training::average::average;
use paidan_training::checkpoint::Progress;
use paidan_training::config::TrainConfig;
use paidan_training::crossfit::{CrossWeights, Crossfit, TEACHER, ensure_of};
use paidan_training::dataset::{Labels, Orders};
use paidan_training::duties;
use paidan_training::examples::Example;
use paidan_training::export::Export;
use paidan_training::held::Held;
use paidan_training::kept_memory::keep_memory;
use paidan_training::likeness;
use paidan_training::matters;
use paidan_training::place::Place;
use paidan_training::recurrences;
use paidan_training::refit::refit;
use paidan_training::repeats;
use paidan_training::returns;
use paidan_training::say;
use paidan_training::teacher::Teacher;
use paidan_training::trainer::Trainer;

/// Retrains paidan's router on a city's own labelled orders.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = format!(
        "{}\n\nExample:\n  paidan-train train --orders train.jsonl --validation validation.jsonl --base bge-small-zh-v1.5 \
         --out models/ourcity",
        ending::EXIT_CODES
    )
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lets a base model read the hotline's orders, labelled or not, before it is fine-tuned.
    Adapt(AdaptArgs),
    /// Fine-tunes a base model, calibrates it and writes a model folder.
    Train(TrainArgs),
    /// Has each order answered by a model that did not learn from it: a teacher for train, weights for the witnesses of a
    /// dispute, and the labels that are worth reading again.
    Crossfit(CrossfitArgs),
    /// Calibrates a model folder anew, its weights left as they are: after new validation orders, or a new way to calibrate.
    Calibrate(CalibrateArgs),
    /// Writes the mean of several runs' weights, calibrated anew: often better than each, as fast as one.
    Average(AverageArgs),
    /// Measures how like to a ruling an appeal must be, for a model folder that is there already.
    #[command(
        after_help = "Example:\n  paidan-train likeness --model models/ourcity --orders train.jsonl --validation validation.jsonl"
    )]
    Likeness(LikenessArgs),
    /// Measures where orders that came back should have gone next, and counts who takes over from whom.
    #[command(
        after_help = "Example:\n  paidan-train returns --model models/ourcity --orders train.jsonl --validation validation.jsonl"
    )]
    Returns(LikenessArgs),
    /// Measures how like its duties an appeal must be before a department that the model has never seen is named.
    Duties(DutiesArgs),
    /// Tells which disputes come back, and what standing rulings on the ten most frequent would have done to later orders; with
    /// --write the model folder learns how like such disputes are. What --json writes holds texts of orders.
    #[command(
        after_help = "Example:\n  paidan-train recurrences --model models/ourcity --orders train.jsonl --validation validation.jsonl"
    )]
    Recurrences(LikenessArgs),
    /// Measures how well appeals of several matters are told apart, on labels made by hand.
    Matters(MattersArgs),
    /// Measures how well repeats of open orders are recognised, on labels made by hand.
    Repeats(LabelledArgs),
}

fn main() -> ExitCode {
    keep_memory();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked_or_wrong) => return ending::of_usage(&asked_or_wrong),
    };
    let result = match cli.command {
        Command::Adapt(args) => adapt_base(&args),
        Command::Train(args) => run(&args.common, args.resume, |trainer, place| {
            trainer.ensure_fits()?;
            let held = place.take()?;
            Ok((trainer.run(&held.run, args.resume)?, held))
        }),
        Command::Crossfit(args) => crossfit(&args),
        Command::Calibrate(args) => refit(&args.model, [&args.orders, &args.validation], args.crossfit.as_deref(), &args.out)
            .map(|manifest| say_figures(&manifest, &args.out)),
        Command::Likeness(args) => on_model(&args, likeness::measure, likeness::Report::text),
        Command::Matters(MattersArgs { model, labelled: LabelledArgs { orders, labels, json } }) => {
            measured(json.as_deref(), || matters::measure(&model, &orders, &labels), matters::Report::text)
        }
        Command::Repeats(LabelledArgs { orders, labels, json }) => {
            measured(json.as_deref(), || repeats::measure(&orders, &labels), repeats::Report::text)
        }
        Command::Returns(args) => on_model(&args, returns::measure, returns::ReturnsReport::text),
        Command::Duties(args) => newcomers(&args),
        Command::Recurrences(args) => on_model(&args, recurrences::backtest, recurrences::Report::text),
        Command::Average(args) => {
            run(&args.common, false, |trainer, place| average(&args.runs, &args.models, place, &trainer.inputs, trainer.base))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("paidan-train: {}", ending::text(&error)));
            ending::of_error(&error)
        }
    }
}

fn newcomers(DutiesArgs { model, catalog, validation, untaught, json, write }: &DutiesArgs) -> Result<()> {
    let measure = || duties::measure(model, catalog, validation, untaught, held(model, *write)?.as_ref());
    measured(json.as_deref(), measure, duties::DutiesReport::text)
}

fn adapt_base(args: &AdaptArgs) -> Result<()> {
    let config = args.config.as_deref().map_or_else(|| Ok(AdaptConfig::default()), AdaptConfig::read)?;
    adapt(&args.orders, &args.base, &args.out, &config, args.resume)?;
    let out = args.out.display();
    say(&format!("{out}: an adapted base model; fine-tune it with: paidan-train train --base {out} ..."));
    Ok(())
}

fn crossfit(args: &CrossfitArgs) -> Result<()> {
    let config = args.config.as_deref().map_or_else(|| Ok(TrainConfig::default()), TrainConfig::read)?;
    let orders = Orders::read(&args.orders)?;
    orders.report_faults();
    let base = Artifacts::open(&args.base).context("the base model was refused")?;
    let tokenizer = AppealTokenizer::from_bytes(&base.tokenizer)?;
    let (labels, folds) = (Labels::collect(&orders)?, args.folds);
    let crossfit = Crossfit { config: &config, base: &base, tokenizer: &tokenizer, orders: &orders, labels: &labels, folds };
    say(&crossfit.run(&args.out)?.text());
    Ok(())
}

/// Reads what there is to learn from, lets `learn` have its way with it, and exports what came of it; not once more if it was
/// resumed and had been exported already.
fn run(common: &Common, resume: bool, learn: impl FnOnce(&Trainer<'_>, Place) -> Result<(Progress, Held)>) -> Result<()> {
    let mut config = match &common.config {
        Some(path) => TrainConfig::read(path)?,
        None => TrainConfig::default(),
    };
    if config.name.is_empty() {
        config.name = common.out.file_name().context("--out names no folder")?.to_string_lossy().into_owned();
    }
    let place = Place::at(&common.out)?;
    let training = Orders::read(&common.orders)?;
    let validation = Orders::read(&common.validation)?;
    training.report_faults();
    validation.report_faults();
    let labels = Labels::collect(&training)?;
    ensure_apart(&training, &validation)?;
    labels.report(&training, &validation, config.min_orders);
    let base = Artifacts::open(&common.base).context("the base model was refused")?;
    let tokenizer = AppealTokenizer::from_bytes(&base.tokenizer)?;
    let examples =
        |orders: &Orders| -> Vec<Example> { orders.orders.iter().map(|order| Example::new(order, &labels)).collect() };
    let (mut training_examples, validation_examples) = (examples(&training), examples(&validation));
    let mut weights = None;
    if let Some(folder) = &common.crossfit {
        ensure_of(folder, &training)?;
        weights = CrossWeights::read(folder)?;
        let teacher = Teacher::read(&folder.join(TEACHER), &labels)?;
        teacher.teach(&training, &mut training_examples)?;
        say(&format!("the teacher answers all {} training orders", training.orders.len()));
        config.teacher = teacher.sha256;
    }
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
    let (mut progress, held) = learn(&trainer, place)?;
    // A mean takes its name from here, not from one of its runs.
    progress.config.name.clone_from(&config.name);
    progress.config.about.clone_from(&config.about);
    let export = Export {
        base: &base,
        labels: &labels,
        training: &training,
        training_examples: &training_examples,
        validation: &validation,
        validation_examples: &validation_examples,
        tokenizer: &tokenizer,
        progress: &progress,
        weights: weights.as_ref(),
        trained_by: None,
    };
    if resume && let Some(manifest) = export.written(&held)? {
        let out = common.out.display();
        say(&format!("{out}: this run is done, and version {} is its model; nothing is changed", manifest.version));
        return Ok(());
    }
    let manifest = export.write(&held)?;
    say_figures(&manifest, &common.out);
    Ok(())
}

fn say_figures(manifest: &Manifest, out: &Path) {
    for (name, value) in &manifest.metrics {
        say(&format!("{name:55} {value:.4}"));
    }
    let out = out.display();
    say(&format!("{out}: version {}; serve it with: paidan serve --model {out}", manifest.version));
}
