//! `paidan replay`: past orders through the router, and how good the answers were.
//!
//! ```text
//! file → rows → (parsed and tokenized on all cores) → window → batches of like length (on all cores) → in order → outputs, tally
//! ```
//!
//! One window is read and tokenized while the one before it is in the model; more is never in memory, whatever the size of the
//! file. What the measures need of an order is some fifty bytes.

mod measures;
mod outputs;
mod page;
mod tally;
mod window;

use std::fs::File;
use std::io::{BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use paidan::evaluation::Rows;
use paidan::routing::Router;

use super::setup::{Setup, model_folder, open_router};
use super::signals::stop_flag;
use super::{Failure, code, orders};
use measures::Measures;
use outputs::{Outputs, Prediction, Skipped};
use tally::Tally;
use window::{Fate, Reading, Window, Windows};

/// So many skipped rows are named on the terminal; all are in `skipped.jsonl`.
const NAMED_ROWS: u64 = 20;

/// Flags of `replay`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Example:
  paidan replay --orders orders.jsonl --out out/replay
  paidan replay --orders orders.jsonl --out out/text --text-only --model city/router@v3

Each line of the file is a JSON object. Required: order_id, and appeal or content. Used where they are: category, appeal_type,
department (where it was handled in the end), rerouted (whether another department than the one first asked handled it),
instructed (the departments first asked).

DIR gets predictions.jsonl, skipped.jsonl, report.html and, last, metrics.json: where it is, the run was complete. If no row of the
file can be answered, DIR stays as it was, and the exit code is 65.
appeals_per_second counts from the first row read to the last one written, without loading the model. p50_ms and p99_ms are the
time in the model of the batch that an appeal was in, all cores being busy with other batches beside it.")]
pub struct Args {
    /// Past orders, one JSON object a line
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// Folder for the results; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Leave category and type out, as if there were only text
    #[arg(long)]
    text_only: bool,
    /// Give the instructed departments as proposed ones, and measure how well their return is foreseen
    #[arg(long)]
    proposals: bool,
    /// Stop after so many rows
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Departments in each prediction, best first; at least 5
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
}

/// Replays a file.
pub fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let config = setup.configuration(&[])?;
    let file = orders::open(&args.orders)?;
    let length = file.metadata().map_err(|error| Failure::file(&args.orders, error))?.len();
    let router = open_router(&model_folder(&config)?, &config)?;
    let outputs = Outputs::create(&args.out)?;
    let stop = stop_flag()?;
    let run = Run {
        args,
        router: &router,
        stop: &stop,
        bar: bar(length),
        reading: Reading { text_only: args.text_only, proposals: args.proposals, limit: args.limit.unwrap_or(u64::MAX) },
        batch_tokens: config.service.max_batch_tokens,
    };
    run.all(Rows::new(BufReader::with_capacity(1 << 18, file)), outputs)
}

struct Run<'a> {
    args: &'a Args,
    router: &'a Router,
    stop: &'a AtomicBool,
    bar: ProgressBar,
    reading: Reading,
    batch_tokens: usize,
}

impl Run<'_> {
    fn all(&self, rows: Rows<BufReader<File>>, mut outputs: Outputs) -> Result<(), Failure> {
        let began = Instant::now();
        let mut tally = Tally::new(self.router.info());
        let read = self.windows(rows, &mut outputs, &mut tally);
        self.bar.finish_and_clear();
        if self.stop.load(Ordering::Relaxed) {
            let words = format!("interrupted after {} orders; {} is as it was", tally.appeals(), self.args.out.display());
            return Err(Failure::said(code::INTERRUPTED, words));
        }
        read.and_then(|()| self.any(&tally))?;
        let measures = tally.measures(began.elapsed(), self.args);
        outputs.finish(&measures, &page::render(&measures, &tally, &self.args.orders))?;
        self.summary(&measures)
    }

    /// One thread reads and prepares the next window while this one runs the model on the last.
    fn windows(&self, rows: Rows<BufReader<File>>, outputs: &mut Outputs, tally: &mut Tally) -> Result<(), Failure> {
        let (sender, receiver) = mpsc::sync_channel::<Result<Window, std::io::Error>>(0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for window in Windows::new(rows, self.router, self.reading) {
                    let broken = window.is_err();
                    // The other side went away: it was stopped, or could not write.
                    if sender.send(window).is_err() || broken || self.stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            for window in receiver {
                let window = window.map_err(|error| Failure::file(&self.args.orders, error))?;
                let bytes = window.end;
                for (line, fate) in window.route(self.router, self.batch_tokens, self.stop) {
                    match fate {
                        Fate::Routed(routed) => {
                            outputs.prediction(&Prediction::of(&routed, self.args.top.max(5)))?;
                            tally.routed(self.router, &routed);
                        }
                        Fate::Skipped { reason, our_fault } => {
                            tally.skipped(&reason, our_fault);
                            outputs.skipped(&Skipped { line, reason: &reason })?;
                            self.name(line, &reason, tally.skipped_rows());
                        }
                        Fate::Stopped => return Ok(()),
                    }
                }
                self.bar.set_position(bytes);
                self.bar.set_message(format!("{} orders", tally.appeals()));
            }
            if tally.appeals() == 0 && tally.our_faults() > 0 {
                return Err(Failure::said(code::SOFTWARE, "the model could not be run on any order; try paidan model verify"));
            }
            Ok(())
        })
    }

    /// A run without an answer measured nothing; it must not end well, nor take the place of one that did.
    fn any(&self, tally: &Tally) -> Result<(), Failure> {
        if tally.appeals() > 0 {
            return Ok(());
        }
        let (file, out) = (self.args.orders.display(), self.args.out.display());
        let mut words = match tally.skipped_rows() {
            0 => format!("{file}: there is no order in it; no results were written to {out}"),
            rows => format!("{file}: none of its {rows} rows is an order that can be read; no results were written to {out}"),
        };
        if tally.not_utf8() > 0 {
            words.push_str(&format!("; {}", orders::not_utf8(tally.not_utf8(), &self.args.orders)));
        }
        Err(Failure::said(code::DATA, words))
    }

    /// Names a skipped row on the terminal, the first ones at least.
    fn name(&self, line: u64, reason: &str, so_far: u64) {
        if so_far > NAMED_ROWS {
            return;
        }
        self.bar.suspend(|| {
            let mut err = std::io::stderr();
            let _ = writeln!(err, "{}:{line}: {reason}", self.args.orders.display());
            if so_far == NAMED_ROWS {
                let _ = writeln!(err, "further rows that are left out are not named here");
            }
        });
    }

    fn summary(&self, measures: &Measures) -> Result<(), Failure> {
        if measures.skipped > 0 {
            writeln!(std::io::stderr(), "{} rows were left out, see skipped.jsonl", measures.skipped)?;
        }
        if !measures.unknown_departments.is_empty() {
            let orders: u64 = measures.unknown_departments.values().sum();
            let mut names: Vec<(&String, &u64)> = measures.unknown_departments.iter().collect();
            names.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            let named: Vec<String> = names.iter().take(20).map(|(name, orders)| format!("{name} ({orders})")).collect();
            let more = if names.len() > 20 { ", …" } else { "" };
            writeln!(
                std::io::stderr(),
                "{orders} orders went to departments that the model does not know and count as wrong: {}{more}",
                named.join(", ")
            )?;
        }
        let mut out = std::io::stdout();
        out.write_all(measures.for_people().as_bytes())?;
        writeln!(out, "written to {}; look at report.html first", self.args.out.display())?;
        Ok(())
    }
}

/// On a terminal, by bytes read; hidden elsewhere.
fn bar(bytes: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{wide_bar} {percent}% {msg}, {eta} left");
    ProgressBar::with_draw_target(Some(bytes), target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
