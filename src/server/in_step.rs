//! Keeping in step with a database that others write to as well: at a steady pace, until the server drains. A database that does not
//! answer is told once, and asked again; once it answers, that is told too.

use std::fmt::Display;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The turns of one who follows the database.
pub(super) struct Turns {
    every: Interval,
    draining: watch::Receiver<bool>,
    /// What cannot be read while the database does not answer, and what goes on all the same.
    trouble: &'static str,
    told: bool,
}

impl Turns {
    /// The first turn is now.
    pub(super) fn new(pace: Duration, draining: watch::Receiver<bool>, trouble: &'static str) -> Self {
        let mut every = interval(pace);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { every, draining, trouble, told: false }
    }

    /// Waits for the next turn; false once the server drains.
    pub(super) async fn next(&mut self) -> bool {
        tokio::select! {
            // Whoever would tell it is gone: the server is as well.
            _ = self.draining.wait_for(|draining| *draining) => false,
            _ = self.every.tick() => true,
        }
    }

    /// Takes down how a turn ended.
    pub(super) fn ended(&mut self, outcome: Result<(), impl Display>) {
        match outcome {
            Err(error) if !self.told => tracing::error!(%error, "{}", self.trouble),
            Ok(()) if self.told => tracing::info!("in step with the database again, after: {}", self.trouble),
            _ => return,
        }
        self.told = !self.told;
    }
}
