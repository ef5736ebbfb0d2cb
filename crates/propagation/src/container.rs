//! A container as far as mounts go: a namespace whose root holds nothing but `/proc`, perhaps
//! `/dev/fuse`, and one volume. Made in the order in which container runtimes do it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, move_mount, open_tree, unmount,
};
use serde::{Deserialize, Serialize};

/// Where FUSE connections come from.
pub(crate) const DEVICE: &str = "/dev/fuse";
/// Where the volume is in the container.
pub(crate) const VOLUME: &str = "/volume";
/// A directory of the container's own.
pub(crate) const SCRATCH: &str = "/run";

/// What Kubernetes calls mountPropagation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Propagation {
    /// None: `rprivate`.
    None,
    /// HostToContainer: `rslave`.
    HostToContainer,
    /// Bidirectional: `rshared`.
    Bidirectional,
}

impl Propagation {
    /// In the words of a container runtime.
    pub fn of_runtime(self) -> debridfs_cri::Propagation {
        match self {
            Self::None => debridfs_cri::Propagation::None,
            Self::HostToContainer => debridfs_cri::Propagation::HostToContainer,
            Self::Bidirectional => debridfs_cri::Propagation::Bidirectional,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::HostToContainer => "HostToContainer",
            Self::Bidirectional => "Bidirectional",
        }
    }

    fn flags(self) -> MountPropagationFlags {
        let kind = match self {
            Self::None => MountPropagationFlags::PRIVATE,
            Self::HostToContainer => MountPropagationFlags::DOWNSTREAM,
            Self::Bidirectional => MountPropagationFlags::SHARED,
        };
        kind | MountPropagationFlags::REC
    }
}

/// What a container is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Container {
    /// An empty directory over which it makes its root, unseen by others.
    pub root: PathBuf,
    /// What is bound as the volume.
    pub volume: PathBuf,
    /// With the mounts below it, as runtimes do (`rbind`); the kubelet's `subPath` does not.
    pub recursive: bool,
    pub propagation: Propagation,
    /// With `/dev/fuse`, if the host has it.
    pub device: bool,
}

/// Makes it, with this process in it.
pub(crate) fn make(container: &Container) -> io::Result<()> {
    let doing = |what: &'static str| {
        move |error: rustix::io::Errno| io::Error::other(format!("container: {what}: {error}"))
    };
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| io::Error::other(format!("namespace: {error}")))?;
    // Before everything is made a slave: clones stay peers of the host's mounts.
    let volume = clone(&container.volume, container.recursive).map_err(doing("volume"))?;
    let proc = clone(Path::new("/proc"), true).map_err(doing("/proc"))?;
    let device = match container.device.then(|| clone(Path::new(DEVICE), false)) {
        // Opening it will tell.
        None | Some(Err(rustix::io::Errno::NOENT)) => None,
        Some(device) => Some(device.map_err(doing(DEVICE))?),
    };
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", slave).map_err(doing("root"))?;
    let root = &container.root;
    let flags = MountFlags::NOSUID;
    mount("debridfs-test", root, "tmpfs", flags, c"mode=0755").map_err(doing("tmpfs"))?;
    std::env::set_current_dir(root)?;
    for dir in ["proc", "dev", "run", "volume"] {
        fs::create_dir(dir)?;
    }
    attach(proc, "proc").map_err(doing("/proc"))?;
    if let Some(device) = device {
        fs::write("dev/fuse", "")?;
        attach(device, "dev/fuse").map_err(doing(DEVICE))?;
    }
    attach(volume, "volume").map_err(doing("volume"))?;
    rustix::process::pivot_root(".", ".").map_err(doing("pivot_root"))?;
    // Both roots lie over one another at this point, the old one on top.
    unmount(".", UnmountFlags::DETACH).map_err(doing("the old root"))?;
    std::env::set_current_dir("/")?;
    mount_change(VOLUME, container.propagation.flags()).map_err(doing("propagation"))
}

fn clone(path: &Path, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, path, flags)
}

fn attach(tree: OwnedFd, to: &str) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree.as_fd(), "", CWD, to, flags)
}
