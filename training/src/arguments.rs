//! What the commands of `paidan-train` read and write, by their flags.

use std::path::PathBuf;

use clap::Args;

/// What `train` and `average` read and write.
#[derive(Args)]
pub struct Common {
    /// Labelled orders to learn from, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub orders: PathBuf,
    /// Later orders to judge by: never learnt from.
    #[arg(long, value_name = "FILE")]
    pub validation: PathBuf,
    /// Folder of the base model: config.json, tokenizer.json, model.safetensors.
    #[arg(long, value_name = "DIR")]
    pub base: PathBuf,
    /// Where the model folder goes; checkpoints lie beside it in DIR.run, an earlier model stays as DIR.previous.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Training configuration (TOML); without it the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder of a crossfit of these orders: what its models say is learnt from beside the labels, and the witnesses of a dispute
    /// are weighed as it found.
    #[arg(long, value_name = "DIR")]
    pub crossfit: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  paidan-train adapt --orders all.jsonl --base bge-small-zh-v1.5 --out models/ourcity.base\n  \
    paidan-train train --base models/ourcity.base ..."
)]
pub struct AdaptArgs {
    /// Orders to read, one JSON object a line; no label is needed. May be repeated. Leave out the validation orders.
    #[arg(long, value_name = "FILE", required = true)]
    pub orders: Vec<PathBuf>,
    /// Folder of the base model.
    #[arg(long, value_name = "DIR")]
    pub base: PathBuf,
    /// Where the adapted base model goes; checkpoints lie beside it in DIR.run, an earlier one stays as DIR.previous.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Configuration (TOML); without it the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Go on from the last checkpoint.
    #[arg(long)]
    pub resume: bool,
}

#[derive(Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub common: Common,
    /// Go on from the last checkpoint.
    #[arg(long)]
    pub resume: bool,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  paidan-train crossfit --orders train.jsonl --base bge-small-zh-v1.5 --out models/ourcity.crossfit\n  \
    paidan-train train --crossfit models/ourcity.crossfit ..."
)]
pub struct CrossfitArgs {
    /// Labelled orders, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub orders: PathBuf,
    /// Folder of the base model.
    #[arg(long, value_name = "DIR")]
    pub base: PathBuf,
    /// Where teacher.jsonl, weights.json and doubts.tsv go. What is done there already is not done again.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How many models share the orders.
    #[arg(long, default_value_t = 5)]
    pub folds: usize,
    /// Training configuration (TOML); without it the defaults. Fewer epochs do than for a model that is released.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Example:\n  paidan-train average --run models/a --run models/b --orders train.jsonl \
    --validation validation.jsonl --base bge-small-zh-v1.5 --out models/ourcity")]
pub struct AverageArgs {
    #[command(flatten)]
    pub common: Common,
    /// A run to take part, by the folder that was its --out. At least two runs or models take part.
    #[arg(long = "run", value_name = "DIR")]
    pub runs: Vec<PathBuf>,
    /// A finished model to take part; if it is a mean, it counts as often as there are runs in it.
    #[arg(long = "model", value_name = "DIR")]
    pub models: Vec<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  paidan-train calibrate --model models/ourcity --orders train.jsonl --validation validation.jsonl \
    --out models/ourcity-new"
)]
pub struct CalibrateArgs {
    /// The model folder, as train or average wrote it.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// The orders that it learnt from, and no others.
    #[arg(long, value_name = "FILE")]
    pub orders: PathBuf,
    /// Later orders to calibrate and judge by.
    #[arg(long, value_name = "FILE")]
    pub validation: PathBuf,
    /// The folder of a crossfit of the same orders: the witnesses of a dispute are weighed as it found.
    #[arg(long, value_name = "DIR")]
    pub crossfit: Option<PathBuf>,
    /// Where the new model folder goes; an earlier model stays as DIR.previous.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What `likeness`, `returns` and `recurrences` read and write.
#[derive(Args)]
pub struct LikenessArgs {
    /// The model folder.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// The orders that it learnt from: rulings are simulated of them, re-dispatches counted.
    #[arg(long, value_name = "FILE")]
    pub orders: PathBuf,
    /// Later orders, with their day: bounds are fitted on all months but the last, and judged on the last.
    #[arg(long, value_name = "FILE")]
    pub validation: PathBuf,
    /// Also write the tables here, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write what was found into the model folder; the model before it stays as DIR.previous.
    #[arg(long)]
    pub write: bool,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  paidan-train duties --model models/ourcity --catalog catalog/ourcity --validation validation.jsonl"
)]
pub struct DutiesArgs {
    /// The model folder.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// The catalogue with the departments' duties.
    #[arg(long, value_name = "DIR")]
    pub catalog: PathBuf,
    /// Later orders, with their day: bounds are fitted on all months but the last, and judged on the last.
    #[arg(long, value_name = "FILE")]
    pub validation: PathBuf,
    /// A model that was trained without the orders of some departments, on which they are tried as new; may be repeated.
    #[arg(long, value_name = "DIR")]
    pub untaught: Vec<PathBuf>,
    /// Also write the table here, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write what was found into the model folder; the model before it stays as DIR.previous.
    #[arg(long)]
    pub write: bool,
}

/// What the measurements on labels read and write.
#[derive(Args)]
#[command(after_help = "Example:\n  paidan-train repeats --orders train.jsonl --labels training/labels/repeats.tsv")]
pub struct LabelledArgs {
    /// The orders that are labelled, with their days.
    #[arg(long, value_name = "FILE")]
    pub orders: PathBuf,
    /// The labels.
    #[arg(long, value_name = "FILE")]
    pub labels: PathBuf,
    /// Also write the tables here, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  paidan-train matters --model models/ourcity --orders train.jsonl --labels training/labels/matters.tsv"
)]
pub struct MattersArgs {
    /// The model folder.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    #[command(flatten)]
    pub labelled: LabelledArgs,
}
