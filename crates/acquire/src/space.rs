//! Room on the disk that downloads lie on.

use std::path::Path;

/// Room of a volume, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl Space {
    /// Of the volume that holds `path`, or will; nothing when that cannot be told.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = path
            .ancestors()
            .find_map(|path| rustix::fs::statvfs(path).ok())?;
        Some(Self {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            total: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}
