use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::layout::{SLOT_SIZE, slot_field};
use super::{EntryId, InHand, Journal, Origin, Place};
use crate::{InHeader, awake_ns};

/// The place into which one transport thread reads requests.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    pub(super) journal: &'a Journal,
    pub(super) index: u32,
}

impl Slot<'_> {
    /// Number of the slot, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Index of the fd whose requests come here (fd 0 is the main fd).
    pub fn fd_index(&self) -> u32 {
        self.index + 1
    }

    fn field(&self, field: usize) -> usize {
        self.journal.layout.slot_meta(self.index) + field
    }

    fn u32(&self, field: usize) -> &AtomicU32 {
        self.journal.memory.u32(self.field(field))
    }

    fn u64(&self, field: usize) -> &AtomicU64 {
        self.journal.memory.u64(self.field(field))
    }

    fn start(&self) -> usize {
        self.journal.layout.slot(self.index)
    }

    fn length(&self) -> &AtomicU32 {
        self.journal.memory.u32(self.start())
    }

    /// Blocks in `read(2)` on the connection; the kernel copies the request straight here.
    /// Returns its length in bytes.
    ///
    /// # Errors
    /// Those of `read(2)`: ENODEV when unmounted; EINTR, EAGAIN and ENOENT are to be tried again.
    /// `AlreadyExists` when the slot still holds a request.
    pub fn receive(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        if self.in_use() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        self.u32(slot_field::SUSPICION).store(0, Relaxed);
        self.u32(slot_field::WAITING).store(0, Relaxed);
        self.u64(slot_field::ARRIVAL).store(0, Release);
        let buffer = self.journal.memory.pointer(self.start(), SLOT_SIZE);
        // SAFETY: the pointer is good for SLOT_SIZE bytes of a shared mapping that outlives the
        // call, and no Rust reference to these bytes exists: all other access is by atomics.
        let count = unsafe { libc::read(fd.as_raw_fd(), buffer.cast(), SLOT_SIZE) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.u64(slot_field::ARRIVAL).store(awake_ns(), Release);
        self.u64(slot_field::TAKEN).fetch_add(1, Relaxed);
        Ok(count)
    }

    /// True while a request is here.
    pub fn in_use(&self) -> bool {
        self.length().load(Acquire) != 0
    }

    /// Copies the request out. `None` when the slot is free or its length is impossible (shorter
    /// than a header, longer than a slot).
    pub fn request<'b>(&self, buffer: &'b mut [u8; SLOT_SIZE]) -> Option<&'b [u8]> {
        let length = self.length().load(Acquire) as usize;
        if !(InHeader::LEN..=SLOT_SIZE).contains(&length) {
            return None;
        }
        let into = &mut buffer[..length];
        self.journal.memory.load(self.start(), into);
        Some(into)
    }

    /// Frees the slot: the request was answered, or an entry holds it.
    pub fn clear(&self) {
        self.length().store(0, Release);
    }

    /// What an entry must take over: fd, arrival (now, when the engine died before it could note
    /// it), suspicion.
    pub fn origin(&self) -> Origin {
        let arrival = match self.u64(slot_field::ARRIVAL).load(Acquire) {
            0 => awake_ns(),
            noted => noted,
        };
        Origin {
            fd: self.fd_index(),
            arrival,
            suspicion: self.suspicion(),
        }
    }

    /// How many requests were read into this slot; wraps.
    pub fn taken(&self) -> u64 {
        self.u64(slot_field::TAKEN).load(Relaxed)
    }

    /// How far the request here is suspected of making engines die.
    pub fn suspicion(&self) -> u32 {
        self.u32(slot_field::SUSPICION).load(Relaxed)
    }

    /// Says that the thread only waits for a free entry (or works again): a request that waits is
    /// not blamed for the engine's death. Reset by each [`Slot::receive`].
    pub fn set_waiting(&self, waiting: bool) {
        self.u32(slot_field::WAITING)
            .store(u32::from(waiting), Relaxed);
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.u32(slot_field::WAITING).load(Relaxed) != 0
    }

    pub(super) fn set_suspicion(&self, suspicion: u32) {
        self.u32(slot_field::SUSPICION).store(suspicion, Relaxed);
    }

    pub(super) fn set_arrival(&self, arrival: u64) {
        self.u64(slot_field::ARRIVAL).store(arrival, Release);
    }
}

/// While it lives, a request is named as being worked on; see [`Journal::enter`].
#[derive(Debug)]
#[must_use = "the request counts as worked on only while the guard lives"]
pub struct ActiveGuard<'a> {
    cell: Option<&'a AtomicU64>,
    _in_hand: InHand,
}

impl Drop for ActiveGuard<'_> {
    fn drop(&mut self) {
        if let Some(cell) = self.cell {
            cell.store(0, Release);
        }
    }
}

impl Journal {
    fn cell(&self, index: u32) -> &AtomicU64 {
        self.memory.u64(self.layout.cell(index))
    }

    /// Engine: names the request that this thread works on from now until the guard is dropped.
    /// Should the engine die meanwhile, this request is a suspect. Hold it for one `poll` of a
    /// request's future, never while waiting.
    ///
    /// When all cells are in use the request goes unnamed: nobody waits for a cell.
    pub fn enter(&self, id: EntryId) -> ActiveGuard<'_> {
        let name = u64::from(id.0) + 1;
        let cell = (0..self.layout.cells)
            .map(|index| self.cell(index))
            .find(|cell| cell.compare_exchange(0, name, Acquire, Relaxed).is_ok());
        let _in_hand = InHand::take(Place::Entry(id));
        ActiveGuard { cell, _in_hand }
    }

    /// Takes the names of all requests that were being worked on, and clears the cells.
    pub(super) fn take_active(&self) -> Vec<EntryId> {
        (0..self.layout.cells)
            .filter_map(|index| self.cell(index).swap(0, Acquire).checked_sub(1))
            .filter_map(|index| u32::try_from(index).ok().map(EntryId))
            .collect()
    }
}
