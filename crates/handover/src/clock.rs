use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine was started, suspend included (`CLOCK_BOOTTIME`).
///
/// It is the clock of every time in the journal: keeper and engine, in whatever container, read
/// the same value, and nobody can set it.
pub fn boottime_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
