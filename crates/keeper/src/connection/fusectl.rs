//! A connection by its number, in the file system `fusectl`
//! (Documentation/filesystems/fuse/fuse.rst of the kernel).
//!
//! No path on the connection's own mount is looked at, so nothing of it can hang.

use std::os::fd::OwnedFd;

use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Whoever waits for an answer of this connection gets ECONNABORTED, at once and from now on; what
/// is mounted stays mounted.
pub(super) fn abort(connection: u32) -> rustix::io::Result<()> {
    let file = open(connection, "abort", OFlags::WRONLY)?;
    rustix::io::write(&file, b"1").map(|_| ())
}

/// How many requests wait for an answer, read or not.
pub(super) fn waiting(connection: u32) -> rustix::io::Result<usize> {
    let file = open(connection, "waiting", OFlags::RDONLY)?;
    // A number and a line end.
    let mut text = [0; 32];
    let length = rustix::io::read(&file, &mut text)?;
    let number = std::str::from_utf8(&text[..length]).ok();
    number
        .and_then(|number| number.trim().parse().ok())
        .ok_or(rustix::io::Errno::INVAL)
}

/// Containers have nothing at `/sys/fs/fuse/connections`: this mount of the file system lies
/// nowhere and goes with its descriptor (Linux 5.2, `CAP_SYS_ADMIN`).
fn open(connection: u32, name: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let mount = FsMountFlags::FSMOUNT_CLOEXEC;
    let connections = fsmount(context.as_fd(), mount, MountAttrFlags::empty())?;
    let path = format!("{connection}/{name}");
    openat(&connections, path, flags | OFlags::CLOEXEC, Mode::empty())
}
