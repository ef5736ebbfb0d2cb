//! Writes replies to `/dev/fuse`.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::wire::Reply;

/// Parts of a reply that are written without an allocation.
const PARTS: usize = 16;

/// Most parts that writev(2) takes (`UIO_MAXIOV`).
const PARTS_MAX: usize = 1024;

/// What the kernel did with a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It took it.
    Taken,
    /// Nobody waits for it: it was answered before, or its caller is gone.
    Unwanted,
}

/// Writes a reply at once, as the kernel wants it.
pub(super) fn send(fd: BorrowedFd<'_>, unique: u64, reply: &mut Reply) -> Result<Sent, Errno> {
    let (head, spans) = reply.finish(unique);
    let written = if spans.is_empty() {
        rustix::io::write(fd, head)
    } else if spans.len() < PARTS {
        let mut parts = [IoSlice::new(&[]); PARTS];
        parts[0] = IoSlice::new(head);
        for (part, span) in parts[1..].iter_mut().zip(spans) {
            *part = IoSlice::new(span);
        }
        rustix::io::writev(fd, &parts[..=spans.len()])
    } else if spans.len() < PARTS_MAX {
        let parts: Vec<_> = std::iter::once(head)
            .chain(spans.iter().map(|span| &span[..]))
            .map(IoSlice::new)
            .collect();
        rustix::io::writev(fd, &parts)
    } else {
        let mut whole = head.to_vec();
        spans.iter().for_each(|span| whole.extend_from_slice(span));
        rustix::io::write(fd, &whole)
    };
    match written {
        Ok(_) => Ok(Sent::Taken),
        // ENODEV: the connection is gone, and its requests with it.
        Err(Errno::NOENT | Errno::NODEV) => Ok(Sent::Unwanted),
        Err(error) => Err(error),
    }
}
