//! How an engine gets the connection from the keeper.
//!
//! One unix socket (`SOCK_SEQPACKET`), one JSON object a message. An engine sends
//! [`ToKeeper::Hello`], waits for [`FromKeeper::Lease`] (which comes with the descriptors, and
//! only after the previous engine is dead), adopts what the journal holds, starts its threads and
//! sends [`ToKeeper::Serving`]. Then it reads messages until the keeper is gone or says stop.
//! `debridfs status` sends [`ToKeeper::Status`] instead.
//!
//! Both sides hold every descriptor, so an engine that outlives its keeper serves on and brings
//! the connection to the next keeper ([`Custody`]).
//!
//! ```no_run
//! use debridfs_keeper::handover::{EngineLink, FromKeeper};
//! # fn main() -> Result<(), debridfs_keeper::handover::HandoverError> {
//! let link = EngineLink::connect("/run/debridfs/keeper.sock".as_ref(), "0.1.0", false)?;
//! let lease = link.lease()?; // blocks until this engine is admitted
//! // adopt lease.journal, start the transport threads on lease.clones …
//! link.serving()?;
//! while let Ok(FromKeeper::TakeStandIn) = link.receive() {
//!     // Region::take_stand_in
//! }
//! # Ok(())
//! # }
//! ```

mod custody;
#[cfg(test)]
pub(crate) mod hostile;
mod message;
mod packet;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

pub use custody::Custody;
pub use message::{
    EngineState, FromKeeper, InitResult, KeeperStatus, LeaseTerms, PROTOCOL, Recovery, ToKeeper,
    Upgrade,
};

pub(crate) use packet::{
    Packet, peer_credentials, receive_packet, receive_passed_fd, send_packet, seqpacket,
};

use crate::journal::{Journal, JournalError};

/// Why a talk with the keeper failed.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The keeper's socket can't be reached.
    #[error("cannot reach the keeper at {path}")]
    Connect {
        /// The socket.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The keeper closed the connection: it ended, or was killed.
    #[error("the keeper is gone")]
    Gone,
    /// Who listens there is neither root nor this user, so it is no keeper of ours.
    #[error("not a keeper: {0}")]
    Stranger(String),
    /// The keeper said no.
    #[error("the keeper refused this engine: {0}")]
    Refused(String),
    /// A message that isn't understood or not expected here.
    #[error("unexpected message from the keeper: {0}")]
    Message(String),
    /// The journal that came with the lease can't be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A system call failed.
    #[error("keeper socket")]
    Io(#[from] std::io::Error),
}

/// The connection as lent to one engine.
#[derive(Debug)]
pub struct Lease {
    /// What the keeper told with it.
    pub terms: LeaseTerms,
    /// Fd 0, `O_NONBLOCK`: read by the stand-in alone; an engine answers on it what the stand-in
    /// noted.
    pub main: OwnedFd,
    /// Fds 1 to N, blocking; `clones[i]` is read into slot `i`.
    pub clones: Vec<OwnedFd>,
    /// The shared memory.
    pub journal_fd: OwnedFd,
    /// The same, mapped.
    pub journal: Journal,
}

impl Lease {
    /// The fd with the index that the journal notes (0 is the main fd).
    pub fn fd(&self, index: u32) -> Option<BorrowedFd<'_>> {
        match index.checked_sub(1) {
            None => Some(self.main.as_fd()),
            Some(clone) => self.clones.get(clone as usize).map(AsFd::as_fd),
        }
    }
}

/// The engine's end of the socket.
#[derive(Debug)]
pub struct EngineLink {
    socket: OwnedFd,
}

impl EngineLink {
    /// Connects and says hello; `version` is the program's. `replace`: the engine that serves now is
    /// to end for this one, which has loaded everything it needs.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(path: &Path, version: &str, replace: bool) -> Result<EngineLink, HandoverError> {
        let link = EngineLink {
            socket: packet::connect(path)?,
        };
        let version = version.to_owned();
        let pid = std::process::id();
        link.send(&ToKeeper::Hello {
            protocol: PROTOCOL,
            version,
            pid,
            replace,
        })?;
        Ok(link)
    }

    /// Waits, without limit, until the keeper admits this engine: it waits for the death of the
    /// previous one.
    ///
    /// # Errors
    /// When the keeper refuses, is gone, or sends what can't be used.
    pub fn lease(&self) -> Result<Lease, HandoverError> {
        let (message, fds) = self.receive_with_fds()?;
        match message {
            FromKeeper::Lease(terms) => lease_from(terms, fds),
            FromKeeper::Refused { reason } => Err(HandoverError::Refused(reason)),
            FromKeeper::Stop => Err(HandoverError::Refused("the keeper is stopping".into())),
            other => Err(HandoverError::Message(format!(
                "{other:?} instead of a lease"
            ))),
        }
    }

    /// Tells that suspects are replayed and the transport threads read.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub fn serving(&self) -> Result<(), HandoverError> {
        self.send(&ToKeeper::Serving)
    }

    /// Waits for the next message: [`FromKeeper::TakeStandIn`] or [`FromKeeper::Stop`].
    ///
    /// # Errors
    /// [`HandoverError::Gone`] when the keeper ended. The mount ends with it: exit.
    pub fn receive(&self) -> Result<FromKeeper, HandoverError> {
        Ok(self.receive_with_fds()?.0)
    }

    fn send(&self, message: &ToKeeper) -> Result<(), HandoverError> {
        self.send_with(message, &[])
    }

    fn send_with(&self, message: &ToKeeper, fds: &[BorrowedFd<'_>]) -> Result<(), HandoverError> {
        let bytes = serde_json::to_vec(message).map_err(std::io::Error::other)?;
        send_packet(self.socket.as_fd(), &bytes, fds).map_err(gone_or_io)
    }

    fn receive_with_fds(&self) -> Result<(FromKeeper, Vec<OwnedFd>), HandoverError> {
        match receive_packet(self.socket.as_fd()).map_err(gone_or_io)? {
            Packet::End => Err(HandoverError::Gone),
            Packet::Message { bytes, fds } => {
                let message = serde_json::from_slice(&bytes)
                    .map_err(|error| HandoverError::Message(error.to_string()))?;
                Ok((message, fds))
            }
        }
    }
}

impl AsFd for EngineLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn gone_or_io(error: std::io::Error) -> HandoverError {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    match error.kind() {
        BrokenPipe | ConnectionReset => HandoverError::Gone,
        _ => HandoverError::Io(error),
    }
}

fn lease_from(terms: LeaseTerms, fds: Vec<OwnedFd>) -> Result<Lease, HandoverError> {
    let clones = terms.layout.slots as usize;
    if fds.len() != clones + 2 {
        let text = format!("{} descriptors with a lease of {clones} threads", fds.len());
        return Err(HandoverError::Message(text));
    }
    let mut fds = fds.into_iter();
    let (Some(main), Some(memory)) = (fds.next(), fds.next()) else {
        return Err(HandoverError::Message("a lease without descriptors".into()));
    };
    let journal = Journal::map(memory.as_fd(), terms.layout)?;
    Ok(Lease {
        terms,
        main,
        clones: fds.collect(),
        journal_fd: memory,
        journal,
    })
}

/// What the keeper at this socket says of itself, its engine and its mount. For `debridfs status`
/// when no engine answers. Waits at most `limit`.
///
/// # Errors
/// When no keeper listens there, or it doesn't answer in time.
pub fn status(path: &Path, limit: Duration) -> Result<KeeperStatus, HandoverError> {
    ask(path, limit, &ToKeeper::Status)
}

/// Asks the keeper at this socket to replace its engine by one of the program as it is installed
/// now. Returns once that one was started; [`KeeperStatus::upgrade`] tells how it goes on.
///
/// # Errors
/// As [`status`], and [`HandoverError::Refused`] when there can be none now.
pub fn upgrade(path: &Path, limit: Duration) -> Result<KeeperStatus, HandoverError> {
    ask(path, limit, &ToKeeper::Upgrade)
}

fn ask(path: &Path, limit: Duration, question: &ToKeeper) -> Result<KeeperStatus, HandoverError> {
    let link = EngineLink {
        socket: packet::connect(path)?,
    };
    packet::set_receive_limit(link.socket.as_fd(), limit)?;
    link.send(question)?;
    match link.receive()? {
        FromKeeper::Status(status) => Ok(status),
        FromKeeper::Refused { reason } => Err(HandoverError::Refused(reason)),
        other => Err(HandoverError::Message(format!(
            "{other:?} instead of a status"
        ))),
    }
}
