use serde::{Deserialize, Serialize};

use super::JournalError;

/// First word of a journal.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"debridfJ");

/// Version of the layout; another version is refused.
pub const VERSION: u32 = 2;

/// Bytes of a slot. The kernel refuses a read with less than `FUSE_MIN_READ_BUFFER` (8192, in
/// `include/uapi/linux/fuse.h`), or less than a header and `max_write`; INIT answers
/// `max_write` 4096, so no request is longer.
pub const SLOT_SIZE: usize = 8192;

/// Slots a journal may have.
pub const MAX_SLOTS: u32 = 64;

/// Longest request, header included, that fits a small entry.
pub const SMALL_REQUEST: usize = SMALL_SIZE - entry_field::REQUEST;

/// Longest request, header included, that fits a large entry: a name of 255 bytes and more.
pub const LARGE_REQUEST: usize = LARGE_SIZE - entry_field::REQUEST;

pub(super) const SMALL_SIZE: usize = 128;
pub(super) const LARGE_SIZE: usize = 448;
pub(super) const SLOT_META_SIZE: usize = 64;
pub(super) const CELL_SIZE: usize = 8;
const HEADER_SIZE: usize = 4096;
const PAGE: usize = 4096;

/// Offsets in the header page.
pub(super) mod header {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 8;
    pub const SLOTS: usize = 12;
    pub const SMALL: usize = 16;
    pub const LARGE: usize = 20;
    pub const HEARTBEAT: usize = 64;
    pub const ANSWERED: usize = 128;
    pub const ROOT_SEQUENCE: usize = 192;
    pub const ROOT_ATTR: usize = 200;
    pub const STATFS_SEQUENCE: usize = 320;
    pub const STATFS: usize = 328;
    pub const CRASH: usize = 448;
}

/// Offsets in a slot's bookkeeping.
pub(super) mod slot_field {
    pub const TAKEN: usize = 0;
    pub const ARRIVAL: usize = 8;
    pub const SUSPICION: usize = 16;
    pub const WAITING: usize = 20;
}

/// Offsets in a pending entry.
pub(super) mod entry_field {
    pub const STATE: usize = 0;
    pub const FD: usize = 4;
    pub const FLAGS: usize = 8;
    pub const SUSPICION: usize = 12;
    pub const ARRIVAL: usize = 16;
    pub const LENGTH: usize = 24;
    pub const ANSWERED: usize = 28;
    pub const REQUEST: usize = 32;
}

/// Counts of a journal. Told to the engine with the lease; both sides compute every offset from
/// it and from nothing that is in the shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Transport threads, and so slots and clone fds; 1 to [`MAX_SLOTS`].
    pub slots: u32,
    /// Small entries of both regions.
    pub small: u32,
    /// Large entries of both regions.
    pub large: u32,
    /// This many of the small entries, the last ones, are the stand-in's.
    pub small_stand_in: u32,
    /// This many of the large entries, the last ones, are the stand-in's.
    pub large_stand_in: u32,
    /// Cells that name a request being worked on.
    pub cells: u32,
}

impl Layout {
    /// The layout for this many transport threads: room for 32 768 waiting reads and 4096 waiting
    /// lookups, about 6 MiB, an eighth of each for the stand-in.
    pub fn for_slots(slots: u32) -> Layout {
        Layout {
            slots,
            small: 32_768,
            large: 4096,
            small_stand_in: 4096,
            large_stand_in: 512,
            cells: 64,
        }
    }

    pub(super) fn check(&self) -> Result<(), JournalError> {
        let refuse = |reason| Err(JournalError::Layout(reason));
        if self.slots == 0 || self.slots > MAX_SLOTS {
            return refuse("slots");
        }
        if self.small > 1 << 20 || self.large > 1 << 18 || self.cells > 1 << 12 {
            return refuse("more entries than supported");
        }
        if self.small_stand_in > self.small || self.large_stand_in > self.large {
            return refuse("stand-in region larger than the table");
        }
        Ok(())
    }

    /// Entries of both classes and regions; ids are below this.
    pub fn entries(&self) -> u32 {
        self.small + self.large
    }

    /// Ids of small entries that the keeper allocates.
    pub(super) fn stand_in_small(&self) -> std::ops::Range<u32> {
        self.small - self.small_stand_in..self.small
    }

    /// Ids of large entries that the keeper allocates.
    pub(super) fn stand_in_large(&self) -> std::ops::Range<u32> {
        self.entries() - self.large_stand_in..self.entries()
    }

    pub(super) fn is_stand_in(&self, id: u32) -> bool {
        self.stand_in_small().contains(&id) || self.stand_in_large().contains(&id)
    }

    pub(super) fn slot_meta(&self, slot: u32) -> usize {
        HEADER_SIZE + slot as usize * SLOT_META_SIZE
    }

    pub(super) fn cell(&self, cell: u32) -> usize {
        self.slot_meta(self.slots) + cell as usize * CELL_SIZE
    }

    /// Start of the small entries, on a 128-byte boundary so that none crosses a cache line more
    /// than it must.
    fn small_start(&self) -> usize {
        self.cell(self.cells).next_multiple_of(SMALL_SIZE)
    }

    fn large_start(&self) -> usize {
        self.small_start() + self.small as usize * SMALL_SIZE
    }

    /// Offset and room for the request of an entry.
    pub(super) fn entry(&self, id: u32) -> (usize, usize) {
        if id < self.small {
            (self.small_start() + id as usize * SMALL_SIZE, SMALL_REQUEST)
        } else {
            let index = (id - self.small) as usize;
            (self.large_start() + index * LARGE_SIZE, LARGE_REQUEST)
        }
    }

    /// Slots begin on a page, so that each is whole pages.
    pub(super) fn slot(&self, slot: u32) -> usize {
        let start = self.large_start() + self.large as usize * LARGE_SIZE;
        start.next_multiple_of(PAGE) + slot as usize * SLOT_SIZE
    }

    /// Bytes of the whole journal, a multiple of the page size.
    pub fn total(&self) -> usize {
        self.slot(self.slots)
    }
}
