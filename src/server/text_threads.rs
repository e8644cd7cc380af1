//! Where what has to be done to a text is done: tokenizing it, looking for what it repeats.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

/// A text of at most so many bytes is read on the thread of its call: 680 characters of Chinese take a quarter of a millisecond. To
/// wake another thread and be woken by it costs both of them. Ninety-nine of a hundred appeals are so short.
const SHORT: usize = 2048;

/// A few threads for long texts, which take milliseconds: the async threads have other calls to see to. Threads of their own, not the
/// runtime's blocking ones: those become more whenever none happens to be idle, and each that ever read a text keeps four megabytes
/// of automata for it.
#[derive(Debug, Clone)]
pub(super) struct TextThreads {
    threads: Arc<ThreadPool>,
}

/// The work panicked: a bug of ours, which costs one caller the answer and nobody else.
#[derive(Debug)]
pub(super) struct Panicked;

impl TextThreads {
    /// Starts so many threads.
    pub(super) fn new(threads: usize) -> std::io::Result<Self> {
        let threads = ThreadPoolBuilder::new().num_threads(threads).thread_name(|number| format!("paidan-text-{number}"));
        Ok(Self { threads: Arc::new(threads.build().map_err(std::io::Error::other)?) })
    }

    /// Does the work on a text of so many bytes. Dropped before its turn came, it is not done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        // Work that panicked leaves nothing behind: what it made is dropped with it.
        let work = || catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked);
        if bytes <= SHORT {
            return work();
        }
        let (reply, done) = oneshot::channel();
        let work = move || {
            if !reply.is_closed() {
                // Whoever has left by now needs no result.
                let _ = reply.send(work());
            }
        };
        self.threads.spawn(work);
        done.await.unwrap_or(Err(Panicked))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread::current;

    use super::*;

    fn threads(count: usize) -> TextThreads {
        TextThreads::new(count).expect("threads")
    }

    #[tokio::test]
    async fn a_short_text_stays_on_its_thread_and_long_ones_share_a_few() {
        let (threads, here) = (threads(1), current().id());
        assert_eq!(threads.run(SHORT, || current().id()).await.expect("no panic"), here);
        let there = threads.run(SHORT + 1, || current().id()).await.expect("no panic");
        assert_ne!(there, here);
        for _ in 0..20 {
            assert_eq!(threads.run(SHORT + 1, || current().id()).await.expect("no panic"), there);
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_lives() {
        let threads = threads(1);
        for bytes in [1, 1, SHORT + 1, SHORT + 1] {
            assert!(threads.run(bytes, || panic!("a bug")).await.is_err());
        }
        assert_eq!(threads.run(SHORT + 1, || 7).await.expect("no panic"), 7);
    }

    #[tokio::test]
    async fn whoever_leaves_before_its_turn_takes_its_text_along() {
        let threads = threads(1);
        let ((go, wait), (done, sees), (began, begun)) = (channel::<()>(), channel(), oneshot::channel());
        let first = tokio::spawn({
            let threads = threads.clone();
            async move { threads.run(SHORT + 1, move || began.send(()).is_ok() && wait.recv().is_ok()).await }
        });
        begun.await.expect("the first has the thread");
        // Asked once, so that it stands in the line, and then given up.
        tokio::select! {
            biased;
            _ = threads.run(SHORT + 1, move || done.send("read")) => panic!("the thread was taken"),
            () = std::future::ready(()) => {}
        }
        go.send(()).expect("somebody waits");
        assert!(first.await.expect("no panic").expect("no panic"));
        assert_eq!(threads.run(SHORT + 1, || "third").await.expect("no panic"), "third");
        assert!(sees.try_recv().is_err(), "nobody waited for the second");
    }
}
