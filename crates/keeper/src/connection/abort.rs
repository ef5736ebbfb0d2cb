//! Ends a connection by its number, by way of the file system `fusectl`
//! (Documentation/filesystems/fuse/fuse.rst of the kernel).

use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Whoever waits for an answer of this connection gets ECONNABORTED, at once and from now on; what
/// is mounted stays mounted. No path on that mount is looked at, so nothing of it can hang.
///
/// Containers have nothing at `/sys/fs/fuse/connections`: this mount of the file system lies
/// nowhere and goes with its descriptor (Linux 5.2, `CAP_SYS_ADMIN`).
pub(super) fn abort(connection: u32) -> rustix::io::Result<()> {
    let context = fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let connections = fsmount(context.as_fd(), flags, MountAttrFlags::empty())?;
    let file = openat(
        &connections,
        format!("{connection}/abort"),
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::io::write(&file, b"1").map(|_| ())
}
