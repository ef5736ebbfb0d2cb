//! Mounts and unmounts with the system calls, as root.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{Site, init, open_device, sync_init};
use crate::KeeperError;
use debridfs_base::mountinfo;
use debridfs_base::walk::address_of;
use debridfs_handover::InitResult;

/// No process runs as this user or group: -1 is no id at all, and nobody hands out the one before.
const NOBODY_AT_ALL: u32 = u32::MAX - 1;

/// Mounts, and gives what was agreed on if that was part of it; `ask` is [`sync_init::ask`].
pub(super) fn mount_at(
    site: &Site<'_>,
    allow_other: bool,
    ask: fn(&OwnedFd) -> bool,
) -> Result<(OwnedFd, Option<InitResult>), KeeperError> {
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let others = if allow_other { ",allow_other" } else { "" };
    let options = format!("user_id={user},group_id={group},default_permissions{others}");
    let device = open_device(true)?;
    let mount = || mount_with(site, &device, mountinfo::source(), &options);
    let init = match ask(&device) {
        true => Some(sync_init::mounted(&device, init::answer, mount)?),
        false => {
            mount()?;
            None
        }
    };
    Ok((device, init))
}

/// Mounts this device as the library is, for root alone.
#[cfg(test)]
pub(super) fn mount_device(site: &Site<'_>, device: &OwnedFd) -> Result<(), KeeperError> {
    mount_with(site, device, mountinfo::source(), "user_id=0,group_id=0")
}

/// Mounts what refuses everybody with EACCES, root as well: without `allow_other` the kernel lets in
/// the user of the mount alone, whatever capabilities another one has (`fuse_allow_current_process`).
/// Nobody serves it, so nothing holds it but the mount table.
pub(super) fn mount_closed(site: &Site<'_>) -> Result<(), KeeperError> {
    let options = format!("user_id={NOBODY_AT_ALL},group_id={NOBODY_AT_ALL}");
    let device = open_device(true)?;
    mount_with(site, &device, mountinfo::closed_source(), &options)
}

fn mount_with(
    site: &Site<'_>,
    device: &OwnedFd,
    source: &OsStr,
    options: &str,
) -> Result<(), KeeperError> {
    let doing = || format!("cannot mount {}", site.path.display());
    // What is opened is what is mounted on: mount(2) follows a link in the last place.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let on =
        openat(site.parent, site.name, flags, Mode::empty()).map_err(KeeperError::os(doing()))?;
    let options = format!("fd={},rootmode=40000,{options}", device.as_raw_fd());
    let options =
        CString::new(options).map_err(|_| KeeperError::Init("a zero byte in the mount options"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME | MountFlags::RDONLY;
    mount(
        source,
        address_of(&on),
        mountinfo::FSTYPE,
        flags,
        options.as_c_str(),
    )
    .map_err(KeeperError::os(doing()))
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
