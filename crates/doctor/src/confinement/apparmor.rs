//! AppArmor: the profile of this process, and what containers and `fusermount3` get.

use std::fs;
use std::path::Path;

use super::Trial;
use crate::check::Check;

const NAME: &str = "AppArmor";
/// The profile that is shipped for a keeper in a container.
const OURS: &str = "debridfs-keeper";
/// What container runtimes give to whoever names no profile. All of them deny every mount.
const OF_RUNTIMES: [(&str, &str); 4] = [
    ("docker-default", "Docker"),
    ("cri-containerd.apparmor.d", "containerd"),
    ("crio-default", "CRI-O"),
    ("containers-default-", "Podman"),
];
/// Where the profile of `fusermount3` (AppArmor 4.1, in Ubuntu since 25.04) lets it mount, beside home directories.
const FUSERMOUNTS: [&str; 4] = ["/mnt", "/media", "/tmp", "/run/user"];
/// That profile, and what an administrator adds to it.
const FUSERMOUNT: [&str; 2] = [
    "etc/apparmor.d/fusermount3",
    "etc/apparmor.d/local/fusermount3",
];

/// AppArmor where it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppArmor {
    /// Of this process, with its mode: `docker-default (enforce)`, `unconfined`.
    label: String,
    /// Profiles that are loaded, the same way; empty for who may not know.
    loaded: Vec<String>,
}

impl AppArmor {
    /// As the files below `root` tell, `/` but in tests.
    pub fn at(root: &Path) -> Option<Self> {
        let read = |path: &str| fs::read_to_string(root.join(path)).ok();
        if !read("sys/module/apparmor/parameters/enabled")?.starts_with('Y') {
            return None;
        }
        // Before Linux 5.1 there was one file for whichever module has labels.
        let label =
            read("proc/self/attr/apparmor/current").or_else(|| read("proc/self/attr/current"))?;
        let loaded = read("sys/kernel/security/apparmor/profiles").unwrap_or_default();
        Some(Self {
            label: label.trim().to_owned(),
            loaded: loaded.lines().map(str::to_owned).collect(),
        })
    }

    /// A profile is enforced on this process.
    pub fn confines(&self) -> bool {
        self.label.ends_with("(enforce)")
    }

    fn profile(&self) -> &str {
        self.label.split(" (").next().unwrap_or_default()
    }

    fn is_loaded(&self, profile: &str) -> bool {
        let enforced = |line: &&String| line.ends_with("(enforce)");
        let mut lines = self.loaded.iter().filter(enforced);
        lines.any(|line| line.starts_with(profile))
    }
}

/// What it does to the keeper.
pub fn judged(apparmor: Option<&AppArmor>, trial: Trial) -> Check {
    let Some(apparmor) = apparmor else {
        return Check::ok(NAME, "not in force here");
    };
    let profile = apparmor.profile();
    if !apparmor.confines() {
        return Check::ok(NAME, format!("{profile}{}", of_containers(apparmor)));
    }
    match trial {
        Trial::Allowed => Check::ok(NAME, format!("the profile {profile} allows mounting")),
        Trial::Untried => Check::ok(
            NAME,
            format!("the profile {profile}; whether it allows mounting only matters for a keeper"),
        ),
        Trial::Denied(errno) => Check::failed(
            NAME,
            format!("the profile {profile} denies mounting: {errno}"),
            way_out(profile),
        ),
    }
}

fn way_out(profile: &str) -> String {
    let ours = format!(
        "`apparmor_parser -r -W deploy/apparmor/{OURS}` on the host, and `--security-opt apparmor={OURS}` (Compose: \
         `security_opt: [\"apparmor:{OURS}\"]`) for the keeper's container; or `apparmor=unconfined`"
    );
    let kubernetes = format!(
        "`privileged: true` for the keeper, or `appArmorProfile: {{type: Localhost, localhostProfile: {OURS}}}` with the profile \
         loaded on every node (Unconfined does without)"
    );
    match OF_RUNTIMES
        .iter()
        .find(|(prefix, _)| profile.starts_with(prefix))
    {
        Some((_, "containerd" | "CRI-O")) => kubernetes,
        Some(_) => ours,
        None => format!(
            "in Docker: {ours}; in Kubernetes: {kubernetes}; otherwise add `mount fstype=fuse.debridfs, umount,` to it"
        ),
    }
}

/// For who runs the keeper on the host all is well; in a container it would not be.
fn of_containers(apparmor: &AppArmor) -> String {
    let Some((_, runtime)) = OF_RUNTIMES
        .iter()
        .find(|(profile, _)| apparmor.is_loaded(profile))
    else {
        return String::new();
    };
    let how = if apparmor.is_loaded(OURS) {
        "which is loaded".to_owned()
    } else {
        format!(
            "once `apparmor_parser -r -W deploy/apparmor/{OURS}` has loaded it, or apparmor=unconfined"
        )
    };
    format!(
        ", but containers of {runtime} may not mount: a keeper in one needs `--security-opt apparmor={OURS}`, {how}"
    )
}

/// Whether `fusermount3` may mount at `mount_point`, where it has a profile.
pub fn of_fusermount(root: &Path, mount_point: &Path) -> Option<Check> {
    let [profile, local] = FUSERMOUNT.map(|path| fs::read_to_string(root.join(path)).ok());
    profile?;
    let home = std::env::var_os("HOME").unwrap_or_default();
    let mut allowed = FUSERMOUNTS.iter().map(Path::new).chain([Path::new(&home)]);
    let place = mount_point.display().to_string();
    let added = local.is_some_and(|local| local.contains(&place));
    let empty = |dir: &Path| dir.as_os_str().is_empty();
    if added || allowed.any(|dir| !empty(dir) && mount_point.starts_with(dir)) {
        return None;
    }
    Some(Check::failed(
        NAME,
        format!(
            "the profile of fusermount3 lets it mount below home directories, {} only, not at {place}",
            FUSERMOUNTS.join(", ")
        ),
        format!(
            "add to /{}: `mount fstype=fuse.debridfs options=(nosuid,nodev) options in (ro,noatime) -> {place}/, umount {place}/,`, \
             then `apparmor_parser -r /{}`; or choose another `mount.path`",
            FUSERMOUNT[1], FUSERMOUNT[0]
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;
    use rustix::io::Errno;

    /// A root with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        root
    }

    const ON: (&str, &str) = ("sys/module/apparmor/parameters/enabled", "Y\n");

    fn confined(label: &str) -> AppArmor {
        let root = root(&[ON, ("proc/self/attr/apparmor/current", label)]);
        AppArmor::at(root.path()).unwrap()
    }

    #[test]
    fn it_is_in_force_when_the_kernel_says_so() {
        let off = ("sys/module/apparmor/parameters/enabled", "N\n");
        let label = ("proc/self/attr/current", "unconfined\n");
        assert_eq!(AppArmor::at(root(&[off, label]).path()), None);
        assert_eq!(AppArmor::at(root(&[label]).path()), None);
        let old = AppArmor::at(root(&[ON, label]).path()).unwrap();
        assert!(!old.confines());
        assert_eq!(judged(Some(&old), Trial::Allowed).seen, "unconfined");
    }

    #[test]
    fn a_profile_that_denies_mounting_is_named_with_the_way_out_of_its_runtime() {
        let denied = Trial::Denied(Errno::ACCESS);
        let fix = |label: &str| {
            let check = judged(Some(&confined(label)), denied);
            assert_eq!(check.outcome, Outcome::Failed, "{check:?}");
            check.fix.unwrap()
        };
        let docker = fix("docker-default (enforce)\n");
        assert!(
            docker.contains("--security-opt apparmor=debridfs-keeper"),
            "{docker}"
        );
        assert!(!docker.contains("privileged"), "{docker}");
        let kubernetes = fix("cri-containerd.apparmor.d (enforce)\n");
        assert!(kubernetes.contains("privileged: true"), "{kubernetes}");
        assert!(!kubernetes.contains("--security-opt"), "{kubernetes}");
        assert!(fix("mine (enforce)\n").contains("mount fstype=fuse.debridfs"));
        let complains = confined("docker-default (complain)\n");
        assert_eq!(judged(Some(&complains), denied).outcome, Outcome::Ok);
        let allowed = judged(
            Some(&confined("debridfs-keeper (enforce)\n")),
            Trial::Allowed,
        );
        assert!(
            allowed.seen.contains("debridfs-keeper allows"),
            "{allowed:?}"
        );
    }

    #[test]
    fn the_host_says_what_containers_need() {
        let profiles = "sys/kernel/security/apparmor/profiles";
        let seen = |loaded: &str| {
            let label = ("proc/self/attr/apparmor/current", "unconfined\n");
            let apparmor = AppArmor::at(root(&[ON, label, (profiles, loaded)]).path());
            judged(apparmor.as_ref(), Trial::Allowed).seen
        };
        assert_eq!(seen("lsb_release (enforce)\n"), "unconfined");
        let without = seen("docker-default (enforce)\n");
        assert!(without.contains("Docker may not mount") && without.contains("apparmor_parser"));
        let with = seen("debridfs-keeper (enforce)\ndocker-default (enforce)\n");
        assert!(with.contains("which is loaded"), "{with}");
    }

    #[test]
    fn fusermounts_profile_knows_its_places() {
        let profile = ("etc/apparmor.d/fusermount3", "profile fusermount3 {}");
        let there = |path: &str, files: &[(&str, &str)]| {
            of_fusermount(root(files).path(), Path::new(path)).map(|check| check.outcome)
        };
        assert_eq!(there("/srv/dfs", &[]), None);
        assert_eq!(there("/mnt/dfs", &[profile]), None);
        assert_eq!(there("/srv/dfs", &[profile]), Some(Outcome::Failed));
        let local = ("etc/apparmor.d/local/fusermount3", "umount /srv/dfs/,");
        assert_eq!(there("/srv/dfs", &[profile, local]), None);
    }
}
