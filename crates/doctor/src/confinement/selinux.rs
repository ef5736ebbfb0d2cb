//! SELinux: the type of this process, and what the policy lets containers do.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use super::Trial;
use crate::check::Check;

const NAME: &str = "SELinux";
/// The file system through which the kernel answers questions about its policy.
const POLICY: &str = "/sys/fs/selinux";
/// Type of an ordinary container, of container-selinux and of the reference policy.
const CONTAINER: &str = "container_t";
/// Type of whatever lies on a FUSE mount, as long as the mount says nothing else.
const FUSE: &str = "fusefs_t";
/// Switches that policies have had for it.
const SWITCHES: [&str; 3] = [
    "virt_sandbox_use_fusefs",
    "container_use_fusefs",
    "virt_use_fusefs",
];

/// SELinux where it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeLinux {
    /// It denies, or only logs; a container cannot see it.
    enforces: Option<bool>,
    /// Of this process: `system_u:system_r:container_t:s0:c1,c2`.
    label: String,
    /// Switches that are there and off.
    off: Vec<&'static str>,
}

impl SeLinux {
    /// As the files below `root` tell, `/` but in tests.
    pub fn at(root: &Path) -> Option<Self> {
        let read = |path: &str| fs::read_to_string(root.join(path)).ok();
        let policy = |path: &str| read(&format!("{}/{path}", POLICY.trim_start_matches('/')));
        let enforces = policy("enforce").map(|text| text.starts_with('1'));
        let label = read("proc/self/attr/current").unwrap_or_default();
        let label = label.trim_end_matches(['\0', '\n']).to_owned();
        // AppArmor's labels are found in that file as well, and have no such parts.
        if enforces.is_none() && !type_of(&label).is_some_and(|of| of.ends_with("_t")) {
            return None;
        }
        let is_off = |name: &&str| {
            policy(&format!("booleans/{name}")).is_some_and(|text| text.starts_with('0'))
        };
        Some(Self {
            enforces,
            label,
            off: SWITCHES.into_iter().filter(is_off).collect(),
        })
    }

    /// It is not known to be harmless.
    pub fn may_deny(&self) -> bool {
        self.enforces != Some(false)
    }
}

/// The third part of a context.
fn type_of(context: &str) -> Option<&str> {
    context.split(':').nth(2)
}

/// What it does to the keeper.
pub fn judged(selinux: Option<&SeLinux>, trial: Trial) -> Check {
    let Some(selinux) = selinux else {
        return Check::ok(NAME, "not in force here");
    };
    let domain = type_of(&selinux.label).unwrap_or("an unknown type");
    match (selinux.may_deny(), trial) {
        (false, _) => Check::ok(NAME, "permissive: it logs and denies nothing"),
        (true, Trial::Denied(errno)) => Check::failed(
            NAME,
            format!("{domain} may not mount: {errno}"),
            "Docker and Podman: `--security-opt label=disable` (Compose: `security_opt: [\"label:disable\"]`) for the keeper's container; Kubernetes: \
             `privileged: true`, or `seLinuxOptions: {type: spc_t}`; the denial: `ausearch -m avc -ts recent`",
        ),
        (true, Trial::Allowed) => Check::ok(NAME, format!("enforcing, and {domain} may mount")),
        (true, Trial::Untried) => Check::ok(
            NAME,
            format!("{domain}; whether it may mount only matters for a keeper"),
        ),
    }
}

/// Who knows the policy.
pub trait Policy {
    /// Whether processes of the type `who` have all of these permissions on what is labelled `whose`. `None` when it cannot be asked.
    fn allows(&self, who: &str, whose: &str, class: &str, permissions: &[&str]) -> Option<bool>;
    /// The label of a directory.
    fn label(&self, dir: &Path) -> Option<String>;
}

/// Whether containers can read what is mounted below `dir`: on the host, where the policy can be asked.
pub fn of_consumers(selinux: &SeLinux, dir: &Path, policy: &impl Policy) -> Vec<Check> {
    if selinux.enforces != Some(true) {
        return Vec::new();
    }
    let name = "SELinux of containers";
    let fuse = format!("system_u:object_r:{FUSE}:s0");
    let dirs = policy.allows(
        CONTAINER,
        &fuse,
        "dir",
        &["getattr", "open", "read", "search"],
    );
    let files = policy.allows(CONTAINER, &fuse, "file", &["getattr", "open", "read"]);
    let mut checks = Vec::new();
    if dirs == Some(false) || files == Some(false) {
        let fix = match selinux.off.first() {
            Some(switch) => format!("`setsebool -P {switch} 1`"),
            None => "install or update container-selinux, whose policy allows it; or run the consumer with `--security-opt label=disable` (Kubernetes: \
                     `seLinuxOptions: {type: spc_t}`)"
                .to_owned(),
        };
        checks.push(Check::warning(
            name,
            format!("{CONTAINER} may not read {FUSE}: no container can read the library"),
            fix,
        ));
    }
    let shown = dir.display();
    let label = policy.label(dir);
    let parent = label.as_deref().and_then(|label| {
        policy.allows(
            CONTAINER,
            label,
            "dir",
            &["getattr", "open", "read", "search"],
        )
    });
    if let (Some(label), Some(false)) = (&label, parent) {
        checks.push(Check::warning(
            name,
            format!(
                "{CONTAINER} may not look into {shown}, which is {}: containers that bind it see nothing of the library",
                type_of(label).unwrap_or(label)
            ),
            format!(
                "`semanage fcontext -a -t container_file_t '{shown}' && restorecon -v {shown}`, for the directory alone; not `:z` or `:Z` on the volume: \
                 that walks into the library and fails there, as the mount is read-only"
            ),
        ));
    }
    if checks.is_empty() && dirs.is_some() {
        checks.push(Check::ok(
            name,
            "may read the library; do not use `:z` or `:Z` on volumes with it, because the mount is read-only",
        ));
    }
    checks
}

/// The running kernel's policy.
pub struct Kernel;

impl Policy for Kernel {
    fn allows(&self, who: &str, whose: &str, class: &str, permissions: &[&str]) -> Option<bool> {
        let number = |path: String| -> Option<u32> {
            let text = fs::read_to_string(Path::new(POLICY).join(path)).ok()?;
            text.trim().parse().ok()
        };
        let index = number(format!("class/{class}/index"))?;
        let wanted = permissions.iter().try_fold(0_u32, |bits, permission| {
            let bit = number(format!("class/{class}/perms/{permission}"))?.checked_sub(1)?;
            Some(bits | 1_u32.checked_shl(bit)?)
        })?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(Path::new(POLICY).join("access"))
            .ok()?;
        // One write, one read of the same descriptor; a type that the policy does not know is refused (security_compute_av(3)).
        let question = format!("system_u:system_r:{who}:s0 {whose} {index}");
        file.write_all(question.as_bytes()).ok()?;
        let mut answer = [0; 256];
        let length = file.read(&mut answer).ok()?;
        decided(std::str::from_utf8(&answer[..length]).ok()?, wanted)
    }

    fn label(&self, dir: &Path) -> Option<String> {
        let mut label = [0; 256];
        let length = rustix::fs::lgetxattr(dir, "security.selinux", &mut label[..]).ok()?;
        let text = std::str::from_utf8(label.get(..length)?).ok()?;
        Some(text.trim_end_matches('\0').to_owned())
    }
}

/// From `allowed decided auditallow auditdeny sequence flags`, in hexadecimal but for the sequence.
fn decided(answer: &str, wanted: u32) -> Option<bool> {
    let mut words = answer.trim_end_matches('\0').split_whitespace();
    let allowed = u32::from_str_radix(words.next()?, 16).ok()?;
    // The type is permissive by itself (`SELINUX_AVD_FLAGS_PERMISSIVE`).
    let flags = words
        .nth(4)
        .and_then(|word| u32::from_str_radix(word, 16).ok());
    let permissive = flags.is_some_and(|flags| flags & 1 != 0);
    Some(permissive || allowed & wanted == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;
    use rustix::io::Errno;

    fn at(files: &[(&str, &str)]) -> Option<SeLinux> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        SeLinux::at(root.path())
    }

    const CONFINED: (&str, &str) = (
        "proc/self/attr/current",
        "system_u:system_r:container_t:s0:c1,c2\0",
    );
    const UNCONFINED: (&str, &str) = (
        "proc/self/attr/current",
        "unconfined_u:unconfined_r:unconfined_t:s0\0",
    );
    const ENFORCING: (&str, &str) = ("sys/fs/selinux/enforce", "1");
    const PERMISSIVE: (&str, &str) = ("sys/fs/selinux/enforce", "0");

    #[test]
    fn labels_of_another_module_are_none_of_selinux() {
        assert_eq!(at(&[]), None);
        let of_apparmor = |label| at(&[("proc/self/attr/current", label)]);
        assert_eq!(of_apparmor("docker-default (enforce)\n"), None);
        assert_eq!(of_apparmor(":lxd-c1://unconfined\n"), None);
        assert!(at(&[CONFINED]).is_some());
    }

    #[test]
    fn a_container_that_may_not_mount_is_told_its_type() {
        let denied = Trial::Denied(Errno::ACCESS);
        let outcome = |files: &[(&str, &str)], trial| judged(at(files).as_ref(), trial).outcome;
        let container = judged(at(&[CONFINED]).as_ref(), denied);
        assert_eq!(container.outcome, Outcome::Failed);
        assert!(container.seen.contains("container_t may not mount"));
        assert!(container.fix.unwrap().contains("label=disable"));
        assert_eq!(outcome(&[CONFINED, PERMISSIVE], denied), Outcome::Ok);
        assert_eq!(
            outcome(&[UNCONFINED, ENFORCING], Trial::Allowed),
            Outcome::Ok
        );
        assert_eq!(outcome(&[CONFINED], Trial::Untried), Outcome::Ok);
        assert_eq!(judged(None, denied).outcome, Outcome::Ok);
    }

    /// Allows everything but these types; knows one label.
    struct Fake(&'static [&'static str], Option<&'static str>);

    impl Policy for Fake {
        fn allows(&self, who: &str, whose: &str, _: &str, _: &[&str]) -> Option<bool> {
            assert_eq!(who, CONTAINER);
            Some(!self.0.contains(&type_of(whose)?))
        }

        fn label(&self, _: &Path) -> Option<String> {
            self.1.map(str::to_owned)
        }
    }

    fn found(selinux: &[(&str, &str)], policy: &impl Policy) -> Vec<Check> {
        of_consumers(&at(selinux).unwrap(), Path::new("/mnt"), policy)
    }

    #[test]
    fn consumers_that_may_not_read_are_told_the_switch_that_is_there() {
        let fuse = Fake(&[FUSE], None);
        let checks = found(&[UNCONFINED, ENFORCING], &fuse);
        assert_eq!(checks[0].outcome, Outcome::Warning);
        let fix = checks[0].fix.as_deref().unwrap();
        assert!(fix.contains("container-selinux"), "{fix}");
        let switch = ("sys/fs/selinux/booleans/virt_use_fusefs", "0 0");
        let on = ("sys/fs/selinux/booleans/virt_sandbox_use_fusefs", "1 1");
        let checks = found(&[UNCONFINED, ENFORCING, switch, on], &fuse);
        assert_eq!(
            checks[0].fix.as_deref(),
            Some("`setsebool -P virt_use_fusefs 1`")
        );
        assert_eq!(found(&[UNCONFINED, PERMISSIVE, switch], &fuse), []);
        // In a container the policy cannot be asked.
        assert_eq!(found(&[CONFINED], &fuse), []);
    }

    #[test]
    fn the_parent_is_labelled_by_hand_and_not_by_the_volume() {
        let label = Some("system_u:object_r:mnt_t:s0");
        let checks = found(&[UNCONFINED, ENFORCING], &Fake(&["mnt_t"], label));
        assert_eq!(checks.len(), 1);
        assert!(checks[0].seen.contains("which is mnt_t"), "{checks:?}");
        let fix = checks[0].fix.as_deref().unwrap();
        assert!(fix.contains("container_file_t '/mnt'") && fix.contains("not `:z`"));
        let checks = found(&[UNCONFINED, ENFORCING], &Fake(&[], label));
        assert_eq!(checks[0].outcome, Outcome::Ok);
        // A policy that knows no containers says nothing about them.
        struct Unknown;
        impl Policy for Unknown {
            fn allows(&self, _: &str, _: &str, _: &str, _: &[&str]) -> Option<bool> {
                None
            }
            fn label(&self, _: &Path) -> Option<String> {
                None
            }
        }
        assert_eq!(found(&[UNCONFINED, ENFORCING], &Unknown), []);
    }

    #[test]
    fn the_kernels_answer() {
        let answer = "6 ffffffff 0 ffffffff 12 0";
        assert_eq!(decided(answer, 6), Some(true));
        assert_eq!(decided(answer, 4), Some(true));
        assert_eq!(decided(answer, 9), Some(false));
        assert_eq!(decided("0 ffffffff 0 ffffffff 12 1\0", 9), Some(true));
        assert_eq!(decided("", 1), None);
    }
}
