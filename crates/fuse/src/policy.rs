//! What every backend tells the kernel and asks of the library, so that one can replace another on a live connection.

use std::time::Duration;

use bytes::Bytes;
use debridfs_vfs::{Attr, ReadRequest};

/// `FOPEN_KEEP_CACHE`: bytes of a film never change, and of a `.strm` the kernel is told, so what is in the page cache stays
/// right.
pub(crate) const KEEP_CACHE: u32 = 1 << 1;

/// `FOPEN_NOFLUSH` (7.35): nothing is ever to be flushed, so close(2) need not wait for an engine that may just be starting.
const NO_FLUSH: u32 = 1 << 5;

/// `FOPEN_*` of every open file.
pub(crate) const OPEN_FLAGS: u32 = KEEP_CACHE | NO_FLUSH;

/// What a read's deadline is shortened by below, so that its own error comes before the transport's.
pub(crate) const GRACE: Duration = Duration::from_millis(50);

/// Longest name that can exist, in bytes.
pub(crate) const NAME_MAX: usize = 255;

/// Whether open(2) with these flags could change the file.
pub(crate) fn writes(flags: u32) -> bool {
    let flags = flags as i32;
    flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0
}

/// Bytes that the answer to a read must have. Fewer than asked are right at the end of the file
/// only: the kernel takes them for the end, fills the page with zeros and shrinks the file.
pub(crate) fn expected(attr: &Attr, wanted: &ReadRequest) -> u64 {
    let there = attr.size.saturating_sub(wanted.offset);
    there.min(u64::from(wanted.size))
}

/// Bytes in all spans together.
pub(crate) fn length(spans: &[Bytes]) -> u64 {
    spans.iter().map(|span| span.len() as u64).sum()
}
