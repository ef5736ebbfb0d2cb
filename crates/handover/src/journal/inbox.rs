use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering::{Acquire, Release};

use super::entry::RECEIVING;
use super::layout::{LARGE_REQUEST, SLOT_SIZE, entry_field};
use super::{Entry, EntryId, Journal};
use crate::InHeader;

/// Where the stand-in reads requests: an entry of its region, set aside for that, so that there is
/// no moment in which a request is held by the keeper's own memory alone. As in a slot, it holds
/// one when the first word (`fuse_in_header.len`) is not zero. Dropped, it is free again.
#[derive(Debug)]
pub struct Inbox<'a>(Entry<'a>);

impl Inbox<'_> {
    /// Reads one request and returns its length in bytes, which are in `buffer`, too. A request
    /// longer than an entry is there alone, but for its beginning.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub fn receive(&self, fd: BorrowedFd<'_>, buffer: &mut [u8; SLOT_SIZE]) -> io::Result<usize> {
        let shared = self.start();
        let (head, tail) = buffer.split_at_mut(LARGE_REQUEST);
        let memory = &self.0.journal.memory;
        let parts = [
            libc::iovec {
                iov_base: memory.pointer(shared, LARGE_REQUEST).cast(),
                iov_len: LARGE_REQUEST,
            },
            libc::iovec {
                iov_base: tail.as_mut_ptr().cast(),
                iov_len: tail.len(),
            },
        ];
        // SAFETY: the first part is good for its length in a shared mapping that outlives the call,
        // and is reached by atomics alone otherwise; the second is a slice that is borrowed for the
        // call.
        let count = unsafe { libc::readv(fd.as_raw_fd(), parts.as_ptr(), 2) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        memory.load(shared, &mut head[..count.min(LARGE_REQUEST)]);
        Ok(count)
    }

    /// What was read is answered, or noted elsewhere.
    pub fn clear(&self) {
        self.0.journal.memory.u32(self.start()).store(0, Release);
    }

    fn start(&self) -> usize {
        self.0.journal.layout.entry(self.0.id.0).0 + entry_field::REQUEST
    }
}

impl Drop for Inbox<'_> {
    fn drop(&mut self) {
        self.clear();
        self.0.free();
    }
}

impl Journal {
    /// Keeper: a place to read into. `None` when every entry that would do holds a request.
    pub fn inbox(&self) -> Option<Inbox<'_>> {
        let inbox = Inbox(self.find_free(self.layout.stand_in_large())?);
        inbox.clear();
        inbox.0.set_state(RECEIVING);
        Some(inbox)
    }

    /// Keeper, when it takes over from one that was lost: what that one had read and not come to
    /// note. At least a header each; of one that was too long for an entry, the beginning.
    pub fn left_in_inboxes(&self) -> Vec<Vec<u8>> {
        let ids = self.layout.stand_in_large();
        let entries = ids.filter_map(|id| self.entry(EntryId(id)));
        let left = entries.filter(|entry| entry.state() == RECEIVING);
        left.filter_map(|entry| {
            let inbox = Inbox(entry);
            let length = self.memory.u32(inbox.start()).load(Acquire) as usize;
            if length == 0 {
                return None;
            }
            let mut request = vec![0; length.clamp(InHeader::LEN, LARGE_REQUEST)];
            self.memory.load(inbox.start(), &mut request);
            Some(request)
        })
        .collect()
    }
}
