//! How long operations take: the buckets of every histogram in `/metrics`, counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds, both ends included: what is answered from memory
/// takes less than 1 ms, and a read ends within 30 s.
const BOUNDS_US: [u64; 18] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// A histogram of durations. Counting is two additions to atomics.
#[derive(Debug, Default)]
pub struct Latencies {
    /// One more than there are bounds: what took longer.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    micros: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LatencyCounts {
    /// Upper bound in seconds and how many took longer than the bound before and no longer than
    /// this one. The last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// Sum of all, in seconds.
    pub seconds: f64,
}

impl Latencies {
    /// Counts one that took `time`.
    pub fn count(&self, time: Duration) {
        self.count_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts one that took `micros` microseconds.
    pub fn count_micros(&self, micros: u64) {
        let at = BOUNDS_US.partition_point(|bound| *bound < micros);
        self.buckets[at].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    /// What it holds now. Counts that come meanwhile are in it or not.
    pub fn counts(&self) -> LatencyCounts {
        let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6);
        let counts = self.buckets.iter().map(|count| count.load(Relaxed));
        LatencyCounts {
            buckets: bounds.chain([f64::INFINITY]).zip(counts).collect(),
            seconds: self.micros.load(Relaxed) as f64 / 1e6,
        }
    }
}

impl LatencyCounts {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_part_of_their_bucket() {
        let latencies = Latencies::default();
        for micros in [0, 50, 51, 30_000_000, 30_000_001] {
            latencies.count_micros(micros);
        }
        latencies.count(Duration::from_millis(1));
        let counts = latencies.counts();
        let filled: Vec<_> = counts.buckets.iter().filter(|(_, n)| *n > 0).collect();
        let expected = [
            (0.00005, 2),
            (0.0001, 1),
            (0.001, 1),
            (30.0, 1),
            (f64::INFINITY, 1),
        ];
        assert_eq!(filled, expected.iter().collect::<Vec<_>>());
        assert_eq!(counts.count(), 6);
        assert!((counts.seconds - 60.001_102).abs() < 1e-9, "{counts:?}");
    }
}
