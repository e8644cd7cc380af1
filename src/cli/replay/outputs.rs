//! What a replay leaves behind: under temporary names until all of it is there.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use paidan::routing::ReviewReason;
use serde::Serialize;

use super::measures::Measures;
use super::window::Routed;
use crate::cli::Failure;

const PREDICTIONS: &str = "predictions.jsonl";
const SKIPPED: &str = "skipped.jsonl";
const REPORT: &str = "report.html";
const METRICS: &str = "metrics.json";

/// A line of `predictions.jsonl`.
#[derive(Serialize)]
pub struct Prediction<'a> {
    order_id: &'a str,
    departments: Vec<Ranked<'a>>,
    dispute_risk: Option<f32>,
    needs_review: bool,
    reasons: &'a [ReviewReason],
    #[serde(skip_serializing_if = "Option::is_none")]
    proposed_dispatch_risk: Option<f32>,
}

#[derive(Serialize)]
struct Ranked<'a> {
    department: &'a str,
    probability: f32,
}

impl<'a> Prediction<'a> {
    /// Of an answer, with so many departments.
    pub fn of(routed: &'a Routed, top: usize) -> Self {
        let decision = &routed.decision;
        let ranked = |ranked: &'a paidan::routing::RankedDepartment| Ranked {
            department: &ranked.department.id,
            probability: ranked.probability,
        };
        Self {
            order_id: &routed.facts.order_id,
            departments: decision.departments.iter().take(top).map(ranked).collect(),
            dispute_risk: decision.dispute_risk,
            needs_review: decision.needs_review(),
            reasons: &decision.review_reasons,
            proposed_dispatch_risk: decision.proposed_dispatch_risk,
        }
    }
}

/// A line of `skipped.jsonl`: where and why, never what.
#[derive(Serialize)]
pub struct Skipped<'a> {
    /// Counted from 1.
    pub line: u64,
    /// Why it was left out.
    pub reason: &'a str,
}

/// The files of a run, open under temporary names.
pub struct Outputs {
    folder: PathBuf,
    predictions: Part,
    skipped: Part,
}

impl Outputs {
    /// Makes the folder and opens the files. What an earlier run left there stays until this one is done.
    pub fn create(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
        Ok(Self {
            folder: folder.to_owned(),
            predictions: Part::create(folder, PREDICTIONS)?,
            skipped: Part::create(folder, SKIPPED)?,
        })
    }

    /// Adds a prediction.
    pub fn prediction(&mut self, prediction: &Prediction<'_>) -> Result<(), Failure> {
        self.predictions.line(prediction)
    }

    /// Adds a row that was left out.
    pub fn skipped(&mut self, skipped: &Skipped<'_>) -> Result<(), Failure> {
        self.skipped.line(skipped)
    }

    /// Gives the files their names. `metrics.json` goes first and comes last: where it is, all files are of one complete run.
    pub fn finish(self, measures: &Measures, page: &str) -> Result<(), Failure> {
        let mut metrics = Part::create(&self.folder, METRICS)?;
        let text = serde_json::to_string_pretty(measures).map_err(std::io::Error::from)?;
        metrics.write(text.as_bytes())?;
        metrics.write(b"\n")?;
        let mut report = Part::create(&self.folder, REPORT)?;
        report.write(page.as_bytes())?;

        let old = self.folder.join(METRICS);
        match fs::remove_file(&old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Failure::file(&old, error)),
            _ => {}
        }
        for part in [self.predictions, self.skipped, report, metrics] {
            part.finish()?;
        }
        Ok(())
    }

    /// Removes what was begun.
    pub fn discard(self) {
        for part in [self.predictions, self.skipped] {
            // It has a name that nobody believes: if it cannot be removed nothing is lost.
            let _ = fs::remove_file(&part.temporary);
        }
    }
}

/// A file under a temporary name.
struct Part {
    temporary: PathBuf,
    name: PathBuf,
    writer: BufWriter<File>,
}

impl Part {
    fn create(folder: &Path, name: &str) -> Result<Self, Failure> {
        let temporary = folder.join(format!("{name}.part"));
        let file = File::create(&temporary).map_err(|error| Failure::file(&temporary, error))?;
        Ok(Self { name: folder.join(name), writer: BufWriter::with_capacity(1 << 18, file), temporary })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.writer.write_all(bytes).map_err(|error| Failure::file(&self.temporary, error))
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.writer, value).map_err(|error| Failure::file(&self.temporary, error.into()))?;
        self.write(b"\n")
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| Failure::file(&self.temporary, error))?;
        self.writer.get_ref().sync_all().map_err(|error| Failure::file(&self.temporary, error))?;
        fs::rename(&self.temporary, &self.name).map_err(|error| Failure::file(&self.name, error))
    }
}
