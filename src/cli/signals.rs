//! Ctrl-C and SIGTERM: the first asks to stop, for the second we wait no longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Failure, code};

/// Completes when somebody asks the process to stop.
pub async fn asked_to_stop() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            asked = tokio::signal::ctrl_c() => asked,
            _ = term.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// A flag for work that looks at it now and then: true once a stop was asked for. A second signal ends the process at once.
pub fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            if asked_to_stop().await.is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
            if asked_to_stop().await.is_ok() {
                std::process::exit(i32::from(code::INTERRUPTED));
            }
        });
    })?;
    Ok(stop)
}
