use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::Journal;
use super::layout::entry_field;
use crate::InHeader;

pub(super) const FREE: u32 = 0;
pub(super) const VALID: u32 = 1;
/// The keeper reads into it; no engine touches it.
pub(super) const RECEIVING: u32 = 2;

/// An entry of the stand-in region has an owner that will answer it.
const TAKEN: u32 = 1;

/// Number of a pending entry in one journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub(super) u32);

/// Where a request came from, and its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index of the fd it was read from, and on which alone it can be answered; 0 is the main fd.
    pub fd: u32,
    /// [`crate::awake_ns`] when it was first read; deadlines run from here.
    pub arrival: u64,
    /// How far it is suspected of making engines die; condemned at [`super::CONDEMNED_AT`].
    pub suspicion: u32,
}

/// Where a request is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the slot of a transport thread.
    Slot(u32),
    /// In a pending entry.
    Entry(EntryId),
}

/// A request found in the journal.
#[derive(Clone, Debug)]
pub struct Held {
    /// Where it is noted, until it is released.
    pub place: Place,
    /// Fd, arrival, suspicion.
    pub origin: Origin,
    /// The bytes as the kernel gave them: at least a header, `fuse_in_header.len` long.
    pub request: Vec<u8>,
}

impl Held {
    /// `fuse_in_header.unique`.
    pub fn unique(&self) -> u64 {
        unique_of(&self.request).unwrap_or(0)
    }
}

/// `fuse_in_header.unique` of a raw request; `None` when it is shorter than a header.
pub(super) fn unique_of(request: &[u8]) -> Option<u64> {
    Some(InHeader::decode(request)?.unique)
}

/// What names a request in the field `ANSWERED`; never 0. Numbers are even and count up, so two
/// requests with the same mark are two thousand million requests apart.
fn mark(unique: u64) -> u32 {
    (unique >> 1) as u32 | 1 << 31
}

/// One pending entry; see [`Journal::entry`].
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub(super) journal: &'a Journal,
    pub(super) id: EntryId,
}

impl Entry<'_> {
    /// Its number.
    pub fn id(&self) -> EntryId {
        self.id
    }

    fn u32(&self, field: usize) -> &AtomicU32 {
        self.journal
            .memory
            .u32(self.journal.layout.entry(self.id.0).0 + field)
    }

    fn u64(&self, field: usize) -> &AtomicU64 {
        self.journal
            .memory
            .u64(self.journal.layout.entry(self.id.0).0 + field)
    }

    /// True while it holds a request.
    pub fn is_valid(&self) -> bool {
        self.state() == VALID
    }

    /// True when it is in the region that the keeper allocates.
    pub fn is_stand_in(&self) -> bool {
        self.journal.layout.is_stand_in(self.id.0)
    }

    /// Fd, arrival, suspicion. The fd index is whatever is noted: check it before use.
    pub fn origin(&self) -> Origin {
        Origin {
            fd: self.u32(entry_field::FD).load(Relaxed),
            arrival: self.u64(entry_field::ARRIVAL).load(Relaxed),
            suspicion: self.u32(entry_field::SUSPICION).load(Relaxed),
        }
    }

    /// `fuse_in_header.unique` of the request here, without a copy of the rest.
    pub fn unique(&self) -> u64 {
        self.u64(entry_field::REQUEST + 8).load(Relaxed)
    }

    /// True when the keeper answered the request while the engine couldn't: nothing is left to be
    /// done but to release the entry.
    pub fn is_answered(&self) -> bool {
        self.u32(entry_field::ANSWERED).load(Acquire) == mark(self.unique())
    }

    /// A copy of the request and its history. `None` when the entry is free or holds what can't
    /// be a request.
    pub fn held(&self) -> Option<Held> {
        if !self.is_valid() {
            return None;
        }
        let (start, room) = self.journal.layout.entry(self.id.0);
        let length = self.u32(entry_field::LENGTH).load(Relaxed) as usize;
        if !(InHeader::LEN..=room).contains(&length) {
            return None;
        }
        let mut request = vec![0; length];
        self.journal
            .memory
            .load(start + entry_field::REQUEST, &mut request);
        Some(Held {
            place: Place::Entry(self.id),
            origin: self.origin(),
            request,
        })
    }

    /// Makes the entry valid; the caller knows that it is free and its own, and that the request
    /// fits.
    pub(super) fn fill(&self, request: &[u8], origin: Origin) {
        let (start, room) = self.journal.layout.entry(self.id.0);
        debug_assert!(request.len() <= room);
        self.u32(entry_field::FD).store(origin.fd, Relaxed);
        self.u32(entry_field::FLAGS).store(0, Relaxed);
        self.u32(entry_field::ANSWERED).store(0, Relaxed);
        self.u32(entry_field::SUSPICION)
            .store(origin.suspicion, Relaxed);
        self.u64(entry_field::ARRIVAL)
            .store(origin.arrival, Relaxed);
        self.u32(entry_field::LENGTH)
            .store(request.len() as u32, Relaxed);
        self.journal
            .memory
            .store(start + entry_field::REQUEST, request);
        self.u32(entry_field::STATE).store(VALID, Release);
    }

    /// Frees it; false when it was free already. What was here can't be taken for a request any
    /// more, should somebody write over its state.
    pub(super) fn free(&self) -> bool {
        self.u32(entry_field::LENGTH).store(0, Relaxed);
        self.u32(entry_field::STATE).swap(FREE, AcqRel) != FREE
    }

    pub(super) fn state(&self) -> u32 {
        self.u32(entry_field::STATE).load(Acquire)
    }

    pub(super) fn set_state(&self, state: u32) {
        self.u32(entry_field::STATE).store(state, Release);
    }

    /// True when it holds nothing, not even nonsense.
    pub(super) fn is_free(&self) -> bool {
        self.state() == FREE
    }

    /// Claims an entry of the stand-in region; false when another has it.
    pub(super) fn take(&self) -> bool {
        self.u32(entry_field::FLAGS).fetch_or(TAKEN, AcqRel) & TAKEN == 0
    }

    pub(super) fn is_taken(&self) -> bool {
        self.u32(entry_field::FLAGS).load(Acquire) & TAKEN != 0
    }

    /// Notes that the keeper answered this request in the engine's place. It names the request,
    /// as the engine may have put another one here a moment ago.
    pub(super) fn mark_answered(&self, unique: u64) {
        self.u32(entry_field::ANSWERED).store(mark(unique), Release);
    }

    /// Nobody's again, after the death of the engine that had taken it.
    pub(super) fn disown(&self) {
        self.u32(entry_field::FLAGS).fetch_and(!TAKEN, AcqRel);
    }

    pub(super) fn set_suspicion(&self, suspicion: u32) {
        self.u32(entry_field::SUSPICION).store(suspicion, Relaxed);
    }

    pub(super) fn set_arrival(&self, arrival: u64) {
        self.u64(entry_field::ARRIVAL).store(arrival, Relaxed);
    }
}
