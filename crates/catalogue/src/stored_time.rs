//! Times as the store keeps them: whole microseconds.

use jiff::{SignedDuration, Timestamp};

/// `at` in whole microseconds, as the store keeps it: what is shown before a restart is shown after it.
pub(crate) fn stored_time(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// As far from the ends of the calendar, no span of the program leads out of it: a century.
const FROM_THE_ENDS: SignedDuration = SignedDuration::from_hours(24 * 365 * 100);

/// A time that was stored; `None` if it is none to reckon with.
pub(crate) fn read_time(microseconds: i64) -> Option<Timestamp> {
    let at = Timestamp::from_microsecond(microseconds).ok()?;
    let has_room = at.checked_add(FROM_THE_ENDS).is_ok() && at.checked_sub(FROM_THE_ENDS).is_ok();
    has_room.then_some(at)
}
