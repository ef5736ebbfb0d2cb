//! What this kernel can do for a FUSE file system.

use crate::check::Check;

/// FUSE 7.31, the oldest that the keeper accepts.
const OLDEST: (u32, u32) = (5, 4);
/// `FUSE_NOTIFY_RESEND` and passthrough.
const RESEND: (u32, u32) = (6, 9);
/// The whole range of ids: this is no user namespace.
const ALL_IDS: [&str; 3] = ["0", "0", "4294967295"];

/// Version, features, and the user namespace.
pub fn checks() -> Vec<Check> {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    [Some(version(&release)), user_namespace(&map)]
        .into_iter()
        .flatten()
        .collect()
}

fn version(release: &str) -> Check {
    let name = "kernel";
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|text| text.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (number(), number()) else {
        let fix = "Linux 5.4 or later is needed";
        return Check::warning(name, format!("unknown version {release}"), fix);
    };
    let here = (major, minor);
    if here < OLDEST {
        let fix = "Linux 5.4 or later is needed";
        return Check::failed(name, format!("{release} is too old"), fix);
    }
    let how = if here >= RESEND {
        "requests of a dead engine: from the journal, or sent again by the kernel (Linux 6.9 or later)"
    } else {
        "requests of a dead engine: from the journal, which works on any kernel (Linux 6.9 or later could also send them again)"
    };
    Check::ok(name, format!("{release}; {how}"))
}

fn user_namespace(map: &str) -> Option<Check> {
    let first: Vec<&str> = map.lines().next()?.split_whitespace().collect();
    (first != ALL_IDS).then(|| {
        Check::warning(
            "user namespace",
            "this process is in a user namespace of its own: its mounts stay in there and reach no other container",
            "on Kubernetes leave `hostUsers: false` away for the pod that mounts; in Docker and Podman mount with the rootful service",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[test]
    fn versions() {
        assert_eq!(version("5.3.18-default").outcome, Outcome::Failed);
        assert_eq!(version("5.10.0-8-amd64").outcome, Outcome::Ok);
        assert!(
            version("6.1.0-38-amd64")
                .seen
                .contains("works on any kernel")
        );
        assert!(
            version("6.8.0-31-generic")
                .seen
                .contains("works on any kernel")
        );
        assert!(version("6.9.0").seen.contains("or sent again"));
        assert!(version("7.0-rc1").seen.contains("or sent again"));
        assert_eq!(version("x").outcome, Outcome::Warning);
    }

    #[test]
    fn namespaces() {
        assert_eq!(user_namespace("         0          0 4294967295\n"), None);
        assert!(user_namespace("0 100000 65536\n").is_some());
    }
}
