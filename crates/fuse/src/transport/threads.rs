//! The loop of a transport thread.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use debridfs_handover::journal::{SLOT_SIZE, Slot};

use super::Connection;
use super::turns::Turn;
use crate::wire::Reply;

/// Reads and answers requests on fd `index + 1` until the connection is gone.
pub(crate) fn run(connection: &Arc<Connection>, index: u32) {
    let journal = Arc::clone(connection.journal());
    let (Some(slot), Some(fd)) = (journal.slot(index), connection.fds.get(index + 1)) else {
        return;
    };
    // The request is copied out of the shared memory before it is looked at: what is checked is what is used.
    let mut buffer = [0; SLOT_SIZE];
    let mut reply = Reply::new();
    let mut turn = Turn::none(&connection.turns);
    loop {
        if !slot.in_use()
            && let Err(error) = receive(slot, fd, &mut turn)
        {
            if error.raw_os_error() != Some(libc::ENODEV) {
                tracing::error!(%error, thread = index, "requests cannot be read");
            }
            return;
        }
        match slot.request(&mut buffer) {
            Some(request) => connection.handle(slot, request, &mut reply, &mut turn),
            None => slot.clear(),
        }
    }
}

/// Waits for the thread's turn and for a request; it is in the slot then.
fn receive(slot: Slot<'_>, fd: BorrowedFd<'_>, turn: &mut Turn<'_>) -> io::Result<()> {
    turn.take();
    loop {
        match slot.receive(fd) {
            Ok(_) => return Ok(()),
            // ENOENT: the request was interrupted before it could be read.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EINTR | libc::EAGAIN | libc::ENOENT)
                ) => {}
            Err(error) => return Err(error),
        }
    }
}
