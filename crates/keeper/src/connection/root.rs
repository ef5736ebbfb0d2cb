//! Mounts and unmounts with the system calls, as root.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{Site, open_device};
use crate::KeeperError;
use debridfs_base::mountinfo;
use debridfs_base::walk::address_of;

pub(super) fn mount_at(site: &Site<'_>, allow_other: bool) -> Result<OwnedFd, KeeperError> {
    let doing = || format!("cannot mount {}", site.path.display());
    // What is opened is what is mounted on: mount(2) follows a link in the last place.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let on =
        openat(site.parent, site.name, flags, Mode::empty()).map_err(KeeperError::os(doing()))?;
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
        address_of(&on),
        mountinfo::FSTYPE,
        flags,
        options.as_c_str(),
    )
    .map_err(KeeperError::os(doing()))?;
    Ok(device)
}

/// Takes the topmost mount at the path away; users of it keep what they have open. `force` ends
/// its connection first.
pub(super) fn unmount_at(site: &Site<'_>, force: bool) -> Result<(), KeeperError> {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    let flags = if force {
        flags | UnmountFlags::FORCE
    } else {
        flags
    };
    let address = address_of(site.parent).join(site.name);
    let doing = format!("cannot unmount {}", site.path.display());
    unmount(address, flags).map_err(KeeperError::os(doing))
}
