//! The one limit of all buffers.

use crate::tuning::content::LOOKING_SHARE;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes that may be held by all windows together.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    /// Windows of those who play and copy, and of all who read more in sequence than a file's head.
    playing: Pool,
    /// Windows of those who look and scan: a thousand of them take nothing from those who play.
    looking: Pool,
}

#[derive(Debug, Default)]
struct Pool {
    used: AtomicU64,
    windows: AtomicUsize,
}

/// One window's part of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Grant {
    budget: Arc<Budget>,
    playing: bool,
    bytes: u64,
}

impl Pool {
    fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn windows(&self) -> usize {
        self.windows.load(Ordering::Relaxed)
    }

    fn try_take(&self, bytes: u64, limit: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= limit)
            })
            .is_ok()
    }
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            playing: Pool::default(),
            looking: Pool::default(),
        })
    }

    /// Bytes granted now.
    pub(crate) fn used(&self) -> u64 {
        self.playing.used() + self.looking.used()
    }

    /// Whether so much is granted that no byte may hold more memory than it takes.
    pub(crate) fn is_tight(&self) -> bool {
        self.used() > self.limit / 2
    }

    /// Windows that hold a grant.
    pub(crate) fn windows(&self) -> usize {
        self.playing.windows() + self.looking.windows()
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// An empty grant, for somebody of whom nothing is known yet.
    pub(crate) fn grant(self: &Arc<Self>) -> Grant {
        self.looking.windows.fetch_add(1, Ordering::Relaxed);
        Grant {
            budget: self.clone(),
            playing: false,
            bytes: 0,
        }
    }

    fn pool(&self, playing: bool) -> &Pool {
        if playing {
            &self.playing
        } else {
            &self.looking
        }
    }

    /// What all windows of a pool may have together now. What looking readers wait for may go above their part; it is not taken
    /// from those who play.
    fn limit_of(&self, playing: bool) -> u64 {
        let part = self.limit / LOOKING_SHARE;
        if playing {
            self.limit - self.looking.used().min(part)
        } else {
            part.min(self.limit.saturating_sub(self.playing.used()))
        }
    }
}

impl Grant {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts the window among those who play. There is no way back: what they were granted is more than those who look may have, and a
    /// reader that begins to scan has other windows soon.
    pub(crate) fn plays(&mut self) {
        if self.playing {
            return;
        }
        let (from, to) = (&self.budget.looking, &self.budget.playing);
        from.windows.fetch_sub(1, Ordering::Relaxed);
        from.used.fetch_sub(self.bytes, Ordering::Relaxed);
        to.windows.fetch_add(1, Ordering::Relaxed);
        to.used.fetch_add(self.bytes, Ordering::Relaxed);
        self.playing = true;
    }

    pub(crate) fn is_playing(&self) -> bool {
        self.playing
    }

    fn pool(&self) -> &Pool {
        self.budget.pool(self.playing)
    }

    /// What one window may have, so that all of its kind may have the same; an eighth is left for those who come, until the others have
    /// read what they hold.
    pub(crate) fn fair_share(&self) -> u64 {
        let part = self.budget.limit / LOOKING_SHARE;
        let together = if self.playing {
            self.budget.limit - self.budget.looking.used().min(part)
        } else {
            part
        };
        together / 8 * 7 / self.pool().windows().max(1) as u64
    }

    /// Grows to `bytes` if the limit allows it.
    pub(crate) fn try_grow(&mut self, bytes: u64) -> bool {
        if bytes <= self.bytes {
            return true;
        }
        let limit = self.budget.limit_of(self.playing);
        let grown = self.pool().try_take(bytes - self.bytes, limit);
        if grown {
            self.bytes = bytes;
        }
        grown
    }

    /// Grows to `bytes` whatever the limit says: for what somebody waits for.
    pub(crate) fn force(&mut self, bytes: u64) {
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            self.pool().used.fetch_add(more, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }

    /// Shrinks to `bytes`.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        if bytes < self.bytes {
            let less = self.bytes - bytes;
            self.pool().used.fetch_sub(less, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.shrink(0);
        self.pool().windows.fetch_sub(1, Ordering::Relaxed);
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
            steps in proptest::collection::vec((0usize..6, 0u64..4_000, 0u8..5), 0..200),
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
                    3 => grants[at].plays(),
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

    #[test]
    fn a_thousand_looks_leave_three_quarters_to_those_who_play() {
        let budget = Budget::new(1000);
        let mut player = budget.grant();
        player.plays();
        let mut looks: Vec<_> = (0..1000).map(|_| budget.grant()).collect();
        for look in &mut looks {
            look.try_grow(10);
        }
        assert_eq!(budget.used(), 250);
        for look in &mut looks {
            look.force(10);
        }
        assert_eq!(player.fair_share(), 651);
        assert!(player.try_grow(750));
        assert!(!player.try_grow(751));
        drop(looks);
        assert!(player.try_grow(1000));
        // Those who look get what is left.
        assert!(!budget.grant().try_grow(1));
    }
}
