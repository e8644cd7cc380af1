//! `paidan-train`: from a city's labelled orders to a model folder that `paidan` serves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use paidan::model::{Artifacts, Manifest};
use paidan::text::AppealTokenizer;
use paidan_training::adapt::{AdaptConfig, adapt};
use paidan_training::average::average;
use paidan_training::checkpoint::Progress;
use paidan_training::config::TrainConfig;
use paidan_training::crossfit::{CrossWeights, Crossfit, TEACHER};
use paidan_training::dataset::{Labels, Orders};
use paidan_training::duties;
use paidan_training::examples::Example;
use paidan_training::export::Export;
use paidan_training::likeness::measure;
use paidan_training::matters;
use paidan_training::recurrences::backtest;
use paidan_training::refit::refit;
use paidan_training::repeats;
use paidan_training::say;
use paidan_training::teacher::Teacher;
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

/// What the first and the last command read and write.
#[derive(Args)]
struct Common {
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
    /// The folder of a crossfit of these orders: what its models say is learnt from beside the labels, and the witnesses of a dispute
    /// are weighed as it found.
    #[arg(long, value_name = "DIR")]
    crossfit: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  paidan-train adapt --orders all.jsonl --base bge-small-zh-v1.5 --out models/ourcity.base\n  \
    paidan-train train --base models/ourcity.base ..."
)]
struct AdaptArgs {
    /// Orders to read, one JSON object a line; no label is needed. May be repeated. Leave out the validation orders.
    #[arg(long, value_name = "FILE", required = true)]
    orders: Vec<PathBuf>,
    /// Folder of the base model.
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// Where the adapted base model goes; checkpoints lie beside it in DIR.run, an earlier one stays as DIR.previous.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Configuration (TOML); without it the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Go on from the last checkpoint.
    #[arg(long)]
    resume: bool,
}

#[derive(Args)]
struct TrainArgs {
    #[command(flatten)]
    common: Common,
    /// Go on from the last checkpoint.
    #[arg(long)]
    resume: bool,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  paidan-train crossfit --orders train.jsonl --base bge-small-zh-v1.5 --out models/ourcity.crossfit\n  \
    paidan-train train --crossfit models/ourcity.crossfit ..."
)]
struct CrossfitArgs {
    /// Labelled orders, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// Folder of the base model.
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// Where teacher.jsonl, weights.json and doubts.tsv go. What is done there already is not done again.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many models share the orders.
    #[arg(long, default_value_t = 5)]
    folds: usize,
    /// Training configuration (TOML); without it the defaults. Fewer epochs do than for a model that is released.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Example:\n  paidan-train average --run models/a --run models/b --orders train.jsonl \
    --validation validation.jsonl --base bge-small-zh-v1.5 --out models/ourcity")]
struct AverageArgs {
    #[command(flatten)]
    common: Common,
    /// A run to take part, by the folder that was its --out. At least two runs or models take part.
    #[arg(long = "run", value_name = "DIR")]
    runs: Vec<PathBuf>,
    /// A finished model to take part; if it is a mean, it counts as often as there are runs in it.
    #[arg(long = "model", value_name = "DIR")]
    models: Vec<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  paidan-train calibrate --model models/ourcity --orders train.jsonl --validation validation.jsonl \
    --out models/ourcity-new"
)]
struct CalibrateArgs {
    /// The model folder, as train or average wrote it.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The orders that it learnt from, and no others.
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// Later orders to calibrate and judge by.
    #[arg(long, value_name = "FILE")]
    validation: PathBuf,
    /// The folder of a crossfit of the same orders: the witnesses of a dispute are weighed as it found.
    #[arg(long, value_name = "DIR")]
    crossfit: Option<PathBuf>,
    /// Where the new model folder goes; an earlier model stays as DIR.previous.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What `likeness`, `returns` and `recurrences` read and write.
#[derive(Args)]
struct LikenessArgs {
    /// The model folder.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The orders that it learnt from: rulings are simulated of them, re-dispatches counted.
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// Later orders, with their day: bounds are fitted on all months but the last, and judged on the last.
    #[arg(long, value_name = "FILE")]
    validation: PathBuf,
    /// Also write the tables here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write what was found into the model folder.
    #[arg(long)]
    write: bool,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  paidan-train duties --model models/ourcity --catalog catalog/ourcity --validation validation.jsonl"
)]
struct DutiesArgs {
    /// The model folder.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The catalogue with the departments' duties.
    #[arg(long, value_name = "DIR")]
    catalog: PathBuf,
    /// Later orders, with their day: bounds are fitted on all months but the last, and judged on the last.
    #[arg(long, value_name = "FILE")]
    validation: PathBuf,
    /// A model that was trained without the orders of some departments, on which they are tried as new; may be repeated.
    #[arg(long, value_name = "DIR")]
    untaught: Vec<PathBuf>,
    /// Also write the table here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write what was found into the model folder.
    #[arg(long)]
    write: bool,
}

/// What the measurements on labels read and write.
#[derive(Args)]
#[command(after_help = "Example:\n  paidan-train repeats --orders train.jsonl --labels training/labels/repeats.tsv")]
struct LabelledArgs {
    /// The orders that are labelled, with their days.
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// The labels.
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Also write the tables here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  paidan-train matters --model models/ourcity --orders train.jsonl --labels training/labels/matters.tsv"
)]
struct MattersArgs {
    /// The model folder.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    labelled: LabelledArgs,
}

fn several_matters(MattersArgs { model, labelled }: &MattersArgs) -> Result<()> {
    let report = matters::measure(model, &labelled.orders, &labelled.labels)?;
    say(&report.text());
    write_json(labelled.json.as_deref(), &report)
}

fn repeated_orders(args: &LabelledArgs) -> Result<()> {
    let report = repeats::measure(&args.orders, &args.labels)?;
    say(&report.text());
    write_json(args.json.as_deref(), &report)
}

fn likeness(args: &LikenessArgs) -> Result<()> {
    let report = measure(&args.model, &args.orders, &args.validation, args.write)?;
    say(&report.text());
    write_json(args.json.as_deref(), &report)
}

fn newcomers(args: &DutiesArgs) -> Result<()> {
    let report = duties::measure(&args.model, &args.catalog, &args.validation, &args.untaught, args.write)?;
    say(&report.text());
    write_json(args.json.as_deref(), &report)
}

fn recurrences(args: &LikenessArgs) -> Result<()> {
    let report = backtest(&args.model, &args.orders, &args.validation, args.write)?;
    say(&report.text());
    write_json(args.json.as_deref(), &report)
}

fn write_json(path: Option<&Path>, report: &impl serde::Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, serde_json::to_vec_pretty(report)?).with_context(|| format!("{}: cannot be written", path.display()))
}

fn returns(args: &LikenessArgs) -> Result<()> {
    let report = paidan_training::returns::measure(&args.model, &args.orders, &args.validation, args.write)?;
    say(&report.text());
    write_json(args.json.as_deref(), &report)
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Adapt(args) => adapt_base(&args),
        Command::Train(args) => run(&args.common, |trainer| trainer.run(&args.common.out, args.resume)),
        Command::Crossfit(args) => crossfit(&args),
        Command::Calibrate(args) => refit(&args.model, [&args.orders, &args.validation], args.crossfit.as_deref(), &args.out)
            .map(|manifest| say_figures(&manifest, &args.out)),
        Command::Likeness(args) => likeness(&args),
        Command::Matters(args) => several_matters(&args),
        Command::Repeats(args) => repeated_orders(&args),
        Command::Returns(args) => returns(&args),
        Command::Duties(args) => newcomers(&args),
        Command::Recurrences(args) => recurrences(&args),
        Command::Average(args) => {
            run(&args.common, |trainer| average(&args.runs, &args.models, &args.common.out, &trainer.inputs))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("paidan-train: {error:#}"));
            ExitCode::from(65)
        }
    }
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

/// Reads what there is to learn from, lets `learn` have its way with it, and exports what came of it.
fn run(common: &Common, learn: impl FnOnce(&Trainer<'_>) -> Result<Progress>) -> Result<()> {
    let mut config = match &common.config {
        Some(path) => TrainConfig::read(path)?,
        None => TrainConfig::default(),
    };
    if config.name.is_empty() {
        config.name = common.out.file_name().context("--out names no folder")?.to_string_lossy().into_owned();
    }
    let training = Orders::read(&common.orders)?;
    let validation = Orders::read(&common.validation)?;
    training.report_faults();
    validation.report_faults();
    let labels = Labels::collect(&training)?;
    labels.report(&training, &validation, config.min_orders);
    let base = Artifacts::open(&common.base).context("the base model was refused")?;
    let tokenizer = AppealTokenizer::from_bytes(&base.tokenizer)?;
    let examples =
        |orders: &Orders| -> Vec<Example> { orders.orders.iter().map(|order| Example::new(order, &labels)).collect() };
    let (mut training_examples, validation_examples) = (examples(&training), examples(&validation));
    let mut weights = None;
    if let Some(folder) = &common.crossfit {
        weights = CrossWeights::read(folder)?;
        let teacher = Teacher::read(&folder.join(TEACHER), &labels)?;
        let taught = teacher.teach(&training, &mut training_examples);
        say(&format!("the teacher answers {taught} of {} training orders", training.orders.len()));
        config.teacher = teacher.sha256;
    }
    let mut progress = learn(&Trainer {
        config: &config,
        base: &base,
        labels: &labels,
        training: &training_examples,
        validation: &validation_examples,
        tokenizer: &tokenizer,
        has_dispute_head: Labels::has_disputes(&training),
        inputs: Trainer::inputs(&training, &validation, &base),
    })?;
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
    let manifest = export.write(&common.out)?;
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
