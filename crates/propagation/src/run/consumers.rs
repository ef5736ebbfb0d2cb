//! The ways in which people bind a library into a container.

use std::path::{Path, PathBuf};

use crate::container::{Propagation, VOLUME};
use crate::host::MOUNT_POINT;
use crate::processes::Contained;

/// What is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The directory above the mount point.
    Parent,
    /// The mount point itself.
    MountPoint,
    /// The mount point by the kubelet's `subPath`: bound without what is mounted in it later.
    SubPath,
}

/// A way to bind it, and what may be hoped for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub name: &'static str,
    pub source: Source,
    pub propagation: Propagation,
    /// Started before the first mount.
    pub before: bool,
    /// Sees mounts at all.
    pub sees: bool,
    /// Sees a new mount after the old one was unmounted; one that is stacked over it is seen by
    /// all that see anything.
    pub heals: bool,
}

const fn way(name: &'static str, source: Source, before: bool, heals: bool) -> Way {
    Way {
        name,
        source,
        propagation: Propagation::HostToContainer,
        before,
        sees: true,
        heals,
    }
}

/// Every way. What they may hope for was measured with container runtimes.
pub(super) const WAYS: [Way; 6] = [
    way(
        "parent, HostToContainer, started before",
        Source::Parent,
        true,
        true,
    ),
    way(
        "mount point, HostToContainer, started before",
        Source::MountPoint,
        true,
        true,
    ),
    Way {
        propagation: Propagation::None,
        sees: false,
        ..way("parent, None, started before", Source::Parent, true, false)
    },
    way(
        "parent, HostToContainer, started while mounted",
        Source::Parent,
        false,
        true,
    ),
    way(
        "mount point, HostToContainer, started while mounted",
        Source::MountPoint,
        false,
        false,
    ),
    way(
        "subPath, HostToContainer, started while mounted",
        Source::SubPath,
        false,
        false,
    ),
];

/// A running one.
#[derive(Debug)]
pub(super) struct Consumer {
    pub way: Way,
    pub container: Contained,
}

impl Consumer {
    /// Where the library is in it.
    pub fn mount(&self) -> PathBuf {
        match self.way.source {
            Source::Parent => Path::new(VOLUME).join(MOUNT_POINT),
            Source::MountPoint | Source::SubPath => VOLUME.into(),
        }
    }
}
