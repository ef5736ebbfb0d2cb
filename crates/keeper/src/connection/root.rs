//! Mounts and unmounts with the system calls, as root.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::open_device;
use crate::KeeperError;
use debridfs_base::mountinfo;

pub(super) fn mount_at(path: &Path, allow_other: bool) -> Result<OwnedFd, KeeperError> {
    let device = open_device(true)?;
    let options = format!(
        "fd={},rootmode=40000,user_id={},group_id={},default_permissions{}",
        device.as_raw_fd(),
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
        if allow_other { ",allow_other" } else { "" },
    );
    let options =
        CString::new(options).map_err(|_| KeeperError::Init("a zero byte in the mount options"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME | MountFlags::RDONLY;
    mount(
        mountinfo::source(),
        path,
        mountinfo::FSTYPE,
        flags,
        options.as_c_str(),
    )
    .map_err(KeeperError::os(format!("cannot mount {}", path.display())))?;
    Ok(device)
}

/// Takes the topmost mount at the path away; users of it keep what they have open. `force` ends
/// its connection first.
pub(super) fn unmount_at(path: &Path, force: bool) -> Result<(), KeeperError> {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    let flags = if force {
        flags | UnmountFlags::FORCE
    } else {
        flags
    };
    unmount(path, flags).map_err(KeeperError::os(format!(
        "cannot unmount {}",
        path.display()
    )))
}
