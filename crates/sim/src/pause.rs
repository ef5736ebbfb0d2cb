//! Waiting, where a wait of nothing is none: a timer of no length would fire at its next tick, up to a millisecond later.

use std::time::Duration;

/// Waits for `length`; comes back at once when there is none.
pub(crate) async fn pause(length: Duration) {
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}
