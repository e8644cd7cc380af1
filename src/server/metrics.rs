//! What happened so far, in counters: for tests now, for a metrics page later. They only ever grow, except the gauge `in_flight`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The live counters of one server.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(super) admitted: AtomicU64,
    pub(super) queued: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) abandoned: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) in_flight: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) routed: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Smoothed nanoseconds for a token; 0 until the model has run.
    nanos_per_token: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MetricsSnapshot {
    /// Appeals that were given a place in the queue.
    pub admitted: u64,
    /// Appeals that were tokenized and put in the queue.
    pub queued: u64,
    /// Appeals that were refused because the queue was full.
    pub refused: u64,
    /// Appeals whose caller had left before the model ran: dropped unread.
    pub abandoned: u64,
    /// Appeals whose deadline had passed before the model ran: dropped unread.
    pub expired: u64,
    /// Appeals that are in the house now, from their arrival to the answer.
    pub in_flight: u64,
    /// Runs of the model.
    pub batches: u64,
    /// Appeals that the model answered.
    pub routed: u64,
    /// Appeals on which the model failed, alone.
    pub failed: u64,
}

impl Metrics {
    /// Reads all counters. Each is exact; together they may be a moment apart.
    pub fn snapshot(&self) -> MetricsSnapshot {
        MetricsSnapshot {
            admitted: self.admitted.load(Relaxed),
            queued: self.queued.load(Relaxed),
            refused: self.refused.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
            expired: self.expired.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            batches: self.batches.load(Relaxed),
            routed: self.routed.load(Relaxed),
            failed: self.failed.load(Relaxed),
        }
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// Notes how long the model took for so many tokens.
    pub(super) fn ran(&self, tokens: usize, took: Duration) {
        let new = took.as_nanos() as u64 / tokens.max(1) as u64;
        let old = self.nanos_per_token.load(Relaxed);
        // Two workers may overwrite each other: an estimate may lose a sample.
        self.nanos_per_token.store(if old == 0 { new } else { (old * 7 + new) / 8 }.max(1), Relaxed);
    }

    /// How long the model will take for so many tokens; `None` until it has run.
    pub(super) fn estimate(&self, tokens: usize) -> Option<Duration> {
        match self.nanos_per_token.load(Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos.saturating_mul(tokens as u64))),
        }
    }
}
