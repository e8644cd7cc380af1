//! The command line as a table of contents: what `paidan` can do, one line a command. Each has its file in `cli/`.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command, Failure};

fn main() -> ExitCode {
    cli::say_only_where();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked_or_wrong) => return cli::explain_usage(&asked_or_wrong),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let setup = cli.setup;
    match cli.command {
        Command::Serve(args) => cli::serve::run(&setup, &args),
        Command::Route(args) => cli::route::run(&setup, &args),
        Command::Replay(args) => cli::replay::run(&setup, &args),
        Command::Model(args) => cli::model::run(&setup, &args),
        Command::Catalog(args) => cli::catalog::run(&setup, &args),
        Command::Rulings(args) => cli::rulings::run(&setup, &args),
        Command::Audit(args) => cli::audit::run(&setup, &args),
        Command::Demo(args) => cli::demo::run(&setup, &args),
        Command::Config(args) => cli::configuration::run(&setup, &args),
    }
}
