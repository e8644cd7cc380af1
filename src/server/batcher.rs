//! Runs the model over batches from the queue, on threads of its own: inference never holds up the async runtime. Whatever the
//! model does, error or panic, the thread lives and only the appeal that caused it fails.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;

use tokio::sync::mpsc;

use super::Route;
use super::config::ServiceConfig;
use super::metrics::Metrics;
use super::queue::{Answer, Batch, Job, Queue};
use super::status::ServiceError;
use crate::model::Cores;
use crate::routing::{Decision, PreparedAppeal, RouteError};

/// The model threads.
pub(super) struct Batcher {
    /// Each thread holds a sender; nothing is ever sent.
    running: mpsc::Receiver<Infallible>,
}

impl Batcher {
    /// Starts `config.model_workers` threads that run until the queue is closed and empty.
    pub(super) fn start(
        router: &Arc<dyn Route>,
        queue: &Arc<Queue>,
        metrics: &Arc<Metrics>,
        config: &ServiceConfig,
    ) -> std::io::Result<Self> {
        let (alive, running) = mpsc::channel(1);
        let workers = config.model_workers;
        for number in 0..config.model_workers {
            let (router, queue, metrics) = (Arc::clone(router), Arc::clone(queue), Arc::clone(metrics));
            let (max_tokens, max_delay) = (config.max_batch_tokens, config.max_queue_delay);
            let alive = alive.clone();
            let work = move || {
                let _alive = alive;
                while let Some(Batch { jobs, cores }) = queue.take(max_tokens, max_delay) {
                    // One batch alone gets all cores: the soonest answer. Where more waits, or another thread is at work, each
                    // thread keeps to its own core: no time is lost in waiting for each other.
                    let cores = if workers == 1 { Cores::All } else { cores };
                    run(router.as_ref(), &metrics, jobs, cores);
                    queue.ran();
                }
            };
            thread::Builder::new().name(format!("paidan-model-{number}")).spawn(work)?;
        }
        Ok(Self { running })
    }

    /// Waits for the threads to end. They are not joined: one that hangs in the model must not hang whoever waits.
    pub(super) async fn ended(mut self) {
        // Nothing can come but the end.
        let _ = self.running.recv().await;
    }
}

/// Runs one batch and answers each of its callers. If it fails as a whole, each appeal is tried once more alone, so that one
/// that poisons the model does not fail its neighbours.
fn run(router: &dyn Route, metrics: &Metrics, batch: Vec<Job>, cores: Cores) {
    let (prepared, callers): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|job| (job.prepared, (job.arrived, job.deadline, job.reply))).unzip();
    let started = Instant::now();
    let outcome = attempt(router, &prepared, cores);
    let took = started.elapsed();
    Metrics::count(&metrics.batches);
    let error = match outcome {
        Ok(decisions) => {
            let tokens = prepared.iter().map(PreparedAppeal::tokens).sum();
            metrics.ran(tokens, took);
            tracing::debug!(appeals = prepared.len(), tokens, model_ms = took.as_millis() as u64, "batch routed");
            metrics.routed.fetch_add(prepared.len() as u64, Relaxed);
            for (decision, (arrived, _, reply)) in decisions.into_iter().zip(callers) {
                // A caller who has left by now is no concern of ours.
                let _ = reply.send(Ok(Answer { decision, queued: started - arrived, model: took }));
            }
            return;
        }
        Err(error) => error,
    };
    tracing::error!(%error, appeals = prepared.len(), "the model failed on a batch");
    if prepared.len() == 1 {
        Metrics::count(&metrics.failed);
        for (_, _, reply) in callers {
            let _ = reply.send(Err(ServiceError::ModelFailed));
        }
        return;
    }
    for (prepared, (arrived, deadline, reply)) in prepared.into_iter().zip(callers) {
        if reply.is_closed() {
            Metrics::count(&metrics.abandoned);
        } else if deadline <= Instant::now() {
            Metrics::count(&metrics.expired);
            let _ = reply.send(Err(ServiceError::DeadlineExceeded));
        } else {
            run(router, metrics, vec![Job { prepared, arrived, deadline, reply }], cores);
        }
    }
}

/// One run of the model; a panic, or a wrong number of decisions, is an error like any other.
fn attempt(router: &dyn Route, batch: &[PreparedAppeal], cores: Cores) -> Result<Vec<Decision>, RouteError> {
    // The router never changes after it was opened, so a panic leaves nothing half done behind.
    let decisions = catch_unwind(AssertUnwindSafe(|| router.route(batch, cores)))
        .unwrap_or_else(|_| Err(RouteError::Model("it panicked".to_owned())))?;
    if decisions.len() != batch.len() {
        return Err(RouteError::Model(format!("{} decisions for {} appeals", decisions.len(), batch.len())));
    }
    Ok(decisions)
}
