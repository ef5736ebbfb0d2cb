//! Which code an errno stands for.

use std::path::Path;

use rustix::io::Errno;

use crate::code::Code;

/// What has to be known besides the errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// The process has `CAP_SYS_ADMIN`.
    pub sys_admin: bool,
    /// SELinux is there and enforces.
    pub selinux: bool,
}

impl Surroundings {
    /// Of this process.
    pub fn here() -> Self {
        let enforce = std::fs::read(Path::new("/sys/fs/selinux/enforce")).unwrap_or_default();
        Self {
            sys_admin: crate::level::has_sys_admin(),
            selinux: enforce.first() == Some(&b'1'),
        }
    }
}

/// Opening `/dev/fuse` failed.
pub fn of_device(errno: Errno, around: Surroundings) -> Code {
    // The device's mode, a nodev mount and the device cgroup answer like this as well, and are by
    // far more common; SELinux is named only where nothing else is left.
    if errno == Errno::ACCESS && around.selinux && around.sys_admin {
        Code::Selinux
    } else {
        Code::DeviceDenied
    }
}

/// Mounting failed, the device being open.
pub fn of_mount(errno: Errno, around: Surroundings) -> Code {
    match errno {
        Errno::PERM if !around.sys_admin => Code::NoSysAdmin,
        Errno::ACCESS if around.selinux => Code::Selinux,
        // AppArmor says EACCES, a seccomp profile EPERM (or ENOSYS, with old libraries).
        Errno::PERM | Errno::ACCESS | Errno::NOSYS => Code::SeccompOrApparmor,
        // The device is a dead node: the kernel has no FUSE.
        Errno::NODEV => Code::DeviceDenied,
        _ => Code::ProducerFailed,
    }
}

/// Reading through the mount was denied.
pub fn of_denied_read(allow_other: bool, around: Surroundings) -> Code {
    if !allow_other {
        Code::NoAllowOther
    } else if around.selinux {
        Code::Selinux
    } else {
        Code::SeccompOrApparmor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_denies_what() {
        let around = |sys_admin, selinux| Surroundings { sys_admin, selinux };
        let cases = [
            (Errno::PERM, around(false, false), Code::NoSysAdmin),
            (Errno::PERM, around(false, true), Code::NoSysAdmin),
            (Errno::PERM, around(true, true), Code::SeccompOrApparmor),
            (Errno::ACCESS, around(true, false), Code::SeccompOrApparmor),
            (Errno::ACCESS, around(true, true), Code::Selinux),
            (Errno::NODEV, around(true, false), Code::DeviceDenied),
            (Errno::INVAL, around(true, false), Code::ProducerFailed),
        ];
        for (errno, around, code) in cases {
            assert_eq!(of_mount(errno, around), code, "{errno} {around:?}");
        }
        assert_eq!(
            of_device(Errno::NOENT, around(true, true)),
            Code::DeviceDenied
        );
        assert_eq!(
            of_device(Errno::PERM, around(true, true)),
            Code::DeviceDenied
        );
        assert_eq!(of_device(Errno::ACCESS, around(true, true)), Code::Selinux);
        assert_eq!(
            of_denied_read(false, around(false, true)),
            Code::NoAllowOther
        );
        assert_eq!(of_denied_read(true, around(false, true)), Code::Selinux);
        assert_eq!(
            of_denied_read(true, around(false, false)),
            Code::SeccompOrApparmor
        );
    }
}
