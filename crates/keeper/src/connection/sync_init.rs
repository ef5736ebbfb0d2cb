//! INIT that is answered while mount(2) waits for it, where the kernel can (Linux 6.18).
//!
//! Otherwise INIT is sent after mount(2), and a keeper that ends between the two leaves a dead mount behind. Here there is a mount
//! once it is agreed on, or none.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use rustix::event::{Timespec, poll};
use rustix::ioctl::{NoArg, Opcode, ioctl, opcode};

use super::returned::connection_of;
use super::{Answer, INIT_LIMIT, answer_init};
use crate::KeeperError;
use debridfs_handover::InitResult;

/// `FUSE_DEV_IOC_SYNC_INIT`: `_IO(229, 3)`.
const FUSE_DEV_IOC_SYNC_INIT: Opcode = opcode::none(229, 3);

/// Between two looks whether the device has its connection.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 500_000,
};

/// Asks for it, before the mount. False where the kernel does not know it.
pub(super) fn ask(device: &OwnedFd) -> bool {
    // SAFETY: this ioctl has no argument, and neither reads nor writes this process's memory.
    let asking = unsafe { NoArg::<FUSE_DEV_IOC_SYNC_INIT>::new() };
    // SAFETY: as above; a device or kernel that does not know the number refuses it (ENOTTY).
    unsafe { ioctl(device, asking) }.is_ok()
}

/// Runs `mount`, a mount(2) of the device, and answers INIT meanwhile.
pub(super) fn mounted(
    device: &OwnedFd,
    answer: Answer,
    mount: impl FnOnce() -> Result<(), KeeperError>,
) -> Result<InitResult, KeeperError> {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let answering =
            scope.spawn(|| has_connection(device, &ended).then(|| answer_init(device, answer)));
        let mounted = mount();
        ended.store(true, SeqCst);
        let answered = answering.join().unwrap_or(None);
        match (mounted, answered) {
            // Why the mount failed, then.
            (_, Some(Err(error))) | (Err(error), _) => Err(error),
            (Ok(()), Some(Ok(init))) => Ok(init),
            (Ok(()), None) => Err(KeeperError::Init("none within mount(2)")),
        }
    })
}

/// Waits until the device belongs to a connection; false when mount(2) is over before. Reading or polling it any earlier would wait
/// for a connection without an end.
fn has_connection(device: &OwnedFd, ended: &AtomicBool) -> bool {
    let started = Instant::now();
    while connection_of(device.as_fd()).is_none() {
        // A kernel that tells no connection is waiting for an answer by now.
        if started.elapsed() > INIT_LIMIT / 2 {
            return true;
        }
        // Once more after it: the mount may have been made and ended in between.
        if ended.load(SeqCst) {
            return connection_of(device.as_fd()).is_some();
        }
        let _ = poll(&mut [], Some(&LOOK));
    }
    true
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::super::{Connection, Site, unmount_at};
    use super::*;
    use debridfs_base::mountinfo;
    use rustix::fs::{Mode, OFlags, open};

    /// In a directory of its own.
    fn at_a_site<T>(test: impl FnOnce(&Site<'_>) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("mnt");
        std::fs::create_dir(&path).unwrap();
        let parent = open(dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        test(&Site {
            path: &path,
            parent: parent.as_fd(),
            name: OsStr::new("mnt"),
        })
    }

    fn is_mounted(path: &Path) -> bool {
        mountinfo::find(path).unwrap().is_some()
    }

    #[test]
    fn a_mount_is_agreed_on_alike_with_and_without_it() {
        let agreed = |ask: fn(&OwnedFd) -> bool| {
            at_a_site(|site| {
                let made = Connection::mount_asking(site, 1, true, ask).unwrap();
                assert!(is_mounted(site.path) && made.is_mounted());
                unmount_at(site, false).unwrap();
                made.init
            })
        };
        let without = agreed(|_| false);
        assert_eq!(agreed(ask), without);
        assert_eq!(without.major, 7);
    }

    #[test]
    fn a_mount_that_cannot_be_agreed_on_is_none() {
        let device = super::super::open_device(true).unwrap();
        if !ask(&device) {
            eprintln!("this kernel has no FUSE_DEV_IOC_SYNC_INIT: its fallback is tested above");
            return;
        }
        at_a_site(|site| {
            let refuse: Answer = |_| Err(KeeperError::Init("not these terms"));
            let made = mounted(&device, refuse, || {
                super::super::root::mount_device(site, &device)
            });
            let error = made.unwrap_err().to_string();
            assert!(error.contains("not these terms"), "{error}");
            assert!(!is_mounted(site.path));
        });
    }

    #[test]
    fn a_mount_that_fails_by_itself_keeps_nobody_waiting() {
        let device = super::super::open_device(true).unwrap();
        ask(&device);
        let started = Instant::now();
        let failed = || Err(KeeperError::Init("no such place"));
        let made = mounted(&device, super::super::init::answer, failed);
        let error = made.unwrap_err().to_string();
        assert!(error.contains("no such place"), "{error}");
        assert!(started.elapsed() < INIT_LIMIT / 2);
    }
}
