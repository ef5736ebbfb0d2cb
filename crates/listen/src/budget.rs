//! Bytes that strangers may have in our memory, all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number of bytes that may be held at one time.
#[derive(Debug)]
pub struct ByteBudget {
    limit: u64,
    used: AtomicU64,
}

/// A part of a budget, given back when dropped.
#[derive(Debug)]
pub struct Taken {
    budget: Arc<ByteBudget>,
    bytes: u64,
}

impl ByteBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicU64::new(0),
        })
    }

    /// A part of `bytes`, if so much is left.
    pub fn try_take(self: &Arc<Self>, bytes: u64) -> Option<Taken> {
        let mut taken = Taken {
            budget: self.clone(),
            bytes: 0,
        };
        taken.try_grow(bytes).then_some(taken)
    }

    /// Bytes that are taken now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be taken.
    pub fn limit(&self) -> u64 {
        self.limit
    }
}

impl Taken {
    /// Makes it larger by `more` bytes, if so much is left.
    pub fn try_grow(&mut self, more: u64) -> bool {
        let limit = self.budget.limit;
        let grown = self
            .budget
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(more).filter(|sum| *sum <= limit)
            })
            .is_ok();
        if grown {
            self.bytes += more;
        }
        grown
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_all_is_given_back() {
        let budget = ByteBudget::new(10);
        let mut one = budget.try_take(4).unwrap();
        assert!(budget.try_take(7).is_none());
        let other = budget.try_take(6).unwrap();
        assert!(!one.try_grow(1) && !one.try_grow(u64::MAX));
        drop(other);
        assert!(one.try_grow(6));
        assert_eq!(budget.used(), 10);
        drop(one);
        assert_eq!(budget.used(), 0);
    }
}
