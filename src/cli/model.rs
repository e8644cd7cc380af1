//! `paidan model`: what a model is, and whether its folder is whole.

use std::io::Write;

use clap::Subcommand;
use paidan::model::{ArtifactsError, Manifest, ModelInfo, file};
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
    /// Check every checksum, shape and label, and let it answer once; exit with 65 if something is wrong
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
            let manifest = manifest(&folder)?;
            for (name, record) in manifest.iter().flat_map(|manifest| &manifest.files) {
                writeln!(out, "{}  {name} ({} bytes)", record.sha256, record.bytes)?;
            }
            let checked = match manifest {
                Some(manifest) => format!("{} files match manifest.json", manifest.files.len()),
                None => "there is no manifest.json, so nothing to hold the files against".to_owned(),
            };
            writeln!(out, "{}: sound; {checked}; it answers for {} departments", folder.display(), info.departments.len())?;
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

fn manifest(folder: &std::path::Path) -> Result<Option<Manifest>, Failure> {
    let path = folder.join(file::MANIFEST);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(&path).map_err(|error| Failure::file(&path, error))?;
    let manifest = serde_json::from_slice(&bytes);
    Ok(Some(manifest.map_err(|error| ArtifactsError::Malformed { path, reason: error.to_string() })?))
}

fn as_json(info: &ModelInfo, folder: &std::path::Path) -> serde_json::Value {
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

fn for_people(info: &ModelInfo, folder: &std::path::Path) -> String {
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
