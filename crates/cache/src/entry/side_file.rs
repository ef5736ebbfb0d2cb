//! What the side file says of a cached file: only what is known to be on disk.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{Entry, Files, State};
use crate::map::{
    EMPTY_SEGMENT, GRANULE, GRANULES, Granule, PAGE, Page, SEGMENT, SEGMENTS_PER_PAGE, encode_page,
};

/// What is to be synced and then told to the side file.
#[derive(Debug)]
pub(crate) struct Unsynced {
    pub(crate) files: Arc<Files>,
    epoch: u64,
    segments: Vec<(u32, u64, [Granule; GRANULES])>,
    header: bool,
}

impl Unsynced {
    /// Bytes of the granules that changed.
    pub(crate) fn bytes(&self) -> u64 {
        let granules = self.segments.iter().map(|(_, dirty, _)| dirty.count_ones());
        u64::from(granules.sum::<u32>()) * GRANULE
    }

    /// From the first segment that changed to the last.
    pub(crate) fn range(&self) -> Range<u64> {
        let first = self.segments.first().map_or(0, |(number, ..)| *number);
        let end = self.segments.last().map_or(0, |(number, ..)| number + 1);
        u64::from(first) * SEGMENT..u64::from(end) * SEGMENT
    }
}

impl Entry {
    /// What has to be synced, if anything.
    pub(crate) fn unsynced(&self) -> Option<Unsynced> {
        let mut state = self.lock();
        let files = state.files.clone()?;
        let epoch = state.epoch;
        let header = std::mem::take(&mut state.header_stale);
        let segments: Vec<_> = state
            .segments
            .iter_mut()
            .filter(|(_, segment)| segment.dirty != 0)
            .map(|(number, segment)| (*number, std::mem::take(&mut segment.dirty), segment.live))
            .collect();
        (header || !segments.is_empty()).then_some(Unsynced {
            files,
            epoch,
            segments,
            header,
        })
    }

    /// The data is synced: writes the side file. What was taken away in the meantime waits for the next time.
    pub(crate) fn synced(&self, unsynced: &Unsynced) -> io::Result<()> {
        let mut pages = BTreeSet::new();
        {
            let mut state = self.lock();
            let same = state.epoch == unsynced.epoch;
            for (number, bits, live) in &unsynced.segments {
                let Some(segment) = state.segments.get_mut(number) else {
                    continue;
                };
                if !same {
                    segment.dirty |= bits;
                    continue;
                }
                for bit in (0..GRANULES).filter(|bit| bits & (1 << bit) != 0) {
                    segment.stored[bit] = live[bit];
                }
                pages.insert(u64::from(*number) / SEGMENTS_PER_PAGE as u64);
            }
        }
        self.write_map(pages, unsynced.header)
    }

    /// Gives dirty marks back after a failed sync, so that it is tried again.
    pub(crate) fn not_synced(&self, unsynced: &Unsynced) {
        let mut state = self.lock();
        state.header_stale |= unsynced.header;
        for (number, bits, _) in &unsynced.segments {
            if let Some(segment) = state.segments.get_mut(number) {
                segment.dirty |= bits;
            }
        }
    }

    /// Writes pages of the side file, and the header if asked.
    pub(crate) fn write_map(
        &self,
        pages: impl IntoIterator<Item = u64>,
        header: bool,
    ) -> io::Result<()> {
        let _io = self.map_io.lock();
        let Some(files) = self.lock().files.clone() else {
            return Ok(());
        };
        if header {
            let head = self.header().encode();
            files.map.write_all_at(&head, 0)?;
        }
        for index in pages {
            let page = self.lock().page(index);
            let bytes = encode_page(self.id, index, &page);
            files.map.write_all_at(&bytes, (index + 1) * PAGE as u64)?;
        }
        Ok(())
    }
}

impl State {
    fn page(&self, index: u64) -> Page {
        std::array::from_fn(|at| {
            let number = index * SEGMENTS_PER_PAGE as u64 + at as u64;
            self.segments
                .get(&(number as u32))
                .map_or(EMPTY_SEGMENT, |segment| segment.stored)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::testing::{entry, sums};
    use crate::map::BLOCK;

    const SIZE: u64 = 4 * SEGMENT;

    #[test]
    fn the_side_file_is_told_what_was_synced_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let entry = entry(dir.path());
        let claimed = || {
            let mut page = [0; PAGE];
            entry
                .files()
                .unwrap()
                .map
                .read_exact_at(&mut page, PAGE as u64)
                .ok()?;
            let page = crate::map::decode_page(1, SIZE, 0, &page)?;
            Some([0, 1, 2].map(|at| page[0][at].mask))
        };
        let unsynced = entry.unsynced().unwrap();
        // Written after the sync began: nobody knows whether it is on disk.
        entry.publish(&sums(2 * GRANULE / BLOCK..3 * GRANULE / BLOCK));
        assert_eq!(claimed(), None);
        entry.synced(&unsynced).unwrap();
        assert_eq!(claimed(), Some([u32::MAX, u32::MAX, 0]));
        let unsynced = entry.unsynced().unwrap();
        // Taken away while the data was synced, and written anew.
        assert!(entry.clear(0));
        entry.publish(&sums(2 * GRANULE / BLOCK..3 * GRANULE / BLOCK));
        entry.synced(&unsynced).unwrap();
        entry.write_map([0], false).unwrap();
        assert_eq!(claimed(), Some([0; 3]));
    }
}
