//! How urgent a request is, which may change while it waits.

use debridfs_provider::Priority;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The priority of one request after the other of one lane. Who owns the lane sets it, the queue follows.
#[derive(Debug)]
pub(crate) struct Urgency {
    priority: Mutex<Priority>,
    changed: Notify,
}

impl Urgency {
    pub(crate) fn new(priority: Priority) -> Self {
        Self {
            priority: Mutex::new(priority),
            changed: Notify::new(),
        }
    }

    pub(crate) fn set(&self, priority: Priority) {
        let before = std::mem::replace(&mut *self.priority.lock(), priority);
        if before != priority {
            self.changed.notify_one();
        }
    }

    pub(crate) fn priority(&self) -> Priority {
        *self.priority.lock()
    }

    /// Resolves when the priority changed since the last call; one may wait at a time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
