//! Waiting: with tokio's timers, or to the point where a real client looks at milliseconds.

use std::time::Duration;

use tokio::time::Instant;

/// What tokio's timers are not trusted with: they tick every millisecond, and fire up to one late.
const TICKS: Duration = Duration::from_millis(2);

/// Waits for `length`; comes back at once when there is none: a timer of no length would fire at its next tick.
pub(crate) async fn pause(length: Duration) {
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}

/// Waits until `until`, and some ten microseconds longer. Not for a clock that a test stopped.
pub(crate) async fn pause_precisely(until: Instant) {
    if let Some(most) = until.checked_sub(TICKS)
        && most > Instant::now()
    {
        tokio::time::sleep_until(most).await;
    }
    #[expect(clippy::disallowed_methods, reason = "in a thread for what blocks")]
    let rest = move || std::thread::sleep(until.saturating_duration_since(Instant::now()));
    if until > Instant::now() && tokio::task::spawn_blocking(rest).await.is_err() {
        // The runtime ends.
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_precise_wait_never_ends_early() {
        for micros in [0, 1, 300, 1700, 5000] {
            let until = Instant::now() + Duration::from_micros(micros);
            pause_precisely(until).await;
            assert!(Instant::now() >= until);
        }
    }
}
