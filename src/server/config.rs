//! The limits of the service. A plain struct: where the values come from (file, environment, flags) is the command line's affair.

use std::time::Duration;

use crate::repeats::WINDOW_DAYS;

/// Every limit of the service. Start from `default()`; [`ServiceConfig::validate`] is called before anything is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Appeals that may wait for the model, those being tokenized included. One more is refused at once. Streams may fill three
    /// quarters, so that single calls find room beside a backtest.
    pub queue_capacity: usize,
    /// Most tokens in one run of the model. A longer appeal runs alone. A few hundred keep every core busy; more only makes those
    /// wait who are answered together.
    pub max_batch_tokens: usize,
    /// Longest that a free model waits for appeals that are being tokenized to join the batch. It never waits for appeals that
    /// are not in the house yet.
    pub max_queue_delay: Duration,
    /// Threads that run the model, by default one for each core: under load each keeps to a core and a batch of its own, and a
    /// single appeal still gets all cores.
    pub model_workers: usize,
    /// Threads that tokenize long texts, each of which takes milliseconds; short ones are tokenized where the call is.
    pub tokenizing_threads: usize,
    /// Items of one stream that may be under way; the stream is not read further until one is answered.
    pub max_stream_in_flight: usize,
    /// Deadline of a call, or of an item of a stream, where the caller's is later or missing.
    pub max_request_time: Duration,
    /// Largest message that is read, in bytes; by the rulings' service at least as many as the largest ruling has.
    pub max_message_bytes: usize,
    /// Connections that are open at the same time; more wait to be accepted.
    pub max_connections: usize,
    /// Calls on one connection at the same time; a client waits with more.
    pub max_calls_per_connection: u32,
    /// How long a shutdown waits for calls that are under way.
    pub drain_timeout: Duration,
    /// A connection that was silent for so long is asked whether it is alive.
    pub keepalive_interval: Duration,
    /// It is closed if it does not answer for so long.
    pub keepalive_timeout: Duration,
    /// Days back that an open order may be repeated; 0 looks for no repeats and keeps no orders.
    pub open_order_days: u32,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            queue_capacity: 512,
            max_batch_tokens: 256,
            max_queue_delay: Duration::from_millis(2),
            model_workers: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_WORKERS)),
            tokenizing_threads: 2,
            max_stream_in_flight: 64,
            max_request_time: Duration::from_secs(10),
            max_message_bytes: 256 * 1024,
            max_connections: 1024,
            max_calls_per_connection: 256,
            drain_timeout: Duration::from_secs(20),
            keepalive_interval: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(20),
            open_order_days: WINDOW_DAYS,
        }
    }
}

/// A limit that makes no sense: the key, as in [`ServiceConfig`], and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ServiceConfigError {
    /// Name of the field.
    pub key: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl ServiceConfig {
    /// Checks every limit; names the first that makes no sense.
    pub fn validate(&self) -> Result<(), ServiceConfigError> {
        between("queue_capacity", self.queue_capacity, 1, 1_000_000)?;
        between("max_batch_tokens", self.max_batch_tokens, 16, 1_000_000)?;
        between("model_workers", self.model_workers, 1, MAX_WORKERS)?;
        between("tokenizing_threads", self.tokenizing_threads, 1, 256)?;
        between("max_stream_in_flight", self.max_stream_in_flight, 1, 100_000)?;
        // Below 4 KiB no sensible appeal fits; above 64 MiB a handful of callers could fill the memory.
        between("max_message_bytes", self.max_message_bytes, 4 * 1024, 64 * 1024 * 1024)?;
        between("max_connections", self.max_connections, 1, 1_000_000)?;
        between("open_order_days", self.open_order_days as usize, 0, 366)?;
        between("max_calls_per_connection", self.max_calls_per_connection as usize, 1, 1_000_000)?;
        lasts("max_queue_delay", self.max_queue_delay, Duration::ZERO, Duration::from_secs(1))?;
        lasts("max_request_time", self.max_request_time, Duration::from_millis(1), HOUR)?;
        lasts("drain_timeout", self.drain_timeout, Duration::ZERO, HOUR)?;
        lasts("keepalive_interval", self.keepalive_interval, Duration::from_secs(1), 24 * HOUR)?;
        lasts("keepalive_timeout", self.keepalive_timeout, Duration::from_secs(1), HOUR)
    }

    /// Largest message that the rulings' service reads: a ruling within its limits fits, however few bytes an appeal may have.
    pub(super) fn max_ruling_message_bytes(&self) -> usize {
        self.max_message_bytes.max(LARGEST_RULING)
    }

    /// How much of the queue streams may fill.
    pub(super) fn stream_capacity(&self) -> usize {
        self.queue_capacity - self.queue_capacity / 4
    }
}

/// Bytes that hold every ruling: one whose lists and texts are all as long as may be, in characters of four bytes, has 3.94 million. No
/// client takes more by default either, and a ruling is answered as it was recorded.
const LARGEST_RULING: usize = 4 << 20;

/// More model threads than these help nobody.
const MAX_WORKERS: usize = 256;

const HOUR: Duration = Duration::from_secs(3600);

fn between(key: &'static str, value: usize, least: usize, most: usize) -> Result<(), ServiceConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ServiceConfigError { key, reason: format!("must be from {least} to {most}, is {value}") })
}

fn lasts(key: &'static str, value: Duration, least: Duration, most: Duration) -> Result<(), ServiceConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ServiceConfigError { key, reason: format!("must last from {least:?} to {most:?}, is {value:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert_eq!(ServiceConfig::default().validate(), Ok(()));
    }

    #[test]
    fn a_bad_limit_is_named() {
        let config = ServiceConfig { queue_capacity: 0, ..ServiceConfig::default() };
        assert_eq!(
            config.validate().expect_err("0 is too small").to_string(),
            "queue_capacity: must be from 1 to 1000000, is 0"
        );
        let config = ServiceConfig { max_request_time: Duration::ZERO, ..ServiceConfig::default() };
        assert_eq!(config.validate().expect_err("0 is too short").key, "max_request_time");
    }

    #[test]
    fn streams_never_fill_the_whole_queue_unless_it_holds_one() {
        let capacity = |queue_capacity| ServiceConfig { queue_capacity, ..ServiceConfig::default() }.stream_capacity();
        assert_eq!((capacity(1), capacity(4), capacity(512)), (1, 3, 384));
    }
}
