//! Mount namespaces of one's own.

use std::io;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives the calling process a mount namespace of its own: a copy of the present one, in which
/// shared mounts are peers of the originals.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN`.
pub fn own_mount_namespace() -> io::Result<()> {
    // SAFETY: what could harm other threads is to take the table of descriptors from them, and
    // that is not asked for.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    Ok(())
}
