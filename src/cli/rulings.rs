//! `paidan rulings`: files of rulings into the database and out of it. A running service hears of it within a second.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::ProgressBar;
use paidan::catalog::DepartmentCatalog;
use paidan::rulings::{Known, Ruling, RulingDraft, predecessors_first};
use paidan::store::exchange::{self, ExchangeError, Format, Row};
use paidan::store::{Filter, Store};

use super::setup::{Setup, catalog_folder, model_folder, store_url};
use super::{Failure, code, recurrences, whole_file};

/// Rulings that are recorded in one transaction: a break loses no more, and the file can be imported again.
const AT_ONCE: usize = 200;

/// Flags of `rulings`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  paidan rulings import rulings.xlsx
  paidan rulings import --from-orders orders.jsonl
  paidan rulings list --filter 'status = in_force AND lead = \"城管\"'
  paidan rulings export rulings.csv
  paidan rulings recurrences --drafts drafts.xlsx")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What to do with rulings.
#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// Record the rulings of a file (.jsonl, .csv, .xlsx); name every bad row, keep the good ones, and exit with 65 if there were bad ones
    #[command(
        after_help = "Example:\n  paidan rulings import rulings.xlsx\n  paidan rulings import --from-orders orders.jsonl"
    )]
    Import {
        /// The file
        file: PathBuf,
        /// The file holds past orders (jsonl as for training): each that was re-dispatched becomes a case ruling
        #[arg(long)]
        from_orders: bool,
        /// Who imports, for the audit trail
        #[arg(long, default_value = "paidan rulings import")]
        actor: String,
    },
    /// Write rulings to a file, by its ending .jsonl, .csv or .xlsx
    #[command(after_help = "Example:\n  paidan rulings export rulings.csv --filter 'scope = standing'")]
    Export {
        /// The file
        file: PathBuf,
        /// Which, as in ListRulings
        #[arg(long, default_value = "")]
        filter: String,
    },
    /// Print rulings, one a line
    #[command(after_help = "Example:\n  paidan rulings list --filter 'scope = standing AND status = in_force'")]
    List {
        /// Which, as in ListRulings
        #[arg(long, default_value = "")]
        filter: String,
    },
    /// Find disputes that come back without a standing ruling, the largest group first, and draft rulings on them
    Recurrences(recurrences::Args),
}

/// Imports, exports or lists.
pub fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(act(setup, &args.action))
}

async fn act(setup: &Setup, action: &Action) -> Result<(), Failure> {
    match action {
        Action::Import { file, from_orders, actor } => {
            // Read first: a file that is not there should not make a database.
            let rows = rows(file, *from_orders)?;
            let known = known(setup)?;
            let store = Store::open(&url(setup)?).await?;
            let outcome = import(&store, rows, &known, file, actor).await;
            // Ends the journal of SQLite as well, so that one file is left.
            store.close().await;
            outcome
        }
        Action::Export { file, filter } => {
            let format = format(file)?;
            let drafts = all(&open_to_read(setup).await?, &parsed(setup, filter)?).await?;
            write(file, format, &drafts)?;
            writeln!(std::io::stdout(), "{} rulings written to {}", drafts.len(), file.display())?;
            Ok(())
        }
        Action::List { filter } => {
            let mut out = std::io::stdout();
            for one in all(&open_to_read(setup).await?, &parsed(setup, filter)?).await? {
                let RulingDraft { id, scope, status, decided_on, lead, matter, .. } = one;
                writeln!(out, "{id}\t{scope}\t{status}\t{decided_on}\t{lead}\t{matter}")?;
            }
            Ok(())
        }
        Action::Recurrences(args) => recurrences::run(setup, args).await,
    }
}

/// The database that the configuration names, which must be there.
pub async fn open(setup: &Setup) -> Result<Store, Failure> {
    Ok(Store::open_existing(&url(setup)?).await?)
}

/// The same for a command that only reads, and takes a copy on a read-only disk as well.
pub async fn open_to_read(setup: &Setup) -> Result<Store, Failure> {
    Ok(Store::open_to_read(&url(setup)?).await?)
}

fn url(setup: &Setup) -> Result<String, Failure> {
    store_url(&setup.configuration(&[])?)?.ok_or_else(|| {
        Failure::said(code::USAGE, "store.url is none, so there are no rulings; name a database with PAIDAN_STORE_URL")
    })
}

/// Of a file, by its ending.
pub fn format(file: &Path) -> Result<Format, Failure> {
    Format::of_name(&file.to_string_lossy()).ok_or_else(|| {
        Failure::said(code::USAGE, format!("{}: a file of rulings ends in .jsonl, .csv or .xlsx", file.display()))
    })
}

/// Writes a file of rulings. What was there before stays until all of it is written.
pub fn write(file: &Path, format: Format, drafts: &[RulingDraft]) -> Result<(), Failure> {
    let bytes = exchange::write(format, drafts).map_err(|error| {
        let code = if matches!(error, ExchangeError::LongCell { .. }) { code::DATA } else { code::SOFTWARE };
        Failure::said(code, format!("{}: {error}", file.display()))
    })?;
    whole_file::write(file, &bytes)
}

fn rows(file: &Path, from_orders: bool) -> Result<Vec<Row>, Failure> {
    let format = if from_orders { None } else { Some(format(file)?) };
    let bytes = std::fs::read(file).map_err(|error| Failure::file(file, error))?;
    match format {
        None => Ok(exchange::from_orders(&bytes)),
        Some(format) => {
            exchange::read(format, &bytes).map_err(|error| Failure::said(code::DATA, format!("{}: {error}", file.display())))
        }
    }
}

/// The names that a ruling may use: of the catalogue if there is one, otherwise the model's.
fn known(setup: &Setup) -> Result<Known, Failure> {
    let config = setup.configuration(&[])?;
    if let Some(folder) = catalog_folder(&config) {
        return Ok(Known::of_catalog(&DepartmentCatalog::open(&folder)?));
    }
    let artifacts = paidan::model::Artifacts::open(&model_folder(&config)?)?;
    Ok(Known::of_model(artifacts.departments.iter().map(std::sync::Arc::as_ref)))
}

async fn import(store: &Store, rows: Vec<Row>, known: &Known, file: &Path, actor: &str) -> Result<(), Failure> {
    let mut faults: Vec<(u64, String)> = Vec::new();
    let mut good: Vec<(u64, Ruling)> = Vec::new();
    for row in rows {
        match row.draft.and_then(|draft| draft.parse(Some(known))) {
            Ok(ruling) => good.push((row.line, ruling)),
            Err(wrong) => faults.extend(wrong.into_iter().map(|fault| (row.line, fault.to_string()))),
        }
    }
    let bar = ProgressBar::new(good.len() as u64);
    let (mut recorded, mut there) = (0, 0);
    // Before it is cut into transactions: a row may supersede one that stands far below it.
    let (lines, rulings): (Vec<u64>, Vec<Ruling>) = good.into_iter().unzip();
    let mut good = predecessors_first(rulings).into_iter().map(|(place, ruling)| (lines[place], ruling)).peekable();
    while good.peek().is_some() {
        let (lines, rulings): (Vec<u64>, Vec<Ruling>) = good.by_ref().take(AT_ONCE).unzip();
        for (line, outcome) in lines.into_iter().zip(store.record_all(rulings, actor).await?) {
            bar.inc(1);
            match outcome {
                Ok(one) if one.is_new => recorded += 1,
                Ok(_) => there += 1,
                Err(error) => faults.push((line, error.to_string())),
            }
        }
    }
    bar.finish_and_clear();
    faults.sort();
    let mut errors = std::io::stderr();
    for (line, fault) in &faults {
        // Whether or not anybody reads them, the rows are bad: the exit code must say so.
        let _ = writeln!(errors, "{}:{line}: {fault}", file.display());
    }
    let before = if there == 0 { String::new() } else { format!(", {there} there already") };
    let told = writeln!(std::io::stdout(), "{recorded} rulings recorded{before}");
    let bad: std::collections::BTreeSet<u64> = faults.iter().map(|(line, _)| *line).collect();
    match bad.len() {
        0 => Ok(told?),
        count => Err(Failure::said(code::DATA, format!("{count} rows of {} were left out", file.display()))),
    }
}

/// A filter. Only where it names somebody is it looked up who is known: otherwise neither catalogue nor model need be there.
fn parsed(setup: &Setup, filter: &str) -> Result<Filter, Failure> {
    let wrong = |reason: String| Failure::said(code::USAGE, format!("--filter: {reason}"));
    let plain = Filter::parse(filter).map_err(wrong)?;
    if plain.has_names() { Filter::parse_named(filter, &known(setup)?).map_err(wrong) } else { Ok(plain) }
}

async fn all(store: &Store, filter: &Filter) -> Result<Vec<RulingDraft>, Failure> {
    let (mut drafts, mut token) = (Vec::new(), String::new());
    loop {
        let page = store.list(filter, 1_000, &token).await?;
        drafts.extend(page.rulings.iter().map(|one| RulingDraft::from(&one.ruling)));
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(drafts);
        }
    }
}
