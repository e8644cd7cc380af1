//! `paidan config`: what is in force, and whether it is sound.

use std::io::Write;

use clap::Subcommand;

use super::Failure;
use super::setup::Setup;

/// Flags of `config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  paidan config show > paidan.toml     # every key with its value, to start from
  PAIDAN_SERVER_QUEUE_CAPACITY=64 paidan config check")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Print every key with its value and where it came from, as a file that can be used
    #[command(after_help = "Example:\n  paidan config show --set log.format=json")]
    Show,
    /// Say whether it is sound; exit with 64 and the key at fault if not
    #[command(after_help = "Example:\n  paidan config check --config /etc/paidan.toml")]
    Check,
}

/// Shows or checks.
pub fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let layers = setup.layers(&[])?;
    let config = layers.config()?;
    let mut out = std::io::stdout();
    match args.action {
        Action::Check => writeln!(out, "the configuration is sound; serve would listen on {}", config.address)?,
        Action::Show => {
            let mut section = String::new();
            for setting in layers.settings()? {
                let (of, name) = setting.key.split_once('.').unwrap_or(("", &setting.key));
                if of != section {
                    writeln!(out, "{}[{of}]", if section.is_empty() { "" } else { "\n" })?;
                    section = of.to_owned();
                }
                writeln!(out, "{:<44} # {}", format!("{name} = {}", setting.value), setting.origin)?;
            }
        }
    }
    Ok(())
}
