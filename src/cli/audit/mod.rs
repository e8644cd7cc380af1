//! `paidan audit`: whether the trail is whole, what it tells of an order, and where its oldest entries go.

mod verify;

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Subcommand;
use paidan::catalog::Day;
use paidan::store::{Archived, AuditEntry};

use super::rulings::{open, open_to_read};
use super::setup::{Setup, today};
use super::{Failure, code};

/// Younger entries stay: an order without returns is remembered for so many days, and its course is read from the trail.
const LEAST_DAYS: u64 = 90;

/// Flags of `audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  paidan audit verify
  paidan audit show --order 20180131000001
  paidan audit archive --before 2026-01-01 --out trail-2025.jsonl")]
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
  paidan audit verify trail-2024.jsonl trail-2025.jsonl
  paidan audit verify --number 1200 --hash 5f70bf18a08600705f70bf18a08600705f70bf18a08600705f70bf18a0860070

The last line has the number and the hash of the last entry. Note them, the hash with all its 64 digits, outside of the database:
with --number and --hash a later run shows that what was there then is still as it was. Of entries that were archived the trail
says who did so and where they are; give the files, oldest first, and they are verified together with what followed them.")]
    Verify(verify::Args),
    /// Tell everything that happened to an order
    #[command(after_help = "Example:\n  paidan audit show --order 20180131000001")]
    Show {
        /// The hotline's number of the order
        #[arg(long)]
        order: String,
    },
    /// Move old entries out of the database into a file that `audit verify` reads; nothing is ever removed otherwise
    #[command(after_help = "\
Example:
  paidan audit archive --before 2026-01-01 --out trail-2025.jsonl

The file is on disk and was read back before anything is removed, and the trail keeps an entry that says what was. After a break
give the same command again. The service may go on meanwhile. SQLite's file does not shrink; what is free is used again.")]
    Archive {
        /// First day that stays, at least 90 days ago
        #[arg(long, value_name = "DATE")]
        before: Day,
        /// The file, which is not there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Who archives, for the trail
        #[arg(long, default_value = "paidan audit archive")]
        actor: String,
    },
}

/// Verifies, shows or archives.
pub fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(act(setup, &args.action))
}

async fn act(setup: &Setup, action: &Action) -> Result<(), Failure> {
    match action {
        Action::Verify(args) => verify::run(setup, args).await,
        Action::Show { order } => show(setup, order).await,
        Action::Archive { before, out, actor } => archive(setup, *before, out, actor).await,
    }
}

async fn show(setup: &Setup, order: &str) -> Result<(), Failure> {
    let store = open_to_read(setup).await?;
    let entries = store.audit_of_order(order).await?;
    let archived = store.last_archived().await?;
    if entries.is_empty() {
        let older = archived.map(|archived| format!("; {}", elsewhere(&archived))).unwrap_or_default();
        return Err(Failure::said(code::NO_INPUT, format!("the audit trail knows nothing of order {order:?}{older}")));
    }
    let mut out = std::io::stdout();
    if let Some(archived) = archived {
        writeln!(out, "{}", elsewhere(&archived))?;
    }
    for entry in &entries {
        writeln!(out, "{}", told(entry))?;
    }
    Ok(())
}

async fn archive(setup: &Setup, before: Day, out: &Path, actor: &str) -> Result<(), Failure> {
    let latest = today()?.checked_sub_days(chrono::Days::new(LEAST_DAYS));
    if latest.is_none_or(|latest| before > latest) {
        let words =
            format!("--before: {before} is less than {LEAST_DAYS} days ago; younger entries are still read with the orders");
        return Err(Failure::said(code::USAGE, words));
    }
    // The day begins in the city.
    let midnight = DateTime::parse_from_rfc3339(&format!("{before}T00:00:00+08:00"));
    let midnight = midnight.map_err(|_| Failure::said(code::USAGE, format!("--before: {before} is no day of the calendar")))?;
    let store = open(setup).await?;
    let outcome = store.archive_audit(midnight.with_timezone(&Utc), out, actor).await;
    // Ends the journal of SQLite as well, so that one file is left.
    store.close().await;
    let mut terminal = std::io::stdout();
    match outcome? {
        None => writeln!(terminal, "no entry is from before {before}; nothing was archived")?,
        Some(bounds) => writeln!(
            terminal,
            "entries {} to {} are in {} and no longer in the database; the last one is {}",
            bounds.first,
            bounds.last,
            out.display(),
            bounds.hash
        )?,
    }
    Ok(())
}

/// Where the entries are that are not in the database.
fn elsewhere(archived: &Archived) -> String {
    let Archived { end, file, entry } = archived;
    format!("entries 1 to {} were archived, the last of them in {file:?} by {:?}, {}", end.number, entry.actor, entry.time)
}

/// One entry for people.
fn told(entry: &AuditEntry) -> String {
    let what = entry.action_in_chinese();
    let ruling = if entry.ruling.is_empty() { String::new() } else { format!("  认定 {}", entry.ruling) };
    let versions = if entry.versions.is_empty() { String::new() } else { format!("  {}", entry.versions) };
    format!("{:>6}  {}  {}  {what}{ruling}  {}{versions}", entry.number, entry.time, entry.actor, entry.detail)
}
