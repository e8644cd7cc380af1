//! All cores at work on one batch. A short one is a row of steps of a few dozen microseconds each, and between two of them a thread of
//! rayon's falls asleep and has to be woken: a good part of the whole time. So the pool is kept awake while a batch runs.
//!
//! Who keeps awake waits for the end of the batch, so it must never stand in the way of that end. Two rules see to it: nothing that
//! [`each`] gives away waits for anything itself, and a thread that is in charge of a batch keeps awake for no other, so that no
//! batch waits for another's end. (That two never wait for each other would follow from the order in which rayon steals as well; this
//! does not rest on it.)

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rayon::Yield;

/// No more are kept awake, and share a product's columns: each has to look for work where all the others look, and of a short text
/// there is little for so many. Not measured: where this was written there were two.
const MOST: usize = 8;

thread_local! {
    /// Whether this thread is in charge of a batch.
    static IN_CHARGE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` in the pool, whose other threads (up to [`MOST`]) look for its steps and do not fall asleep until it is over.
pub(super) fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let over = &AtomicBool::new(false);
    rayon::scope(|scope| {
        for _ in 1..sharing() {
            scope.spawn(|_| {
                while !over.load(Relaxed) && !IN_CHARGE.get() {
                    if rayon::yield_now() != Some(Yield::Executed) {
                        std::hint::spin_loop();
                    }
                }
            });
        }
        let _charge = Charge::of(over);
        work()
    })
}

/// How many cores can be counted on while a batch runs on all of them.
pub(super) fn sharing() -> usize {
    rayon::current_num_threads().min(MOST)
}

/// Held while a batch runs; dropped even if it panics.
struct Charge<'a>(&'a AtomicBool);

impl<'a> Charge<'a> {
    fn of(over: &'a AtomicBool) -> Self {
        IN_CHARGE.set(true);
        Self(over)
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        IN_CHARGE.set(false);
        self.0.store(true, Relaxed);
    }
}

/// Runs `work` on each task, on all cores or on this one.
pub(super) fn each<T: Send>(parallel: bool, tasks: impl ExactSizeIterator<Item = T> + Send, work: impl Fn(T) + Sync) {
    if !parallel {
        return tasks.for_each(work);
    }
    let helpers = tasks.len().min(rayon::current_num_threads()).saturating_sub(1);
    let tasks = Mutex::new(tasks);
    // A lock is poisoned by the iterator's panic alone, which ends all of this.
    let next = || tasks.lock().ok().and_then(|mut tasks| tasks.next());
    let help = || {
        while let Some(task) = next() {
            work(task);
        }
    };
    rayon::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| help());
        }
        help();
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    #[test]
    fn every_task_is_done_once_however_many_batches_run_at_the_same_time() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("a pool");
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for round in 0..100 {
                        let mut done = vec![0u8; round % 9];
                        // Others get a turn in the middle of a task, so that whoever is in charge has to wait for them.
                        let work = |done: &mut u8| {
                            thread::yield_now();
                            *done += 1;
                        };
                        pool.install(|| awake(|| (0..5).for_each(|_| each(true, done.iter_mut(), work))));
                        assert_eq!(done, vec![5; round % 9]);
                    }
                });
            }
        });
    }

    #[test]
    fn a_batch_that_panics_lets_the_threads_go() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
        for fails in [true, false] {
            let done = AtomicUsize::new(0);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pool.install(|| {
                    awake(|| {
                        each(true, 0..8, |task| {
                            assert!(!fails || task != 3, "planned");
                            done.fetch_add(1, Relaxed);
                        });
                    });
                });
            }));
            assert_eq!((outcome.is_err(), done.load(Relaxed) == 8), (fails, !fails));
        }
    }
}
