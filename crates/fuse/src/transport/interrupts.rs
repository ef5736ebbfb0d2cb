//! INTERRUPT: its caller wants a request no more.

use std::collections::HashSet;
use std::sync::atomic::Ordering::SeqCst;

use debridfs_handover::journal::{Place, SLOT_SIZE};
use parking_lot::MutexGuard;

use super::Connection;
use super::device::{self, Sent};
use crate::errno;
use crate::wire::{InHeader, Reply};

impl Connection {
    /// Ends a request with EINTR, wherever it is. One that is unknown was answered already, or an engine before this one took it and lost it: then
    /// only this answer frees who waits for it.
    ///
    /// A request that another thread has in hand, or that is still to be replayed, is left to whoever puts it into the table and looks for interrupts
    /// after that: so one of both finds it there. No interrupt is ever given back to the kernel to ask again.
    pub(super) fn interrupt(&self, unique: u64, own: Place) {
        if self.interrupt_pending(unique) {
            return;
        }
        let mut buffer = [0; SLOT_SIZE];
        let elsewhere = self.journal().slots().find(|slot| {
            Place::Slot(slot.index()) != own
                && slot
                    .request(&mut buffer)
                    .and_then(InHeader::decode)
                    .is_some_and(|header| header.unique == unique)
        });
        if let Some(slot) = elsewhere
            && let Some(interrupted) = self.interrupted.get(slot.index() as usize)
        {
            interrupted.store(unique, SeqCst);
            self.interrupt_pending(unique);
        } else if self.journal().find(unique).is_some() {
            self.early_interrupts().insert(unique);
            self.interrupt_pending(unique);
        } else {
            let mut reply = Reply::new();
            reply.fail(errno::INTERRUPTED.errno);
            // The kernel knows it on one of them at most.
            let mut all = self.fds.of_connection();
            let _ = all.find(|fd| device::send(*fd, unique, &mut reply) == Ok(Sent::Taken));
        }
    }

    /// Whether a request was interrupted before it was replayed.
    pub(super) fn take_early_interrupt(&self, unique: u64) -> bool {
        self.early_interrupts().remove(&unique)
    }

    fn early_interrupts(&self) -> MutexGuard<'_, HashSet<u64>> {
        // Whatever panicked left the set whole.
        self.early.lock()
    }

    /// Ends a request that waits; `false` when it does not.
    pub(super) fn interrupt_pending(&self, unique: u64) -> bool {
        let Some(waiting) = self.pending.take(unique) else {
            return false;
        };
        if let Some(abort) = &waiting.abort {
            abort.abort();
        }
        let mut reply = Reply::new();
        reply.mark(waiting.by);
        reply.fail(errno::INTERRUPTED.errno);
        self.stats.count_interrupted();
        self.send(waiting.origin, &waiting.header, &mut reply);
        self.region.release(waiting.place);
        true
    }

    /// Whether the request that this slot's thread has in hand was interrupted.
    pub(super) fn take_interrupt(&self, slot: u32, unique: u64) -> bool {
        self.interrupted
            .get(slot as usize)
            .is_some_and(|noted| noted.compare_exchange(unique, 0, SeqCst, SeqCst).is_ok())
    }
}
