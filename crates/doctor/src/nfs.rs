//! What there is to say of NFS: a key that took another one's place, and mounts that give up.

use std::path::Path;

use debridfs_base::mountinfo::{self, Mount};
use debridfs_nfs::Key;
use jiff::{Timestamp, ToSpan};

use crate::check::Check;

/// For so long it is told that there is a new key: a client that has been away for longer mounts anew in any case.
const TOLD: i64 = 30 * 24;

/// Which key of handles is in use, as `state_dir` has it noted; nothing where there is none yet.
pub fn key(state_dir: &Path) -> Option<Check> {
    let now = Timestamp::now();
    let change = match Key::noted(state_dir, now) {
        Ok(change) => change?,
        Err(error) => {
            let seen = format!("which key is in use cannot be read: {error}");
            return Some(Check::warning("nfs.key", seen, "see `state_dir`"));
        }
    };
    let is_news = change.replaced
        && now
            .checked_sub(TOLD.hours())
            .is_ok_and(|from| change.since > from);
    let since = change.since;
    Some(match is_news {
        true => Check::warning(
            "nfs.key",
            format!(
                "the key of the handles changed at {since}: clients that mounted before see `Stale file handle`"
            ),
            "unmount and mount again there (`umount -l`), or bring the former key back: `nfs.key_file`, or nfs-key in `state_dir`; replicas need the same one",
        ),
        false => Check::ok("nfs.key", format!("in use since {since}")),
    })
}

/// An export whose `path` leads to no directory of the library, which is mounted at `mount`.
pub fn missing_export(name: &str, path: &str, mount: &Path) -> Check {
    Check::warning(
        &format!("nfs.export.{name}"),
        format!("the library has no directory {path:?}, so the export cannot be mounted"),
        format!(
            "`path` is relative to the root of the library, `ls {}` shows what is there: a view, or a folder of [folders]",
            mount.display()
        ),
    )
}

/// Mounts over NFS on this machine whose readers get errors while a server is away.
pub fn mounts() -> Vec<Check> {
    let mounts = mountinfo::read().unwrap_or_default();
    mounts.iter().filter_map(gives_up).collect()
}

fn gives_up(mount: &Mount) -> Option<Check> {
    let is_nfs = mount.fstype == "nfs" || mount.fstype == "nfs4";
    let is_soft = ["soft", "softerr"]
        .iter()
        .any(|option| mount.has_super_option(option));
    (is_nfs && is_soft).then(|| {
        Check::warning(
            "nfs mounts",
            format!(
                "{} is mounted with `soft`: reads end with EIO while its server is away for a moment, and a scanner may take that for a broken file",
                mount.mount_point.display()
            ),
            "mount it with `hard` (`debridfs mounts` prints how); a hard mount waits, and a reader can still be killed",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_mounts_are_warned_of_and_hard_ones_are_not() {
        let line = |options: &str| {
            let text =
                format!("36 25 0:32 / /mnt/dfs rw - nfs 192.0.2.1:/media ro,vers=3,{options}\n");
            let mounts = mountinfo::parse(text.as_bytes());
            gives_up(&mounts[0]).map(|check| check.seen)
        };
        assert!(
            line("soft,timeo=10,retrans=2")
                .unwrap()
                .contains("/mnt/dfs")
        );
        assert_eq!(line("hard,timeo=600"), None);
    }

    #[test]
    fn a_key_that_took_anothers_place_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        assert!(key(dir.path()).is_none(), "no key yet");
        let now = Timestamp::now();
        Key::load(None, dir.path(), now).unwrap();
        let told = || key(dir.path()).unwrap().seen;
        assert!(told().contains("in use since"));
        let file = dir.path().join("shared");
        std::fs::write(&file, "k".repeat(40)).unwrap();
        Key::load(Some(Key::read(&file).unwrap()), dir.path(), now).unwrap();
        assert!(told().contains("Stale file handle"));
    }
}
