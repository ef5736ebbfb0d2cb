//! The one limit of all buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes that may be held by all windows together.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
    windows: AtomicUsize,
}

/// One window's part of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Grant {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicU64::new(0),
            windows: AtomicUsize::new(0),
        })
    }

    /// Bytes granted now.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Windows that hold a grant.
    pub(crate) fn windows(&self) -> usize {
        self.windows.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// An empty grant.
    pub(crate) fn grant(self: &Arc<Self>) -> Grant {
        self.windows.fetch_add(1, Ordering::Relaxed);
        Grant {
            budget: self.clone(),
            bytes: 0,
        }
    }

    fn try_take(&self, bytes: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .is_ok()
    }
}

impl Grant {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What one window may have, so that all may have the same.
    pub(crate) fn fair_share(&self) -> u64 {
        self.budget.limit / self.budget.windows().max(1) as u64
    }

    /// Grows to `bytes` if the limit allows it.
    pub(crate) fn try_grow(&mut self, bytes: u64) -> bool {
        if bytes <= self.bytes {
            return true;
        }
        let grown = self.budget.try_take(bytes - self.bytes);
        if grown {
            self.bytes = bytes;
        }
        grown
    }

    /// Grows to `bytes` whatever the limit says: for what somebody waits for.
    pub(crate) fn force(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.budget
                .used
                .fetch_add(bytes - self.bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }

    /// Shrinks to `bytes`.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.budget
                .used
                .fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.shrink(0);
        self.budget.windows.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_forced_bytes_go_above_the_limit(
            limit in 0u64..10_000,
            steps in proptest::collection::vec((0usize..6, 0u64..4_000, 0u8..4), 0..200),
        ) {
            let budget = Budget::new(limit);
            let mut grants: Vec<Grant> = (0..6).map(|_| budget.grant()).collect();
            // The most that each grant was forced to since it was last empty.
            let mut forced = [0u64; 6];
            for (at, bytes, what) in steps {
                match what {
                    0 | 1 => { grants[at].try_grow(bytes); }
                    2 => {
                        grants[at].force(bytes);
                        forced[at] = forced[at].max(bytes);
                    }
                    _ => {
                        grants[at].shrink(bytes);
                        forced[at] = forced[at].min(bytes);
                    }
                }
                prop_assert_eq!(budget.used(), grants.iter().map(Grant::bytes).sum::<u64>());
                prop_assert!(budget.used() <= limit + forced.iter().sum::<u64>());
            }
            drop(grants);
            prop_assert_eq!(budget.used(), 0);
            prop_assert_eq!(budget.windows(), 0);
        }
    }
}
