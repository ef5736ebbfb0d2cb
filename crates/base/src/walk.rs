//! The way to a directory that may lead through directories of others.
//!
//! A process with privileges that acts by path in what somebody else owns acts wherever that one
//! wants: a symbolic link takes its place between two calls. So the way is walked once, by
//! descriptors, and everything afterwards is done from the descriptor.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// To look at what a name is: follows nothing and opens nothing.
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Symbolic links on one way; `MAXSYMLINKS` of the kernel.
const MOST_LINKS: u32 = 40;

/// Which symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// None.
    Refused,
    /// Those that belong to root or this user, in directories that only these can change.
    Trusted,
}

/// Where a walk has led.
#[derive(Debug)]
pub struct Walked {
    /// The directory, opened with `O_PATH`.
    pub dir: OwnedFd,
    /// The owner of the directory in which it lies, if that can be changed by others than root and
    /// this user: they may have put it there.
    pub below: Option<u32>,
}

/// Walks to the directory at `path`, which is absolute. What is missing is made: the last one with
/// `mode`, those on the way with 0755.
///
/// # Errors
/// When there is something else on the way, a link that is not followed, or the system says no.
/// The text names the place.
pub fn walk(path: &Path, links: Links, mode: u32) -> io::Result<Walked> {
    let mut at = openat(CWD, "/", LOOK | OFlags::DIRECTORY, Mode::empty())?;
    let mut shown = PathBuf::from("/");
    let mut below = None;
    let mut followed = 0;
    let mut ahead = steps(path);
    while let Some(name) = ahead.pop_front() {
        let told = |error: io::Error| {
            let place = shown.join(&name);
            io::Error::new(error.kind(), format!("{}: {error}", place.display()))
        };
        let mode = if ahead.is_empty() { mode } else { 0o755 };
        let next = enter_or_make(&at, &name, mode).map_err(told)?;
        let here = fstat(&at)?;
        let there = fstat(&next)?;
        match FileType::from_raw_mode(there.st_mode) {
            FileType::Directory => {
                below = (!is_ours(&here)).then_some(here.st_uid);
                at = next;
                shown.push(&name);
            }
            FileType::Symlink if links == Links::Trusted => {
                followed += 1;
                if followed > MOST_LINKS {
                    return Err(told(Errno::LOOP.into()));
                }
                if !is_trusted(there.st_uid) || !is_ours(&here) {
                    let owner = there.st_uid;
                    let text = format!("a symbolic link that user {owner} may have planted");
                    return Err(told(io::Error::other(text)));
                }
                let target = readlinkat(&at, &name, Vec::new())?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                if target.is_absolute() {
                    at = openat(CWD, "/", LOOK | OFlags::DIRECTORY, Mode::empty())?;
                    shown = PathBuf::from("/");
                }
                for step in steps(&target).into_iter().rev() {
                    ahead.push_front(step);
                }
            }
            _ => {
                let text = "not a directory, or a symbolic link";
                return Err(told(io::Error::new(io::ErrorKind::NotADirectory, text)));
            }
        }
    }
    Ok(Walked { dir: at, below })
}

/// The path as the kernel tells it of a descriptor of this process.
///
/// # Errors
/// Without `/proc`.
pub fn path_of(fd: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(address_of(fd))
}

/// A path that leads to what is open as `fd`, and nowhere else, in this process.
pub fn address_of(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

fn steps(path: &Path) -> VecDeque<OsString> {
    let named = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::from_bytes(b"..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(named).collect()
}

fn enter_or_make(at: &OwnedFd, name: &OsStr, mode: u32) -> io::Result<OwnedFd> {
    match openat(at, name, LOOK, Mode::empty()) {
        Err(Errno::NOENT) => {}
        other => return Ok(other?),
    }
    match mkdirat(at, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(openat(at, name, LOOK, Mode::empty())?)
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// Whether only root and this user can change what an entry of the directory leads to.
fn is_ours(dir: &Stat) -> bool {
    let mode = Mode::from_raw_mode(dir.st_mode);
    let sticky = mode.contains(Mode::SVTX);
    let group = mode.contains(Mode::WGRP) && !is_trusted(dir.st_gid);
    is_trusted(dir.st_uid) && (sticky || !(group || mode.contains(Mode::WOTH)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    const OTHER: u32 = 54_321;

    fn place() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn text(result: io::Result<Walked>) -> String {
        result.map(drop).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_is_made_and_a_link_of_ours_is_followed() {
        let dir = place();
        let real = dir.path().join("real");
        fs::create_dir(&real).unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        let walked = walk(&dir.path().join("link/a/b"), Links::Trusted, 0o700).unwrap();
        assert_eq!(walked.below, None);
        let end = fs::canonicalize(real.join("a/b")).unwrap();
        assert_eq!(path_of(&walked.dir).unwrap(), end);
        let mode = |name: &str| fs::metadata(real.join(name)).unwrap().mode() & 0o777;
        assert_eq!((mode("a"), mode("a/b")), (0o755, 0o700));
        let refused = text(walk(&dir.path().join("link/a"), Links::Refused, 0o700));
        assert!(
            refused.contains("link: not a directory, or a symbolic link"),
            "{refused}"
        );
    }

    #[test]
    fn a_link_that_another_user_may_have_planted_is_not_followed() {
        let dir = place();
        let theirs = dir.path().join("theirs");
        fs::create_dir_all(dir.path().join("treasure")).unwrap();
        fs::create_dir(&theirs).unwrap();
        // Root's own link, but where the other user could have moved it.
        symlink(dir.path().join("treasure"), theirs.join("moved")).unwrap();
        chown(&theirs, Some(OTHER), Some(OTHER)).unwrap();
        let refused = text(walk(&theirs.join("moved/x"), Links::Trusted, 0o700));
        assert!(refused.contains("may have planted"), "{refused}");
        // In a directory as /tmp is.
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        symlink("../treasure", open.join("link")).unwrap();
        std::os::unix::fs::lchown(open.join("link"), Some(OTHER), None).unwrap();
        let refused = text(walk(&open.join("link"), Links::Trusted, 0o700));
        assert!(refused.contains("user 54321 may have planted"), "{refused}");
        assert_eq!(
            fs::read_dir(dir.path().join("treasure")).unwrap().count(),
            0
        );
        let walked = walk(&theirs.join("made"), Links::Trusted, 0o700).unwrap();
        assert_eq!(walked.below, Some(OTHER));
    }

    #[test]
    fn links_in_a_circle_end() {
        let dir = place();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        walk(&dir.path().join("a"), Links::Trusted, 0o700).unwrap_err();
    }
}
