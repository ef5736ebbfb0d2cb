//! What the host has to offer, and the directories of a test.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_base::mountinfo::{self, Mount};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::mount::{UnmountFlags, unmount};

/// Name of the mount point in the volume.
pub(crate) const MOUNT_POINT: &str = "dfs";

/// Layers that are taken away at the end; a test makes a handful.
const MOST_LAYERS: usize = 64;

/// The mount that a directory lies on, in this process's namespace.
pub(crate) fn mount_of(dir: &Path) -> io::Result<Mount> {
    let mounts = mountinfo::read()?;
    mountinfo::containing(&mounts, dir)
        .cloned()
        .ok_or_else(|| io::Error::other("no mount holds it"))
}

/// Mounts of debridfs at or below a directory.
pub(crate) fn ours_below(mounts: &[Mount], dir: &Path) -> Vec<Mount> {
    let below = |mount: &&Mount| mount.is_ours() && mount.mount_point.starts_with(dir);
    mounts.iter().filter(below).cloned().collect()
}

/// How mounts travel over it, for people.
pub(crate) fn propagation_of(mount: &Mount) -> String {
    match (mount.peer_group, mount.master) {
        (Some(group), Some(master)) => format!("shared:{group} master:{master}"),
        (Some(group), None) => format!("shared:{group}"),
        (None, Some(master)) => format!("master:{master}"),
        (None, None) => "private".into(),
    }
}

/// What to say and do about a directory whose mount gives nothing to others.
pub(crate) fn not_shared(dir: &Path, mount: &Mount) -> String {
    format!(
        "{} lies on the mount {} ({}), which is {}; to mend it: {}",
        dir.display(),
        mount.mount_point.display(),
        mount.fstype.to_string_lossy(),
        match mount.master {
            Some(master) => format!("a slave of peer group {master} and gives nothing back"),
            None => "private".into(),
        },
        sharing_commands(dir, mount)
    )
}

/// What to say of the test's directory when it is not on the mount that has to be shared: what is
/// seen there says nothing about that one.
pub(crate) fn mount_of_its_own(own: &Mount, shared: &Path) -> String {
    format!(
        "{0} is a mount of its own, so what is seen there says nothing about {1}; to mend it: umount -l {0}",
        own.mount_point.display(),
        shared.display()
    )
}

/// The commands that make `dir`, which lies on `mount`, a shared mount.
///
/// One that is a mount already is not bound over itself: of two mounts at one place containerd looks at the lower one, which would still
/// be private.
pub fn sharing_commands(dir: &Path, mount: &Mount) -> String {
    let dir_name = dir.display();
    let share = format!("mount --make-rshared {dir_name}");
    if mount.mount_point == dir {
        share
    } else {
        format!("mount --rbind {dir_name} {dir_name} && {share}")
    }
}

/// The empty mount point: closed to users, and immutable where the file system can do that, so
/// that nobody writes to the host's disk while nothing is mounted.
pub(crate) fn make_mount_point(dir: &Path) -> io::Result<Result<(), io::Error>> {
    DirBuilder::new().mode(0o000).create(dir)?;
    Ok(set_immutable(dir, true))
}

fn set_immutable(dir: &Path, immutable: bool) -> io::Result<()> {
    let dir = File::open(dir)?;
    let mut flags = ioctl_getflags(&dir)?;
    flags.set(IFlags::IMMUTABLE, immutable);
    Ok(ioctl_setflags(&dir, flags)?)
}

/// How often removing is tried: processes that were killed may take a moment to let go.
const REMOVALS: u32 = 20;
/// Pause between two attempts.
const REMOVAL_PAUSE: Duration = Duration::from_millis(100);

/// As [`remove`], with patience. Blocks; nothing else is left to be done.
pub(crate) fn remove_soon(dir: &Path, directories: &[PathBuf]) -> Vec<String> {
    let mut left = remove(dir, directories);
    for _ in 1..REMOVALS {
        if left.is_empty() {
            break;
        }
        #[allow(
            clippy::disallowed_methods,
            reason = "no task of a runtime waits any more"
        )]
        std::thread::sleep(REMOVAL_PAUSE);
        left = remove(dir, directories);
    }
    left
}

/// Takes away every mount of debridfs at or below `dir`, and then the directories, of which only
/// empty ones go. What is left, for people.
pub(crate) fn remove(dir: &Path, directories: &[PathBuf]) -> Vec<String> {
    let mut left = Vec::new();
    for _ in 0..MOST_LAYERS {
        let mounts = mountinfo::read().unwrap_or_default();
        // The last one made lies on top.
        let Some(mount) = ours_below(&mounts, dir).pop() else {
            break;
        };
        // By force: its connection ends first, which frees whoever waits in it.
        let flags = UnmountFlags::FORCE | UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
        if let Err(errno) = unmount(&mount.mount_point, flags) {
            left.push(format!("mount {}: {errno}", mount.mount_point.display()));
            break;
        }
    }
    if left.is_empty() {
        for made in directories {
            if !made.exists() {
                continue;
            }
            // It may never have been immutable.
            let _ = set_immutable(made, false);
            if let Err(error) = fs::remove_dir(made) {
                let inside: Vec<String> = fs::read_dir(made)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .collect();
                let inside = inside.join(", ");
                left.push(format!("directory {}: {error} ({inside})", made.display()));
            }
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Vec<Mount> {
        mountinfo::parse(text.as_bytes())
    }

    #[test]
    fn a_mount_is_not_bound_over_itself_to_be_shared() {
        let root = &table("1 0 8:1 / / rw - ext4 a rw")[0];
        assert_eq!(
            sharing_commands(Path::new("/mnt"), root),
            "mount --rbind /mnt /mnt && mount --make-rshared /mnt"
        );
        let own = &table("1 0 8:1 / /mnt rw - ext4 a rw")[0];
        assert_eq!(
            sharing_commands(Path::new("/mnt"), own),
            "mount --make-rshared /mnt"
        );
    }

    #[test]
    fn a_mount_that_gives_nothing_is_told_with_its_way_out() {
        let private = &table("1 0 8:1 / /mnt rw - ext4 a rw")[0];
        assert_eq!(
            not_shared(Path::new("/mnt/media"), private),
            "/mnt/media lies on the mount /mnt (ext4), which is private; to mend it: \
             mount --rbind /mnt/media /mnt/media && mount --make-rshared /mnt/media"
        );
        let slave = &table("1 0 8:1 / /mnt rw master:7 - ext4 a rw")[0];
        let words = not_shared(Path::new("/mnt"), slave);
        let slave = "a slave of peer group 7 and gives nothing back";
        assert!(words.contains(slave), "{words}");
    }

    #[test]
    fn propagation_in_words() {
        let of = |fields: &str| {
            let text = format!("1 0 8:1 / / rw {fields}- ext4 a rw");
            propagation_of(&table(&text)[0])
        };
        assert_eq!(of("master:3 "), "master:3");
        assert_eq!(of(""), "private");
        assert_eq!(of("shared:5 "), "shared:5");
        assert_eq!(of("shared:5 master:3 "), "shared:5 master:3");
    }

    #[test]
    fn mounts_of_others_are_never_taken_away() {
        let mounts = table(
            "1 0 8:1 / / rw - ext4 a rw\n\
             2 1 0:9 / /t/dfs ro - fuse.debridfs d ro\n\
             3 2 0:10 / /t/dfs ro - fuse.debridfs d ro\n\
             4 1 0:11 / /t/other rw - tmpfs t rw\n\
             5 1 0:12 / /t2/dfs ro - fuse.debridfs d ro\n\
             6 1 0:13 / /t/rclone ro - fuse.rclone r ro",
        );
        let devices = |dir: &str| -> Vec<_> {
            let found = ours_below(&mounts, Path::new(dir)).into_iter();
            found
                .map(|mount| mount.mount_point.display().to_string())
                .collect()
        };
        assert_eq!(devices("/t"), ["/t/dfs", "/t/dfs"]);
        assert_eq!(devices("/t/dfs"), ["/t/dfs", "/t/dfs"]);
        assert_eq!(devices("/t/other"), [""; 0]);
    }

    #[test]
    fn what_is_not_empty_is_left_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let [inner, full] = ["inner", "full"].map(|name| dir.path().join(name));
        fs::create_dir(&inner).unwrap();
        fs::create_dir(&full).unwrap();
        fs::write(full.join("kept"), "").unwrap();
        let missing = dir.path().join("missing");
        let made = [inner.clone(), missing, full.clone()];
        let left = remove(dir.path(), &made);
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(left[0].starts_with(&format!("directory {}: ", full.display())));
        assert!(left[0].ends_with("(kept)"), "{left:?}");
        assert!(!inner.exists());
    }
}
