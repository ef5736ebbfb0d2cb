//! Where the machine's own files and mounts are, seen from here.

use std::fs;
use std::path::{Path, PathBuf};

use debridfs_base::mountinfo::{self, Mount};

/// What every runtime gives a container as a file of its own, and nobody else mounts.
const OF_CONTAINERS: [&str; 2] = ["/etc/resolv.conf", "/etc/hostname"];
/// Who runs a node, as `/proc/PID/comm` has it. One that is seen tells where the node's files are, also where the node is a
/// container itself (kind, k3d).
const KUBELETS: [&str; 6] = ["kubelet", "k3s", "k3s-server", "k3s-agent", "rke2", "k0s"];

/// The machine, as far as it can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its root directory; `None` in a container that cannot see it.
    root: Option<PathBuf>,
    /// The process whose mounts are the machine's; `None` for this one.
    process: Option<u32>,
}

impl Host {
    /// Looks around.
    pub fn find() -> Self {
        let mounts = mountinfo::read().unwrap_or_default();
        if !is_container(&mounts) {
            return Self {
                root: Some("/".into()),
                process: None,
            };
        }
        let found = kubelet().or_else(machines_first);
        let root = found.map(|pid| PathBuf::from(format!("/proc/{pid}/root")));
        // Its processes may be seen and its files forbidden.
        let root = root.filter(|root| fs::read_dir(root).is_ok());
        Self {
            process: found.filter(|_| root.is_some()),
            root,
        }
    }

    /// One with these files, or that cannot be seen.
    #[cfg(test)]
    pub(crate) fn with_root(root: Option<&Path>) -> Self {
        Self {
            root: root.map(Path::to_path_buf),
            process: None,
        }
    }

    /// Whether anything can be said about it.
    pub fn is_seen(&self) -> bool {
        self.root.is_some()
    }

    /// Whether this process has its files and mounts as they are.
    pub fn is_here(&self) -> bool {
        self.process.is_none()
    }

    /// One of its files, by the path that it has there; `None` when it cannot be seen.
    pub fn path(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let path = path.as_ref();
        let below = path.strip_prefix("/").unwrap_or(path);
        Some(self.root.as_ref()?.join(below))
    }

    /// Whether it has this. A link is taken for what it leads to, which is elsewhere seen from here.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.path(path)
            .is_some_and(|path| fs::symlink_metadata(path).is_ok())
    }

    /// Its mounts; those of this process where it cannot be seen.
    pub fn mounts(&self) -> Vec<Mount> {
        let read = self
            .process
            .map_or_else(mountinfo::read, mountinfo::read_of);
        read.unwrap_or_default()
    }
}

/// Whether this process is in a container.
pub fn in_container() -> bool {
    is_container(&mountinfo::read().unwrap_or_default())
}

fn is_container(mounts: &[Mount]) -> bool {
    let own = |place: &&str| {
        let mut mounts = mounts.iter();
        mounts.any(|mount| mount.mount_point == Path::new(place))
    };
    OF_CONTAINERS.iter().any(own)
}

/// Process 1, where it is the machine's: not the first one of this container, nor of its pod.
fn machines_first() -> Option<u32> {
    let mounts = mountinfo::read_of(1).ok()?;
    (!is_container(&mounts)).then_some(1)
}

fn kubelet() -> Option<u32> {
    let pids = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        KUBELETS.contains(&name.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_a_name_server_of_its_own() {
        let table = |text: &str| mountinfo::parse(text.as_bytes());
        let machine = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /etc/letsencrypt rw - ext4 b rw";
        assert!(!is_container(&table(machine)));
        let pod = "1 0 0:50 / / ro - overlay overlay ro\n\
                   2 1 8:1 /var/lib/containerd/x/resolv.conf /etc/resolv.conf rw - ext4 a rw";
        assert!(is_container(&table(pod)));
    }

    #[test]
    fn files_are_named_as_the_machine_has_them() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::with_root;
        fs::create_dir(dir.path().join("sbin")).unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.path().join("sbin/mount.nfs")).unwrap();
        assert!(host(Some(dir.path())).has("/sbin/mount.nfs"));
        assert!(!host(Some(dir.path())).has("/sbin/iscsid"));
        assert!(!host(None).has("/"));
        assert!(!host(None).is_seen());
    }
}
