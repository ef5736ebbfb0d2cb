//! One cached file: which of its bytes are on disk. [`trust`] decides which of them are believed, [`side_file`] tells what the side file says.
//!
//! No lock is held while the disk is asked (but `map_io`, between the two threads that write).

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use crate::map::{
    BLOCK, EMPTY_SEGMENT, GRANULE, GRANULES, Granule, Header, Page, SEGMENT, SEGMENTS_PER_PAGE,
    granules, mask_of, place,
};

mod side_file;
mod trust;

use crate::tuning::eviction::{MOST_HITS, ONE_USE};
pub(crate) use trust::{Judgement, Look, Stamp};

/// A file in the cache.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) size: u64,
    state: Mutex<State>,
    /// Held while the side file is written, so that an older page never replaces a newer one.
    map_io: Mutex<()>,
}

/// Its two files.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) data: File,
    pub(crate) map: File,
}

#[derive(Debug, Default)]
struct State {
    segments: BTreeMap<u32, Segment>,
    files: Option<Arc<Files>>,
    /// Counts what was taken away.
    epoch: u64,
    pinned: bool,
    used: u64,
    header_stale: bool,
    gone: bool,
    allocated: u64,
    /// Own changes of the data file under way, how many there were, and what the file looked like after the last.
    writing: u32,
    changes: u64,
    stamp: Option<Stamp>,
}

#[derive(Debug)]
struct Segment {
    live: [Granule; GRANULES],
    /// What the side file says: `live` as of the last data sync.
    stored: [Granule; GRANULES],
    /// Granules that were checked, or written, since the start.
    verified: u64,
    /// Granules that differ from `stored`.
    dirty: u64,
    hits: u8,
    touched: Instant,
    /// When its first bytes came, or the start.
    born: Instant,
}

/// How hot a segment is to the order of eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heat {
    Gone,
    Pinned,
    Hot,
    Cold,
}

impl Segment {
    fn new(live: [Granule; GRANULES]) -> Self {
        let now = Instant::now();
        Self {
            live,
            stored: live,
            verified: 0,
            dirty: 0,
            hits: 0,
            touched: now,
            born: now,
        }
    }

    fn touch(&mut self, now: Instant) {
        if now.duration_since(self.touched) >= ONE_USE {
            self.hits = (self.hits + 1).min(MOST_HITS);
        }
        self.touched = now;
    }
}

impl Entry {
    pub(crate) fn new(header: &Header) -> Self {
        let state = State {
            pinned: header.pinned,
            used: header.used,
            header_stale: true,
            ..State::default()
        };
        Self {
            id: header.id,
            size: header.size,
            state: Mutex::new(state),
            map_io: Mutex::new(()),
        }
    }

    /// An entry as its side file tells; `allocated` is what its files take on disk.
    pub(crate) fn loaded(header: &Header, pages: Vec<(u64, Page)>, allocated: u64) -> Self {
        let entry = Self::new(header);
        {
            let mut state = entry.lock();
            state.allocated = allocated;
            state.header_stale = false;
            for (index, page) in pages {
                for (at, segment) in page.into_iter().enumerate() {
                    if segment != EMPTY_SEGMENT {
                        let number = index as usize * SEGMENTS_PER_PAGE + at;
                        state.segments.insert(number as u32, Segment::new(segment));
                    }
                }
            }
        }
        entry
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether all of `range` is present.
    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        self.lock().covers(range)
    }

    /// Whether `at` is present, and up to where in `..end` it stays so.
    pub(crate) fn run(&self, at: u64, end: u64) -> (bool, u64) {
        let state = self.lock();
        let present = state.has_block(at);
        let mut to = at / BLOCK * BLOCK;
        while to < end {
            let mask = state.granule(to / GRANULE).mask;
            let others = if present { !mask } else { mask };
            let first = (to % GRANULE / BLOCK) as u32;
            let same = (others >> first).trailing_zeros().min(u32::BITS - first);
            to += u64::from(same) * BLOCK;
            if first + same < u32::BITS {
                break;
            }
        }
        (present, to.min(end))
    }

    /// The parts of `range` that are absent; `range` consists of whole blocks.
    pub(crate) fn absent(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (present, to) = self.run(at, range.end);
            if !present {
                parts.push(at..to);
            }
            at = to;
        }
        parts
    }

    /// Own change of the data file: from here until [`Entry::end_change`] its looks tell nothing.
    pub(crate) fn begin_change(&self) {
        self.lock().writing += 1;
    }

    /// The change is over. Returns by how much the space taken on disk changed.
    pub(crate) fn end_change(&self, files: &Files) -> i64 {
        let seen = Stamp::of(&files.data).ok();
        {
            let mut state = self.lock();
            state.writing -= 1;
            state.changes += 1;
            state.stamp = seen;
        }
        self.measure(files)
    }

    /// Measures what the files take on disk. Returns by how much it changed.
    pub(crate) fn measure(&self, files: &Files) -> i64 {
        let taken = |file: &File| file.metadata().map(|metadata| metadata.blocks() * 512);
        let (Ok(data), Ok(map)) = (taken(&files.data), taken(&files.map)) else {
            return 0;
        };
        let mut state = self.lock();
        if state.gone {
            return 0;
        }
        let before = std::mem::replace(&mut state.allocated, data + map);
        (data + map) as i64 - before as i64
    }

    /// Tells that these blocks are on disk: number and [`crate::map::block_sum`] of each. Returns segments that are new.
    pub(crate) fn publish(&self, blocks: &[(u64, u32)]) -> Vec<u32> {
        let mut state = self.lock();
        let mut fresh = Vec::new();
        for (block, sum) in blocks {
            let (number, at) = place(block * BLOCK / GRANULE);
            let segment = state.segments.entry(number).or_insert_with(|| {
                fresh.push(number);
                Segment::new(EMPTY_SEGMENT)
            });
            let bit = 1 << (block % (GRANULE / BLOCK));
            let granule = &mut segment.live[at];
            if granule.mask == 0 {
                segment.verified |= 1 << at;
            }
            if granule.mask & bit == 0 {
                granule.mask |= bit;
                granule.sum = granule.sum.wrapping_add(*sum);
                segment.dirty |= 1 << at;
            }
        }
        state.used = unix_now();
        state.header_stale = true;
        fresh
    }

    /// Forgets a segment, in memory only. Returns whether there was one.
    pub(crate) fn clear(&self, segment: u32) -> bool {
        let mut state = self.lock();
        state.epoch += 1;
        state.segments.remove(&segment).is_some()
    }

    /// Forgets everything for ever: the files are about to be removed. Returns what they took on disk.
    pub(crate) fn end(&self) -> u64 {
        let mut state = self.lock();
        state.epoch += 1;
        state.gone = true;
        state.segments.clear();
        state.files = None;
        std::mem::take(&mut state.allocated)
    }

    pub(crate) fn header(&self) -> Header {
        let state = self.lock();
        Header {
            id: self.id,
            size: self.size,
            used: state.used,
            pinned: state.pinned,
        }
    }

    pub(crate) fn files(&self) -> Option<Arc<Files>> {
        self.lock().files.clone()
    }

    /// Uses `files` from now on, unless there are some already or the entry is gone; returns those in use.
    pub(crate) fn set_files(&self, files: Files) -> Option<Arc<Files>> {
        let seen = Stamp::of(&files.data).ok();
        let mut state = self.lock();
        if state.gone {
            return None;
        }
        if state.files.is_none() {
            state.files = Some(Arc::new(files));
            if let Some(seen) = seen
                && state.stamp != Some(seen)
            {
                state.distrust(seen);
            }
        }
        state.files.clone()
    }

    /// Gives the descriptors back, unless something has yet to be written by them. Returns whether it did.
    pub(crate) fn close_files(&self) -> bool {
        let mut state = self.lock();
        let busy = state.writing > 0
            || state.header_stale
            || state.segments.values().any(|segment| segment.dirty != 0);
        if !busy {
            state.files = None;
        }
        !busy
    }

    /// What the order of eviction has to know; a hot segment is a little less so afterwards.
    pub(crate) fn heat(&self, segment: u32) -> Heat {
        let mut state = self.lock();
        let pinned = state.pinned;
        match state.segments.get_mut(&segment) {
            None => Heat::Gone,
            Some(_) if pinned => Heat::Pinned,
            Some(segment) if segment.hits > 0 => {
                segment.hits -= 1;
                Heat::Hot
            }
            Some(_) => Heat::Cold,
        }
    }

    pub(crate) fn set_pinned(&self, pinned: bool) {
        let mut state = self.lock();
        state.header_stale |= state.pinned != pinned;
        state.pinned = pinned;
    }

    /// Numbers of the segments that came since `begun` and were not used again.
    pub(crate) fn fresh_since(&self, begun: Instant) -> Vec<u32> {
        let state = self.lock();
        let fresh = state.segments.iter();
        fresh
            .filter(|(_, segment)| segment.born >= begun && segment.hits == 0)
            .map(|(number, _)| *number)
            .collect()
    }

    /// Numbers of the segments that hold something.
    pub(crate) fn segments(&self) -> Vec<u32> {
        self.lock().segments.keys().copied().collect()
    }

    /// Bytes present.
    pub(crate) fn bytes(&self) -> u64 {
        let state = self.lock();
        let bytes = state.segments.iter().map(|(number, segment)| {
            let blocks: u32 = segment.live.iter().map(|one| one.mask.count_ones()).sum();
            let last = self.size.saturating_sub(1);
            let ends_here = place(last / GRANULE).0 == *number && state.has_block(last);
            let missing = if ends_here {
                self.size.next_multiple_of(BLOCK) - self.size
            } else {
                0
            };
            u64::from(blocks) * BLOCK - missing
        });
        bytes.sum()
    }

    /// What its files take on disk.
    pub(crate) fn allocated(&self) -> u64 {
        self.lock().allocated
    }
}

impl State {
    fn granule(&self, number: u64) -> Granule {
        let (segment, at) = place(number);
        self.segments
            .get(&segment)
            .map_or(Granule::default(), |segment| segment.live[at])
    }

    fn has_block(&self, at: u64) -> bool {
        let bit = at % GRANULE / BLOCK;
        self.granule(at / GRANULE).mask & (1 << bit) != 0
    }

    fn covers(&self, range: &Range<u64>) -> bool {
        granules(range).all(|number| {
            let wanted = mask_of(number, range);
            self.granule(number).mask & wanted == wanted
        })
    }

    fn touch(&mut self, range: &Range<u64>) {
        let now = Instant::now();
        let numbers = (range.start / SEGMENT) as u32..range.end.div_ceil(SEGMENT) as u32;
        for (_, segment) in self.segments.range_mut(numbers) {
            segment.touch(now);
        }
        let now = unix_now();
        // To the minute is enough, and spares the side file a write for every read.
        if now >= self.used + 60 {
            self.used = now;
            self.header_stale = true;
        }
    }
}

/// Seconds of Unix time.
pub(crate) fn unix_now() -> u64 {
    let now = jiff::Timestamp::now().as_second();
    u64::try_from(now).unwrap_or(0)
}

#[cfg(test)]
mod testing {
    use super::*;

    const SIZE: u64 = 4 * SEGMENT;

    /// An entry with the first two granules of zeros present, as if just written.
    pub(super) fn entry(dir: &std::path::Path) -> Entry {
        let open = |name: &str| {
            let mut open = File::options();
            open.create(true).truncate(false).read(true).write(true);
            open.open(dir.join(name)).unwrap()
        };
        let entry = Entry::new(&Header {
            id: 1,
            size: SIZE,
            used: 0,
            pinned: false,
        });
        let files = Files {
            data: open("data"),
            map: open("map"),
        };
        files.data.set_len(SIZE).unwrap();
        let files = entry.set_files(files).unwrap();
        entry.begin_change();
        entry.end_change(&files);
        entry.publish(&sums(0..2 * GRANULE / BLOCK));
        entry
    }

    pub(super) fn sums(blocks: Range<u64>) -> Vec<(u64, u32)> {
        let zeros = crc32fast::hash(&[0; BLOCK as usize]);
        blocks
            .map(|number| (number, crate::map::block_sum(1, number, zeros)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 2 * SEGMENT;

    fn runs() -> impl Strategy<Value = Vec<Range<u64>>> {
        // Lengths of up to three granules: whole ones, parts of them and what lies across their borders.
        let run = (0..SIZE / BLOCK, 1..96u64);
        let run = run.prop_map(|(from, blocks)| from..(from + blocks).min(SIZE / BLOCK));
        proptest::collection::vec(run, 0..12)
    }

    proptest! {
        #[test]
        fn a_run_ends_at_the_first_block_that_differs(
            present in runs(),
            at in 0..SIZE,
            length in 1..SEGMENT,
        ) {
            let entry = Entry::new(&Header { id: 1, size: SIZE, used: 0, pinned: false });
            let blocks: Vec<_> = present.into_iter().flatten().map(|block| (block, 0)).collect();
            entry.publish(&blocks);
            let end = (at + length).min(SIZE);
            let first = entry.covers(&(at..at + 1));
            let naive = (at / BLOCK + 1..end.div_ceil(BLOCK))
                .find(|block| entry.covers(&(block * BLOCK..block * BLOCK + 1)) != first)
                .map_or(end, |block| block * BLOCK);
            prop_assert_eq!(entry.run(at, end), (first, naive));
        }
    }
}
