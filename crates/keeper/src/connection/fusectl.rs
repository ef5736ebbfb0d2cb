//! A connection by its number, in the file system `fusectl`
//! (Documentation/filesystems/fuse/fuse.rst of the kernel).
//!
//! No path on the connection's own mount is looked at, so nothing of it can hang.

use std::os::fd::OwnedFd;

use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
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
        .ok_or(Errno::INVAL)
}

/// Where hosts have it mounted. Its files are those of whoever made the connection.
const PLACE: &str = "/sys/fs/fuse/connections";

/// Containers have nothing at [`PLACE`]: this mount of the file system lies nowhere and goes with
/// its descriptor (Linux 5.2, `CAP_SYS_ADMIN`). Users have the host's.
fn open(connection: u32, name: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let connections = match fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(context) => {
            fsconfig_create(context.as_fd())?;
            let mount = FsMountFlags::FSMOUNT_CLOEXEC;
            fsmount(context.as_fd(), mount, MountAttrFlags::empty())?
        }
        Err(Errno::PERM) => {
            let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(CWD, PLACE, directory, Mode::empty())?
        }
        Err(error) => return Err(error),
    };
    let path = format!("{connection}/{name}");
    openat(&connections, path, flags | OFlags::CLOEXEC, Mode::empty())
}
