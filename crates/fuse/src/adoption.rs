//! Takes over what the last engine left: requests that killed it first and one at a time, then the transport threads, then everything else.

use std::sync::Arc;
use std::time::Duration;

use debridfs_handover::journal::Held;
use tokio::runtime::Handle;

use crate::transport::{Connection, Handled};
use crate::wire::{InHeader, Opcode, Reply};

/// How long a suspect is waited for before the next one is tried. One that has to wait for the network longer than this is harmless so far, and is
/// blamed only if the engine dies while it is worked on.
const SUSPECT_LIMIT: Duration = Duration::from_millis(200);

/// How long all suspects together may keep the transport threads from starting.
const SUSPECTS_LIMIT: Duration = Duration::from_secs(2);

/// Sorts what was left into suspects and the rest, each by arrival. Interrupts come last, whatever their history: they look for their request among
/// those that wait.
pub(crate) fn by_blame(mut held: Vec<Held>) -> (Vec<Held>, Vec<Held>) {
    held.sort_by_key(|request| (is_interrupt(request), request.origin.arrival));
    held.into_iter()
        .partition(|request| request.origin.suspicion > 0 && !is_interrupt(request))
}

fn is_interrupt(held: &Held) -> bool {
    InHeader::decode(&held.request).is_some_and(|header| header.opcode == Opcode::Interrupt as u32)
}

/// Replays the requests that were being worked on when the last engine died. Called on a thread of its own, not on the runtime.
pub(crate) fn replay_suspects(connection: &Arc<Connection>, runtime: &Handle, suspects: &[Held]) {
    let mut reply = Reply::new();
    let started = std::time::Instant::now();
    for held in suspects {
        if let Handled::Pending(task) = connection.replay(held, &mut reply)
            && started.elapsed() < SUSPECTS_LIMIT
        {
            // A timer belongs to the runtime, so it is made inside.
            let _ = runtime.block_on(async { tokio::time::timeout(SUSPECT_LIMIT, task).await });
        }
    }
}

/// Replays requests that nobody suspects.
pub(crate) fn replay(connection: &Arc<Connection>, held: &[Held]) {
    let mut reply = Reply::new();
    for request in held {
        drop(connection.replay(request, &mut reply));
    }
}
