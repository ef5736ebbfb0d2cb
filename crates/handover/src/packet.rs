//! One message on a `SOCK_SEQPACKET` socket, with descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    recvmsg, sendmsg, socket_with, sockopt,
};

use crate::HandoverError;
use crate::journal::MAX_SLOTS;

/// Longest message in bytes; a longer one is an error.
const MAX_MESSAGE: usize = 16 * 1024;

/// Main fd, journal, and a clone for each thread.
const MAX_FDS: usize = MAX_SLOTS as usize + 2;

const FD_SPACE: usize = rustix::cmsg_space!(ScmRights(MAX_FDS));

/// What was received.
#[derive(Debug)]
pub enum Packet {
    /// The other side closed.
    End,
    /// One message.
    Message {
        /// JSON, unchecked; empty when the message or what came with it was too long.
        bytes: Vec<u8>,
        /// Descriptors that came with it; close-on-exec.
        fds: Vec<OwnedFd>,
    },
}

/// Sends one message; never raises SIGPIPE.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if bytes.is_empty() || bytes.len() > MAX_MESSAGE || fds.len() > MAX_FDS {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut space = [MaybeUninit::uninit(); FD_SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    let parts = [IoSlice::new(bytes)];
    rustix::io::retry_on_intr(|| sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Receives one message, and the descriptors that come with it.
///
/// To let go of one may take for ever: of a file on a FUSE mount whose engine does not answer. So
/// this is for who wants them, and trusts or checks the other side; see [`receive_bytes`].
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Packet> {
    let mut space = [MaybeUninit::uninit(); FD_SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let Some((mut bytes, flags)) = receive_into(socket, &mut control)? else {
        return Ok(Packet::End);
    };
    let mut fds = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    // Cut short it says nothing; but what did come has to be let go of by who takes it.
    if flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        bytes.clear();
    }
    Ok(Packet::Message { bytes, fds })
}

/// Receives one message. Descriptors that come with it never get into this process: the kernel
/// lets go of them.
pub fn receive_bytes(socket: BorrowedFd<'_>) -> io::Result<Packet> {
    let mut none = RecvAncillaryBuffer::default();
    let Some((bytes, flags)) = receive_into(socket, &mut none)? else {
        return Ok(Packet::End);
    };
    if flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let fds = Vec::new();
    Ok(Packet::Message { bytes, fds })
}

fn receive_into(
    socket: BorrowedFd<'_>,
    control: &mut RecvAncillaryBuffer<'_>,
) -> io::Result<Option<(Vec<u8>, ReturnFlags)>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let message = rustix::io::retry_on_intr(|| {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        recvmsg(socket, &mut parts, control, RecvFlags::CMSG_CLOEXEC)
    })?;
    if message.bytes == 0 {
        return Ok(None);
    }
    bytes.truncate(message.bytes);
    Ok(Some((bytes, message.flags)))
}

/// Connects to the keeper's socket. Somebody who is neither root nor this user is no keeper of
/// ours.
pub(crate) fn connect(path: &Path) -> Result<OwnedFd, HandoverError> {
    let failed = |errno: rustix::io::Errno| HandoverError::Connect {
        path: path.display().to_string(),
        source: errno.into(),
    };
    let socket = seqpacket().map_err(failed)?;
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address)).map_err(failed)?;
    let us = rustix::process::geteuid().as_raw();
    match peer_credentials(&socket).map(|keeper| keeper.uid) {
        // Root, who asks for a status, may ask anybody.
        Some(keeper) if keeper == 0 || keeper == us || us == 0 => Ok(socket),
        keeper => {
            let path = path.display();
            let text = format!("user {keeper:?} listens on {path}");
            Err(HandoverError::Stranger(text))
        }
    }
}

/// Who is at the other end.
pub struct Credentials {
    /// 0 when it is in a pid namespace that can't be seen from here.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

/// `SO_PEERCRED`: noted by the kernel when the other side connected, or listened.
pub fn peer_credentials(socket: &OwnedFd) -> Option<Credentials> {
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

/// A new socket of the kind both sides use.
pub fn seqpacket() -> rustix::io::Result<OwnedFd> {
    socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
}

/// Makes a receive fail after this time.
pub(crate) fn set_receive_limit(socket: BorrowedFd<'_>, limit: Duration) -> io::Result<()> {
    let limit = limit.max(Duration::from_millis(1));
    sockopt::set_socket_timeout(socket.as_fd(), sockopt::Timeout::Recv, Some(limit))?;
    Ok(())
}
