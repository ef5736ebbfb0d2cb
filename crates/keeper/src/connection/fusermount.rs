//! Mounts and unmounts as a user, by the set-uid program `fusermount3`, or `fusermount` where only
//! FUSE 2 is installed. Both take the same options and hand the descriptor over in the same way.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::KeeperError;
use debridfs_handover::packet::{self, Packet};

/// The first of them that is installed is used.
const PROGRAMS: [&str; 2] = ["fusermount3", "fusermount"];

pub(super) fn mount_at(path: &Path, allow_other: bool) -> Result<OwnedFd, KeeperError> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(KeeperError::os("cannot make a socket pair"))?;
    let mut options = String::from(
        "ro,nosuid,nodev,noatime,default_permissions,fsname=debridfs,subtype=debridfs",
    );
    if allow_other && user_allow_other() {
        options.push_str(",allow_other");
    }
    let passed = theirs.as_raw_fd();
    let (program, mut child) = start(path, |command| {
        command.arg("-o").arg(&options).arg("--").arg(path);
        command.env("_FUSE_COMMFD", passed.to_string());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // SAFETY: between fork and exec only fcntl is called, on a descriptor that stays open.
        unsafe {
            command.pre_exec(move || {
                if libc::fcntl(passed, libc::F_SETFD, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
    })?;
    drop(theirs);
    let failed = |reason: String| failure(program, path, reason);
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

fn failure(program: &'static str, path: &Path, reason: String) -> KeeperError {
    KeeperError::Fusermount {
        program,
        path: path.into(),
        reason,
    }
}

/// Starts the first of [`PROGRAMS`] that is installed, to do something about `path`.
fn start(
    path: &Path,
    arrange: impl Fn(&mut Command),
) -> Result<(&'static str, Child), KeeperError> {
    for program in PROGRAMS {
        let mut command = Command::new(program);
        // It may hold tokens, for which the program has no use.
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        arrange(&mut command);
        match command.spawn() {
            Ok(child) => return Ok((program, child)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failure(program, path, error.to_string())),
        }
    }
    let [program, other] = PROGRAMS;
    let reason = format!(
        "neither it nor {other} is installed: install the package fuse3 (or fuse), or run as root"
    );
    Err(failure(program, path, reason))
}

/// The program sends one byte on the stream socket, and the descriptor with it.
fn receive_passed_fd(socket: BorrowedFd<'_>) -> std::io::Result<Option<OwnedFd>> {
    match packet::receive(socket)? {
        Packet::End => Ok(None),
        Packet::Message { fds, .. } => Ok(fds.into_iter().next()),
    }
}

pub(super) fn unmount_at(path: &Path) -> Result<(), KeeperError> {
    let (program, child) = start(path, |command| {
        command.args(["-u", "-z", "--"]).arg(path);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
    })?;
    let reason = match child.wait_with_output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(failure(program, path, reason))
}

/// A user may let others in only when the administrator said so.
fn user_allow_other() -> bool {
    let text = std::fs::read_to_string("/etc/fuse.conf").unwrap_or_default();
    text.lines().any(|line| line.trim() == "user_allow_other")
}
