//! A bounded part of the file: parsed, tokenized, routed in batches of like length, and put back in order.

use std::io::{self, BufRead};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use paidan::evaluation::{MAX_LINE_BYTES, Row, Rows, WorkOrder};
use paidan::model::Cores;
use paidan::routing::{Decision, PreparedAppeal, RouteError, Router};
use paidan::text::{Appeal, AppealFields};
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};

/// Rows in a window: enough that batches of like length are full.
const WINDOW_ROWS: usize = 1024;
/// Bytes in a window: long rows make it shorter, so that the memory stays bounded.
const WINDOW_BYTES: usize = 16 << 20;

/// How rows are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Leave category and type out.
    pub text_only: bool,
    /// Give the instructed departments as proposed.
    pub proposals: bool,
    /// So many rows at most.
    pub limit: u64,
}

/// What is kept of an order beside its tokens.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The hotline's number.
    pub order_id: String,
    /// Where it was handled in the end.
    pub department: Option<String>,
    /// Whether that was another department than the first.
    pub rerouted: Option<bool>,
}

/// An order with its answer.
#[derive(Debug)]
pub struct Routed {
    /// The order.
    pub facts: Facts,
    /// The answer.
    pub decision: Decision,
    /// Time in the model of the batch that it was in, in milliseconds.
    pub model_ms: f32,
}

/// What became of a row.
#[derive(Debug)]
pub enum Fate {
    /// It has an answer.
    Routed(Box<Routed>),
    /// It has none; the reason never quotes the row.
    Skipped { reason: String, our_fault: bool },
    /// Somebody asked to stop before it was its turn.
    Stopped,
}

/// A row that is ready for the model, or why it is not.
type Ready = Result<(Facts, PreparedAppeal), String>;

/// Rows that are ready for the model, or that were found bad, in the order of the file.
pub struct Window {
    rows: Vec<(u64, Ready)>,
    /// Place of the file after its last row.
    pub end: u64,
}

/// Reads windows.
pub struct Windows<'a, R> {
    rows: Rows<R>,
    router: &'a Router,
    reading: Reading,
    left: u64,
}

impl<'a, R: BufRead> Windows<'a, R> {
    /// Over all rows.
    pub fn new(rows: Rows<R>, router: &'a Router, reading: Reading) -> Self {
        Self { rows, router, reading, left: reading.limit }
    }

    fn raw(&mut self) -> io::Result<Vec<Row>> {
        let (mut rows, mut bytes) = (Vec::with_capacity(WINDOW_ROWS), 0);
        while rows.len() < WINDOW_ROWS && bytes < WINDOW_BYTES && self.left > 0 {
            let Some(row) = self.rows.next().transpose()? else { break };
            bytes += row.bytes.as_ref().map_or(0, Vec::len);
            self.left -= 1;
            rows.push(row);
        }
        Ok(rows)
    }
}

impl<R: BufRead> Iterator for Windows<'_, R> {
    type Item = io::Result<Window>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = match self.raw() {
            Ok(rows) => rows,
            Err(error) => return Some(Err(error)),
        };
        let end = rows.last()?.end;
        let (router, reading) = (self.router, self.reading);
        let rows = rows.into_par_iter().map(|row| (row.line, prepare(&row, router, reading))).collect();
        Some(Ok(Window { rows, end }))
    }
}

fn prepare(row: &Row, router: &Router, reading: Reading) -> Ready {
    let bytes = row.bytes.as_deref().ok_or_else(|| format!("line is longer than {MAX_LINE_BYTES} bytes"))?;
    let order = WorkOrder::parse(bytes)?;
    let mut appeal = order.appeal;
    if reading.text_only || reading.proposals {
        let mut fields: AppealFields = appeal.fields().clone();
        if reading.text_only {
            fields.category.clear();
            fields.appeal_type.clear();
        }
        if reading.proposals {
            // A department that the model does not know has no probability, so nothing can be said of a dispatch to it.
            fields.proposed_departments =
                order.instructed.into_iter().filter(|name| router.department(name).is_some()).collect();
        }
        appeal = Appeal::parse(fields).map_err(|error| error.to_string())?;
    }
    let mut prepared = router.prepare(&appeal).map_err(|error| error.to_string())?;
    // Evidence is for a person who reads one answer; it is not in the predictions and costs time.
    prepared.clauses.clear();
    Ok((Facts { order_id: order.order_id, department: order.department, rerouted: order.rerouted }, prepared))
}

impl Window {
    /// Routes all rows, several batches at a time; what comes back is in the order of the file.
    pub fn route(self, router: &Router, batch_tokens: usize, stop: &AtomicBool) -> impl Iterator<Item = (u64, Fate)> {
        let mut fates: Vec<(u64, Fate)> = Vec::with_capacity(self.rows.len());
        let mut facts: Vec<(usize, Facts)> = Vec::new();
        let mut prepared: Vec<PreparedAppeal> = Vec::new();
        for (line, row) in self.rows {
            match row {
                Ok((of_order, appeal)) => {
                    facts.push((fates.len(), of_order));
                    prepared.push(appeal);
                    fates.push((line, Fate::Stopped));
                }
                Err(reason) => fates.push((line, Fate::Skipped { reason, our_fault: false })),
            }
        }
        let batches = batches(&prepared, batch_tokens);
        let answers: Vec<Vec<(usize, Answer)>> = batches
            .par_iter()
            .with_max_len(1)
            .map(|batch| if stop.load(Ordering::Relaxed) { Vec::new() } else { answer(router, &prepared, batch) })
            .collect();
        let mut facts: Vec<Option<(usize, Facts)>> = facts.into_iter().map(Some).collect();
        for (index, answer) in answers.into_iter().flatten() {
            let Some((at, facts)) = facts[index].take() else { continue };
            fates[at].1 = match answer {
                Ok((decision, model_ms)) => Fate::Routed(Box::new(Routed { facts, decision, model_ms })),
                Err(error) => Fate::Skipped { reason: error.to_string(), our_fault: true },
            };
        }
        fates.into_iter()
    }
}

type Answer = Result<(Decision, f32), RouteError>;

/// Appeals of like length together, the longest first: the short batches at the end keep all cores busy to the last.
fn batches(prepared: &[PreparedAppeal], batch_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..prepared.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(prepared[index].tokens()), index));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut total = 0;
    for index in order {
        let tokens = prepared[index].tokens();
        match batches.last_mut() {
            Some(batch) if total + tokens <= batch_tokens => {
                batch.push(index);
                total += tokens;
            }
            _ => {
                batches.push(vec![index]);
                total = tokens;
            }
        }
    }
    batches
}

/// Runs a batch. If it fails, each appeal alone, so that one that the model cannot digest does not take the others along.
fn answer(router: &Router, prepared: &[PreparedAppeal], batch: &[usize]) -> Vec<(usize, Answer)> {
    let run = |indices: &[usize]| {
        let appeals: Vec<PreparedAppeal> = indices.iter().map(|&index| prepared[index].clone()).collect();
        let began = Instant::now();
        let decisions = router.route_on(&appeals, Cores::One)?;
        let ms = began.elapsed().as_secs_f32() * 1e3;
        Ok::<_, RouteError>(decisions.into_iter().map(|decision| (decision, ms)).collect::<Vec<_>>())
    };
    match run(batch) {
        Ok(decisions) => batch.iter().copied().zip(decisions.into_iter().map(Ok)).collect(),
        Err(error) if batch.len() == 1 => vec![(batch[0], Err(error))],
        Err(_) => batch.iter().flat_map(|&index| answer(router, prepared, &[index])).collect(),
    }
}
