//! The bounded queue between the calls and the model. A place is taken BEFORE an appeal is tokenized, so that the bound holds for
//! all work in the house and a full house says no without doing any. Appeals whose caller left or whose deadline passed fall out
//! here, before the model sees them.
//!
//! Short appeals go before long ones, within bounds: a place in the line is the arrival plus [`DEFERENCE`] times what the model will
//! take. One text in fifty is ten times as long as most, and whoever came just behind it waited for it; now it waits for them. Nobody
//! waits for those who came later for more than that many times its own time.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::metrics::Metrics;
use super::status::ServiceError;
use crate::model::Cores;
use crate::routing::{Decision, PreparedAppeal};

/// An appeal that waits for the model.
pub(super) struct Job {
    pub(super) prepared: PreparedAppeal,
    /// When the call arrived.
    pub(super) arrived: Instant,
    /// When an answer is of no use any more.
    pub(super) deadline: Instant,
    /// Closed when the caller has left.
    pub(super) reply: oneshot::Sender<Result<Answer, ServiceError>>,
}

/// What the model said, and what it took.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) decision: Decision,
    /// From the arrival to the start of the model.
    pub(super) queued: Duration,
    /// The run of the batch.
    pub(super) model: Duration,
}

/// What a model thread runs next.
pub(super) struct Batch {
    /// In the order of the line.
    pub(super) jobs: Vec<Job>,
    /// All, if it has the house to itself and no more is to be expected while it runs; one, if it has not.
    pub(super) cores: Cores,
}

/// The queue. Shared by calls (async) and model threads (not).
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes model threads: a job came, tokenizing ended, or the queue was closed.
    work: Condvar,
    /// Wakes streams that wait for a place.
    room: Notify,
    capacity: usize,
    stream_capacity: usize,
    metrics: Arc<Metrics>,
}

/// How many times its own time an appeal lets later, shorter ones go first. By simulation at 70 % of what two cores can bear, with the
/// lengths of real appeals: at 0 the median is 5.6 ms, the 99th percentile 54; at 3 they are 5.0 and 48; at 10 hardly better.
const DEFERENCE: u32 = 3;
/// For so long after two appeals were in the house at the same time, more are expected. Then cores are not kept awake for one batch:
/// at 70 % of what two cores can bear that took 7 % more of their time, and a quarter from the median of all.
const COMPANY: Duration = Duration::from_millis(20);
/// What a token takes before the model has run once.
const FIRST_GUESS: Duration = Duration::from_micros(50);

#[derive(Default)]
struct State {
    /// By their place in the line.
    jobs: VecDeque<Waiting>,
    /// Sum of the jobs' tokens.
    tokens: usize,
    /// Places taken by appeals that are still being tokenized.
    preparing: usize,
    /// Batches that a model thread runs.
    running: usize,
    /// When an appeal last came while another was here.
    met: Option<Instant>,
    closed: bool,
    /// Closed, and nobody waits for what is left.
    aborted: bool,
}

struct Waiting {
    job: Job,
    since: Instant,
    /// Place in the line.
    due: Instant,
}

impl State {
    /// Puts a job in its place, behind those that are due at the same moment.
    fn insert(&mut self, job: Job, since: Instant, takes: Duration) {
        let due = since + DEFERENCE * takes;
        self.tokens += job.prepared.tokens();
        let place = self.jobs.partition_point(|waiting| waiting.due <= due);
        self.jobs.insert(place, Waiting { job, since, due });
    }
}

impl Queue {
    pub(super) fn new(capacity: usize, stream_capacity: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        let state = Mutex::new(State::default());
        Arc::new(Self { state, work: Condvar::new(), room: Notify::new(), capacity, stream_capacity, metrics })
    }

    /// A place, or at once the reason why not.
    pub(super) fn reserve(self: &Arc<Self>) -> Result<Place, ServiceError> {
        self.try_reserve(self.capacity).inspect_err(|error| {
            if matches!(error, ServiceError::Overloaded { .. }) {
                Metrics::count(&self.metrics.refused);
            }
        })
    }

    /// A place for an item of a stream, as soon as there is one: the stream is not read meanwhile, which holds its client back.
    pub(super) async fn reserve_for_stream(self: &Arc<Self>) -> Result<Place, ServiceError> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Listen first and look second, or a place that becomes free in between is missed.
            room.as_mut().enable();
            match self.try_reserve(self.stream_capacity) {
                Err(ServiceError::Overloaded { .. }) => room.await,
                place => return place,
            }
        }
    }

    fn try_reserve(self: &Arc<Self>, capacity: usize) -> Result<Place, ServiceError> {
        let mut state = self.lock();
        if state.closed {
            return Err(ServiceError::ShuttingDown);
        }
        if state.jobs.len() + state.preparing >= capacity {
            // Before anyone is refused, those who left make room.
            self.sweep(&mut state, Instant::now());
        }
        if state.jobs.len() + state.preparing >= capacity {
            return Err(ServiceError::Overloaded { retry_after: self.retry_after(&state) });
        }
        if !state.jobs.is_empty() || state.preparing + state.running > 0 {
            state.met = Some(Instant::now());
        }
        state.preparing += 1;
        Metrics::count(&self.metrics.admitted);
        Ok(Place { queue: Arc::clone(self), taken: true })
    }

    /// When the backlog should be worked off. A guess, kept within what is sensible to tell a client.
    fn retry_after(&self, state: &State) -> Duration {
        let guess = self.metrics.estimate(state.tokens).unwrap_or(Duration::from_millis(200));
        guess.clamp(Duration::from_millis(50), Duration::from_secs(30))
    }

    /// Drops jobs that nobody waits for.
    fn sweep(&self, state: &mut State, now: Instant) {
        let before = state.jobs.len();
        let waiting = std::mem::take(&mut state.jobs);
        state.jobs = waiting.into_iter().filter_map(|w| self.still_wanted(w, now)).collect();
        state.tokens = state.jobs.iter().map(|w| w.job.prepared.tokens()).sum();
        if state.jobs.len() < before {
            self.room.notify_waiters();
        }
    }

    fn still_wanted(&self, waiting: Waiting, now: Instant) -> Option<Waiting> {
        if waiting.job.deadline <= now {
            Metrics::count(&self.metrics.expired);
            // If the caller has left as well, there is nobody to tell.
            let _ = waiting.job.reply.send(Err(ServiceError::DeadlineExceeded));
            return None;
        }
        if waiting.job.reply.is_closed() {
            Metrics::count(&self.metrics.abandoned);
            return None;
        }
        Some(waiting)
    }

    /// The next batch for a model thread: waits until there is one, `None` once the queue is closed and empty.
    ///
    /// The thread that calls is free, so it takes what is there at once, unless appeals are being tokenized this moment: for
    /// those it waits, at most until the oldest job has waited `max_delay`.
    /// It counts as running until [`Queue::ran`].
    pub(super) fn take(&self, max_tokens: usize, max_delay: Duration) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            let Some(oldest) = state.jobs.iter().map(|waiting| waiting.since).min() else {
                if state.closed && state.preparing == 0 || state.aborted {
                    return None;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let patience = (oldest + max_delay).saturating_duration_since(Instant::now());
            if !patience.is_zero() && state.preparing > 0 && state.tokens < max_tokens {
                state = self.work.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let jobs = self.fill(&mut state, max_tokens);
            self.room.notify_waiters();
            // Empty if nobody waited for any of them.
            if !jobs.is_empty() {
                let nobody = state.jobs.is_empty() && state.preparing + state.running == 0;
                let quiet = state.met.is_none_or(|met| met.elapsed() >= COMPANY);
                let cores = match (nobody, quiet) {
                    (true, true) => Cores::All,
                    (true, false) => Cores::Free,
                    (false, _) => Cores::One,
                };
                state.running += 1;
                return Some(Batch { jobs, cores });
            }
        }
    }

    /// A batch that was taken has its answers.
    pub(super) fn ran(&self) {
        self.lock().running -= 1;
    }

    /// The first in the line, and with it, in order, those that still fit the budget. The first always goes, so a job waits at most as
    /// long as it takes to run everything before it. A batch is its tokens laid end to end, so long and short appeals share it
    /// without a loss.
    fn fill(&self, state: &mut State, max_tokens: usize) -> Vec<Job> {
        let now = Instant::now();
        let (mut batch, mut total) = (Vec::new(), 0);
        let waiting = std::mem::take(&mut state.jobs);
        for waiting in waiting.into_iter().filter_map(|w| self.still_wanted(w, now)) {
            let tokens = waiting.job.prepared.tokens();
            if batch.is_empty() || total + tokens <= max_tokens {
                total += tokens;
                batch.push(waiting.job);
            } else {
                state.jobs.push_back(waiting);
            }
        }
        state.tokens = state.jobs.iter().map(|w| w.job.prepared.tokens()).sum();
        batch
    }

    /// No more appeals; those inside are still answered.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.notify_waiters();
        self.work.notify_all();
    }

    /// No more patience: whatever waits is refused. What the model is running is not interrupted.
    pub(super) fn abort(&self) {
        let mut state = self.lock();
        (state.closed, state.aborted, state.tokens) = (true, true, 0);
        for waiting in state.jobs.drain(..) {
            let _ = waiting.job.reply.send(Err(ServiceError::ShuttingDown));
        }
        drop(state);
        self.room.notify_waiters();
        self.work.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held is our own bug; the state stays usable, and the service must live.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, held while the appeal is tokenized. Dropped, it is free again.
pub(super) struct Place {
    queue: Arc<Queue>,
    taken: bool,
}

impl Place {
    /// Puts the tokenized appeal in.
    pub(super) fn submit(mut self, job: Job) {
        let mut state = self.queue.lock();
        self.taken = false;
        state.preparing -= 1;
        if state.aborted {
            let _ = job.reply.send(Err(ServiceError::ShuttingDown));
        } else {
            let tokens = job.prepared.tokens();
            let takes = self.queue.metrics.estimate(tokens).unwrap_or(FIRST_GUESS * tokens as u32);
            state.insert(job, Instant::now(), takes);
            Metrics::count(&self.queue.metrics.queued);
        }
        drop(state);
        self.queue.work.notify_all();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.taken {
            self.queue.lock().preparing -= 1;
            self.queue.room.notify_waiters();
            self.queue.work.notify_all();
        }
    }
}
