//! Requests that wait for a connection, so that one that has enough for now gives its connection up.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::tuning::hosts::LATELY;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How many wait.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    waiting: AtomicUsize,
    arrived: Notify,
    /// When one came or went last.
    latest: Mutex<Option<Instant>>,
}

impl Crowd {
    /// Whether any wait.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether any wait, or did lately.
    pub(super) fn was_waiting(&self) -> bool {
        let latest = *self.latest.lock();
        self.is_waiting() || latest.is_some_and(|latest| latest.elapsed() < LATELY)
    }

    /// Resolves when one waits, for one of those who ask.
    pub(super) async fn arrival(&self) {
        while !self.is_waiting() {
            self.arrived.notified().await;
        }
    }

    /// As many as `waiting` wait from now on.
    pub(super) fn set(&self, waiting: usize) {
        let before = self.waiting.swap(waiting, Ordering::Relaxed);
        if before != waiting {
            *self.latest.lock() = Some(Instant::now());
        }
        for _ in before..waiting {
            self.arrived.notify_one();
        }
    }
}
