//! A connection that an engine brings back. Nothing about it is believed that can be looked at.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, fstat, major, minor};

use super::{Connection, Queue, mounted_at};
use crate::KeeperError;
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
        let fds = Descriptors::from_order(fds, terms.layout.slots)
            .ok_or(refused("not as many descriptors as a lease has"))?;
        let journal = Journal::map(fds.journal.as_fd(), terms.layout)?;
        let mount = mounted_at(path)?.ok_or(refused("nothing of ours is mounted here"))?;
        for fd in std::iter::once(&fds.main).chain(&fds.clones) {
            if !is_fuse(fd.as_fd()) {
                return Err(refused("a descriptor is not of /dev/fuse"));
            }
            if connection_of(fd.as_fd()).is_some_and(|minor| minor != mount.device.1) {
                return Err(refused("it is of another mount"));
            }
        }
        let connection = Connection {
            journal,
            init: terms.init,
            mounted_at: terms.mounted_at,
            mount: Some((mount.id, mount.device)),
            fds,
        };
        if connection.queue() == Queue::Lost {
            return Err(refused("its mount is gone"));
        }
        Ok(connection)
    }
}

fn is_fuse(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (major(stat.st_rdev), minor(stat.st_rdev)) == FUSE_DEVICE
    })
}

/// The number of the connection, which is the minor number of its mount's device. Told by newer
/// kernels only.
fn connection_of(fd: BorrowedFd<'_>) -> Option<u32> {
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
        assert!(refusal(&terms(2), vec![null(), null(), null()]).contains("not as many"));
        let four = || vec![null(), null(), null(), null()];
        assert!(refusal(&terms(2), four()).starts_with("journal"));
        let mut strange = terms(2);
        strange.layout.small = u32::MAX;
        assert!(refusal(&strange, four()).starts_with("journal layout"));
    }

    #[test]
    fn only_descriptors_of_a_mount_of_ours_are_taken() {
        let (_journal, memory) = Journal::create(Layout::for_slots(1)).unwrap();
        let reason = refusal(&terms(1), vec![null(), memory, null()]);
        assert!(
            reason.contains("nothing of ours is mounted here"),
            "{reason}"
        );
        assert!(!is_fuse(null().as_fd()));
        assert!(is_fuse(super::super::open_device(true).unwrap().as_fd()));
    }
}
