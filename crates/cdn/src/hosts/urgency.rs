//! How much bytes are wanted, which may change while they are asked for.

use debridfs_provider::Priority;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What bytes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A reader waits for them.
    Waited,
    /// They are read ahead.
    Ahead,
    /// Another connection for them only makes things faster: it waits for nothing.
    Spare,
}

/// How much the bytes are wanted that one lane asks for. Its owner sets it, the queue and the request follow.
#[derive(Debug)]
pub struct Urgency {
    now: Mutex<(Priority, Need)>,
    changed: Notify,
}

impl Urgency {
    /// An urgency to begin with.
    pub fn new(priority: Priority, need: Need) -> Self {
        Self {
            now: Mutex::new((priority, need)),
            changed: Notify::new(),
        }
    }

    /// Before whom the bytes are asked for from now on, and what for.
    pub fn set(&self, priority: Priority, need: Need) {
        let before = std::mem::replace(&mut *self.now.lock(), (priority, need));
        if before.0 != priority {
            self.changed.notify_one();
        }
    }

    /// Before whom the bytes are asked for.
    pub fn priority(&self) -> Priority {
        self.now.lock().0
    }

    /// What the bytes are for.
    pub fn need(&self) -> Need {
        self.now.lock().1
    }

    /// Resolves when the priority changed since the last call; one may wait at a time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
