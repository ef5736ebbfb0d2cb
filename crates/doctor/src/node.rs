//! What a Kubernetes node needs besides.

use std::path::Path;

use crate::check::Check;
use crate::host::Host;

/// What tells that this machine is a node.
const SIGNS: [&str; 4] = [
    "/var/lib/kubelet",
    "/etc/rancher/k3s",
    "/etc/rancher/rke2",
    "/var/lib/rancher",
];
/// Names of the checks.
const NFS: &str = "nfs-common";
const ISCSI: &str = "open-iscsi";
/// Where mount helpers and daemons are.
const PLACES: [&str; 4] = ["/sbin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"];

/// Whether this looks like a node.
pub fn is_node(host: &Host) -> bool {
    // A container may have one of them as a volume, which says as much.
    SIGNS
        .iter()
        .any(|sign| host.has(sign) || Path::new(sign).exists())
}

/// Checks for NFS and for volumes by iSCSI (Longhorn).
pub fn checks(host: &Host) -> Vec<Check> {
    if !host.is_seen() {
        return [NFS, ISCSI].map(unknown).into();
    }
    let has = |program: &str| {
        let mut places = PLACES.iter();
        places.any(|place| host.has(Path::new(place).join(program)))
    };
    let kind = host.path("/run/systemd/container").map(std::fs::read);
    let lxc = kind.is_some_and(|kind| kind.is_ok_and(|kind| kind.starts_with(b"lxc")));
    vec![
        nfs(has("mount.nfs")),
        iscsi(has("iscsiadm") && has("iscsid"), lxc),
    ]
}

fn unknown(name: &str) -> Check {
    Check::warning(
        name,
        "unknown: the node cannot be seen from this container",
        "run `debridfs doctor` on the node, or in a privileged pod with `hostPID: true`",
    )
}

fn nfs(has: bool) -> Check {
    if has {
        Check::ok(NFS, "mount.nfs is there: this node can mount NFS volumes")
    } else {
        Check::warning(
            NFS,
            "mount.nfs is missing: this node cannot mount NFS volumes",
            "apt-get install nfs-common (Alpine: apk add nfs-utils); needed only where pods have such volumes",
        )
    }
}

fn iscsi(has: bool, lxc: bool) -> Check {
    match (has, lxc) {
        (_, true) => Check::ok(
            ISCSI,
            "an LXC container cannot use iSCSI: this node gets no Longhorn volumes",
        ),
        (true, false) => Check::ok(ISCSI, "there: this node can have Longhorn volumes"),
        (false, false) => Check::warning(
            ISCSI,
            "missing: this node can have no Longhorn volumes",
            "apt-get install open-iscsi && systemctl enable --now iscsid; needed only on nodes with storage",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[test]
    fn a_node_is_known_by_its_files_and_what_is_unseen_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::with_root(Some(dir.path()));
        std::fs::create_dir_all(dir.path().join("var/lib")).unwrap();
        // A developer's machine may be one.
        let here = SIGNS.iter().any(|sign| Path::new(sign).exists());
        assert_eq!(is_node(&host), here);
        std::fs::create_dir(dir.path().join("var/lib/kubelet")).unwrap();
        assert!(is_node(&host));
        let outcomes = |host| checks(host).into_iter().map(|check| check.outcome);
        assert!(outcomes(&host).eq([Outcome::Warning; 2]));
        std::fs::create_dir(dir.path().join("sbin")).unwrap();
        for program in ["mount.nfs", "iscsiadm", "iscsid"] {
            std::fs::write(dir.path().join("sbin").join(program), "").unwrap();
        }
        assert!(outcomes(&host).eq([Outcome::Ok; 2]));
        let unseen = checks(&Host::with_root(None));
        assert!(
            unseen
                .iter()
                .all(|check| check.seen.contains("cannot be seen"))
        );
        assert_eq!(unseen.len(), 2);
    }

    #[test]
    fn a_node_in_lxc_needs_no_iscsi() {
        assert_eq!(iscsi(false, true).outcome, Outcome::Ok);
        assert_eq!(iscsi(false, false).outcome, Outcome::Warning);
        assert_eq!(iscsi(true, false).outcome, Outcome::Ok);
        assert_eq!(nfs(false).outcome, Outcome::Warning);
    }
}
