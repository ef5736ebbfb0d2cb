use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::memfd_create;
use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, fstatfs, ftruncate,
};
use rustix::mm::{MapFlags, ProtFlags, mlock, mmap, munmap};

use super::JournalError;

/// `f_type` of a memfd (linux/magic.h).
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// A shared mapping, reached only by checked offsets and only as atomics.
#[derive(Debug)]
pub(super) struct Memory {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, is unmapped only when it is dropped, and every
// access through a shared reference is an atomic one.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

fn os(call: &'static str) -> impl FnOnce(rustix::io::Errno) -> JournalError {
    move |errno| JournalError::Os {
        call,
        source: io::Error::from(errno),
    }
}

impl Memory {
    /// A new zeroed memfd of `len` bytes, sealed against change of size, and its mapping.
    pub fn create(len: usize) -> Result<(Memory, OwnedFd), JournalError> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = memfd_create("debridfs-journal", flags).map_err(os("memfd_create"))?;
        ftruncate(&fd, len as u64).map_err(os("ftruncate"))?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&fd, seals).map_err(os("fcntl F_ADD_SEALS"))?;
        let memory = Memory::map(fd.as_fd(), len)?;
        Ok((memory, fd))
    }

    /// Maps the first `len` bytes, populated; locking them is tried and may be refused by
    /// `RLIMIT_MEMLOCK`.
    pub fn map(fd: BorrowedFd<'_>, len: usize) -> Result<Memory, JournalError> {
        // Without the seal the other side could cut the file and end this process by SIGBUS.
        let seals = fcntl_get_seals(fd).map_err(os("fcntl F_GET_SEALS"))?;
        if !seals.contains(SealFlags::SHRINK) {
            return Err(JournalError::File("its size is not sealed"));
        }
        // Of large pages, a hole that the other side makes may find none to fill it with.
        if fstatfs(fd).map_err(os("fstatfs"))?.f_type != TMPFS_MAGIC {
            return Err(JournalError::File("not of ordinary shared memory"));
        }
        let size = fstat(fd).map_err(os("fstat"))?.st_size;
        if u64::try_from(size).unwrap_or(0) < len as u64 {
            return Err(JournalError::File("shorter than its layout"));
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new mapping at an address the kernel chooses touches no memory of ours.
        let base = unsafe { mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) }
            .map_err(os("mmap"))?;
        let base = NonNull::new(base.cast::<u8>()).ok_or(JournalError::File("mapped at zero"))?;
        let memory = Memory { base, len };
        // SAFETY: the range is the mapping made above; locking changes no byte of it.
        let _refused_by_rlimit = unsafe { mlock(base.as_ptr().cast::<c_void>(), len) };
        Ok(memory)
    }

    /// Address of `len` bytes at `offset`, for a system call to write to.
    ///
    /// # Panics
    /// When the range is not inside the mapping: offsets come from `Layout` alone.
    pub fn pointer(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(
            offset.checked_add(len).is_some_and(|end| end <= self.len),
            "beyond the journal"
        );
        // SAFETY: offset is inside the mapping, checked above.
        unsafe { self.base.as_ptr().add(offset) }
    }

    pub fn u32(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4));
        let pointer = self.pointer(offset, 4).cast::<u32>();
        // SAFETY: inside the mapping (checked), aligned (the mapping starts on a page, the offset
        // is a multiple of 4), alive as long as self, and accessed only as an atomic.
        unsafe { AtomicU32::from_ptr(pointer) }
    }

    pub fn u64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8));
        let pointer = self.pointer(offset, 8).cast::<u64>();
        // SAFETY: as for `u32`, with 8 bytes.
        unsafe { AtomicU64::from_ptr(pointer) }
    }

    /// Copies bytes out, word by word; `offset` is a multiple of 8 and the range, rounded up to
    /// whole words, is inside the mapping.
    pub fn load(&self, offset: usize, into: &mut [u8]) {
        for (word, chunk) in into.chunks_mut(8).enumerate() {
            let bytes = self.u64(offset + word * 8).load(Relaxed).to_ne_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    /// Copies bytes in, word by word; the last word is filled up with zeroes.
    pub fn store(&self, offset: usize, from: &[u8]) {
        for (word, chunk) in from.chunks(8).enumerate() {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.u64(offset + word * 8)
                .store(u64::from_ne_bytes(bytes), Relaxed);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `map` and no reference to it outlives self.
        let _ = unsafe { munmap(self.base.as_ptr().cast::<c_void>(), self.len) };
    }
}
