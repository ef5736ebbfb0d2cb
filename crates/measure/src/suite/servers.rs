//! Which processes serve a mount.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use debridfs_base::mountinfo::Mount;

/// The processes that hold an open `/dev/fuse` of this mount's connection, as far as this user may look; none where the kernel does not
/// tell (`fuse_connection:` in `/proc/PID/fdinfo`) or it is no FUSE mount.
pub(super) fn of(mount: &Mount) -> Vec<u32> {
    if !mount.fstype.to_string_lossy().starts_with("fuse") {
        return Vec::new();
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let found: BTreeSet<u32> = pids.filter(|pid| serves(*pid, mount.device.1)).collect();
    found.into_iter().collect()
}

fn serves(pid: u32, connection: u32) -> bool {
    let dir = Path::new("/proc").join(pid.to_string());
    let descriptors = fs::read_dir(dir.join("fd")).into_iter().flatten().flatten();
    descriptors.into_iter().any(|descriptor| {
        fs::read_link(descriptor.path()).is_ok_and(|file| file == Path::new("/dev/fuse"))
            && fs::read_to_string(dir.join("fdinfo").join(descriptor.file_name()))
                .is_ok_and(|text| connection_in(&text) == Some(connection))
    })
}

fn connection_in(text: &str) -> Option<u32> {
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix("fuse_connection:"));
    number?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_is_read_from_what_linux_6_18_says() {
        let text = "pos:\t0\nflags:\t02100002\nmnt_id:\t24\nino:\t90\nfuse_connection:\t39\n";
        assert_eq!(connection_in(text), Some(39));
        assert_eq!(connection_in("pos:\t0\nfuse_connection:\tx\n"), None);
        assert_eq!(connection_in(""), None);
    }
}
