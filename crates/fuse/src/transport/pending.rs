//! Requests that wait for an answer. Whoever takes one out of the table answers it: so nobody else does.

use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use debridfs_handover::journal::{EntryId, Journal, Origin, Place};
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use tokio::task::AbortHandle;

use crate::wire::{Answerer, InHeader, Reply};

/// A request that waits.
pub(super) struct Waiting {
    pub(super) place: Place,
    pub(super) header: InHeader,
    pub(super) origin: Origin,
    /// Who is to answer.
    pub(super) by: Answerer,
    /// Gives up its future; absent for the moment between its entry into the table and its start.
    pub(super) abort: Option<AbortHandle>,
}

/// All that wait, by `unique`.
#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<u64, Waiting>>);

impl Pending {
    pub(super) fn insert(&self, unique: u64, waiting: Waiting) {
        self.lock().insert(unique, waiting);
    }

    /// Notes how to give it up; if it was taken meanwhile, it is given up now.
    pub(super) fn set_abort(&self, unique: u64, abort: AbortHandle) {
        match self.lock().get_mut(&unique) {
            Some(waiting) => waiting.abort = Some(abort),
            None => abort.abort(),
        }
    }

    pub(super) fn take(&self, unique: u64) -> Option<Waiting> {
        self.lock().remove(&unique)
    }

    pub(super) fn drain(&self) -> Vec<Waiting> {
        self.lock().drain().map(|(_, waiting)| waiting).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        // Whatever panicked left the map whole.
        self.0.lock()
    }
}

/// A request's future, named in the journal as being worked on for as long as it is polled and no longer: a read that only waits is not suspected
/// when the engine dies. Gives `None` if the future panicked.
pub(super) struct Polled {
    journal: Arc<Journal>,
    id: EntryId,
    future: BoxFuture<'static, Reply>,
}

impl Polled {
    pub(super) fn new(
        journal: Arc<Journal>,
        id: EntryId,
        future: BoxFuture<'static, Reply>,
    ) -> Self {
        Self {
            journal,
            id,
            future,
        }
    }
}

impl Future for Polled {
    type Output = Option<Reply>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let _worked_on = this.journal.enter(this.id);
        let future = this.future.as_mut();
        match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(reply)) => Poll::Ready(Some(reply)),
            Err(_) => Poll::Ready(None),
        }
    }
}
