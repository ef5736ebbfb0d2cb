//! What failed in a row while a range was fetched, and what is tried next.

use debridfs_provider::Source;
use tokio::time::Instant;

use crate::error::{Blame, Cause};
use crate::tuning::trouble::{BACK_OFF, FAILURES_PER_SOURCE, LEAST_PAUSE};

/// What failed in a row, and what follows from it.
#[derive(Default)]
pub(crate) struct Trouble {
    pub(crate) in_a_row: u32,
    /// First bytes that did not come in time, in a row.
    pub(crate) slow: u32,
    /// Failures in a row at the source in use.
    here: u32,
    /// Sources that were left since each of them was tried, and when each may be of use again.
    left: Vec<(Source, Instant)>,
    /// When the source in use may have a link, if it has none.
    link_at: Option<Instant>,
    /// Sources that cannot give the file however long it is waited, in a row.
    given_up: usize,
    pub(crate) pause: Option<Instant>,
}

impl Trouble {
    /// The source in use has no link before `until`.
    pub(crate) fn soonest(&mut self, until: Instant) {
        self.link_at = Some(until);
    }

    /// Whether `source` was left, and others were not yet tried.
    pub(crate) fn has_left(&self, source: &Source) -> bool {
        self.left.iter().any(|(left, _)| left == source)
    }

    /// Whether each of `sources` said last that it cannot give the file.
    pub(crate) fn is_hopeless(&self, sources: usize) -> bool {
        self.given_up > 0 && self.given_up >= sources
    }

    /// Decides what comes after `cause` at `source`, one of `sources` that may be used: how long a pause, and whether another one
    /// is tried, which is returned.
    pub(crate) fn note(&mut self, cause: &Cause, source: Option<&Source>, sources: usize) -> bool {
        self.in_a_row += 1;
        self.here += 1;
        self.slow = match cause {
            Cause::FirstByte(_) => self.slow + 1,
            _ => 0,
        };
        if matches!(cause, Cause::Differs(_)) && source.is_some() {
            // It is none of `sources` any more.
            self.here = 0;
            return true;
        }
        self.given_up = match cause.is_final() {
            true => self.given_up + 1,
            false => 0,
        };
        let now = Instant::now();
        let no_link = match cause {
            Cause::Link { .. } | Cause::LinkRefused | Cause::UnknownProvider(_) => {
                Some(self.link_at.take().unwrap_or(now).max(now + LEAST_PAUSE))
            }
            _ => None,
        };
        if sources <= 1 {
            self.pause = no_link.or_else(|| self.pause_here(cause, now));
            return false;
        }
        if !self.is_enough(cause) {
            self.pause = self.pause_here(cause, now);
            return false;
        }
        self.here = 0;
        let again = no_link.unwrap_or_else(|| now + BACK_OFF.after(self.in_a_row));
        if let Some(source) = source {
            self.left.retain(|(left, _)| left != source);
            self.left.push((source.clone(), again));
        }
        if self.left.len() >= sources {
            // Each was tried. The one that failed just now is the last again: where many wait for a turn there, the others are asked meanwhile.
            self.pause = self.left.iter().map(|(_, again)| *again).min();
            self.left.drain(..self.left.len() - 1);
        }
        true
    }

    /// Whether another source is the better bet now.
    fn is_enough(&self, cause: &Cause) -> bool {
        match cause {
            // It took its time already, or says that waiting is of no use.
            Cause::Link { .. } | Cause::LinkRefused | Cause::UnknownProvider(_) => true,
            Cause::FirstByte(_) | Cause::Stalled(_) | Cause::Connect(_) => true,
            _ => cause.blame() == Blame::Host || self.here >= FAILURES_PER_SOURCE,
        }
    }

    /// How long a pause at the same source.
    fn pause_here(&self, cause: &Cause, now: Instant) -> Option<Instant> {
        match cause.blame() {
            // The next link is a new one or another key's, or there is none.
            Blame::Link | Blame::Key => None,
            Blame::Host => Some(now + BACK_OFF.after(self.in_a_row)),
            // The first attempt after a chance failure goes out at once, on another connection.
            Blame::Chance if self.in_a_row == 1 => None,
            Blame::Chance => Some(now + BACK_OFF.after(self.in_a_row - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use debridfs_provider::{HosterLink, TorrentId};

    use super::*;

    fn source(provider: &str) -> Source {
        Source {
            provider: provider.to_owned(),
            torrent: TorrentId("T".to_owned()),
            link: HosterLink("l".to_owned()),
            part: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_left_at_once_or_at_the_second_chance_and_nobody_waits_while_there_are_others()
     {
        let (a, b) = (source("a"), source("b"));
        let broken = Cause::Transport("reset".to_owned());
        let mut trouble = Trouble::default();
        assert!(!trouble.note(&broken, Some(&a), 2));
        assert!(trouble.note(&broken, Some(&a), 2));
        assert!(trouble.has_left(&a) && trouble.pause.is_none());
        // Both were tried: a pause, and from the start.
        let stalled = Cause::Stalled(Duration::from_secs(1));
        assert!(trouble.note(&stalled, Some(&b), 2));
        assert!(!trouble.has_left(&a) && trouble.has_left(&b));
        assert!(trouble.pause.is_some());
        // What has no link for long is not waited for while another one may be of use before.
        trouble.soonest(Instant::now() + Duration::from_secs(300));
        assert!(trouble.note(&Cause::LinkRefused, Some(&a), 2));
        let soon = Instant::now() + Duration::from_secs(60);
        assert!(trouble.pause.is_some_and(|until| until < soon));
        assert!(trouble.has_left(&a) && !trouble.has_left(&b));
        // Where there is no other one it is tried again and again.
        let mut alone = Trouble::default();
        for failure in 0..5 {
            assert!(!alone.note(&stalled, Some(&a), 1));
            assert_eq!(alone.pause.is_some(), failure > 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_differs_counts_no_more() {
        let (a, b) = (source("a"), source("b"));
        let dead = Cause::NoSource;
        let mut trouble = Trouble::default();
        trouble.note(&dead, Some(&a), 2);
        assert!(!trouble.is_hopeless(2));
        assert!(trouble.note(&Cause::Differs("T".to_owned()), Some(&b), 1));
        assert!(trouble.is_hopeless(1));
    }
}
