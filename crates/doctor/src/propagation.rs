//! Whether what is mounted below a directory reaches containers.

use std::path::{Path, PathBuf};

use debridfs_base::mountinfo::{self, Mount};

use crate::check::{Check, Outcome};
use crate::host;
use crate::repair::Repair;

/// Where kubelets keep the volumes of pods.
const KUBELET: &str = "/var/lib/kubelet";
/// Part of the path of an emptyDir.
const EMPTY_DIR: &str = "/kubernetes.io~empty-dir/";

/// What is wanted of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Somebody named it: one that is private is in the way.
    Asked,
    /// It gives mounts to containers, if there are any.
    Gives,
    /// It gets them, as that of an engine that a keeper lends the mount to.
    Sees,
}

/// Checks the directory that containers bind.
pub fn of_directory(dir: &Path, need: Need) -> Vec<Check> {
    let mounts = match mountinfo::read() {
        Ok(mounts) => mounts,
        Err(error) => {
            let seen = format!("/proc/self/mountinfo: {error}");
            return vec![Check::failed("propagation", seen, "mount /proc")];
        }
    };
    of_directories(&mounts, dir, Path::new(KUBELET), need)
}

fn of_directories(mounts: &[Mount], dir: &Path, kubelets: &Path, need: Need) -> Vec<Check> {
    let dir = existing(mounts, dir);
    let mut checks = Vec::new();
    if let Some(mount) = mountinfo::containing(mounts, &dir) {
        checks.push(with_care(shared(&dir, mount, need), &dir, mounts));
        checks.extend(empty_dir(&dir, mount));
    }
    let kubelet = existing(mounts, kubelets);
    if need != Need::Sees
        && kubelet == kubelets
        && let Some(mount) = mountinfo::containing(mounts, &kubelet)
    {
        let mut check = with_care(shared(&kubelet, mount, need), &kubelet, mounts);
        check.name = "propagation of kubelet's directory".into();
        checks.push(check);
    }
    checks
}

/// The nearest directory that exists, without symlinks. What lies on a FUSE or network mount is not
/// touched: that mount's own place stands for it.
pub(super) fn existing(mounts: &[Mount], dir: &Path) -> PathBuf {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.into());
    if let Some(mount) = mountinfo::containing(mounts, &dir).filter(|on| on.is_live_service()) {
        return mount.mount_point.clone();
    }
    let there = dir
        .ancestors()
        .find(|dir| std::fs::symlink_metadata(dir).is_ok())
        .unwrap_or(Path::new("/"));
    debridfs_base::mountinfo::resolved(there)
}

fn shared(dir: &Path, mount: &Mount, need: Need) -> Check {
    let name = "propagation";
    let on = format!(
        "{} lies on the mount {} ({})",
        dir.display(),
        mount.mount_point.display(),
        mount.fstype.to_string_lossy()
    );
    if let Some(group) = mount.peer_group {
        return Check::ok(name, format!("{on}, which is shared (peer group {group})"));
    }
    if need == Need::Sees {
        return match mount.master {
            Some(master) => Check::ok(
                name,
                format!("{on}, which gets the keeper's mounts (peer group {master})"),
            ),
            None => Check::warning(
                name,
                format!(
                    "{on}, which gets no mounts: this engine serves, but cannot see the mount, so it never becomes ready"
                ),
                "give this container the volume with `mountPropagation: HostToContainer` (Docker `:rslave`)",
            ),
        };
    }
    let (seen, fix) = match mount.master {
        Some(master) => (
            format!(
                "{on}, which gets mounts of peer group {master} but passes none on: enough for a consumer, not for the program that mounts"
            ),
            "where this is the container that mounts: `mountPropagation: Bidirectional`, in Docker `:rshared`"
                .to_owned(),
        ),
        None => (
            format!("{on}, which is private: containers will see an empty directory"),
            format!(
                "{}; {}",
                debridfs_propagation::sharing_commands(dir, mount),
                at_boot()
            ),
        ),
    };
    Check {
        outcome: if need == Need::Asked {
            Outcome::Failed
        } else {
            Outcome::Warning
        },
        repair: mount
            .master
            .is_none()
            .then(|| Repair::Share(dir.to_path_buf())),
        ..Check::failed(name, seen, fix)
    }
}

/// A bind over a directory hides the mounts in it from whoever made them: a keeper could not
/// unmount in order any more.
fn with_care(mut check: Check, dir: &Path, mounts: &[Mount]) -> Check {
    let below = |mount: &&Mount| mount.is_ours() && mount.mount_point.starts_with(dir);
    // The last line of a place is what is on top there.
    let top = mounts
        .iter()
        .rfind(below)
        .filter(|_| check.repair.is_some());
    if let Some(top) = top {
        let first = if top.is_closed() {
            "`debridfs uninstall` first, because a stopped keeper has left a closed mount point in there"
        } else {
            "stop debridfs first, because it is mounted in there"
        };
        check.repair = None;
        check.fix = check.fix.map(|fix| format!("{first}; then {fix}"));
    }
    check
}

/// How it is made to last, by what starts this machine.
fn at_boot() -> &'static str {
    let there = |path: &str| Path::new(path).exists();
    if host::in_container() {
        "run that on the host, as this is a container; here the volume needs `mountPropagation: Bidirectional` (Docker `:rshared`)"
    } else if there("/run/systemd/system") {
        "systemd makes / shared at boot, so something made this mount private; a unit before the container runtime can undo it"
    } else if there("/sbin/openrc") || there("/etc/alpine-release") {
        "OpenRC leaves / private: put both commands into /etc/local.d/shared-mounts.start (executable), `rc-update add local boot`, and start k3s after it"
    } else {
        "at every boot, before the container runtime starts"
    }
}

/// The trap of sharing through a pod's own volume.
fn empty_dir(dir: &Path, mount: &Mount) -> Option<Check> {
    let is = mount.root.to_string_lossy().contains(EMPTY_DIR);
    is.then(|| {
        Check::failed(
            "emptyDir",
            format!(
                "{} is an emptyDir, which belongs to this pod: a mount in it reaches no other container without Bidirectional, and no other pod at all",
                dir.display()
            ),
            "use a hostPath with Bidirectional here and HostToContainer in consumers",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(fields: &str, root: &str) -> Vec<Mount> {
        let text = format!("1 0 8:1 {root} / rw {fields}- ext4 a rw");
        mountinfo::parse(text.as_bytes())
    }

    #[test]
    fn peer_groups() {
        let check = |fields: &str, need| {
            let mounts = mounts(fields, "/");
            shared(Path::new("/mnt"), &mounts[0], need)
        };
        assert_eq!(check("shared:3 ", Need::Asked).outcome, Outcome::Ok);
        let private = check("", Need::Gives);
        assert_eq!(private.outcome, Outcome::Warning);
        assert_eq!(private.repair, Some(Repair::Share("/mnt".into())));
        let fix = private.fix.unwrap();
        assert!(fix.starts_with("mount --rbind /mnt /mnt && mount --make-rshared /mnt; "));
        let slave = check("master:3 ", Need::Asked);
        assert_eq!((slave.outcome, slave.repair), (Outcome::Failed, None));
        // An engine with a keeper has to see the mount, and gives none.
        assert_eq!(check("master:3 ", Need::Sees).outcome, Outcome::Ok);
        let blind = check("", Need::Sees);
        assert_eq!((blind.outcome, blind.repair), (Outcome::Warning, None));
        assert!(blind.fix.unwrap().contains("HostToContainer"));
    }

    #[test]
    fn the_kubelets_directory_has_to_be_shared_as_well_where_there_is_one() {
        let mounts = mounts("", "/");
        let dir = tempfile::tempdir().unwrap();
        let kubelets = std::fs::canonicalize(dir.path()).unwrap();
        let names = |kubelets: &Path, need| {
            let checks = of_directories(&mounts, Path::new("/"), kubelets, need);
            checks
                .into_iter()
                .map(|check| check.name)
                .collect::<Vec<_>>()
        };
        let both = ["propagation", "propagation of kubelet's directory"];
        assert_eq!(names(&kubelets, Need::Gives), both);
        assert_eq!(names(&kubelets, Need::Sees), both[..1]);
        assert_eq!(names(&kubelets.join("none"), Need::Gives), both[..1]);
    }

    #[test]
    fn what_is_a_mount_already_is_not_bound_over_itself() {
        let mounts = mountinfo::parse(b"1 0 8:1 / /mnt rw - ext4 a rw");
        let fix = shared(Path::new("/mnt"), &mounts[0], Need::Asked)
            .fix
            .unwrap();
        assert!(fix.starts_with("mount --make-rshared /mnt; "), "{fix}");
    }

    #[test]
    fn nothing_is_bound_over_a_live_mount() {
        let text = "1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /mnt/dfs ro - fuse.debridfs d ro";
        let mounts = mountinfo::parse(text.as_bytes());
        let check = |dir: &str| {
            let dir = Path::new(dir);
            with_care(shared(dir, &mounts[0], Need::Asked), dir, &mounts)
        };
        assert!(check("/mnt").repair.is_none());
        assert!(
            check("/mnt")
                .fix
                .unwrap()
                .starts_with("stop debridfs first")
        );
        assert!(check("/srv").repair.is_some());
        let closed =
            text.to_owned() + "\n3 2 0:10 / /mnt/dfs ro - fuse.debridfs debridfs-closed ro";
        let mounts = mountinfo::parse(closed.as_bytes());
        let dir = Path::new("/mnt");
        let check = with_care(shared(dir, &mounts[0], Need::Asked), dir, &mounts);
        let fix = check.fix.unwrap();
        assert!(fix.starts_with("`debridfs uninstall` first"), "{fix}");
    }

    #[test]
    fn an_empty_dir_is_known_by_its_path() {
        let root = "/var/lib/kubelet/pods/1-2/volumes/kubernetes.io~empty-dir/shared";
        let found = empty_dir(Path::new("/mnt"), &mounts("", root)[0]);
        assert_eq!(found.unwrap().outcome, Outcome::Failed);
        assert_eq!(empty_dir(Path::new("/mnt"), &mounts("", "/mnt")[0]), None);
    }
}
