//! The talk with the keeper, which outlives the keeper: whoever listens next at its socket gets the connection back.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use debridfs_handover::{Custody, EngineLink, FromKeeper, HandoverError};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::serving::{Ended, Outlives};

/// How often a new keeper is looked for.
const RETRY: Duration = Duration::from_millis(200);

/// The keeper of one connection.
pub(crate) struct KeeperLink {
    state: Mutex<State>,
    /// Told when the link is closed.
    closed: Condvar,
    outlives: Option<(Outlives, Custody)>,
}

struct State {
    link: Arc<EngineLink>,
    closed: bool,
}

impl KeeperLink {
    pub(crate) fn new(link: EngineLink, outlives: Option<(Outlives, Custody)>) -> Self {
        Self {
            state: Mutex::new(State {
                link: Arc::new(link),
                closed: false,
            }),
            closed: Condvar::new(),
            outlives,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Does what the keeper says until it says stop, or is gone for good, or [`KeeperLink::close`].
    pub(crate) fn listen(&self, take_stand_in: impl Fn()) -> Ended {
        loop {
            let link = self.lock().link.clone();
            match link.receive() {
                Ok(FromKeeper::TakeStandIn) => take_stand_in(),
                Ok(FromKeeper::Stop) => return Ended::Stopped,
                Ok(FromKeeper::Replaced) => return Ended::Replaced,
                Ok(_) => {}
                Err(HandoverError::Message(message)) => {
                    tracing::warn!(message, "a message of the keeper is not understood");
                }
                Err(_) if self.find_keeper() => {}
                Err(_) => return Ended::KeeperGone,
            }
        }
    }

    /// Serves on without a keeper until there is one that takes the connection back.
    fn find_keeper(&self) -> bool {
        let Some((Outlives { socket, version }, custody)) = &self.outlives else {
            return false;
        };
        if self.lock().closed {
            return false;
        }
        tracing::warn!("the keeper is gone; serving on until there is another");
        loop {
            match custody.give_back(socket, version) {
                Ok(link) => {
                    tracing::info!("a new keeper has the mount");
                    let mut state = self.lock();
                    state.link = Arc::new(link);
                    return !state.closed;
                }
                Err(HandoverError::Refused(reason)) => {
                    tracing::error!(reason, "the new keeper does not want this mount");
                    return false;
                }
                Err(_) => {}
            }
            let mut state = self.lock();
            self.closed
                .wait_while_for(&mut state, |state| !state.closed, RETRY);
            if state.closed {
                return false;
            }
        }
    }

    /// Ends the listening.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        // An error means that there is no keeper to part with.
        let _ = rustix::net::shutdown(state.link.as_fd(), rustix::net::Shutdown::Both);
        drop(state);
        self.closed.notify_all();
    }
}
