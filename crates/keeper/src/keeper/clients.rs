//! The keeper's unix socket, and who may talk on it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketFlags, accept_with, bind, listen};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use crate::options::Owner;
use crate::wait::wait_readable;
use crate::{KeeperError, aside};
use debridfs_handover::packet::{self, Packet, peer_credentials, seqpacket};
use debridfs_handover::{FromKeeper, LeaseTerms, ToKeeper};

use super::socket_place::{FileOwner, SocketPlace};

/// `SO_PEERPIDFD` (Linux 6.5).
const SO_PEERPIDFD: libc::c_int = 77;

/// Bound, listening, removed from the file system when dropped.
#[derive(Debug)]
pub(super) struct Listener {
    socket: OwnedFd,
    place: SocketPlace,
    owner: Option<Owner>,
}

impl Listener {
    /// Makes the socket with mode 0600, and as its owner from the first moment: nothing is changed
    /// by a path afterwards, which could lead to something else by then.
    pub fn bind(path: &Path, owner: Option<Owner>) -> Result<Listener, KeeperError> {
        let doing = || format!("cannot listen on {}", path.display());
        let place = SocketPlace::find(path, owner).map_err(KeeperError::os(doing()))?;
        let socket = seqpacket().map_err(KeeperError::os(doing()))?;
        if place.answers(&socket).map_err(KeeperError::os(doing()))? {
            return Err(KeeperError::AlreadyListening(path.into()));
        }
        place.clear().map_err(KeeperError::os(doing()))?;
        let address = place.address().map_err(KeeperError::os(doing()))?;
        let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let bound = {
            let _as_owner = owner
                .filter(|_| geteuid().is_root())
                .map(FileOwner::take_on);
            bind(&socket, &address)
        };
        rustix::process::umask(mask);
        bound.map_err(KeeperError::os(doing()))?;
        let listener = Listener {
            socket,
            place,
            owner,
        };
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
        let _ = self.place.clear();
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
    /// It may be admitted while there is no mount.
    pub without_mount: bool,
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

    /// What it says; `with_fds` is for who would take a connection. Anybody can send any
    /// descriptor, and it is not even harmless to close one: see [`aside::close`].
    pub fn receive(&self, with_fds: bool) -> Said {
        let received = if with_fds {
            packet::receive(self.socket())
        } else {
            packet::receive_bytes(self.socket())
        };
        match received {
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
                Ok(message) => {
                    aside::close(fds);
                    Said::Message(message)
                }
                Err(_) => {
                    aside::close(fds);
                    Said::End
                }
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Said::Nothing,
            Ok(Packet::End) | Err(_) => Said::End,
        }
    }

    /// Never blocks: fails when the client doesn't read.
    pub fn send(&self, message: &FromKeeper, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message).map_err(io::Error::other)?;
        packet::send(self.socket(), &bytes, fds)
    }

    /// Ends its process, where it can be seen from here.
    pub fn kill(&self) -> bool {
        let sent = |fd: &OwnedFd| pidfd_send_signal(fd, Signal::KILL).is_ok();
        self.pidfd.as_ref().is_some_and(sent)
    }

    /// Waits until it has closed the socket or its process ended; false when it did neither within
    /// `limit`.
    pub fn leaves_within(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        loop {
            if matches!(self.receive(false), Said::End) || self.is_dead() == Some(true) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let mut fds = vec![PollFd::from_borrowed_fd(self.socket(), PollFlags::IN)];
            if let Some(pidfd) = &self.pidfd {
                fds.push(PollFd::new(pidfd, PollFlags::IN));
            }
            let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
        }
    }

    /// Whether its process ended; `None` when that can't be seen.
    pub fn is_dead(&self) -> Option<bool> {
        let fd = self.pidfd.as_ref()?;
        wait_readable(fd, Duration::ZERO).ok()
    }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use rustix::net::{SocketAddrUnix, connect};
    use rustix::process::{
        Gid, Signal, Uid, parent_process_death_signal, set_parent_process_death_signal,
    };
    use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

    use super::*;

    const OWNER: Owner = Owner {
        uid: 54_321,
        gid: 54_322,
    };

    fn place() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    /// Connects as somebody else: the kernel notes who a thread is when it connects.
    fn connect_as(uid: u32, path: &Path) -> rustix::io::Result<OwnedFd> {
        let path = path.to_owned();
        let other = move || {
            let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
            set_thread_res_gid(group, group, group)?;
            set_thread_res_uid(user, user, user)?;
            let socket = seqpacket()?;
            connect(&socket, &SocketAddrUnix::new(path)?)?;
            Ok(socket)
        };
        std::thread::spawn(other).join().unwrap()
    }

    #[test]
    fn the_socket_is_its_owners_alone() {
        let dir = place();
        let path = dir.path().join("run/keeper.sock");
        let listener = Listener::bind(&path, Some(OWNER)).unwrap();
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o600);
        assert_eq!((found.uid(), found.gid()), (OWNER.uid, OWNER.gid));
        assert!(connect_as(OWNER.uid, &path).is_ok());
        assert!(listener.accept().is_some());
        assert_eq!(
            connect_as(12_345, &path).unwrap_err(),
            rustix::io::Errno::ACCESS
        );
        assert!(matches!(
            Listener::bind(&path, Some(OWNER)),
            Err(KeeperError::AlreadyListening(_))
        ));
        drop(listener);
        assert!(!path.exists());
    }

    /// The kernel forgets that a process is to end with its parent when the owner of its files changes.
    #[test]
    fn a_keeper_that_ends_with_its_parent_still_does() {
        let dir = place();
        let path = dir.path().join("keeper.sock");
        // In a thread of its own, which alone is told.
        let after = std::thread::spawn(move || {
            set_parent_process_death_signal(Some(Signal::TERM)).unwrap();
            let _listener = Listener::bind(&path, Some(OWNER)).unwrap();
            parent_process_death_signal().unwrap()
        });
        assert_eq!(after.join().unwrap(), Some(Signal::TERM));
    }

    #[test]
    fn strangers_are_shut_out_whatever_the_mode_says() {
        let dir = place();
        let path = dir.path().join("keeper.sock");
        let listener = Listener::bind(&path, Some(OWNER)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let stranger = connect_as(12_345, &path).unwrap();
        assert!(listener.accept().is_none());
        assert!(matches!(
            packet::receive(stranger.as_fd()),
            Ok(Packet::End) | Err(_)
        ));
        let _root = connect_as(0, &path).unwrap();
        assert!(listener.accept().is_some());
    }

    #[test]
    fn no_symbolic_link_is_followed() {
        let dir = place();
        let real = dir.path().join("real");
        fs::create_dir(&real).unwrap();
        symlink(&real, dir.path().join("link")).unwrap();
        for path in ["link/keeper.sock", "link/deeper/keeper.sock"] {
            let error = Listener::bind(&dir.path().join(path), None).unwrap_err();
            let text = debridfs_base::with_causes(&error);
            assert!(
                text.contains("link: not a directory, or a symbolic link"),
                "{text}"
            );
        }
        assert_eq!(fs::read_dir(&real).unwrap().count(), 0);

        let treasure = dir.path().join("treasure");
        fs::write(&treasure, "x").unwrap();
        let path = dir.path().join("keeper.sock");
        symlink(&treasure, &path).unwrap();
        let _listener = Listener::bind(&path, Some(OWNER)).unwrap();
        let found = fs::metadata(&treasure).unwrap();
        assert_eq!(
            (found.uid(), fs::read(&treasure).unwrap()),
            (0, b"x".to_vec())
        );
    }

    #[test]
    fn what_is_not_a_socket_stays() {
        let dir = place();
        let path = dir.path().join("keeper.sock");
        fs::write(&path, "precious").unwrap();
        let text = debridfs_base::with_causes(&Listener::bind(&path, None).unwrap_err());
        assert!(text.contains("is there and is no socket"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_directory_of_strangers_is_refused() {
        let dir = place();
        for (mode, uid, why) in [
            (0o777, 0, "everybody may write"),
            (0o700, 12_345, "belongs to user 12345"),
        ] {
            let inner = dir.path().join(format!("{mode:o}"));
            fs::create_dir(&inner).unwrap();
            fs::set_permissions(&inner, fs::Permissions::from_mode(mode)).unwrap();
            std::os::unix::fs::chown(&inner, Some(uid), None).unwrap();
            let error = Listener::bind(&inner.join("keeper.sock"), Some(OWNER)).unwrap_err();
            let text = debridfs_base::with_causes(&error);
            assert!(text.contains(why), "{text}");
        }
    }
}
