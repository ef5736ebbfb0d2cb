//! The mount point, and the places for state and sockets.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use debridfs_keeper::KeeperError;
use debridfs_web::{MountProbe, ProbeError};
use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;

use debridfs_base::mountinfo::{self, Mount};
use debridfs_base::{ByteSize, state_file};

use crate::check::Check;

/// A look through a mount that takes longer says enough.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// A catalogue of 100 000 files stays well below.
const LEAST_SPACE: u64 = 256 << 20;
/// `sun_path` of unix(7), without its final NUL.
const LONGEST_SOCKET_PATH: usize = 107;

/// Whether the library can be, or is, mounted at `path`; for an engine that a keeper lends the mount to,
/// whether it is.
pub async fn mount_point(path: &Path, lent: bool) -> Check {
    mounted(path, mountinfo::at(path), lent).await
}

async fn mounted(path: &Path, mount: io::Result<Option<Mount>>, lent: bool) -> Check {
    let name = "mount point";
    let shown = path.display();
    match mount {
        Err(error) => Check::failed(
            name,
            format!("/proc/self/mountinfo: {error}"),
            "mount /proc",
        ),
        Ok(Some(mount)) if mount.is_closed() => Check::warning(
            name,
            format!("{shown} is closed to everybody: its keeper was stopped"),
            "start it again, or run `debridfs uninstall` if the library is no longer needed",
        ),
        Ok(Some(mount)) if mount.is_ours() => ours(path).await,
        Ok(Some(mount)) if mount.is_live_service() => {
            let refused = KeeperError::Foreign {
                path: path.into(),
                fstype: mount.fstype.to_string_lossy().into_owned(),
            };
            Check::failed(
                name,
                refused.to_string(),
                format!("`umount {shown}`, or choose another `mount.path`"),
            )
        }
        Ok(None) if lent => Check::warning(
            name,
            format!(
                "the library is not visible at {shown}: this engine serves, but never becomes ready, because readiness is checked through the mount"
            ),
            "check that the keeper has mounted it; if so, give this container its parent directory as a volume with `mountPropagation: HostToContainer` (Docker `:rslave`)",
        ),
        // Anything else is mounted over, as a directory is: containers get their volumes so.
        Ok(_) => bare(path),
    }
}

async fn ours(path: &Path) -> Check {
    let name = "mount point";
    let shown = path.display();
    let command: [OsString; 4] = [
        "/proc/self/exe".into(),
        "mount-probe".into(),
        format!("--parent={}", std::process::id()).into(),
        path.as_os_str().into(),
    ];
    match MountProbe::new(command.to_vec(), LOOK_LIMIT).look().await {
        Ok(time) => Check::ok(
            name,
            format!("{shown} is mounted and answers ({} ms)", time.as_millis()),
        ),
        Err(error @ ProbeError::Stuck(_)) => Check::failed(
            name,
            format!("{shown} is mounted, but hangs: {error}"),
            "see `debridfs status`; restart the service, or abort the connection under /sys/fs/fuse/connections",
        ),
        Err(error) => Check::warning(
            name,
            format!("{shown} is mounted, but is not served: {error}"),
            format!(
                "`debridfs serve` cleans up a dead mount at its start; by hand: `umount -l {shown}`"
            ),
        ),
    }
}

/// What is at `path`, where nothing is mounted.
pub fn bare(path: &Path) -> Check {
    let name = "mount point";
    let shown = path.display();
    match std::fs::read_dir(path) {
        Ok(mut lines) => match lines.next() {
            None => Check::ok(name, format!("{shown} is an empty directory")),
            Some(_) => Check::warning(
                name,
                debridfs_keeper::occupied(path),
                format!(
                    "move its contents away, so that nothing writes there by mistake: `ls -A {shown}`"
                ),
            ),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            match writable_ancestor(path) {
                Ok(_) => Check::ok(name, format!("{shown} will be made")),
                Err((dir, _)) => Check::failed(
                    name,
                    format!("{shown} is missing, and {dir} may not be written"),
                    format!("sudo install -d -o $(id -u) {shown}"),
                ),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Check::failed(
            name,
            format!("{shown} is no directory"),
            "`mount.path` has to name a directory, or a path that does not exist yet: set another one, or move away what is there",
        ),
        Err(error) => Check::failed(
            name,
            format!("{shown}: {error}"),
            format!("make it a directory that this user may read: `ls -ld {shown}`"),
        ),
    }
}

/// The nearest existing directory at or above `path`, if it may be written; its name otherwise, and whether its file system is read-only.
fn writable_ancestor(path: &Path) -> Result<&Path, (String, bool)> {
    let there = path
        .ancestors()
        .find(|dir| dir.is_dir())
        .unwrap_or(Path::new("/"));
    access(there, Access::WRITE_OK | Access::EXEC_OK)
        .map(|()| there)
        .map_err(|errno| (there.display().to_string(), errno == Errno::ROFS))
}

/// Whether the catalogue can be kept at `path`.
pub fn state_dir(path: &Path) -> Check {
    let free = |there: &Path| {
        let space = statvfs(there)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    };
    place_for_state(path, writable_ancestor(path).map(free))
}

/// `free` is how many bytes are there, if the place may be written.
fn place_for_state(path: &Path, free: Result<io::Result<u64>, (String, bool)>) -> Check {
    let name = "state_dir";
    let shown = path.display();
    let free = match free {
        Ok(free) => free,
        Err((dir, read_only)) => {
            let fix = match read_only {
                true => "mount its file system writable, or set another `state_dir`".to_owned(),
                false => format!("sudo install -d -m 700 -o $(id -u) {shown}, or set `state_dir`"),
            };
            let seen = format!("{dir} may not be written, so the catalogue has no place");
            return Check::failed(name, seen, fix);
        }
    };
    match free {
        Err(error) => Check::failed(name, format!("{shown}: {error}"), "set another `state_dir`"),
        Ok(free) if free < LEAST_SPACE => Check::failed(
            name,
            format!("only {} free at {shown}", ByteSize(free)),
            "free some space, or set another `state_dir`",
        ),
        Ok(free) => Check::ok(
            name,
            format!("{shown} is writable, {} free", ByteSize(free)),
        ),
    }
}

/// State files in `dir` that could not be read and were moved aside.
pub fn moved_aside(dir: &Path) -> impl Iterator<Item = Check> {
    let found = state_file::moved_aside_in(dir).into_iter();
    found.map(|path| {
        let shown = path.display();
        Check::warning(
            "state file",
            format!("{shown} was damaged, so a new one was begun"),
            format!(
                "if something is missing now, stop the service and restore a backup; then `rm {shown}`"
            ),
        )
    })
}

/// Whether `path` fits into a socket address.
pub fn socket_path(path: &Path) -> Check {
    let name = "runtime_dir";
    if path.as_os_str().as_bytes().len() > LONGEST_SOCKET_PATH {
        Check::failed(
            name,
            format!("{} is too long for a socket", path.display()),
            "set a shorter `runtime_dir`, such as /run/debridfs",
        )
    } else {
        place_for_sockets(path, writable_ancestor(path.parent().unwrap_or(path)))
    }
}

fn place_for_sockets(path: &Path, dir: Result<&Path, (String, bool)>) -> Check {
    let name = "runtime_dir";
    match dir {
        Ok(_) => Check::ok(name, format!("sockets go beside {}", path.display())),
        Err((dir, _)) => Check::failed(
            name,
            format!("{dir} may not be written"),
            "set `runtime_dir` to a directory of this user",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[tokio::test]
    async fn mount_points() {
        let dir = tempfile::tempdir().unwrap();
        let outcome = async |path: &Path| mount_point(path, false).await.outcome;
        assert_eq!(outcome(dir.path()).await, Outcome::Ok);
        assert_eq!(outcome(&dir.path().join("a/b")).await, Outcome::Ok);
        std::fs::write(dir.path().join("x"), "").unwrap();
        assert_eq!(outcome(dir.path()).await, Outcome::Warning);
        assert_eq!(outcome(&dir.path().join("x")).await, Outcome::Failed);
        // As `serve` has it: over what is no service's mount it makes its own.
        assert_eq!(outcome(Path::new("/proc")).await, Outcome::Warning);
        // Not where this process would make it.
        let lent = mount_point(Path::new("/nowhere/dfs"), true).await;
        assert_eq!(lent.outcome, Outcome::Warning);
    }

    #[tokio::test]
    async fn who_is_mounted_there_decides() {
        let at = async |source: &str| {
            let text = format!("5 1 0:50 / /mnt/dfs ro - {source} ro");
            let mount = mountinfo::parse(text.as_bytes()).into_iter().next();
            mounted(Path::new("/mnt/dfs"), Ok(mount), false).await
        };
        let closed = at("fuse.debridfs debridfs-closed").await;
        assert_eq!(closed.outcome, Outcome::Warning);
        assert!(closed.seen.contains("is closed to everybody"), "{closed}");
        let foreign = at("fuse.sshfs host:/").await;
        assert_eq!(foreign.outcome, Outcome::Failed);
        assert!(foreign.fix.unwrap().starts_with("`umount /mnt/dfs`"));
        let unknown = mounted(Path::new("/mnt"), Err(io::Error::other("x")), false).await;
        assert_eq!(unknown.fix.as_deref(), Some("mount /proc"));
    }

    #[test]
    fn state_needs_a_place_that_may_be_written_and_has_room() {
        let place = |free| place_for_state(Path::new("/srv/state"), free);
        assert_eq!(place(Ok(Ok(LEAST_SPACE))).outcome, Outcome::Ok);
        let full = place(Ok(Ok(LEAST_SPACE - 1)));
        assert_eq!(full.outcome, Outcome::Failed);
        assert!(full.seen.starts_with("only 256.0 MiB free"), "{full}");
        let closed = |read_only| place(Err(("/srv".to_owned(), read_only)));
        assert_eq!(closed(false).outcome, Outcome::Failed);
        assert!(
            closed(false)
                .fix
                .unwrap()
                .contains("sudo install -d -m 700")
        );
        assert!(closed(true).fix.unwrap().contains("writable"));
        assert_eq!(
            place(Ok(Err(io::Error::other("x")))).outcome,
            Outcome::Failed
        );
        // The same by what is there.
        let dir = tempfile::tempdir().unwrap();
        let found = writable_ancestor(&dir.path().join("a/b")).map(Path::to_owned);
        assert_eq!(found, Ok(dir.path().to_owned()));
    }

    #[test]
    fn sockets_have_short_names_in_a_directory_that_may_be_written() {
        let long = format!("/tmp/{}", "x".repeat(120));
        assert_eq!(socket_path(Path::new(&long)).outcome, Outcome::Failed);
        let short = Path::new("/tmp/keeper.sock");
        assert_eq!(socket_path(short).outcome, Outcome::Ok);
        let closed = place_for_sockets(short, Err(("/tmp".to_owned(), false)));
        assert_eq!(closed.outcome, Outcome::Failed);
    }

    #[test]
    fn what_was_moved_aside_is_named_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("jobs.db"), "fine").unwrap();
        assert_eq!(moved_aside(dir.path()).count(), 0);
        let aside = dir.path().join("repair.json.corrupt-20261121T040000Z");
        std::fs::write(&aside, "damaged").unwrap();
        let checks: Vec<Check> = moved_aside(dir.path()).collect();
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].outcome, Outcome::Warning);
        assert!(checks[0].seen.contains(aside.to_str().unwrap()));
        assert!(checks[0].fix.as_ref().unwrap().contains("rm "));
    }
}
