//! Films that no account can give any more.
//!
//! A media server asks again and again for what is answered 503, and its scan stands still; what is
//! answered 404 it passes over. So a film whose every copy has a final verdict is answered 503 for a
//! minute, as verdicts have been taken back, and 404 from then on. The verdict itself is not kept:
//! each GET asks for the bytes, and the film is there again as soon as they come.

use std::collections::HashMap;
use std::time::Duration;

use debridfs_vfs::NodeId;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long it is answered 503.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// Films that are remembered, 1 MiB of them. Beyond it the one goes that was lost first: its next
/// reader is told 503 for a minute again.
const MOST: usize = 32_000;

/// When films were found lost, of those that were not read since.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    since: Mutex<HashMap<NodeId, Instant>>,
}

/// What the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// 503: ask again in this time.
    Waits(Duration),
    /// 404.
    Gone,
}

impl Lost {
    /// No account can give `film`.
    pub(crate) fn note(&self, film: NodeId) -> Fate {
        let now = Instant::now();
        let mut since = self.since.lock();
        if since.len() >= MOST && !since.contains_key(&film) {
            let first = since.iter().min_by_key(|(_, at)| **at).map(|(id, _)| *id);
            first.and_then(|id| since.remove(&id));
        }
        fate(*since.entry(film).or_insert(now), now)
    }

    /// What was found of `film` last; `None` if it was read since, or never lost.
    pub(crate) fn of(&self, film: NodeId) -> Option<Fate> {
        let at = *self.since.lock().get(&film)?;
        Some(fate(at, Instant::now()))
    }

    /// `film` could be read.
    pub(crate) fn found(&self, film: NodeId) {
        self.since.lock().remove(&film);
    }
}

fn fate(since: Instant, now: Instant) -> Fate {
    match GRACE.checked_sub(now.duration_since(since)) {
        Some(left) if !left.is_zero() => Fate::Waits(left),
        _ => Fate::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_makes_room_and_a_film_that_was_read_begins_again() {
        let lost = Lost::default();
        for id in 0..MOST as u64 {
            assert_eq!(lost.note(NodeId(id)), Fate::Waits(GRACE));
            if id == 0 {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
        }
        lost.note(NodeId(u64::MAX));
        assert_eq!(lost.of(NodeId(0)), None);
        assert_eq!(lost.since.lock().len(), MOST);
        tokio::time::advance(GRACE).await;
        assert_eq!(lost.note(NodeId(1)), Fate::Gone);
        lost.found(NodeId(1));
        assert_eq!(lost.of(NodeId(1)), None);
        assert_eq!(lost.note(NodeId(1)), Fate::Waits(GRACE));
    }
}
