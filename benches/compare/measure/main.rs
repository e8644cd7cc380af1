//! Our side of the comparison: `measure worker` is a rival among the others, `measure tokenize` makes the token ids that all of them
//! read, `measure served` loads a server. `benches/compare/run` calls it; see `benches/README.md`.

mod encoder;
mod load;
mod peer;
mod served;
mod tokenize;
mod worker;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

/// Our side of the comparison; `benches/compare/run` calls it.
#[derive(Parser)]
enum Command {
    /// Answers requests on standard input, one JSON object a line.
    Worker,
    /// Writes token ids and labels of labelled orders as JSON.
    Tokenize(Tokenize),
    /// Loads a server and prints what it stood, as JSON.
    Served(served::Args),
}

#[derive(clap::Args)]
struct Tokenize {
    /// Model folder.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Labelled orders, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// Where the ids go.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Longer texts are cut.
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_tokens: usize,
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Worker => worker::serve(encoder::Paidan::open),
        Command::Tokenize(args) => tokenize::run(&args.model, &args.orders, &args.out, args.max_tokens),
        Command::Served(args) => served::run(&args),
    }
}
