//! What the kernel and the system have to offer for mounting.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::check::Check;
use crate::repair::Repair;

/// Where FUSE connections come from.
const DEVICE: &str = "/dev/fuse";
/// Number of `CAP_SYS_ADMIN`, linux/capability.h.
const CAP_SYS_ADMIN: u32 = 21;

/// Whether the FUSE device is there and may be opened.
pub fn fuse_device() -> Check {
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE);
    judged(opened.map(drop))
}

fn judged(opened: std::io::Result<()>) -> Check {
    match opened {
        Ok(()) => Check::ok(DEVICE, "there, and may be opened"),
        Err(error) => {
            let fix = match error.kind() {
                ErrorKind::NotFound => {
                    "on a host: `modprobe fuse`; in Docker: `--device /dev/fuse --cap-add SYS_ADMIN`; in an LXC container: \
                     allow the device 10:229 and bind /dev/fuse; in Kubernetes: `privileged: true` for the keeper, or a device plugin; a hostPath of /dev/fuse alone may not be opened"
                }
                ErrorKind::PermissionDenied => {
                    "make it open to this user (`chmod 666 /dev/fuse` is the usual mode), or allow the device in the container: \
                     `--device /dev/fuse`"
                }
                _ => "load the kernel module: `modprobe fuse`",
            };
            let mut check = Check::failed(DEVICE, error.to_string(), fix);
            if matches!(error.kind(), ErrorKind::NotFound) {
                check.repair = Some(Repair::LoadFuse);
            }
            check
        }
    }
}

/// What this user needs for mounting, where others are to see the mount if `allow_other`.
pub fn mounting(allow_other: bool) -> Vec<Check> {
    mounting_as(rustix::process::geteuid().is_root(), allow_other)
}

fn mounting_as(root: bool, allow_other: bool) -> Vec<Check> {
    if root {
        let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mut checks = vec![capability(&text)];
        if allow_other {
            let seen = "not needed: root mounts by system call; where fusermount3 mounts, /etc/fuse.conf on that machine applies";
            checks.push(Check::ok("user_allow_other", seen));
        }
        checks
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut checks = vec![fusermount(&path)];
        if allow_other {
            checks.push(user_allow_other(Path::new("/etc/fuse.conf")));
        }
        checks
    }
}

/// What an attached engine needs in place of all that: it opens no device and mounts nothing.
pub fn keeper(socket: &Path) -> Check {
    let name = "keeper";
    let shown = socket.display();
    if socket.exists() {
        let seen = format!(
            "it mounts, and lends the mount at {shown}: this engine needs neither /dev/fuse nor fusermount3"
        );
        Check::ok(name, seen)
    } else {
        Check::warning(
            name,
            format!("no keeper has made {shown}; an attached engine waits for it"),
            "start the keeper, and give both the same `runtime_dir`: in containers a shared volume",
        )
    }
}

/// `nobody`: the user of whoever has none.
const NOBODY: u32 = 65_534;

/// Whom the engine runs as.
pub fn engine_user(uid: u32) -> Check {
    let name = "engine user";
    match uid {
        0 => Check::warning(
            name,
            "0: the engine is root, but without capabilities",
            "set PUID to a user of its own",
        ),
        NOBODY => Check::warning(
            name,
            format!(
                "{NOBODY} (nobody), whom other services may share: they can stop the engine, and talk to the keeper as it does"
            ),
            "make a separate user (`systemd-sysusers deploy/systemd/debridfs.sysusers`), or set PUID for both keeper and engine",
        ),
        own => Check::ok(name, own.to_string()),
    }
}

/// `status` is that of proc_pid_status(5).
fn capability(status: &str) -> Check {
    let name = "CAP_SYS_ADMIN";
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    match effective {
        Some(bits) if bits & (1 << CAP_SYS_ADMIN) != 0 => Check::ok(name, "held"),
        _ => Check::failed(
            name,
            "missing: root here may not mount",
            "start the container with `--cap-add SYS_ADMIN` (and `--security-opt apparmor=unconfined` where AppArmor forbids mounting); in Kubernetes `privileged: true` for the keeper",
        ),
    }
}

/// `fusermount3`, or `fusermount` where only FUSE 2 is installed.
fn fusermount(path: &OsStr) -> Check {
    let name = "fusermount3";
    let find = |name: &str| {
        std::env::split_paths(path)
            .map(|dir| dir.join(name))
            .find(|file| file.is_file())
    };
    let found: Option<PathBuf> = find(name).or_else(|| find("fusermount"));
    let Some(file) = found else {
        let fix = "install it: `apt-get install fuse3`; or run as root";
        return Check::failed(name, "not found; without root it does the mounting", fix);
    };
    let mode = file.metadata().map(|meta| meta.permissions().mode());
    match mode {
        Ok(mode) if mode & 0o4000 != 0 => Check::ok(name, file.display().to_string()),
        _ => Check::failed(
            name,
            format!("{} is not setuid root", file.display()),
            format!("sudo chown root {0} && sudo chmod u+s {0}", file.display()),
        ),
    }
}

fn user_allow_other(file: &Path) -> Check {
    let name = "user_allow_other";
    let text = std::fs::read_to_string(file).unwrap_or_default();
    if text.lines().any(|line| line.trim() == "user_allow_other") {
        Check::ok(name, format!("set in {}", file.display()))
    } else {
        Check::warning(
            name,
            format!(
                "not set in {}, so nobody but you will see the mount",
                file.display()
            ),
            format!(
                "echo user_allow_other | sudo tee -a {}; or set `mount.allow_other = false`",
                file.display()
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;
    use crate::check::Outcome;

    #[test]
    fn a_device_that_is_missing_can_be_loaded_and_one_that_is_closed_cannot() {
        assert_eq!(judged(Ok(())).outcome, Outcome::Ok);
        let missing = judged(Err(ErrorKind::NotFound.into()));
        assert_eq!(missing.outcome, Outcome::Failed);
        assert_eq!(missing.repair, Some(Repair::LoadFuse));
        let closed = judged(Err(ErrorKind::PermissionDenied.into()));
        assert_eq!((closed.outcome, closed.repair), (Outcome::Failed, None));
        assert!(closed.fix.unwrap().contains("chmod 666 /dev/fuse"));
    }

    #[test]
    fn an_attached_engine_is_told_when_there_is_no_keeper() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("keeper.sock");
        let missing = keeper(&socket);
        assert_eq!(missing.outcome, Outcome::Warning);
        assert!(missing.fix.unwrap().contains("the same `runtime_dir`"));
        fs::write(&socket, "").unwrap();
        assert_eq!(keeper(&socket).outcome, Outcome::Ok);
    }

    #[test]
    fn root_mounts_with_a_capability_and_others_with_fusermount() {
        let names = |root, allow_other| {
            let checks = mounting_as(root, allow_other);
            checks
                .into_iter()
                .map(|check| check.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(true, true), ["CAP_SYS_ADMIN", "user_allow_other"]);
        assert_eq!(names(false, true), ["fusermount3", "user_allow_other"]);
        assert_eq!(names(false, false), ["fusermount3"]);
        let held = |bits: &str| capability(&format!("Name:\tx\nCapEff:\t{bits}\n")).outcome;
        assert_eq!(held("000001ffffffffff"), Outcome::Ok);
        assert_eq!(held("000001ffffdfffff"), Outcome::Failed);
        assert_eq!(capability("").outcome, Outcome::Failed);
    }

    #[test]
    fn fusermount_is_there_and_roots() {
        let dir = tempfile::tempdir().unwrap();
        let found = || fusermount(dir.path().as_os_str());
        let missing = found();
        assert_eq!(missing.outcome, Outcome::Failed);
        assert!(missing.fix.unwrap().contains("apt-get install fuse3"));
        let file = dir.path().join("fusermount3");
        fs::write(&file, "").unwrap();
        let plain = found();
        assert_eq!(plain.outcome, Outcome::Failed);
        assert!(plain.seen.contains("not setuid"), "{plain}");
        fs::set_permissions(&file, Permissions::from_mode(0o4755)).unwrap();
        assert_eq!(found().outcome, Outcome::Ok);
        // A host with FUSE 2 alone.
        fs::rename(&file, dir.path().join("fusermount")).unwrap();
        assert_eq!(found().outcome, Outcome::Ok);
    }

    #[test]
    fn an_engine_of_everybodys_user_is_warned_of() {
        let outcome = |uid| engine_user(uid).outcome;
        assert_eq!([0, NOBODY].map(outcome), [Outcome::Warning; 2]);
        assert_eq!(outcome(998), Outcome::Ok);
    }

    #[test]
    fn a_commented_line_does_not_allow() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("fuse.conf");
        std::fs::write(&file, "#user_allow_other\n").unwrap();
        assert_eq!(user_allow_other(&file).outcome, Outcome::Warning);
        std::fs::write(&file, "# x\nuser_allow_other\n").unwrap();
        assert_eq!(user_allow_other(&file).outcome, Outcome::Ok);
    }
}
