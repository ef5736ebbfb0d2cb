//! A connection that an engine brings back. Nothing about it is believed that can be looked at.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, OFlags, StatxFlags, fcntl_get_seals, fcntl_getfl, statx};

use super::{Connection, Queue, mounted_at, queue_of};
use crate::{KeeperError, alarm};
use debridfs_handover::journal::Journal;
use debridfs_handover::{Descriptors, LeaseTerms};

/// Device number of `/dev/fuse`: `MISC_MAJOR` and `FUSE_MINOR` of the kernel's headers.
const FUSE_DEVICE: (u32, u32) = (10, 229);

impl Connection {
    /// Takes the descriptors of a lease back: the connection that is mounted at `path`, which must
    /// be alive.
    pub fn taken_back(
        path: &Path,
        terms: &LeaseTerms,
        fds: Vec<OwnedFd>,
    ) -> Result<Connection, KeeperError> {
        let refused = |reason| KeeperError::Returned(reason);
        if !fds
            .iter()
            .all(|fd| is_fuse(fd.as_fd()) || is_memory(fd.as_fd()))
        {
            crate::aside::close(fds);
            return Err(refused(
                "a descriptor is neither of /dev/fuse nor a journal",
            ));
        }
        // One to which no connection belongs yet may keep whoever asks it waiting (Linux 6.18).
        let _armed = alarm::arm();
        let fds = Descriptors::from_order(fds, terms.layout.slots)
            .ok_or(refused("not as many descriptors as a lease has"))?;
        let journal = Journal::map(fds.journal.as_fd(), terms.layout)?;
        let mount = mounted_at(path)?.ok_or(refused("nothing of ours is mounted here"))?;
        for fd in fds.of_connection() {
            if !is_fuse(fd) {
                return Err(refused("a descriptor is not of /dev/fuse"));
            }
            if queue_of(fd) == Queue::Lost {
                return Err(refused("its mount is gone"));
            }
            if connection_of(fd).is_some_and(|minor| minor != mount.device.1) {
                return Err(refused("it is of another mount"));
            }
        }
        Ok(Connection {
            journal,
            init: terms.init,
            mounted_at: terms.mounted_at,
            mount: Some((mount.id, mount.device)),
            fds,
        })
    }
}

/// `/dev/fuse`, and open for both directions. Nobody is asked for it: the file could be one on this
/// very mount.
fn is_fuse(fd: BorrowedFd<'_>) -> bool {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let both = OFlags::RDWR;
    statx(fd, c"", flags, StatxFlags::TYPE).is_ok_and(|found| {
        FileType::from_raw_mode(found.stx_mode.into()) == FileType::CharacterDevice
            && (found.stx_rdev_major, found.stx_rdev_minor) == FUSE_DEVICE
    }) && fcntl_getfl(fd).is_ok_and(|flags| flags & OFlags::RWMODE == both)
}

/// Memory that can be sealed, which no other kind of file can.
fn is_memory(fd: BorrowedFd<'_>) -> bool {
    fcntl_get_seals(fd).is_ok()
}

/// The number of the connection, which is the minor number of its mount's device. Told by newer
/// kernels only.
pub(super) fn connection_of(fd: BorrowedFd<'_>) -> Option<u32> {
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("fuse_connection:"))
        .and_then(|number| number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use debridfs_handover::hostile::terms;
    use debridfs_handover::journal::Layout;

    fn null() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    fn refusal(terms: &LeaseTerms, fds: Vec<OwnedFd>) -> String {
        let path = std::env::temp_dir();
        Connection::taken_back(&path, terms, fds)
            .map(drop)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn descriptors_are_counted_and_the_journal_is_checked() {
        assert!(refusal(&terms(2), vec![]).contains("not as many"));
        let strangers = refusal(&terms(2), vec![null(), null(), null(), null()]);
        assert!(strangers.contains("neither of /dev/fuse"), "{strangers}");
        let device = || super::super::open_device(true).unwrap();
        let four = || vec![device(), device(), device(), device()];
        assert!(refusal(&terms(2), four()).starts_with("journal"));
        let mut strange = terms(2);
        strange.layout.small = u32::MAX;
        assert!(refusal(&strange, four()).starts_with("journal layout"));
    }

    #[test]
    fn only_descriptors_of_a_mount_of_ours_are_taken() {
        let (_journal, memory) = Journal::create(Layout::for_slots(1)).unwrap();
        let device = || super::super::open_device(true).unwrap();
        let reason = refusal(&terms(1), vec![device(), memory, device()]);
        assert!(
            reason.contains("nothing of ours is mounted here"),
            "{reason}"
        );
        assert!(!is_fuse(null().as_fd()));
        assert!(is_fuse(super::super::open_device(true).unwrap().as_fd()));
    }
}
