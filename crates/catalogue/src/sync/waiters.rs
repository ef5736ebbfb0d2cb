//! Callers that wait until the files of a release are published.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use debridfs_provider::ContentId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::Result;

/// Who waits for which release.
#[derive(Default)]
pub(crate) struct Waiters {
    waiting: Mutex<HashMap<ContentId, Vec<oneshot::Sender<Result<()>>>>>,
    stopped: AtomicBool,
}

impl Waiters {
    /// Waits for the publication of a release's contents.
    pub(crate) fn wait_for(&self, content: ContentId) -> oneshot::Receiver<Result<()>> {
        let (sender, receiver) = oneshot::channel();
        if self.stopped.load(Ordering::Acquire) {
            return receiver;
        }
        let mut waiting = self.waiting.lock();
        let list = waiting.entry(content).or_default();
        list.retain(|waiter| !waiter.is_closed());
        list.push(sender);
        receiver
    }

    /// Releases that somebody waits for.
    pub(crate) fn awaited(&self) -> Vec<ContentId> {
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, list| {
            list.retain(|waiter| !waiter.is_closed());
            !list.is_empty()
        });
        waiting.keys().copied().collect()
    }

    /// Tells those who wait for `hash`.
    pub(crate) fn answer(&self, content: ContentId, answer: impl Fn() -> Result<()>) {
        let list = self.waiting.lock().remove(&content);
        for waiter in list.into_iter().flatten() {
            // One that does not wait any more needs no answer.
            waiter.send(answer()).unwrap_or_default();
        }
    }

    /// Ends all waiting, now and later, without an answer.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.waiting.lock().clear();
    }
}
