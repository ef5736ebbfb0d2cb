//! Writes batches to the store in their order, and makes up for those that it refused.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::state::State;
use crate::store::{Batch, Store};

/// How long a store that could not be written is left alone.
const RETRY: Duration = Duration::from_secs(30);

/// The store, and what it lacks.
pub(crate) struct Writer {
    store: Arc<Store>,
    behind: Mutex<Behind>,
}

/// What the store lacks because it could not be written.
#[derive(Debug, Default)]
struct Behind {
    since: Option<Instant>,
    /// The next write is one of everything.
    all: bool,
    /// Without what the state tells at any time.
    batch: Batch,
}

impl Writer {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            behind: Mutex::default(),
        }
    }

    /// Writes `batch` while `state` is locked, so that batches reach the store in their order. A
    /// store in trouble is tried again now and then, with everything that it missed.
    pub(crate) async fn write(&self, state: &State, mut batch: Batch, now: Timestamp) {
        let mut behind = self.behind.lock().await;
        if std::mem::take(&mut behind.all) || behind.since.is_some() {
            behind.batch.keep(batch);
            if behind.since.is_some_and(|since| since.elapsed() < RETRY) {
                return;
            }
            batch = state.snapshot(std::mem::take(&mut behind.batch));
        }
        let batch = Arc::new(batch);
        match self.store.write(batch.clone(), now).await {
            Ok(()) => behind.since = None,
            // The store has told the log.
            Err(_) => {
                behind.batch.keep(Arc::unwrap_or_clone(batch));
                behind.since = Some(Instant::now());
            }
        }
    }

    /// Somebody may have changed the state and not come to write that: the next write is one of
    /// everything.
    pub(crate) async fn owe_everything(&self) {
        self.behind.lock().await.all = true;
    }

    /// Whether the store has to be tried again.
    pub(crate) async fn is_behind(&self) -> bool {
        let behind = self.behind.lock().await;
        behind.all || behind.since.is_some()
    }
}
