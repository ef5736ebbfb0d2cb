//! The keeper's unix socket, and who may talk on it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::net::{SocketAddrUnix, SocketFlags, accept_with, bind, connect, listen};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use crate::KeeperError;
use crate::handover::{
    FromKeeper, LeaseTerms, Packet, ToKeeper, receive_packet, send_packet, seqpacket,
};
use crate::options::Owner;

/// `SO_PEERPIDFD` (Linux 6.5).
const SO_PEERPIDFD: libc::c_int = 77;

/// Bound, listening, removed from the file system when dropped.
#[derive(Debug)]
pub(super) struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    owner: Option<Owner>,
}

impl Listener {
    pub fn bind(path: &Path, owner: Option<Owner>) -> Result<Listener, KeeperError> {
        let doing = || format!("cannot listen on {}", path.display());
        if let Some(parent) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            fs::create_dir_all(parent).map_err(KeeperError::os(doing()))?;
        }
        let address = SocketAddrUnix::new(path).map_err(KeeperError::os(doing()))?;
        let socket = seqpacket().map_err(KeeperError::os(doing()))?;
        if connect(&socket, &address).is_ok() {
            return Err(KeeperError::AlreadyListening(path.into()));
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(KeeperError::os(doing())(error));
            }
            _ => {}
        }
        let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let bound = bind(&socket, &address);
        rustix::process::umask(mask);
        bound.map_err(KeeperError::os(doing()))?;
        let listener = Listener {
            socket,
            path: path.into(),
            owner,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(KeeperError::os(doing()))?;
        if let Some(owner) = owner.filter(|_| geteuid().is_root()) {
            chown(path, Some(owner.uid), Some(owner.gid)).map_err(KeeperError::os(doing()))?;
        }
        listen(&listener.socket, 16).map_err(KeeperError::os(doing()))?;
        rustix::io::ioctl_fionbio(&listener.socket, true).map_err(KeeperError::os(doing()))?;
        Ok(listener)
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next one that may talk here; `None` when nobody waits. Others are shut out unheard.
    pub fn accept(&self) -> Option<Client> {
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = accept_with(&self.socket, flags).ok()?;
            let Some(credentials) = peer_credentials(&socket) else {
                continue;
            };
            let allowed = credentials.uid == 0
                || credentials.uid == geteuid().as_raw()
                || self.owner.is_some_and(|owner| owner.uid == credentials.uid);
            if allowed {
                return Some(Client::new(socket, credentials.pid));
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// One connection to the socket.
#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    /// 0 when it is in a pid namespace that can't be seen from here.
    pub pid: u32,
    pidfd: Option<OwnedFd>,
}

/// An engine that waits for its lease.
#[derive(Debug)]
pub(super) struct Waiting {
    pub client: Client,
    pub version: String,
    /// The engine that serves is to end for it.
    pub replace: bool,
}

/// What a client said.
#[derive(Debug)]
pub(super) enum Said {
    Nothing,
    Message(ToKeeper),
    /// It brings a connection back; see [`ToKeeper::Return`].
    Return {
        protocol: u32,
        version: String,
        terms: LeaseTerms,
        fds: Vec<OwnedFd>,
    },
    /// It closed, or said what can't be understood.
    End,
}

impl Client {
    fn new(socket: OwnedFd, pid: i32) -> Client {
        let by_pid = || {
            let pid = Pid::from_raw(pid).filter(|_| pid > 0)?;
            pidfd_open(pid, PidfdFlags::empty()).ok()
        };
        let pidfd = peer_pidfd(&socket).or_else(by_pid);
        Client {
            socket,
            pid: u32::try_from(pid).unwrap_or(0),
            pidfd,
        }
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.as_ref()
    }

    pub fn receive(&self) -> Said {
        match receive_packet(self.socket()) {
            Ok(Packet::Message { bytes, fds }) => match serde_json::from_slice(&bytes) {
                Ok(ToKeeper::Return {
                    protocol,
                    version,
                    terms,
                }) => Said::Return {
                    protocol,
                    version,
                    terms,
                    fds,
                },
                // Descriptors that nobody asked for are closed unseen.
                Ok(message) => Said::Message(message),
                Err(_) => Said::End,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Said::Nothing,
            Ok(Packet::End) | Err(_) => Said::End,
        }
    }

    /// Never blocks: fails when the client doesn't read.
    pub fn send(&self, message: &FromKeeper, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message).map_err(io::Error::other)?;
        send_packet(self.socket(), &bytes, fds)
    }

    /// Ends its process, where it can be seen from here.
    pub fn kill(&self) -> bool {
        let sent = |fd: &OwnedFd| pidfd_send_signal(fd, Signal::KILL).is_ok();
        self.pidfd.as_ref().is_some_and(sent)
    }

    /// Whether its process ended; `None` when that can't be seen.
    pub fn is_dead(&self) -> Option<bool> {
        let fd = self.pidfd.as_ref()?;
        crate::probe::wait_readable(fd, std::time::Duration::ZERO).ok()
    }
}

struct Credentials {
    pid: i32,
    uid: u32,
}

fn peer_credentials(socket: &OwnedFd) -> Option<Credentials> {
    let mut ucred = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: pointer and length describe `ucred`, which outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut ucred).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(Credentials {
        pid: ucred.pid,
        uid: ucred.uid,
    })
}

fn peer_pidfd(socket: &OwnedFd) -> Option<OwnedFd> {
    let mut fd: libc::c_int = -1;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: pointer and length describe `fd`, which outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut fd).cast(),
            &raw mut length,
        )
    };
    // SAFETY: on success the kernel made this descriptor (close-on-exec) for us alone.
    (result == 0 && fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}
