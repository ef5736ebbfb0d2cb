use super::engine::Peer;
use debridfs_handover::EngineState;

/// To whom the connection is lent, and how often it was.
#[derive(Debug, Default)]
pub(super) struct Lent {
    /// The engine with the lease. Until it has ended no other gets one.
    pub peer: Option<Peer>,
    /// Number of the last lease; 0 before the first.
    pub generation: u64,
    /// Leases of the connection that is mounted now.
    pub of_this_connection: u64,
    /// The stand-in took requests that the engine has yet to be told of.
    pub hand_over: bool,
}

impl Lent {
    /// The engine that has the connection that is mounted now, or waits for the next one.
    pub fn current(&self) -> Option<&Peer> {
        self.peer.as_ref().filter(|peer| !peer.stale)
    }

    /// An engine was admitted while there was no mount, and has none yet.
    pub fn is_without_mount(&self) -> bool {
        self.current().is_some_and(|peer| !peer.leased)
    }

    /// An engine has the connection that is mounted now.
    pub fn is_out(&self) -> bool {
        self.current().is_some_and(|peer| peer.leased)
    }

    /// An engine has said that it serves what it can serve now.
    pub fn is_at_work(&self) -> bool {
        let at_work = |state| matches!(state, EngineState::Serving | EngineState::Stalled);
        self.current().is_some_and(|peer| at_work(peer.state))
    }

    /// An engine reads requests, or would if it were not stalled.
    pub fn is_served(&self) -> bool {
        self.is_out() && self.is_at_work()
    }
}
