//! Requests in, replies out: the same for every backend.
//!
//! A transport thread reads a request straight into its slot of the journal. What the backend answers at once frees the slot after the reply; what
//! has to wait moves into a pending entry and is answered from the runtime, on the fd that read it. Nothing here decodes more than headers.

mod device;
mod interrupts;
mod pending;
mod threads;
mod turns;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use debridfs_handover::journal::{
    Held, InHand as AtWork, Journal, Origin, Place, Region, Slot, StoreError,
};
use debridfs_handover::{Descriptors, Lease, awake_ns, interrupt_target};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::backend::{Backend, Call, Outcome};
use crate::crash_hook::CrashHook;
use crate::errno::{self, Failure};
use crate::stats::Stats;
use crate::wire::{Answerer, InHeader, Opcode, Reply};
use device::Sent;
use pending::{Pending, Waiting};
use turns::{Turn, Turns};

pub(crate) use threads::run;

/// How often a thread that waits for a free entry looks whether its caller gave up.
const RECHECK: Duration = Duration::from_millis(20);

/// A lent connection and everything that answers on it. Shared by the transport threads and the pending requests.
pub(crate) struct Connection {
    fds: Descriptors,
    region: Region,
    backend: Arc<dyn Backend>,
    runtime: Handle,
    /// From a request's arrival to its EIO.
    limit: Duration,
    crash: Option<CrashHook>,
    pending: Pending,
    turns: Turns,
    /// By slot: the request that was interrupted while its thread had it in hand.
    interrupted: Vec<AtomicU64>,
    /// Requests that were interrupted while they waited for their replay.
    early: Mutex<HashSet<u64>>,
    /// Whether the keeper was told that this engine answers.
    answered: AtomicBool,
    pub(crate) stats: Arc<Stats>,
}

/// A request in hand: what is known of it while it is being answered.
#[derive(Clone, Copy)]
struct InHand<'a> {
    header: InHeader,
    request: &'a [u8],
    origin: Origin,
    place: Place,
}

/// What became of a request.
pub(crate) enum Handled {
    /// Answered, or nothing to answer; its place is free.
    Done,
    /// In the table of pending requests; the handle ends when it is answered.
    Pending(tokio::task::JoinHandle<()>),
}

impl Connection {
    /// Takes over a lease. What the journal holds is to be replayed.
    pub(crate) fn adopt(
        lease: Lease,
        backend: Arc<dyn Backend>,
        runtime: Handle,
        crash: Option<CrashHook>,
    ) -> (Self, Vec<Held>) {
        let limit = Duration::from_millis(lease.terms.deadline);
        let slots = lease.terms.layout.slots;
        let (region, held) = Region::adopt(Arc::new(lease.journal));
        let connection = Self {
            fds: lease.fds,
            region,
            backend,
            runtime,
            limit,
            crash,
            pending: Pending::default(),
            turns: Turns::of_this_process(),
            interrupted: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            early: Mutex::default(),
            answered: AtomicBool::new(false),
            stats: Arc::default(),
        };
        (connection, held)
    }

    pub(crate) fn journal(&self) -> &Arc<Journal> {
        self.region.journal()
    }

    /// Takes the requests that the keeper read while this engine answered nothing.
    pub(crate) fn take_stand_in(&self) -> Vec<Held> {
        self.region.take_stand_in()
    }

    /// Answers a request that an earlier engine or the stand-in left in an entry.
    pub(crate) fn replay(self: &Arc<Self>, held: &Held, reply: &mut Reply) -> Handled {
        let Place::Entry(id) = held.place else {
            // A slot that found no free entry: its own thread answers it before it reads again.
            return Handled::Done;
        };
        let Some(header) = InHeader::decode(&held.request) else {
            self.region.release(held.place);
            return Handled::Done;
        };
        self.stats.count_replayed();
        let hand = InHand {
            header,
            request: &held.request,
            origin: held.origin,
            place: held.place,
        };
        let journal = Arc::clone(self.journal());
        let worked_on = journal.enter(id);
        let outcome = self.answer(&hand, reply);
        drop(worked_on);
        let handled = match outcome {
            None => {
                self.region.release(held.place);
                Handled::Done
            }
            Some(Outcome::Ready) => {
                self.send(hand.origin, &header, reply);
                self.region.release(held.place);
                Handled::Done
            }
            Some(Outcome::Later(future)) => self.wait(&hand, id, reply.by(), future),
        };
        if self.take_early_interrupt(header.unique) {
            self.interrupt_pending(header.unique);
        }
        handled
    }

    /// Answers the request in a transport thread's slot.
    fn handle(
        self: &Arc<Self>,
        slot: Slot<'_>,
        request: &[u8],
        reply: &mut Reply,
        turn: &mut Turn<'_>,
    ) {
        let Some(header) = InHeader::decode(request) else {
            slot.clear();
            return;
        };
        let hand = InHand {
            header,
            request,
            origin: slot.origin(),
            place: Place::Slot(slot.index()),
        };
        let _at_work = AtWork::take(hand.place);
        match self.answer(&hand, reply) {
            None => slot.clear(),
            Some(Outcome::Ready) => {
                self.send(hand.origin, &header, reply);
                slot.clear();
            }
            Some(Outcome::Later(future)) => self.move_out(slot, hand, future, reply, turn),
        }
    }

    /// Has a request answered. `None`: it wants no reply.
    fn answer(self: &Arc<Self>, hand: &InHand<'_>, reply: &mut Reply) -> Option<Outcome> {
        reply.clear();
        reply.mark(Answerer::Loop);
        let header = &hand.header;
        let opcode = Opcode::from_number(header.opcode);
        self.stats.count(opcode);
        match opcode {
            // Nothing is remembered of nodes that the kernel knows, so nothing is to be forgotten.
            Some(Opcode::Forget | Opcode::BatchForget | Opcode::NotifyReply) => return None,
            Some(Opcode::Interrupt) => {
                if let Some(unique) = interrupt_target(hand.request) {
                    self.interrupt(unique, hand.place);
                }
                return None;
            }
            _ => {}
        }
        if let Some(refusal) = opcode.and_then(errno::of_refused) {
            reply.fail(refusal.errno);
            return Some(Outcome::Ready);
        }
        if let Some(crash) = &self.crash {
            crash.strike(header, hand.request);
        }
        let left = self.left(hand.origin);
        if left.is_zero() {
            fail(
                reply,
                header,
                errno::DEADLINE,
                "its deadline passed while nobody could answer it",
            );
            return Some(Outcome::Ready);
        }
        let call = Call {
            request: hand.request,
            left,
        };
        let answer = AssertUnwindSafe(|| self.backend.answer(call, reply));
        Some(std::panic::catch_unwind(answer).unwrap_or_else(|_| {
            fail(reply, header, errno::PANICKED, "the answer panicked");
            Outcome::Ready
        }))
    }

    /// What is left of the deadline of a request.
    fn left(&self, origin: Origin) -> Duration {
        let age = Duration::from_nanos(awake_ns().saturating_sub(origin.arrival));
        self.limit.saturating_sub(age)
    }

    /// Moves a request that has to wait from its slot into an entry.
    fn move_out(
        self: &Arc<Self>,
        slot: Slot<'_>,
        hand: InHand<'_>,
        future: BoxFuture<'static, Reply>,
        reply: &mut Reply,
        turn: &mut Turn<'_>,
    ) {
        let (unique, by) = (hand.header.unique, reply.by());
        let id = loop {
            let stored = match self.region.store(hand.request, hand.origin) {
                Err(StoreError::Full) => {
                    // Somebody has to read what frees an entry: interrupts.
                    turn.give();
                    slot.set_waiting(true);
                    let stored = self
                        .region
                        .store_waiting(hand.request, hand.origin, RECHECK);
                    slot.set_waiting(false);
                    stored
                }
                stored => stored,
            };
            let failure = match stored {
                Ok(id) => break id,
                Err(StoreError::Size) => errno::TOO_LONG,
                Err(StoreError::Full) if self.take_interrupt(slot.index(), unique) => {
                    errno::INTERRUPTED
                }
                Err(StoreError::Full) if self.left(hand.origin).is_zero() => errno::DEADLINE,
                Err(StoreError::Full) => continue,
            };
            fail(reply, &hand.header, failure, "it could not be kept waiting");
            self.send(hand.origin, &hand.header, reply);
            slot.clear();
            return;
        };
        drop(self.wait(&hand, id, by, future));
        slot.clear();
        if self.take_interrupt(slot.index(), unique) {
            self.interrupt_pending(unique);
        }
    }

    /// Spawns a request that has an entry, and that a backend is to answer.
    fn wait(
        self: &Arc<Self>,
        hand: &InHand<'_>,
        id: debridfs_handover::journal::EntryId,
        by: Answerer,
        future: BoxFuture<'static, Reply>,
    ) -> Handled {
        let header = hand.header;
        let origin = hand.origin;
        self.pending.insert(
            header.unique,
            Waiting {
                place: Place::Entry(id),
                header,
                origin,
                by,
                abort: None,
            },
        );
        let left = self.left(origin);
        let polled = pending::Polled::new(Arc::clone(self.journal()), id, future);
        let connection = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let mut reply = match tokio::time::timeout(left, polled).await {
                Ok(Some(reply)) => reply,
                Ok(None) => failed(&header, errno::PANICKED, "the answer panicked"),
                Err(_) => failed(&header, errno::DEADLINE, "no answer before its deadline"),
            };
            connection.complete(header.unique, &mut reply);
        });
        self.pending.set_abort(header.unique, task.abort_handle());
        Handled::Pending(task)
    }

    /// Answers a pending request, unless somebody else did.
    fn complete(&self, unique: u64, reply: &mut Reply) {
        if let Some(waiting) = self.pending.take(unique) {
            reply.mark(waiting.by);
            self.send(waiting.origin, &waiting.header, reply);
            self.region.release(waiting.place);
        }
    }

    /// Writes a reply on the fd that read the request.
    fn send(&self, origin: Origin, header: &InHeader, reply: &mut Reply) {
        let Some(fd) = self.fds.get(origin.fd) else {
            tracing::error!(
                fd = origin.fd,
                "the journal names an fd that does not exist"
            );
            return;
        };
        let receipt = reply.take_receipt();
        match device::send(fd, header.unique, reply) {
            Ok(Sent::Taken) => {
                let micros = awake_ns().saturating_sub(origin.arrival) / 1000;
                let (errno, bytes) = (reply.errno(), reply.span_bytes());
                self.stats
                    .answered(header.opcode, reply.by(), micros, errno, bytes);
                if !self.answered.swap(true, Relaxed) {
                    self.journal().note_answered();
                }
            }
            Ok(Sent::Unwanted) => self.stats.count_unwanted(),
            Err(error) => {
                // The kernel ended the request with EIO if it found it: there is nothing more to do.
                let operation = Opcode::from_number(header.opcode).map_or("unknown", Opcode::name);
                self.stats.refused(header.opcode, reply.by());
                tracing::error!(operation, node = header.node, %error, "a reply was refused");
                if let Some(receipt) = receipt {
                    receipt.refused();
                }
            }
        }
    }

    /// Gives up everything that waits; for when the connection is gone.
    pub(crate) fn abandon(&self) {
        for waiting in self.pending.drain() {
            self.region.release(waiting.place);
            if let Some(abort) = waiting.abort {
                abort.abort();
            }
        }
    }

    /// Number of requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len()
    }
}

fn fail(reply: &mut Reply, header: &InHeader, failure: Failure, why: &str) {
    reply.fail(failure.errno);
    failure.log(header.opcode, header.node, &why);
}

fn failed(header: &InHeader, failure: Failure, why: &str) -> Reply {
    let mut reply = Reply::new();
    fail(&mut reply, header, failure, why);
    reply
}
