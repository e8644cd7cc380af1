//! `paidan model`: what a model is, and whether its folder is whole.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use clap::Subcommand;
use paidan::model::{ArtifactsError, FileRecord, Manifest, ModelInfo, file, sha256_hex};
use paidan::routing::Router;
use paidan::text::Appeal;

use super::setup::{Setup, model_folder, open_router};
use super::{Failure, code};

/// Flags of `model`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  paidan model info
  paidan model verify --model models/haikou12345
  paidan model info --model city/router@v3")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What to do with the model.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Print version, limits, departments and the figures measured at its export
    #[command(after_help = "Example:\n  paidan model info --json | jq .metrics")]
    Info {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check every checksum, shape and label, and let it answer once; exit with 65 if something is wrong, and with 66 if a file or the
    /// manifest is missing
    #[command(after_help = "Example:\n  paidan model verify --model models/haikou12345")]
    Verify,
}

/// Looks at a model.
pub fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let config = setup.configuration(&[])?;
    let folder = model_folder(&config)?;
    // Opening checks checksums, shapes and labels: there is no way to look at a damaged model and not be told.
    let router = open_router(&folder, &config)?;
    let info = router.info();
    let mut out = std::io::stdout();
    match args.action {
        Action::Info { json: true } => writeln!(out, "{:#}", as_json(info, &folder))?,
        Action::Info { json: false } => out.write_all(for_people(info, &folder).as_bytes())?,
        Action::Verify => {
            answer_once(&router)?;
            let files = vouched(&folder)?;
            for (name, record) in &files {
                writeln!(out, "{}  {name} ({} bytes)", record.sha256, record.bytes)?;
            }
            let (folder, files, departments) = (folder.display(), files.len(), info.departments.len());
            writeln!(out, "{folder}: sound; {files} files match {}; it answers for {departments} departments", file::MANIFEST)?;
        }
    }
    Ok(())
}

/// A model whose files are right may still give no numbers.
fn answer_once(router: &Router) -> Result<(), Failure> {
    let prepared = router.prepare(&Appeal::from_text("小区门口的路灯坏了")?)?;
    let decision = router.route(&[prepared])?.pop();
    let sum = decision.map(|decision| decision.departments.iter().map(|ranked| f64::from(ranked.probability)).sum::<f64>());
    match sum {
        Some(sum) if (sum - 1.0).abs() < 1e-3 => Ok(()),
        _ => Err(Failure::said(code::DATA, "the model answers with probabilities that do not sum to one; export it anew")),
    }
}

/// The files that the manifest vouches for: there must be one, and every file that is read must be among them. To serve, neither is
/// needed, since models of others have no manifest; but what nothing vouches for is not verified.
fn vouched(folder: &Path) -> Result<BTreeMap<String, FileRecord>, Failure> {
    let path = folder.join(file::MANIFEST);
    if !path.is_file() {
        let nothing = "so nothing says what its files should be; copy the folder again, or export it anew with paidan-train";
        let words = format!("model folder {}: {} is missing, {nothing}", folder.display(), file::MANIFEST);
        return Err(Failure::said(code::NO_INPUT, words));
    }
    let read = |path: &Path| std::fs::read(path).map_err(|error| Failure::file(path, error));
    let manifest = serde_json::from_slice::<Manifest>(&read(&path)?);
    let files = manifest.map_err(|error| ArtifactsError::Malformed { path: path.clone(), reason: error.to_string() })?.files;
    let unlisted: Vec<&str> =
        file::READ.into_iter().filter(|name| !files.contains_key(*name) && folder.join(name).exists()).collect();
    if !unlisted.is_empty() {
        let words = "which is read all the same; copy the folder again, or export it anew with paidan-train";
        return Err(Failure::said(code::DATA, format!("{}: does not list {}, {words}", path.display(), unlisted.join(", "))));
    }
    // What is read was held against its checksum when it was.
    for (name, record) in files.iter().filter(|(name, _)| !file::READ.contains(&name.as_str())) {
        let path = folder.join(name);
        let found = sha256_hex(&read(&path)?);
        if found != record.sha256 {
            return Err(ArtifactsError::Checksum { path, expected: record.sha256.clone(), found }.into());
        }
    }
    Ok(files)
}

fn as_json(info: &ModelInfo, folder: &Path) -> serde_json::Value {
    serde_json::json!({
        "name": info.name,
        "version": info.version,
        "folder": folder,
        "max_tokens": info.max_tokens,
        "embedding_size": info.embedding_size,
        "precision": info.precision,
        "kernel": info.kernel,
        "has_dispute_head": info.has_dispute_head,
        "calibrated": info.calibrated,
        "departments": info.departments.iter().map(|department| &**department).collect::<Vec<_>>(),
        "metrics": info.metrics,
    })
}

fn for_people(info: &ModelInfo, folder: &Path) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let mut text = format!(
        "{} {}\n  folder        {}\n  reads         {} tokens at most, computes in {} ({})\n  dispute head  {}\n  calibrated    {}\n  departments   {}\n",
        info.name,
        info.version,
        folder.display(),
        info.max_tokens,
        info.precision,
        info.kernel,
        yes(info.has_dispute_head),
        yes(info.calibrated),
        info.departments.len(),
    );
    for department in &info.departments {
        let trained = match department.training_orders {
            0 => String::new(),
            orders => format!(" ({orders} training orders)"),
        };
        let name = if department.name == department.id { String::new() } else { format!(" {}", department.name) };
        text.push_str(&format!("    {}{name}{trained}\n", department.id));
    }
    if !info.metrics.is_empty() {
        text.push_str("  measured on validation data at its export\n");
    }
    for (name, value) in &info.metrics {
        text.push_str(&format!("    {name:<36} {value:.4}\n"));
    }
    text
}
