//! Whether AppArmor, SELinux or a seccomp profile lets the keeper mount, and containers read.

mod apparmor;
mod selinux;

use std::path::Path;

use debridfs_base::mountinfo;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::thread::CapabilitySet;

use crate::check::Check;
use crate::propagation;
use apparmor::AppArmor;
use selinux::SeLinux;

/// Looks at what confines this process, and at what would confine containers.
/// `mounts` is false for an engine that has a keeper.
pub fn checks(mount_point: &Path, mounts: bool) -> Vec<Check> {
    let table = mountinfo::read().unwrap_or_default();
    let dir = mount_point.parent().unwrap_or(mount_point);
    let dir = propagation::existing(&table, dir);
    let may_mount = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    let root = Path::new("/");
    let apparmor = AppArmor::at(root);
    let selinux = SeLinux::at(root);
    let trial = if may_mount {
        trial(&dir)
    } else {
        Trial::Untried
    };
    let mut checks = vec![
        apparmor::judged(apparmor.as_ref(), trial),
        selinux::judged(selinux.as_ref(), trial),
    ];
    let by_fusermount = mounts && !rustix::process::geteuid().is_root();
    if by_fusermount && apparmor.is_some() {
        checks.extend(apparmor::of_fusermount(root, mount_point));
    }
    if let Some(selinux) = &selinux {
        checks.extend(selinux::of_consumers(selinux, &dir, &selinux::Kernel));
    }
    let named = apparmor.is_some_and(|apparmor| apparmor.confines())
        || selinux.is_some_and(|selinux| selinux.may_deny());
    checks.extend(refused(trial, named));
    checks
}

/// How an attempt to mount ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// Without the capability it would say nothing.
    Untried,
    /// The kernel looked at the arguments.
    Allowed,
    /// Something denied it before that.
    Denied(Errno),
}

/// Mounts nothing: the file system refuses to be mounted without a descriptor. Who may not mount at all is told so before it is
/// asked: seccomp filters answer in place of the call, AppArmor and SELinux before the file system is looked for.
fn trial(dir: &Path) -> Trial {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME | MountFlags::RDONLY;
    let source = mountinfo::source();
    match mount(source, dir, mountinfo::FSTYPE, flags, c"") {
        Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::NOSYS)) => Trial::Denied(errno),
        _ => Trial::Allowed,
    }
}

/// When it is none of those that have a name.
fn refused(trial: Trial, named: bool) -> Option<Check> {
    let Trial::Denied(errno) = trial else {
        return None;
    };
    // AppArmor and SELinux say EACCES; for what they deny of capabilities, EPERM.
    if named && errno != Errno::NOSYS {
        return None;
    }
    Some(Check::failed(
        "mounting",
        format!("refused despite CAP_SYS_ADMIN: {errno}; most likely by a seccomp profile"),
        "Docker and Podman: their default profile allows mounting with `--cap-add SYS_ADMIN`, `--security-opt seccomp=unconfined` does without one; \
         Kubernetes: `privileged: true` for the keeper, or `seccompProfile: {type: Unconfined}`; systemd: no `SystemCallFilter=` without @mount",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[test]
    fn a_refusal_is_blamed_on_what_is_there() {
        let denied = Trial::Denied(Errno::PERM);
        assert_eq!(refused(Trial::Allowed, false), None);
        assert_eq!(refused(Trial::Untried, false), None);
        assert_eq!(refused(denied, true), None);
        let found = refused(denied, false).unwrap();
        assert_eq!(found.outcome, Outcome::Failed);
        assert!(found.seen.contains("seccomp"), "{found:?}");
        // No security module says that there is no such call.
        assert!(refused(Trial::Denied(Errno::NOSYS), true).is_some());
    }
}
