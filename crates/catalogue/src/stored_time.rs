//! Times as the store keeps them: whole microseconds.

use jiff::Timestamp;

/// `at` in whole microseconds, as the store keeps it: what is shown before a restart is shown after it.
pub(crate) fn stored_time(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// A time that was stored; `None` if no calendar has it.
pub(crate) fn read_time(microseconds: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds).ok()
}
