//! Which backend answers for which node, in one number: it changes as a whole.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend_kind::BackendKind;

/// The bit that says that `fbrs` is the primary.
const SECOND: u64 = 1 << 63;

/// All nodes.
const ALL: u64 = 1 << 32;

/// Who answers what. The canary's share of 2^32 is in the low bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mix(u64);

impl Mix {
    /// One backend answers everything.
    pub(crate) fn only(active: BackendKind) -> Self {
        Self(match active {
            BackendKind::Native => 0,
            BackendKind::Fbrs => SECOND,
        })
    }

    /// The other one answers for `percent` of the nodes.
    pub(crate) fn with_canary(active: BackendKind, percent: f64) -> Self {
        let share = percent.clamp(0.0, 100.0) / 100.0 * ALL as f64;
        Self(Self::only(active).0 | (share as u64).max(1))
    }

    /// Who answers for the other nodes.
    pub(crate) fn active(self) -> BackendKind {
        match self.0 & SECOND {
            0 => BackendKind::Native,
            _ => BackendKind::Fbrs,
        }
    }

    /// Whether there is a canary.
    pub(crate) fn is_mixed(self) -> bool {
        self.0 & !SECOND != 0
    }

    /// Whether the canary answers for `node`. One that it answers for stays its own as its share grows.
    pub(crate) fn takes(self, node: u64) -> bool {
        hash(node) >> 32 < self.0 & !SECOND
    }
}

/// The finalizer of SplitMix64: node ids of one view differ in few bits.
fn hash(node: u64) -> u64 {
    let mut hash = node.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// A mix that changes between two requests.
#[derive(Debug)]
pub(crate) struct MixCell(AtomicU64);

impl MixCell {
    pub(crate) fn new(mix: Mix) -> Self {
        Self(AtomicU64::new(mix.0))
    }

    pub(crate) fn get(&self) -> Mix {
        Mix(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn set(&self, mix: Mix) {
        self.0.store(mix.0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_stays_with_the_canary_as_its_share_grows() {
        let stages = [0.001, 10.0, 50.0, 75.0, 90.0, 100.0];
        let mixes = stages.map(|percent| Mix::with_canary(BackendKind::Fbrs, percent));
        let mut taken = [0; 6];
        for node in 0..100_000 {
            let takes = mixes.map(|mix| mix.takes(node));
            assert!(takes.is_sorted(), "{node}: {takes:?}");
            for (count, takes) in taken.iter_mut().zip(takes) {
                *count += u32::from(takes);
            }
        }
        for (count, percent) in taken.into_iter().zip(stages) {
            let expected = 1000.0 * percent;
            assert!((f64::from(count) - expected).abs() < 600.0, "{taken:?}");
        }
        assert_eq!(taken[5], 100_000);
    }

    #[test]
    fn without_a_canary_one_answers_all() {
        for active in BackendKind::ALL {
            let mix = Mix::only(active);
            assert_eq!((mix.active(), mix.is_mixed()), (active, false));
            assert!((0..1000).all(|node| !mix.takes(node)));
            let mix = Mix::with_canary(active, 0.0);
            assert_eq!((mix.active(), mix.is_mixed()), (active, true));
        }
    }
}
