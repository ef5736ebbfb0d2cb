//! Mounts and unmounts as a user, by the set-uid program `fusermount3`.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::KeeperError;
use debridfs_handover::packet::{self, Packet};

const PROGRAM: &str = "fusermount3";

pub(super) fn mount_at(path: &Path, allow_other: bool) -> Result<OwnedFd, KeeperError> {
    let failed = |reason: String| KeeperError::Fusermount {
        path: path.into(),
        reason,
    };
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(KeeperError::os("cannot make a socket pair"))?;
    let mut options = String::from(
        "ro,nosuid,nodev,noatime,default_permissions,fsname=debridfs,subtype=debridfs",
    );
    if allow_other && user_allow_other() {
        options.push_str(",allow_other");
    }
    let mut command = program();
    command.arg("-o").arg(options).arg("--").arg(path);
    command.env("_FUSE_COMMFD", theirs.as_raw_fd().to_string());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let passed = theirs.as_raw_fd();
    // SAFETY: between fork and exec only fcntl is called, on a descriptor that stays open.
    unsafe {
        command.pre_exec(move || {
            if libc::fcntl(passed, libc::F_SETFD, 0) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let mut child = command.spawn().map_err(|error| {
        failed(format!(
            "{error}; install the package fuse3, or run as root"
        ))
    })?;
    drop(theirs);
    let fd = receive_passed_fd(ours.as_fd());
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    match fd {
        Ok(Some(fd)) if status.success() => Ok(fd),
        _ => Err(failed(format!("{status}: {}", said.trim()))),
    }
}

/// The environment may hold tokens, which it has no use for.
fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// `fusermount3` sends one byte on the stream socket, and the descriptor with it.
fn receive_passed_fd(socket: BorrowedFd<'_>) -> std::io::Result<Option<OwnedFd>> {
    match packet::receive(socket)? {
        Packet::End => Ok(None),
        Packet::Message { fds, .. } => Ok(fds.into_iter().next()),
    }
}

pub(super) fn unmount_at(path: &Path) -> Result<(), KeeperError> {
    let output = program().args(["-u", "-z", "--"]).arg(path).output();
    let reason = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(KeeperError::Fusermount {
        path: path.into(),
        reason,
    })
}

/// A user may let others in only when the administrator said so.
fn user_allow_other() -> bool {
    let text = std::fs::read_to_string("/etc/fuse.conf").unwrap_or_default();
    text.lines().any(|line| line.trim() == "user_allow_other")
}
