//! What a Kubernetes node needs besides.

use std::path::Path;

use crate::check::Check;

/// What tells that this machine is a node.
const SIGNS: [&str; 4] = [
    "/var/lib/kubelet",
    "/etc/rancher/k3s",
    "/etc/rancher/rke2",
    "/var/lib/rancher",
];
/// Where mount helpers and daemons are.
const PLACES: [&str; 4] = ["/sbin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"];

/// Whether this looks like a node.
pub fn is_node() -> bool {
    SIGNS.iter().any(|sign| Path::new(sign).exists())
}

/// Checks for NFS and for volumes by iSCSI (Longhorn).
pub fn checks() -> Vec<Check> {
    let has = |program: &str| {
        let mut places = PLACES.iter();
        places.any(|place| Path::new(place).join(program).is_file())
    };
    let lxc = std::fs::read("/run/systemd/container").is_ok_and(|kind| kind.starts_with(b"lxc"));
    vec![
        nfs(has("mount.nfs")),
        iscsi(has("iscsiadm") && has("iscsid"), lxc),
    ]
}

fn nfs(has: bool) -> Check {
    let name = "nfs-common";
    if has {
        Check::ok(
            name,
            "mount.nfs is there: this node can read the library over NFS",
        )
    } else {
        Check::warning(
            name,
            "mount.nfs is missing: this node cannot mount NFS volumes",
            "apt-get install nfs-common (Alpine: apk add nfs-utils); needed only on nodes that read over NFS",
        )
    }
}

fn iscsi(has: bool, lxc: bool) -> Check {
    let name = "open-iscsi";
    match (has, lxc) {
        (_, true) => Check::ok(
            name,
            "an LXC container cannot use iSCSI: this node gets no Longhorn volumes, and reads the library over NFS",
        ),
        (true, false) => Check::ok(name, "there: this node can have Longhorn volumes"),
        (false, false) => Check::warning(
            name,
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
    fn a_node_in_lxc_needs_no_iscsi() {
        assert_eq!(iscsi(false, true).outcome, Outcome::Ok);
        assert_eq!(iscsi(false, false).outcome, Outcome::Warning);
        assert_eq!(iscsi(true, false).outcome, Outcome::Ok);
        assert_eq!(nfs(false).outcome, Outcome::Warning);
    }
}
