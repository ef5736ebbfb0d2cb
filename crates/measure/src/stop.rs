//! Ctrl-C and SIGTERM: what was started is ended and unmounted first.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Result};

static STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on a signal makes [`check`] fail instead of ending the program.
///
/// # Errors
/// When signals cannot be caught.
pub fn on_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(entered);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        STOPPED.store(true, Relaxed);
    });
    Ok(())
}

/// Fails once the program is to end; the guards of what runs are dropped on the way out.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn check() -> Result<()> {
    if STOPPED.load(Relaxed) {
        return Err(Error::Interrupted);
    }
    Ok(())
}
