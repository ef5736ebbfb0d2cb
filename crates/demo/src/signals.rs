//! The signals that end the demo.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{DemoError, Doing};

/// The signals that end the demo.
pub(crate) struct Signals([Signal; 3]);

impl Signals {
    pub(crate) fn new() -> Result<Self, DemoError> {
        let one = |kind| signal(kind).doing(|| "signals".into());
        Ok(Self([
            one(SignalKind::interrupt())?,
            one(SignalKind::terminate())?,
            one(SignalKind::hangup())?,
        ]))
    }

    pub(crate) async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
