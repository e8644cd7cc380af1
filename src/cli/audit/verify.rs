//! `paidan audit verify`: archives, oldest first, and then the database, as one chain. Without archives the trail's own word is taken
//! for what left it, and said so.

use std::io::{self, Write};
use std::path::PathBuf;

use indicatif::ProgressBar;
use paidan::store::{ArchiveError, AuditEntry, AuditHead, ChainCheck, Store, StoreError, read_archive};

use super::elsewhere;
use crate::cli::setup::{Setup, store_url};
use crate::cli::{Failure, code, rulings};

/// Faults that are told; a trail with more is no trail.
const MAX_FAULTS: usize = 100;

/// Flags of `audit verify`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Archives, oldest first; the database is verified behind them if there is one
    files: Vec<PathBuf>,
    /// Number of an entry that was noted before
    #[arg(long, requires = "hash")]
    number: Option<i64>,
    /// Its hash, all 64 digits
    #[arg(long, requires = "number", value_parser = hash)]
    hash: Option<String>,
}

/// A hash that was cut short, or typed wrongly, must not look like tampering.
fn hash(given: &str) -> Result<String, String> {
    let given = given.trim();
    if given.len() == 64 && given.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(given.to_ascii_lowercase());
    }
    Err(format!("a hash has 64 digits 0-9 and a-f, and these are {}; give it as it was printed", given.chars().count()))
}

/// What was found so far.
struct Walk<'a> {
    /// An entry that was noted outside, and is still to be met.
    noted: Option<(i64, &'a str)>,
    faults: Vec<String>,
    /// Whether whoever reads was still there. One that has gone must not hear nothing of the faults by the exit code as well.
    heard: io::Result<()>,
}

impl Walk<'_> {
    fn meet(&mut self, entry: &AuditEntry) {
        let met = |noted: &mut (i64, &str)| noted.0 == entry.number && noted.1 == entry.hash;
        self.noted.take_if(met);
    }

    fn say(&mut self, out: &mut impl Write, line: &str) {
        if self.heard.is_ok() {
            self.heard = writeln!(out, "{line}");
        }
    }

    /// Ends in a failure if there were faults, whether or not anybody reads them; they are on the terminal then.
    fn end(mut self, out: &mut impl Write) -> Result<(), Failure> {
        if let Some((number, _)) = self.noted {
            self.faults.push(format!("entry {number} is not the one that was noted"));
        }
        let faults = std::mem::take(&mut self.faults);
        for fault in faults.iter().take(MAX_FAULTS) {
            self.say(out, fault);
        }
        match faults.len() {
            0 => Ok(self.heard?),
            count => Err(Failure::said(code::DATA, format!("the audit trail is not whole: {count} faults"))),
        }
    }
}

/// Verifies.
pub async fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let mut out = io::stdout();
    let mut walk = Walk { noted: args.number.zip(args.hash.as_deref()), faults: Vec::new(), heard: Ok(()) };
    if args.files.is_empty() {
        return database(&rulings::open_to_read(setup).await?, walk, &mut out).await;
    }
    let mut check: Option<ChainCheck> = None;
    let mut first = 1;
    for path in &args.files {
        let read = read_archive(path, |entry| {
            let check = check.get_or_insert_with(|| {
                first = entry.number;
                ChainCheck::behind(AuditHead { number: entry.number - 1, hash: entry.previous_hash.clone() })
            });
            walk.meet(&entry);
            let faults = check.entry(&entry);
            if walk.faults.len() < MAX_FAULTS {
                walk.faults.extend(faults.iter().map(|fault| format!("{}: {fault}", path.display())));
            }
            Ok(())
        });
        match read {
            Ok(bounds) => {
                let (file, first, last) = (path.display(), bounds.first, bounds.last);
                walk.say(&mut out, &format!("{file}: entries {first} to {last}, the last one {}", bounds.hash));
            }
            Err(ArchiveError::File { source, .. }) => return Err(Failure::file(path, source)),
            Err(error) => walk.faults.push(error.to_string()),
        }
    }
    let end = check.map(|check| check.last().clone()).unwrap_or_default();
    let Some(store) = beside(setup).await? else {
        walk.end(&mut out)?;
        writeln!(out, "the archives are whole: entries {first} to {}; there is no database to compare them with", end.number)?;
        return Ok(());
    };
    let (head, faults) = store.verify_audit_behind(end.clone(), MAX_FAULTS, |_, _| ()).await?;
    walk.faults.extend(faults.iter().map(ToString::to_string));
    if let Some((number, _)) = walk.noted.filter(|(number, _)| *number > end.number) {
        store.audit_after(number - 1, 1).await?.iter().for_each(|entry| walk.meet(entry));
    }
    walk.end(&mut out)?;
    let before = if first > 1 { format!(" from entry {first} on; give the archives before it as well") } else { String::new() };
    writeln!(out, "archives and database are one trail{before}: {} entries, the last one {}", head.number, head.hash)?;
    Ok(())
}

/// The database alone.
async fn database(store: &Store, mut walk: Walk<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let bar = ProgressBar::new(0);
    let (head, faults) = store
        .verify_audit(MAX_FAULTS, |done, all| {
            bar.set_length(all.unsigned_abs());
            bar.set_position(done.unsigned_abs());
        })
        .await?;
    bar.finish_and_clear();
    walk.faults.extend(faults.iter().map(ToString::to_string));
    let archived = store.last_archived().await?;
    if let Some((number, _)) = walk.noted {
        if archived.as_ref().is_some_and(|archived| number <= archived.end.number) {
            let words = format!("--number: entry {number} was archived; give the archive that has it");
            return Err(Failure::said(code::USAGE, words));
        }
        store.audit_after(number - 1, 1).await?.iter().for_each(|entry| walk.meet(entry));
    }
    walk.end(out)?;
    match (head.number, &archived) {
        (0, _) => writeln!(out, "the audit trail is empty: nothing was ever recorded in this database")?,
        (number, None) => writeln!(out, "the audit trail is whole: {number} entries, the last one {}", head.hash)?,
        (number, Some(archived)) => {
            let hash = &archived.end.hash;
            writeln!(out, "{}; the last of them is {hash}", elsewhere(archived))?;
            let first = archived.end.number + 1;
            writeln!(out, "the audit trail is whole from there: entries {first} to {number}, the last one {}", head.hash)?;
        }
    }
    Ok(())
}

/// The database that the configuration names, if it is there.
async fn beside(setup: &Setup) -> Result<Option<Store>, Failure> {
    let Some(url) = store_url(&setup.configuration(&[])?)? else { return Ok(None) };
    match Store::open_to_read(&url).await {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::NoFile { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
