//! `FUSE_INIT`: what this file system can do. Decided once for the life of a connection, whatever
//! engine or backend serves it later.

use crate::KeeperError;
use crate::wire::{self, u32_at};
use debridfs_handover::{InHeader, InitResult};

const MAJOR: u32 = 7;
/// The newest minor version whose structures engine and keeper know.
const MINOR: u32 = 45;
/// `FUSE_EXPLICIT_INVAL_DATA` and `max_pages`; Linux 5.4.
const OLDEST_MINOR: u32 = 31;

/// Smallest the kernel accepts; the mount is read-only, and it keeps requests below a slot's size.
const MAX_WRITE: u32 = 4096;
/// Longest read in bytes. The kernel is told it in pages of its own size, of which some machines
/// have 64 KiB.
const MAX_READ: usize = 1 << 20;
/// Read-ahead of this many stalled readers doesn't hold up the others.
const MAX_BACKGROUND: u16 = 1024;
const CONGESTION: u16 = 768;

const ASYNC_READ: u64 = 1;
const EXPORT_SUPPORT: u64 = 1 << 4;
const DO_READDIRPLUS: u64 = 1 << 13;
const PARALLEL_DIROPS: u64 = 1 << 18;
const HAS_MAX_PAGES: u64 = 1 << 22;
const CACHE_SYMLINKS: u64 = 1 << 23;
const NO_OPENDIR_SUPPORT: u64 = 1 << 24;
const EXPLICIT_INVAL_DATA: u64 = 1 << 25;
const INIT_EXT: u64 = 1 << 30;
const HAS_RESEND: u64 = 1 << 39;

/// Not among them: `READDIRPLUS_AUTO` (with it the kernel asks for names alone after the first page
/// of a directory, and then for each of them by itself: a LOOKUP for every release that is walked),
/// asynchronous direct I/O (with it a thread in an `O_DIRECT` read waits in a way
/// that not even SIGKILL ends, and its requests can't be interrupted), writeback cache (sizes are
/// ours to tell), locks (local ones do), io_uring (a request in its ring is lost with the engine),
/// request timeouts (they abort the connection).
const WANTED: u64 = ASYNC_READ
    | EXPORT_SUPPORT
    | DO_READDIRPLUS
    | PARALLEL_DIROPS
    | HAS_MAX_PAGES
    | CACHE_SYMLINKS
    | NO_OPENDIR_SUPPORT
    | EXPLICIT_INVAL_DATA
    | INIT_EXT
    | HAS_RESEND;

/// The kernel can be asked to send unanswered requests again.
pub(crate) fn can_resend(init: &InitResult) -> bool {
    init.flags & HAS_RESEND != 0
}

/// Decides on an INIT request; returns what was agreed and the reply.
pub(super) fn answer(request: &[u8]) -> Result<(InitResult, Vec<u8>), KeeperError> {
    let header = wire::header(request).ok_or(KeeperError::Init("a request cut short"))?;
    if header.opcode != wire::INIT {
        return Err(KeeperError::Init("another request came first"));
    }
    let body = &request[InHeader::LEN..];
    let (major, minor) = (u32_at(body, 0), u32_at(body, 4));
    if major != MAJOR || minor < OLDEST_MINOR {
        return Err(KeeperError::Version { major, minor });
    }
    let offered_low = u64::from(u32_at(body, 12));
    let offered_high = if offered_low & INIT_EXT == 0 {
        0
    } else {
        u64::from(u32_at(body, 16))
    };
    let result = InitResult {
        major,
        minor: minor.min(MINOR),
        flags: (offered_low | offered_high << 32) & WANTED,
        max_readahead: u32_at(body, 8),
        max_write: MAX_WRITE,
        max_pages: max_pages(rustix::param::page_size()),
    };
    Ok((result, wire::reply(header.unique, 0, &encode(&result))))
}

fn max_pages(page: usize) -> u32 {
    // Never 0 (the kernel would take one page), whatever pages are to come.
    u32::try_from(MAX_READ / page).map_or(1, |pages| pages.max(1))
}

/// `struct fuse_init_out`.
fn encode(init: &InitResult) -> [u8; 64] {
    let mut bytes = [0; 64];
    let words = [
        (0, init.major),
        (4, init.minor),
        (8, init.max_readahead),
        (12, init.flags as u32),
        (16, u32::from(MAX_BACKGROUND) | u32::from(CONGESTION) << 16),
        (20, init.max_write),
        // time_gran: nanoseconds.
        (24, 1),
        (28, init.max_pages),
        (32, (init.flags >> 32) as u32),
    ];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    if cfg!(target_endian = "big") {
        bytes[16..18].copy_from_slice(&MAX_BACKGROUND.to_ne_bytes());
        bytes[18..20].copy_from_slice(&CONGESTION.to_ne_bytes());
        bytes[28..30].copy_from_slice(&(init.max_pages as u16).to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(minor: u32, flags: u32, flags2: u32) -> Vec<u8> {
        let mut bytes = vec![0; 104];
        let words = [
            (0, 104),
            (4, wire::INIT),
            (8, 2),
            (40, 7),
            (44, minor),
            (48, 131_072),
            (52, flags),
        ];
        for (at, word) in words.into_iter().chain([(56, flags2)]) {
            bytes[at..at + 4].copy_from_slice(&u32::to_ne_bytes(word));
        }
        bytes
    }

    #[test]
    fn only_wanted_flags_that_were_offered_are_taken() {
        let (init, reply) = answer(&request(45, u32::MAX, u32::MAX)).unwrap();
        assert_eq!(init.flags, WANTED);
        assert!(can_resend(&init));
        assert_eq!(reply.len(), 80);
        let (init, _) = answer(&request(31, 1, u32::MAX)).unwrap();
        assert_eq!((init.flags, init.minor), (ASYNC_READ, 31));
        assert_eq!(answer(&request(99, 0, 0)).unwrap().0.minor, MINOR);
    }

    #[test]
    fn every_page_of_a_directory_comes_with_its_attributes() {
        /// `FUSE_READDIRPLUS_AUTO` (include/uapi/linux/fuse.h).
        const AUTO: u32 = 1 << 14;
        let (init, reply) = answer(&request(45, u32::MAX, u32::MAX)).unwrap();
        assert_ne!(init.flags & DO_READDIRPLUS, 0);
        assert_eq!(u32_at(&reply[16..], 12) & AUTO, 0);
    }

    #[test]
    fn the_longest_read_is_the_same_whatever_the_size_of_a_page() {
        for page in [4096, 16_384, 65_536] {
            assert_eq!(max_pages(page) as usize * page, MAX_READ);
        }
    }

    #[test]
    fn an_old_kernel_is_refused_by_name() {
        let error = answer(&request(30, 0, 0)).unwrap_err();
        assert!(matches!(
            error,
            KeeperError::Version {
                major: 7,
                minor: 30
            }
        ));
    }
}
