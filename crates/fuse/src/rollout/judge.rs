//! Whether the new backend does worse than it may: pure, over what was counted.
//!
//! A limit fires when the new backend is above it at three looks in a row, with enough samples in
//! the window, while the old one is below half of it. What fails for both is the library's, the
//! host's or a provider's trouble, and no reason to go back.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan::RolloutSettings;

/// Looks in a row above a limit before it fires: a moment's trouble rolls nothing back.
const LOOKS: u32 = 3;

/// Below this share of a limit the looks above it are forgotten; between the two they stand.
const CALM: f64 = 0.8;

/// The old backend can excuse the new one with this share of the samples that are wanted of the new
/// one: late in a rollout it answers few requests.
const PRIMARY_SAMPLES: u64 = 10;

/// Percent of the requests that may be slower than the 99th percentile may be.
const SLOW_PERCENT: f64 = 1.0;

/// What one backend answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SideCounts {
    /// Requests.
    pub requests: u64,
    /// Of these, those that failed by a fault of the backend.
    pub errors: u64,
    /// Those that took longer than the limit of the 99th percentile.
    pub slow: u64,
    /// Those that took longer than half of it.
    pub half_slow: u64,
}

/// What was counted, since the last look or in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// The backend that answered before.
    pub primary: SideCounts,
    /// The one that is rolled out.
    pub canary: SideCounts,
    /// Requests that both answered.
    pub compared: u64,
    /// Of these, those about which they differ.
    pub diverged: u64,
}

impl SideCounts {
    fn each(&mut self, other: &Self, change: fn(&mut u64, u64)) {
        change(&mut self.requests, other.requests);
        change(&mut self.errors, other.errors);
        change(&mut self.slow, other.slow);
        change(&mut self.half_slow, other.half_slow);
    }
}

impl Sample {
    fn each(&mut self, other: &Self, change: fn(&mut u64, u64)) {
        self.primary.each(&other.primary, change);
        self.canary.each(&other.canary, change);
        change(&mut self.compared, other.compared);
        change(&mut self.diverged, other.diverged);
    }

    /// What came since `before`, of counters that only grow.
    pub(crate) fn since(mut self, before: &Self) -> Self {
        self.each(before, |now, before| *now = now.saturating_sub(before));
        self
    }

    fn add(&mut self, other: &Self) {
        self.each(other, |sum, more| *sum += more);
    }
}

/// A limit that the new backend passed. Numbers are percent of the requests in the window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fault")]
pub enum Fault {
    /// Too many errors.
    Errors {
        /// Failed requests.
        percent: f64,
        /// How many may be.
        limit: f64,
    },
    /// Too slow.
    Slow {
        /// Requests that took longer than the 99th percentile may be.
        percent: f64,
        /// That time in seconds.
        seconds: f64,
    },
    /// Too many divergences.
    Diverged {
        /// Compared requests that differ.
        percent: f64,
        /// How many may.
        limit: f64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors { percent, limit } => {
                write!(out, "{percent:.2} % of its requests fail ({limit} % may)")
            }
            Self::Slow { percent, seconds } => write!(
                out,
                "{percent:.2} % of its requests take longer than {seconds} s ({SLOW_PERCENT} % may)"
            ),
            Self::Diverged { percent, limit } => write!(
                out,
                "{percent:.2} % of the compared requests differ ({limit} % may): see `debridfs backend diff`"
            ),
        }
    }
}

fn percent(part: u64, of: u64) -> f64 {
    if of == 0 {
        return 0.0;
    }
    part as f64 / of as f64 * 100.0
}

/// One limit at one look.
struct Measured {
    fault: Fault,
    now: f64,
    limit: f64,
    /// Whether there are enough samples.
    enough: bool,
    /// Whether the window holds something that the last look did not see.
    fresh: bool,
    /// Whether the old backend does as badly.
    excused: bool,
}

/// Judges what is counted.
#[derive(Debug)]
pub(crate) struct Judge {
    settings: RolloutSettings,
    /// Looks with their time, the oldest first.
    looks: VecDeque<(Duration, Sample)>,
    window: Sample,
    /// Looks above each limit in a row.
    above: [u32; 3],
}

impl Judge {
    pub(crate) fn new(settings: RolloutSettings) -> Self {
        Self {
            settings,
            looks: VecDeque::new(),
            window: Sample::default(),
            above: [0; 3],
        }
    }

    /// What the window holds.
    pub(crate) fn window(&self) -> Sample {
        self.window
    }

    /// Whether no limit is passed, for now.
    pub(crate) fn is_calm(&self) -> bool {
        self.above == [0; 3]
    }

    /// Takes what came until `now`, which only grows; the limit that fires, if one does.
    pub(crate) fn look(&mut self, now: Duration, came: Sample) -> Option<Fault> {
        self.window.add(&came);
        self.looks.push_back((now, came));
        while let Some((at, old)) = self.looks.front()
            && *at + self.settings.window <= now
        {
            self.window = self.window.since(old);
            self.looks.pop_front();
        }
        let measured = self.measure(&came);
        for (above, one) in self.above.iter_mut().zip(&measured) {
            if !one.enough || one.excused || one.now < one.limit * CALM {
                *above = 0;
            } else if one.now > one.limit && one.fresh {
                *above += 1;
            }
        }
        let mut all = self.above.iter().zip(measured);
        all.find_map(|(above, one)| (*above >= LOOKS).then_some(one.fault))
    }

    fn measure(&self, came: &Sample) -> [Measured; 3] {
        let Self {
            settings, window, ..
        } = self;
        let (canary, primary) = (window.canary, window.primary);
        let enough = canary.requests >= settings.least_samples;
        let fresh = came.canary.requests > 0;
        let tells = primary.requests > settings.least_samples / PRIMARY_SAMPLES;
        let errors = percent(canary.errors, canary.requests);
        let limit = settings.error_percent;
        let same = tells && percent(primary.errors, primary.requests) >= limit / 2.0;
        let slow = percent(canary.slow, canary.requests);
        let seconds = settings.p99.as_secs_f64();
        let as_slow = tells && percent(primary.half_slow, primary.requests) > SLOW_PERCENT;
        let diverged = percent(window.diverged, window.compared);
        let most = settings.divergence_percent;
        [
            Measured {
                fault: Fault::Errors {
                    percent: errors,
                    limit,
                },
                now: errors,
                limit,
                enough,
                fresh,
                excused: same,
            },
            Measured {
                fault: Fault::Slow {
                    percent: slow,
                    seconds,
                },
                now: slow,
                limit: SLOW_PERCENT,
                enough,
                fresh,
                excused: as_slow,
            },
            Measured {
                fault: Fault::Diverged {
                    percent: diverged,
                    limit: most,
                },
                now: diverged,
                limit: most,
                enough: window.compared >= settings.least_samples,
                fresh: came.compared > 0,
                // They differ from each other: neither can excuse the other.
                excused: false,
            },
        ]
    }
}

#[cfg(test)]
mod tests;
