//! What failed in a row while a range was fetched, and what is tried next.

use debridfs_provider::Source;
use tokio::time::Instant;

use crate::error::{Blame, Cause};
use crate::tuning::trouble::{BACK_OFF, FAILURES_PER_SOURCE, LEAST_PAUSE};

/// What failed in a row, and what follows from it.
#[derive(Default)]
pub(crate) struct Trouble {
    /// The source in use, counted on without end.
    pub(crate) source: usize,
    pub(crate) in_a_row: u32,
    /// First bytes that did not come in time, in a row.
    pub(crate) slow: u32,
    /// Sources that have no link, in a row, and when the first of them may have one.
    without_link: usize,
    link_at: Option<Instant>,
    /// Sources that cannot give the file however long it is waited, in a row.
    given_up: usize,
    pub(crate) pause: Option<Instant>,
}

impl Trouble {
    /// Nothing failed yet, at this source.
    pub(crate) fn at(source: usize) -> Self {
        Self {
            source,
            ..Self::default()
        }
    }

    /// The source to use.
    pub(crate) fn source<'a>(&self, sources: &'a [Source]) -> Result<&'a Source, Cause> {
        if sources.is_empty() {
            return Err(Cause::NoSource);
        }
        Ok(&sources[self.source % sources.len()])
    }

    /// A source has no link before `until`.
    pub(crate) fn soonest(&mut self, until: Instant) {
        self.without_link += 1;
        self.link_at = Some(self.link_at.map_or(until, |known| known.min(until)));
    }

    /// Whether each of `sources` said last that it cannot give the file.
    pub(crate) fn is_hopeless(&self, sources: usize) -> bool {
        self.given_up > 0 && self.given_up >= sources
    }

    /// Decides what comes after `cause`: which source, and how long a pause.
    pub(crate) fn note(&mut self, cause: &Cause, sources: usize) {
        self.in_a_row += 1;
        self.given_up = match cause.is_final() {
            true => self.given_up + 1,
            false => 0,
        };
        let now = Instant::now();
        let pause = |failures| Some(now + BACK_OFF.after(failures));
        self.slow = match cause {
            Cause::FirstByte(_) => self.slow + 1,
            _ => 0,
        };
        match cause {
            Cause::Link { .. } | Cause::LinkRefused | Cause::UnknownProvider(_) => {
                self.source += 1;
                if self.without_link >= sources {
                    // Not before every source was asked once.
                    self.pause = self.link_at.take().map(|at| at.max(now + LEAST_PAUSE));
                    self.without_link = 0;
                }
                return;
            }
            _ => {}
        }
        self.without_link = 0;
        self.link_at = None;
        match cause.blame() {
            // The next link is a new one or another key's, or there is none and another source is tried.
            Blame::Link | Blame::Key => {}
            Blame::Host => {
                self.pause = pause(self.in_a_row);
                if cause.is_long_refusal() {
                    self.source += 1;
                    return;
                }
            }
            // The first attempt after a chance failure goes out at once, on another connection.
            Blame::Chance if self.in_a_row > 1 => self.pause = pause(self.in_a_row - 1),
            Blame::Chance => {}
        }
        if self.in_a_row.is_multiple_of(FAILURES_PER_SOURCE) {
            self.source += 1;
        }
    }
}
