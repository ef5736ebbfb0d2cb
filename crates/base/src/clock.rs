//! The calendar: where a time has to outlive the process. Everything else waits on `tokio::time`.

use jiff::Timestamp;
#[cfg(feature = "tokio")]
use tokio::time::Instant;

/// Tells the time of day.
pub trait WallClock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A calendar that moves with tokio's clock, so that it follows a paused one in tests.
#[cfg(feature = "tokio")]
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    base: Timestamp,
    base_instant: Instant,
}

#[cfg(feature = "tokio")]
impl TokioClock {
    /// A clock that says `base` now.
    pub fn starting_at(base: Timestamp) -> Self {
        Self {
            base,
            base_instant: Instant::now(),
        }
    }
}

#[cfg(feature = "tokio")]
impl WallClock for TokioClock {
    fn now(&self) -> Timestamp {
        self.base
            .saturating_add(self.base_instant.elapsed())
            .unwrap_or(Timestamp::MAX)
    }
}
