//! Ctrl-C and SIGTERM: the first asks to stop, for the second we wait no longer. SIGHUP asks to read again what may change.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Failure, code};

/// Hears the signals from the moment it exists: whoever is told that we are ready may ask us to stop the moment after.
pub struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl StopSignals {
    /// Starts to listen; needs a runtime around it.
    pub fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Completes when somebody asks the process to stop.
    pub async fn asked(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            // It cannot be heard, so nobody ever asks.
            std::future::pending::<()>().await;
        }
    }
}

/// Hears SIGHUP from the moment it exists. Elsewhere than on Unix nobody ever sends it.
pub struct ReloadSignals {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl ReloadSignals {
    /// Starts to listen; needs a runtime around it.
    pub fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self { hangup: signal(SignalKind::hangup())? })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Completes when somebody asks the process to read again.
    pub async fn asked(&mut self) {
        #[cfg(unix)]
        if self.hangup.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// A flag for work that looks at it now and then: true once a stop was asked for. A second signal ends the process at once.
pub fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        StopSignals::listen()?
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            signals.asked().await;
            flag.store(true, Ordering::Relaxed);
            signals.asked().await;
            std::process::exit(i32::from(code::INTERRUPTED));
        });
    })?;
    Ok(stop)
}
