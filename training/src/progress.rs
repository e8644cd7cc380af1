//! Progress on stderr: a bar where a person watches, a line now and then where a log does.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over a known number of steps.
pub struct Bar {
    bar: ProgressBar,
    name: String,
    total: usize,
    watched: bool,
    last_line: Cell<Instant>,
}

/// Between two lines of a log.
const LINE_EVERY: Duration = Duration::from_secs(20);

impl Bar {
    /// A bar of `total` steps.
    pub fn steps(name: &str, total: usize) -> Self {
        let watched = std::io::stderr().is_terminal();
        let bar = if watched { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
        bar.set_length(total as u64);
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg} left {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name.to_owned());
        Self { bar, name: name.to_owned(), total, watched, last_line: Cell::new(Instant::now()) }
    }

    /// Starts somewhere else than at the beginning.
    pub fn at(&self, position: usize) {
        self.bar.set_position(position as u64);
        self.bar.reset_eta();
    }

    /// One step done.
    pub fn step(&self, message: &str) {
        self.bar.inc(1);
        self.bar.set_message(message.to_owned());
        let done = self.bar.position() as usize;
        if !self.watched && (self.last_line.get().elapsed() > LINE_EVERY || done == self.total) {
            self.last_line.set(Instant::now());
            crate::say(&format!("{} {done}/{} {message} left {:.0} s", self.name, self.total, self.bar.eta().as_secs_f64()));
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
