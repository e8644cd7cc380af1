//! The commands. They alone write to the terminal, read the clock and decide on exit codes; what they do is in the library.

mod answer;
pub mod audit;
pub mod catalog;
pub mod configuration;
pub mod demo;
mod failure;
pub mod model;
mod orders;
mod output;
mod panics;
mod recurrences;
pub mod replay;
pub mod route;
pub mod rulings;
pub mod serve;
mod setup;
mod signals;
mod whole_file;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::{Failure, code};
pub use panics::say_only_where;
pub use setup::Setup;

/// Says which department should handle a citizen's appeal, and how likely that is to be disputed (12345 热线派单).
#[derive(Debug, Parser)]
#[command(name = "paidan", version, propagate_version = true, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub setup: Setup,
    #[command(subcommand)]
    pub command: Command,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer intake systems over gRPC until SIGTERM or Ctrl-C, then drain.
    Serve(serve::Args),
    /// Route one appeal and show the answer.
    Route(route::Args),
    /// Route past orders from a file and measure the answers.
    Replay(replay::Args),
    /// Look at a model folder, or check it.
    Model(model::Args),
    /// Look at a dispatch catalogue, or check it.
    Catalog(catalog::Args),
    /// Import and export rulings, and list them.
    Rulings(rulings::Args),
    /// Verify the audit trail, tell the story of an order, or archive what is old.
    Audit(audit::Args),
    /// Play one dispute from the call to the ruling, on a server of its own.
    Demo(demo::Args),
    /// Look at the configuration that is in force, or check it.
    Config(configuration::Args),
}

const EXIT_CODES: &str = "\
Exit codes (sysexits): 0 done, 64 wrong usage or configuration, 65 bad data or a damaged model, 66 a file is missing,
69 the hub or the address is not available, 70 our own fault, 74 reading or writing failed, 130 interrupted.

Example:
  paidan route \"小区门口的路灯坏了很久没人修\"";

/// Help and version are an answer; everything else that clap says is a wrong use, which sysexits gives 64.
pub fn explain_usage(error: &clap::Error) -> ExitCode {
    let written = error.print();
    if error.use_stderr() {
        ExitCode::from(code::USAGE)
    } else if written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(code::IO)
    }
}
