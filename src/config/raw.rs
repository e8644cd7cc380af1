//! The configuration as it is written: names and numbers, nothing checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::milliseconds;
use crate::server::ServiceConfig;

/// Keys whose value is a text, whatever it looks like: a folder may be called 20260101.
pub(super) const TEXTS: [&str; 8] =
    ["server.address", "model.path", "model.precision", "model.kernel", "catalog.path", "store.url", "log.level", "log.format"];

/// The whole file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub server: Server,
    pub model: Model,
    pub catalog: Catalog,
    pub store: Store,
    pub log: Log,
}

/// `[server]`: the address and the limits, durations in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub address: String,
    pub queue_capacity: usize,
    pub max_batch_tokens: usize,
    pub max_queue_delay_ms: u64,
    pub model_workers: usize,
    pub tokenizing_threads: usize,
    pub max_stream_in_flight: usize,
    pub max_request_time_ms: u64,
    pub max_message_bytes: usize,
    pub max_connections: usize,
    pub max_calls_per_connection: u32,
    pub drain_timeout_ms: u64,
    pub keepalive_interval_ms: u64,
    pub keepalive_timeout_ms: u64,
    pub open_order_days: u32,
}

/// `[model]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Model {
    pub path: Option<String>,
    pub offline: bool,
    pub precision: String,
    pub kernel: String,
}

impl Default for Model {
    fn default() -> Self {
        Self { path: None, offline: false, precision: AUTO.to_owned(), kernel: AUTO.to_owned() }
    }
}

/// Written where the program is to choose.
pub(super) const AUTO: &str = "auto";

/// `[catalog]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Catalog {
    pub path: String,
}

impl Default for Catalog {
    fn default() -> Self {
        Self { path: AUTO.to_owned() }
    }
}

/// `[store]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Store {
    pub url: String,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: AUTO.to_owned() }
    }
}

/// Written where there is to be nothing.
pub(super) const NONE: &str = "none";

/// `[log]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub level: String,
    pub format: String,
}

impl Default for Server {
    fn default() -> Self {
        let limits = ServiceConfig::default();
        let ms = |duration: Duration| duration.as_millis() as u64;
        Self {
            // This machine only: a service without TLS is opened to a network by decision, not by default.
            address: "127.0.0.1:50051".to_owned(),
            queue_capacity: limits.queue_capacity,
            max_batch_tokens: limits.max_batch_tokens,
            max_queue_delay_ms: ms(limits.max_queue_delay),
            model_workers: limits.model_workers,
            tokenizing_threads: limits.tokenizing_threads,
            max_stream_in_flight: limits.max_stream_in_flight,
            max_request_time_ms: ms(limits.max_request_time),
            max_message_bytes: limits.max_message_bytes,
            max_connections: limits.max_connections,
            max_calls_per_connection: limits.max_calls_per_connection,
            drain_timeout_ms: ms(limits.drain_timeout),
            keepalive_interval_ms: ms(limits.keepalive_interval),
            keepalive_timeout_ms: ms(limits.keepalive_timeout),
            open_order_days: limits.open_order_days,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: "text".to_owned() }
    }
}

impl Server {
    /// The limits as the service takes them.
    pub fn service(&self) -> ServiceConfig {
        ServiceConfig {
            queue_capacity: self.queue_capacity,
            max_batch_tokens: self.max_batch_tokens,
            max_queue_delay: milliseconds(self.max_queue_delay_ms),
            model_workers: self.model_workers,
            tokenizing_threads: self.tokenizing_threads,
            max_stream_in_flight: self.max_stream_in_flight,
            max_request_time: milliseconds(self.max_request_time_ms),
            max_message_bytes: self.max_message_bytes,
            max_connections: self.max_connections,
            max_calls_per_connection: self.max_calls_per_connection,
            drain_timeout: milliseconds(self.drain_timeout_ms),
            keepalive_interval: milliseconds(self.keepalive_interval_ms),
            keepalive_timeout: milliseconds(self.keepalive_timeout_ms),
            open_order_days: self.open_order_days,
        }
    }
}

/// The key under which a limit of [`ServiceConfig`] is written.
pub(super) fn key_of_limit(field: &str) -> String {
    let is_duration = ["_delay", "_time", "_timeout", "_interval"].iter().any(|end| field.ends_with(end));
    format!("server.{field}{}", if is_duration { "_ms" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_text_is_known_as_one() {
        let raw = Raw { model: Model { path: Some(String::new()), ..Model::default() }, ..Raw::default() };
        let table = toml::Table::try_from(&raw).expect("a table");
        let mut texts: Vec<String> = Vec::new();
        for (section, keys) in &table {
            let keys = keys.as_table().expect("a section").iter().filter(|(_, value)| value.is_str());
            texts.extend(keys.map(|(name, _)| format!("{section}.{name}")));
        }
        let mut known = TEXTS.map(str::to_owned);
        texts.sort();
        known.sort();
        assert_eq!(texts, known);
    }
}
