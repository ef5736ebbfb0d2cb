//! What a reader may believe of an entry's bytes: those that were checked since the start, in a data file that nobody else changed.
//!
//! No lock is held while the disk is asked: whoever reads takes note of the `epoch`, reads, and looks whether it is still the same. It changes before
//! anything is taken away, so bytes read under an unchanged epoch are the right ones.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::{Entry, Files, State};
use crate::map::{Granule, granules, place};

/// By this a change of the data file that was not ours is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    mtime: (i64, i64),
    size: u64,
}

/// Leave to read bytes, as long as nothing changes.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) files: Arc<Files>,
    epoch: u64,
    /// What the data file should look like, and since which change; `None` while it is being written.
    stamp: Option<(u64, Stamp)>,
}

/// Granules to be checked against what was read.
#[derive(Debug)]
pub(crate) struct Look {
    epoch: u64,
    pub(crate) first: u64,
    pub(crate) granules: Vec<Granule>,
}

/// What a check of a [`Look`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// All is as it was written.
    Right,
    /// Something changed in the meantime.
    Again,
    /// So many granules were damaged and are absent now.
    Damaged(u64),
}

impl Stamp {
    pub(crate) fn of(data: &File) -> io::Result<Self> {
        let metadata = data.metadata()?;
        Ok(Self {
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.size(),
        })
    }
}

impl Entry {
    /// Leave to read `range` from the page cache: all of it is present and was checked.
    pub(crate) fn ticket(&self, range: &Range<u64>) -> Option<Ticket> {
        let mut state = self.lock();
        let files = state.files.clone()?;
        if !state.covers(range) || !state.is_verified(range) {
            return None;
        }
        state.touch(range);
        Some(Ticket {
            files,
            epoch: state.epoch,
            stamp: state
                .stamp
                .filter(|_| state.writing == 0)
                .map(|stamp| (state.changes, stamp)),
        })
    }

    /// Whether what was read with `ticket` is what was asked, when the data file looks like `seen` now. If somebody else changed the file, all of it
    /// is checked again.
    pub(crate) fn holds(&self, ticket: &Ticket, seen: Stamp) -> bool {
        let mut state = self.lock();
        if state.epoch != ticket.epoch {
            return false;
        }
        match ticket.stamp {
            Some((changes, stamp)) if state.changes == changes && state.writing == 0 => {
                if stamp != seen {
                    state.distrust(seen);
                }
                stamp == seen
            }
            _ => true,
        }
    }

    /// The granules of `range`, all of which is present, to be read and checked.
    pub(crate) fn look(&self, range: &Range<u64>) -> Option<Look> {
        let mut state = self.lock();
        if state.gone || !state.covers(range) {
            return None;
        }
        state.touch(range);
        let granules = granules(range);
        Some(Look {
            epoch: state.epoch,
            first: granules.start,
            granules: granules.map(|number| state.granule(number)).collect(),
        })
    }

    /// Notes which granules of `look` had the right sum.
    pub(crate) fn judge(&self, look: &Look, right: &[bool]) -> Judgement {
        let mut state = self.lock();
        let same =
            |state: &State, at: usize| state.granule(look.first + at as u64) == look.granules[at];
        if state.epoch != look.epoch || !(0..right.len()).all(|at| same(&state, at)) {
            return Judgement::Again;
        }
        let mut damaged = 0;
        for (at, right) in right.iter().enumerate() {
            let (segment, bit) = place(look.first + at as u64);
            let Some(segment) = state.segments.get_mut(&segment) else {
                continue;
            };
            if *right {
                segment.verified |= 1 << bit;
            } else {
                segment.live[bit] = Granule::default();
                segment.verified &= !(1 << bit);
                segment.dirty |= 1 << bit;
                damaged += 1;
            }
        }
        if damaged == 0 {
            return Judgement::Right;
        }
        state.epoch += 1;
        Judgement::Damaged(damaged)
    }

    /// Takes what could not be read for absent.
    pub(crate) fn drop_granules(&self, look: &Look) {
        let none = vec![false; look.granules.len()];
        self.judge(look, &none);
    }
}

impl State {
    fn is_verified(&self, range: &Range<u64>) -> bool {
        granules(range).all(|number| {
            let (segment, at) = place(number);
            let segment = self.segments.get(&segment);
            segment.is_some_and(|segment| segment.verified & (1 << at) != 0)
        })
    }

    /// Nothing is known of the data file any more.
    pub(super) fn distrust(&mut self, seen: Stamp) {
        self.stamp = Some(seen);
        self.changes += 1;
        for segment in self.segments.values_mut() {
            segment.verified = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{entry, sums};
    use super::*;
    use crate::map::{BLOCK, GRANULE};

    #[test]
    fn bytes_read_while_they_were_evicted_are_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let entry = entry(dir.path());
        let ticket = entry.ticket(&(0..GRANULE)).unwrap();
        let seen = Stamp::of(&ticket.files.data).unwrap();
        assert!(entry.holds(&ticket, seen));
        let look = entry.look(&(0..GRANULE)).unwrap();
        assert!(entry.clear(0));
        assert!(!entry.holds(&ticket, seen));
        // Not even if they came back meanwhile: a hole may have been read between.
        entry.publish(&sums(0..2 * GRANULE / BLOCK));
        assert!(!entry.holds(&ticket, seen));
        assert_eq!(entry.judge(&look, &[false]), Judgement::Again);
        assert!(entry.covers(&(0..2 * GRANULE)));
    }
}
