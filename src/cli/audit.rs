//! `paidan audit`: whether the trail is whole, and what it tells of an order.

use std::io::Write;

use clap::Subcommand;
use indicatif::ProgressBar;
use paidan::store::AuditEntry;

use super::rulings::open;
use super::setup::Setup;
use super::{Failure, code};

/// Faults that are told; a trail with more is no trail.
const MAX_FAULTS: usize = 100;

/// Flags of `audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  paidan audit verify
  paidan audit show --order 20180131000001")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What to do with the trail.
#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// Walk the whole trail; name every entry that was changed, removed or moved, and exit with 65 if there is one
    #[command(after_help = "\
Example:
  paidan audit verify
  paidan audit verify --number 1200 --hash 5f70bf18a0860070...

The last line has the number and the hash of the last entry. Note them outside of the database: with --number and --hash a later
run shows that what was there then is still as it was.")]
    Verify {
        /// Number of an entry that was noted before
        #[arg(long, requires = "hash")]
        number: Option<i64>,
        /// Its hash
        #[arg(long, requires = "number")]
        hash: Option<String>,
    },
    /// Tell everything that happened to an order
    #[command(after_help = "Example:\n  paidan audit show --order 20180131000001")]
    Show {
        /// The hotline's number of the order
        #[arg(long)]
        order: String,
    },
}

/// Verifies or shows.
pub fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(act(setup, &args.action))
}

async fn act(setup: &Setup, action: &Action) -> Result<(), Failure> {
    let store = open(setup).await?;
    let mut out = std::io::stdout();
    match action {
        Action::Verify { number, hash } => {
            let bar = ProgressBar::new(0);
            let (head, mut faults) = store
                .verify_audit(MAX_FAULTS, |done, all| {
                    bar.set_length(all.unsigned_abs());
                    bar.set_position(done.unsigned_abs());
                })
                .await
                .map(|(head, faults)| (head, faults.iter().map(ToString::to_string).collect::<Vec<_>>()))?;
            bar.finish_and_clear();
            if let (Some(number), Some(hash)) = (number, hash) {
                let noted = store.audit_after(number - 1, 1).await?;
                if !noted.first().is_some_and(|entry| entry.number == *number && entry.hash == *hash) {
                    faults.push(format!("entry {number} is not the one that was noted"));
                }
            }
            for fault in &faults {
                writeln!(out, "{fault}")?;
            }
            if !faults.is_empty() {
                return Err(Failure::said(code::DATA, format!("the audit trail is not whole: {} faults", faults.len())));
            }
            match head.number {
                0 => writeln!(out, "the audit trail is empty: nothing was ever recorded in this database")?,
                number => writeln!(out, "the audit trail is whole: {number} entries, the last one {}", head.hash)?,
            }
        }
        Action::Show { order } => {
            let entries = store.audit_of_order(order).await?;
            if entries.is_empty() {
                return Err(Failure::said(code::NO_INPUT, format!("the audit trail knows nothing of order {order:?}")));
            }
            for entry in &entries {
                writeln!(out, "{}", told(entry))?;
            }
        }
    }
    Ok(())
}

/// One entry for people.
fn told(entry: &AuditEntry) -> String {
    let what = entry.action_in_chinese();
    let ruling = if entry.ruling.is_empty() { String::new() } else { format!("  认定 {}", entry.ruling) };
    let versions = if entry.versions.is_empty() { String::new() } else { format!("  {}", entry.versions) };
    format!("{:>6}  {}  {}  {what}{ruling}  {}{versions}", entry.number, entry.time, entry.actor, entry.detail)
}
