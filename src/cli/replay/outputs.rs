//! What a replay leaves behind: under temporary names until all of it is on disk, so that a full disk costs no earlier result.

use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use paidan::routing::ReviewReason;
use serde::Serialize;

use super::measures::Measures;
use super::window::Routed;
use crate::cli::{Failure, code};

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

/// The files of a run, open under temporary names. Dropped before they have their own, they are removed.
pub struct Outputs {
    folder: PathBuf,
    predictions: Part,
    skipped: Part,
    /// Behind the files: a folder is free when they are gone.
    _turn: File,
}

impl Outputs {
    /// Makes the folder and opens the files. What an earlier run left there stays until this one is done.
    pub fn create(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
        let turn = turn(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            predictions: Part::create(folder, PREDICTIONS)?,
            skipped: Part::create(folder, SKIPPED)?,
            _turn: turn,
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

        let mut parts = [self.predictions, self.skipped, report, metrics];
        // All of them, before anything of an earlier run goes.
        for part in &mut parts {
            part.sync()?;
        }
        let old = self.folder.join(METRICS);
        match fs::remove_file(&old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Failure::file(&old, error)),
            _ => {}
        }
        for part in parts {
            part.name()?;
        }
        Ok(())
    }
}

/// The folder is one run's at a time: files of two would be mixed. Locked is the folder itself, so that no file is left for it.
fn turn(folder: &Path) -> Result<File, Failure> {
    let file = File::open(folder).map_err(|error| Failure::file(folder, error))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let words = format!("{}: another replay is writing there; wait for it, or name another folder", folder.display());
            Err(Failure::said(code::IO, words))
        }
        // Some network file systems lock no folder: there people must look after it themselves.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// A file under a temporary name.
struct Part {
    temporary: PathBuf,
    name: PathBuf,
    writer: BufWriter<File>,
    named: bool,
}

impl Part {
    fn create(folder: &Path, name: &str) -> Result<Self, Failure> {
        let temporary = folder.join(format!("{name}.part"));
        let file = File::create(&temporary).map_err(|error| Failure::file(&temporary, error))?;
        Ok(Self { name: folder.join(name), writer: BufWriter::with_capacity(1 << 18, file), temporary, named: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.writer.write_all(bytes).map_err(|error| Failure::file(&self.temporary, error))
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.writer, value).map_err(|error| Failure::file(&self.temporary, error.into()))?;
        self.write(b"\n")
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| Failure::file(&self.temporary, error))?;
        self.writer.get_ref().sync_all().map_err(|error| Failure::file(&self.temporary, error))
    }

    fn name(mut self) -> Result<(), Failure> {
        fs::rename(&self.temporary, &self.name).map_err(|error| Failure::file(&self.name, error))?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.named {
            // It has a name that nobody believes: if it cannot be removed nothing is lost.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
