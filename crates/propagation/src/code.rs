//! Why a test fails, and what to do then: the decision tree as a table.

use serde::{Deserialize, Serialize};

/// Why a test failed. The names are part of the output and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// The mount that holds the volume is private on the host.
    HostNotShared,
    /// The container did not get the propagation that its volume asks for.
    RuntimeDroppedPropagation,
    /// The producer sees its mount, the host does not.
    NotPropagatedToHost,
    /// The host sees the mount, the consumer does not.
    NotPropagatedToConsumer,
    /// The mount is there, but answers its owner only.
    NoAllowOther,
    /// `/dev/fuse` is missing or may not be opened.
    DeviceDenied,
    /// Mounting needs `CAP_SYS_ADMIN`.
    NoSysAdmin,
    /// Something denies what the capabilities would allow.
    SeccompOrApparmor,
    /// SELinux denies it.
    Selinux,
    /// The consumer still has the mount of a producer that was replaced.
    StaleAfterRestart,
    /// The producer unmounted, and the consumer still has the mount.
    LeakedMount,
    /// The file system can be written in a consumer.
    WritableSubmount,
    /// While nothing is mounted, a consumer writes to the host's disk.
    WritesReachHostRoot,
    /// Something of the test is left.
    CleanupIncomplete,
    /// The producer could not serve for a reason of its own.
    ProducerFailed,
    /// The mount is there and gives no answer.
    MountHung,
    /// The container runtime could not be asked, or started no container.
    RuntimeFailed,
    /// Somebody ended the test.
    Interrupted,
}

/// What a code means, and the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// Where in the decision tree: question and answer that lead here.
    pub branch: &'static str,
    /// What is wrong.
    pub cause: &'static str,
    /// What mends it.
    pub fix: &'static str,
    /// What does without it.
    pub instead: &'static str,
}

const OTHER_WAYS: &str = "without propagation: files over HTTP for players that mount nothing (`[http]`, `action = \"strm\"`)";

impl Code {
    /// Every code, in the order of the decision tree.
    pub const ALL: [Self; 18] = [
        Self::HostNotShared,
        Self::RuntimeFailed,
        Self::NoSysAdmin,
        Self::DeviceDenied,
        Self::SeccompOrApparmor,
        Self::Selinux,
        Self::ProducerFailed,
        Self::RuntimeDroppedPropagation,
        Self::NotPropagatedToHost,
        Self::NotPropagatedToConsumer,
        Self::NoAllowOther,
        Self::MountHung,
        Self::WritableSubmount,
        Self::StaleAfterRestart,
        Self::LeakedMount,
        Self::WritesReachHostRoot,
        Self::CleanupIncomplete,
        Self::Interrupted,
    ];

    /// As it is printed, such as `HOST_NOT_SHARED`.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => format!("{self:?}"),
        }
    }

    /// Cause, fix, and what to use instead.
    pub fn advice(self) -> Advice {
        let (branch, cause, fix, instead) = match self {
            Self::HostNotShared => (
                "is the volume's mount shared on the host? no",
                "the mount that holds the volume is private on the host, as on systems without systemd (Alpine or OpenRC with k3s, k3d) and on bare roots",
                "give the directory a shared mount of its own, now and at every boot before the containers start: `mount --rbind DIR DIR && mount --make-rshared DIR`; \
                 or for everything: `mount --make-rshared /`; `debridfs doctor --path DIR --fix` does the first",
                OTHER_WAYS,
            ),
            Self::RuntimeDroppedPropagation => (
                "did the container get the propagation it asked for? no",
                "the volume lacks the option, or the container runtime lost it without an error (runc 1.3 to 1.5 may lose rslave, runc 1.4.2 rshared)",
                "producer: `mountPropagation: Bidirectional` (Docker `:rshared`); consumer: `HostToContainer` (`:rslave`); when it is set, update the runtime: \
                 `debridfs doctor` names the versions",
                OTHER_WAYS,
            ),
            Self::NotPropagatedToHost => (
                "does the host see the producer's mount? no",
                "the producer's volume is not in the host's peer group: another directory, a volume that is not a hostPath (an emptyDir is the pod's own), or propagation lost on the way",
                "mount below a hostPath volume with Bidirectional, and never on the volume itself; compare `shared:N` in both /proc/PID/mountinfo",
                OTHER_WAYS,
            ),
            Self::NotPropagatedToConsumer => (
                "does the consumer see what the host sees? no",
                "the consumer's volume is another directory, or was bound where the mount does not pass (subPath, emptyDir, or a mount point bound on its own)",
                "bind the parent directory of the mount point with HostToContainer, without subPath",
                OTHER_WAYS,
            ),
            Self::NoAllowOther => (
                "may every user in the consumer read it? no, its owner only",
                "the file system was mounted without allow_other",
                "`mount.allow_other = true`; a mounter without root needs the line `user_allow_other` in the /etc/fuse.conf that fusermount3 sees, which is its container's, not the node's",
                "run the consumer with the mounter's user id",
            ),
            Self::DeviceDenied => (
                "can the producer open /dev/fuse? no",
                "the device is missing, its mode or a nodev mount forbids it, or the device cgroup does: a hostPath of /dev/fuse alone is not enough",
                "on the host `modprobe fuse`; Docker `--device /dev/fuse`; Kubernetes `privileged: true`, or a device plugin for /dev/fuse",
                "let another process mount and pass the descriptor: `debridfs keeper` beside an unprivileged `debridfs engine`",
            ),
            Self::NoSysAdmin => (
                "may the producer mount? no, CAP_SYS_ADMIN is missing",
                "mounting needs CAP_SYS_ADMIN, and Kubernetes allows Bidirectional to privileged containers only",
                "Docker `--cap-add SYS_ADMIN`; Kubernetes `privileged: true` for the keeper alone; on a host run it as root",
                "let another process mount and pass the descriptor: `debridfs keeper` beside an unprivileged `debridfs engine`",
            ),
            Self::SeccompOrApparmor => (
                "may the producer mount? it has CAP_SYS_ADMIN and is refused",
                "a seccomp profile or AppArmor denies it",
                "Docker `--security-opt apparmor=unconfined` (and a seccomp profile with mount); Kubernetes `privileged: true`, or appArmorProfile and seccompProfile `Unconfined`",
                OTHER_WAYS,
            ),
            Self::Selinux => (
                "may it be mounted or read? SELinux denies it",
                "the container's type may not use FUSE; `ausearch -m avc -ts recent` shows the line",
                "`setsebool -P virt_use_fusefs 1` (`container_use_fusefs` for newer policies), or `seLinuxOptions: {type: spc_t}` for the producer",
                OTHER_WAYS,
            ),
            Self::StaleAfterRestart => (
                "does the consumer see the new mount after the producer's restart? no",
                "the consumer bound the mount point itself (or a subPath of it) while it was mounted, so it holds the old mount for its whole life",
                "bind the parent directory of the mount point with HostToContainer; restart this consumer once",
                OTHER_WAYS,
            ),
            Self::LeakedMount => (
                "is the mount gone from the consumer after the producer unmounted? no",
                "the consumer holds a private copy of it, made while it was mounted",
                "bind the parent directory of the mount point with HostToContainer; restart this consumer once",
                OTHER_WAYS,
            ),
            Self::WritableSubmount => (
                "is the file system read-only in the consumer? no",
                "somebody remounted it; a volume's readOnly does not reach the mounts below it",
                "the FUSE mount itself must be read-only, as debridfs makes it: see who runs `mount -o remount,rw`",
                "-",
            ),
            Self::WritesReachHostRoot => (
                "can a consumer write while nothing is mounted? yes",
                "the empty mount point lies on the host's disk, and the file system there cannot make it immutable",
                "`chattr +i` on the empty mount point, on a file system that knows it (ext4, xfs, btrfs, tmpfs); let consumers wait for a file inside the mount before they start",
                "-",
            ),
            Self::CleanupIncomplete => (
                "is everything of the test gone? no",
                "somebody uses what the test made",
                "the lines above name it: end who uses it, `umount -l` what is mounted, remove the directory",
                "-",
            ),
            Self::ProducerFailed => (
                "does the producer serve? no",
                "it failed for the reason above",
                "see the producer's own lines; `debridfs doctor` checks the machine",
                "-",
            ),
            Self::MountHung => (
                "does the mount answer? no",
                "the producer lives and does not answer, or is stopped",
                "see the producer's log; `echo 1 > /sys/fs/fuse/connections/N/abort` frees whoever waits (N is the minor of the mount's device in mountinfo)",
                "-",
            ),
            Self::RuntimeFailed => (
                "does the container runtime start containers? no",
                "nobody listens at the socket, the image is not there, or the runtime refused for the reason in the line",
                "name the socket by `--socket` (k3s: /run/k3s/containerd/containerd.sock) and an image of the node by `--image`; run it as root on the node; `journalctl -u containerd` (k3s) tells more",
                "`debridfs propagation-test run` tests the directory without a runtime",
            ),
            Self::Interrupted => (
                "did the test reach its end? no",
                "it was ended from outside",
                "run it again",
                "-",
            ),
        };
        Advice {
            branch,
            cause,
            fix,
            instead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_name_and_an_advice() {
        assert_eq!(Code::HostNotShared.name(), "HOST_NOT_SHARED");
        assert_eq!(Code::SeccompOrApparmor.name(), "SECCOMP_OR_APPARMOR");
        assert_eq!(Code::Selinux.name(), "SELINUX");
        for (at, code) in Code::ALL.iter().enumerate() {
            assert_eq!(Code::ALL.iter().position(|one| one == code), Some(at));
            let advice = code.advice();
            assert!(advice.branch.contains('?'), "{code:?}");
            assert!(!advice.cause.is_empty() && !advice.fix.is_empty());
            // There are none.
            for way in ["CSI", "NFS", "WebDAV"] {
                assert!(!advice.instead.contains(way), "{code:?}: {way}");
            }
        }
    }
}
