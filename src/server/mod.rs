//! The router behind gRPC: what `proto/paidan/v1/routing.proto` promises, and nothing more.
//!
//! The way of one appeal, and the file that stands for each step:
//!
//! ```text
//! listener → deadline → codec → service / stream → (text_threads) → queue → batcher → convert → reply
//! ```
//!
//! - `listener` takes at most so many connections; `deadline` notes when a call arrived and when it must be answered;
//! - `codec` reads messages and blames the client, not us, for broken ones;
//! - `service` answers the unary calls, `stream` the stream, both through one function, `Desk::route`;
//! - `text_threads` has long texts tokenized aside, and short ones where the call is;
//! - `queue` is bounded and says no at once; `batcher` runs the model on threads of its own;
//! - `audit` notes every answer in the trail; `rulings` is the committee's service, and keeps the router's book in step;
//! - `disputes` takes returns and puts case files together;
//! - `catalog` reads the dispatch catalogue again;
//! - `convert` and `status` are the only places that know both the proto and the domain.
//!
//! Everything has a limit, set in [`ServiceConfig`]. Logs hold lengths, durations and codes: never a text, never an id.

mod audit;
mod batcher;
pub mod catalog;
pub mod codec;
mod config;
mod convert;
mod deadline;
mod disputes;
mod in_step;
mod listener;
mod metrics;
mod open_orders;
mod parts;
pub mod proto;
mod queue;
mod returned_orders;
pub mod rulings;
mod run;
mod service;
mod status;
mod stream;
mod text_threads;

use std::sync::Arc;

pub use config::{ServiceConfig, ServiceConfigError};
pub use metrics::{Metrics, MetricsSnapshot};
pub use run::{ServeError, Server, Serving};

use crate::catalog::DepartmentCatalog;
use crate::model::{Cores, ModelInfo};
use crate::routing::{Decision, PreparedAppeal, RouteError, Router, day_in_the_city};
use crate::text::Appeal;

/// What the service needs of a router. The seam is here so that a test can put in one that waits, fails or panics on demand.
pub trait Route: Send + Sync + 'static {
    /// What is loaded.
    fn info(&self) -> &ModelInfo;
    /// Cleans and tokenizes; runs on a tokenizing thread.
    fn prepare(&self, appeal: &Appeal) -> Result<PreparedAppeal, RouteError>;
    /// One decision for each appeal, in order; runs on a model thread.
    fn route(&self, batch: &[PreparedAppeal], cores: Cores) -> Result<Vec<Decision>, RouteError>;
    /// The dispatch catalogue in use, if there is one.
    fn catalog(&self) -> Option<Arc<DepartmentCatalog>> {
        None
    }
}

impl Route for Router {
    fn info(&self) -> &ModelInfo {
        Router::info(self)
    }

    fn prepare(&self, appeal: &Appeal) -> Result<PreparedAppeal, RouteError> {
        // The clock is read here, at the edge: the router knows no time but what it is told.
        match day_in_the_city(chrono::Utc::now()) {
            Some(today) => self.prepare_on(appeal, today),
            None => Router::prepare(self, appeal),
        }
    }

    fn route(&self, batch: &[PreparedAppeal], cores: Cores) -> Result<Vec<Decision>, RouteError> {
        Router::route_on(self, batch, cores)
    }

    fn catalog(&self) -> Option<Arc<DepartmentCatalog>> {
        Router::catalog(self)
    }
}

/// Serves `router` on `listener` until `shutdown` completes, then drains: no new calls, what is under way is answered.
///
/// The caller binds the listener and decides when to stop, so that a test can use port 0 and a channel. For the counters use
/// [`Server`].
pub async fn serve<R: Route>(
    listener: tokio::net::TcpListener,
    router: Arc<R>,
    config: ServiceConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    Server::new(router, config)?.run(listener, shutdown).await
}
