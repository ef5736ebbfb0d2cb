use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use crate::packet::{self, Packet};
use crate::{FromKeeper, HandoverError, KeeperStatus, Lease, PROTOCOL, ToKeeper, Unmounted};

/// How an engine is admitted.
#[derive(Debug)]
pub enum Admission {
    /// With the connection.
    Lease(Lease),
    /// Without, as there is no mount now: [`EngineLink::mounted`] waits for it.
    Unmounted(Unmounted),
}

/// What ends the time without a mount.
#[derive(Debug)]
pub enum Mounted {
    /// Here it is.
    Lease(Lease),
    /// The engine is to end: [`FromKeeper::Stop`].
    Stop,
    /// The engine is to end for another: [`FromKeeper::Replaced`].
    Replaced,
}

/// The engine's end of the socket.
#[derive(Debug)]
pub struct EngineLink {
    pub(crate) socket: OwnedFd,
}

impl EngineLink {
    /// Connects and says hello; `version` is the program's. `replace`: the engine that serves now
    /// is to end for this one, which has loaded everything it needs.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(path: &Path, version: &str, replace: bool) -> Result<EngineLink, HandoverError> {
        EngineLink::hello(path, version, replace, false)
    }

    /// As [`EngineLink::connect`], for an engine that has something to serve without a mount too:
    /// it goes on with [`EngineLink::admission`].
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect_without_mount(
        path: &Path,
        version: &str,
        replace: bool,
    ) -> Result<EngineLink, HandoverError> {
        EngineLink::hello(path, version, replace, true)
    }

    fn hello(
        path: &Path,
        version: &str,
        replace: bool,
        without_mount: bool,
    ) -> Result<EngineLink, HandoverError> {
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
            without_mount,
        })?;
        Ok(link)
    }

    /// Waits, without limit, until the keeper admits this engine: it waits for the death of the
    /// previous one.
    ///
    /// # Errors
    /// When the keeper refuses, is gone, or sends what can't be used.
    pub fn lease(&self) -> Result<Lease, HandoverError> {
        match self.admission()? {
            Admission::Lease(lease) => Ok(lease),
            Admission::Unmounted(unmounted) => Err(HandoverError::Message(format!(
                "{unmounted:?} instead of a lease"
            ))),
        }
    }

    /// Waits, without limit, until the keeper admits this engine, with a mount or without one.
    ///
    /// # Errors
    /// As [`EngineLink::lease`].
    pub fn admission(&self) -> Result<Admission, HandoverError> {
        let (message, fds) = self.receive_with_fds()?;
        match message {
            FromKeeper::Lease(terms) => Lease::new(terms, fds).map(Admission::Lease),
            FromKeeper::Unmounted(unmounted) => Ok(Admission::Unmounted(unmounted)),
            FromKeeper::Refused { reason } => Err(HandoverError::Refused(reason)),
            FromKeeper::Stop => Err(HandoverError::Refused("the keeper is stopping".into())),
            other => Err(HandoverError::Message(format!(
                "{other:?} instead of a lease"
            ))),
        }
    }

    /// Waits, without limit, until there is a mount for an engine that was admitted without one.
    ///
    /// # Errors
    /// When the keeper is gone, or sends what can't be used.
    pub fn mounted(&self) -> Result<Mounted, HandoverError> {
        loop {
            let (message, fds) = self.receive_with_fds()?;
            match message {
                FromKeeper::Lease(terms) => return Lease::new(terms, fds).map(Mounted::Lease),
                FromKeeper::Stop => return Ok(Mounted::Stop),
                FromKeeper::Replaced => return Ok(Mounted::Replaced),
                // Nothing that concerns an engine without requests.
                _ => {}
            }
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

    pub(crate) fn send_with(
        &self,
        message: &ToKeeper,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), HandoverError> {
        let bytes = serde_json::to_vec(message).map_err(std::io::Error::other)?;
        packet::send(self.socket.as_fd(), &bytes, fds).map_err(gone_or_io)
    }

    fn receive_with_fds(&self) -> Result<(FromKeeper, Vec<OwnedFd>), HandoverError> {
        understood(packet::receive(self.socket.as_fd()))
    }

    fn receive_without_fds(&self) -> Result<FromKeeper, HandoverError> {
        Ok(understood(packet::receive_bytes(self.socket.as_fd()))?.0)
    }
}

fn understood(
    packet: std::io::Result<Packet>,
) -> Result<(FromKeeper, Vec<OwnedFd>), HandoverError> {
    match packet.map_err(gone_or_io)? {
        Packet::End => Err(HandoverError::Gone),
        Packet::Message { bytes, fds } => {
            let message = serde_json::from_slice(&bytes)
                .map_err(|error| HandoverError::Message(error.to_string()))?;
            Ok((message, fds))
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
    // Root asks whoever listens there: no descriptor of his is wanted.
    match link.receive_without_fds()? {
        FromKeeper::Status(status) => Ok(status),
        FromKeeper::Refused { reason } => Err(HandoverError::Refused(reason)),
        other => Err(HandoverError::Message(format!(
            "{other:?} instead of a status"
        ))),
    }
}
