//! The request journal: a sealed memfd, shared by keeper and engine, that holds every request
//! which was read from `/dev/fuse` and is not answered yet.
//!
//! A request is noted in one of three places:
//! - a [`Slot`], one for each transport thread, into which the kernel itself copies the request:
//!   a slot is in use when the first word (`fuse_in_header.len`) is not zero, so there is no
//!   moment in which a request is held by nobody;
//! - the keeper's inbox, an entry used as a slot, into which the stand-in reads;
//! - a pending [`Entry`], compact, tens of thousands of them, for requests that have to wait.
//!
//! Rules both sides keep:
//! - an entry is valid *before* its slot is cleared, and freed *after* its reply was written; a
//!   request may so be noted twice, and its second answer is refused by the kernel with `ENOENT`,
//!   harmless as `unique` never repeats;
//! - the engine's region is allocated and freed by the engine alone while it lives, the stand-in
//!   region is allocated by the keeper alone; an entry of the stand-in region belongs to whoever
//!   set its `TAKEN` flag first;
//! - nothing in this memory is believed: indices and lengths are checked at each use, and a copy
//!   is made before a byte is looked at.

mod blame;
mod entry;
mod inbox;
mod keeper;
mod layout;
mod memory;
mod published;
mod region;
mod slot;

#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

pub use blame::{CONDEMNED_AT, End, InHand, note_crash};
pub use entry::{Entry, EntryId, Held, Origin, Place};
pub use inbox::Inbox;
pub use keeper::Aftermath;
pub use layout::{LARGE_REQUEST, Layout, MAX_SLOTS, SLOT_SIZE, SMALL_REQUEST, VERSION};
pub use published::{ROOT_ATTR_LEN, STATFS_LEN};
pub use region::{Region, StoreError};
pub use slot::{ActiveGuard, Slot};

use layout::{MAGIC, header};
use memory::Memory;

/// Why a journal can't be made or mapped.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The counts are outside what this version supports.
    #[error("journal layout refused: {0}")]
    Layout(&'static str),
    /// The file is shorter than its layout, or could still be cut.
    #[error("journal refused: {0}")]
    File(&'static str),
    /// Magic or version differ.
    #[error("journal is of another version of debridfs")]
    Version,
    /// A system call failed.
    #[error("journal: {call}")]
    Os {
        /// The call that failed.
        call: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The mapped journal. Cheap to share: all access is by atomics.
#[derive(Debug)]
pub struct Journal {
    memory: Memory,
    layout: Layout,
    /// Where this process found a free entry last; a hint.
    cursor: AtomicU32,
}

impl Journal {
    /// Makes an empty journal, populated and, where the system allows, locked in memory.
    ///
    /// The returned fd is sealed against change of size; lend it to the engine.
    ///
    /// # Errors
    /// When the layout is refused or the system gives no memory.
    pub fn create(layout: Layout) -> Result<(Journal, OwnedFd), JournalError> {
        layout.check()?;
        let (memory, fd) = Memory::create(layout.total())?;
        let journal = Journal {
            memory,
            layout,
            cursor: AtomicU32::new(0),
        };
        journal.write_header();
        Ok((journal, fd))
    }

    /// Keeper, before each lease: writes what tells a journal, should the last engine have written
    /// over it.
    pub fn write_header(&self) {
        let word = |offset| self.memory.u32(offset);
        word(header::SLOTS).store(self.layout.slots, Relaxed);
        word(header::SMALL).store(self.layout.small, Relaxed);
        word(header::LARGE).store(self.layout.large, Relaxed);
        word(header::VERSION).store(VERSION, Relaxed);
        self.memory.u64(header::MAGIC).store(MAGIC, Release);
    }

    /// Maps the journal that a keeper lent, with the layout it told.
    ///
    /// # Errors
    /// When the file isn't a sealed journal of this version and size.
    pub fn map(fd: BorrowedFd<'_>, layout: Layout) -> Result<Journal, JournalError> {
        layout.check()?;
        let memory = Memory::map(fd.as_fd(), layout.total())?;
        let journal = Journal {
            memory,
            layout,
            cursor: AtomicU32::new(0),
        };
        let same = journal.memory.u64(header::MAGIC).load(Acquire) == MAGIC
            && journal.memory.u32(header::VERSION).load(Relaxed) == VERSION;
        if same {
            Ok(journal)
        } else {
            Err(JournalError::Version)
        }
    }

    /// Counts and sizes.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The slot of one transport thread: thread `i` reads the clone fd `i + 1` (fd 0 is the main
    /// fd, read by the stand-in alone) into slot `i`. `None` beyond `layout().slots`.
    pub fn slot(&self, index: u32) -> Option<Slot<'_>> {
        (index < self.layout.slots).then_some(Slot {
            journal: self,
            index,
        })
    }

    /// All slots.
    pub fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        (0..self.layout.slots).map(|index| Slot {
            journal: self,
            index,
        })
    }

    /// One pending entry, whatever its state. `None` for an id that doesn't exist.
    pub fn entry(&self, id: EntryId) -> Option<Entry<'_>> {
        (id.0 < self.layout.entries()).then_some(Entry { journal: self, id })
    }

    /// All pending entries of both regions, whatever their state.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.layout.entries()).map(|index| Entry {
            journal: self,
            id: EntryId(index),
        })
    }

    /// Engine: shows that it is alive; call it every 250 ms while the runtime does what it is given.
    pub fn beat(&self) {
        self.memory.u64(header::HEARTBEAT).fetch_add(1, Relaxed);
    }

    /// How often the engine called [`Journal::beat`].
    pub fn heartbeat(&self) -> u64 {
        self.memory.u64(header::HEARTBEAT).load(Relaxed)
    }

    /// Engine: counts a reply the kernel accepted. An engine that dies with this unchanged since
    /// its start is restarted ever more slowly.
    pub fn note_answered(&self) {
        self.memory.u64(header::ANSWERED).fetch_add(1, Relaxed);
    }

    /// Replies counted by [`Journal::note_answered`].
    pub fn answered(&self) -> u64 {
        self.memory.u64(header::ANSWERED).load(Relaxed)
    }

    /// Sum of all slots' read counts: it moves as long as any transport thread takes requests.
    pub fn taken(&self) -> u64 {
        self.slots()
            .fold(0, |sum, slot| sum.wrapping_add(slot.taken()))
    }
}
