//! Gives a directory, and what an engine has in it, to the user that the engine is. Root does it in a place that an engine may have prepared for the
//! occasion: by descriptors alone, through no link, and of what belongs to others nothing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use debridfs_base::walk::{Walked, path_of};
use debridfs_keeper::Owner;
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, openat, statat,
};
use rustix::io::Errno;

/// What only an engine has in its directory: its catalogue, the parts of its cache. Without one of them the directory may be anybody's (a home that
/// was named by mistake), and what is in it stays whose it is.
const MARKS: [&str; 3] = ["catalogue.db", "playback", "probe"];

/// Directories in directories; an engine makes two.
const DEEPEST: usize = 8;

const ENTRY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What has to change hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Nothing.
    Nothing,
    /// The directory alone.
    Directory,
    /// What is in it, down to so many directories in directories, and the directory.
    Entries(usize),
}

/// What would have to change hands, so that the directory and what an engine has in it are the engine's. Changes nothing.
///
/// # Errors
/// It stays somebody else's: it is in a directory that root does not control, or what is in it belongs to another engine.
pub fn judge(found: &Walked, to: Owner) -> io::Result<Plan> {
    let dir = fstat(&found.dir)?;
    if dir.st_uid == to.uid {
        return match owner_of_marks(found.dir.as_fd()).find(|(_, owner)| *owner != to.uid) {
            Some((name, owner)) => Err(of_another(found, Some(name), owner, to)),
            None if dir.st_gid == to.gid => Ok(Plan::Nothing),
            None => Ok(Plan::Directory),
        };
    }
    let empty = is_empty(&readable(found.dir.as_fd())?)?;
    let expected = found.below.is_none_or(|owner| owner == dir.st_uid);
    let made_just_now = dir.st_uid == 0 && empty;
    if !(expected || made_just_now) {
        return Err(of_another(found, None, dir.st_uid, to));
    }
    let everybody = Mode::from_raw_mode(dir.st_mode).contains(Mode::WOTH);
    let is_an_engines = owner_of_marks(found.dir.as_fd()).any(|(_, owner)| owner == dir.st_uid);
    Ok(match is_an_engines {
        true => Plan::Entries(DEEPEST),
        // What root's engine left before anything else.
        false if dir.st_uid == 0 && !everybody => Plan::Entries(0),
        false => Plan::Directory,
    })
}

/// Makes the directory the engine's, and with it the files of its owner until now: root's, or those of the engine before `PUID` was changed. The
/// directory is the last to change hands, so that this begins anew if it is broken off.
///
/// # Errors
/// As [`judge`], or the system says no.
pub fn hand_over(found: &Walked, to: Owner) -> io::Result<()> {
    let plan = judge(found, to)?;
    let dir = fstat(&found.dir)?;
    let move_in = MoveIn {
        from: dir.st_uid,
        to,
        device: dir.st_dev,
    };
    match plan {
        Plan::Nothing => return Ok(()),
        Plan::Directory => {}
        Plan::Entries(deeper) => move_in.entries(&readable(found.dir.as_fd())?, deeper)?,
    }
    move_in.give(found.dir.as_fd())
}

/// What only an engine has in this directory, as far as it can be looked at, and whose it is.
fn owner_of_marks(dir: BorrowedFd<'_>) -> impl Iterator<Item = (&'static str, u32)> {
    MARKS.into_iter().filter_map(move |name| {
        let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((name, found.st_uid))
    })
}

fn of_another(found: &Walked, name: Option<&str>, owner: u32, to: Owner) -> io::Error {
    let what = name.unwrap_or("it");
    let path = path_of(&found.dir).unwrap_or_default();
    let Owner { uid, gid } = to;
    io::Error::other(format!(
        "{what} belongs to user {owner}, and the engine is user {uid}: `chown -R {uid}:{gid} {}`",
        path.display()
    ))
}

/// Whether the directory is root's and empty: one that was made a moment ago.
///
/// # Errors
/// The system says no.
pub fn is_unused(found: &Walked) -> io::Result<bool> {
    Ok(fstat(&found.dir)?.st_uid == 0 && is_empty(&readable(found.dir.as_fd())?)?)
}

/// Makes the directory the engine's if it is unused.
///
/// # Errors
/// The system says no.
pub fn hand_over_unused(found: &Walked, to: Owner) -> io::Result<()> {
    match is_unused(found)? {
        true => give(found.dir.as_fd(), to),
        false => Ok(()),
    }
}

/// Files that change hands.
struct MoveIn {
    from: u32,
    to: Owner,
    /// Nothing that is mounted inside.
    device: u64,
}

impl MoveIn {
    /// Regular files with one name, and directories down to this depth.
    fn entries(&self, dir: &OwnedFd, deeper: usize) -> io::Result<()> {
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let entry = match openat(dir, name, ENTRY, Mode::empty()) {
                Err(Errno::NOENT) => continue,
                other => other?,
            };
            let found = fstat(&entry)?;
            if !self.is_to_move(&found) {
                continue;
            }
            match FileType::from_raw_mode(found.st_mode) {
                // Another name of it may be anywhere.
                FileType::RegularFile if found.st_nlink == 1 => self.give(entry.as_fd())?,
                FileType::Directory if deeper > 0 => {
                    self.entries(&readable(entry.as_fd())?, deeper - 1)?;
                    self.give(entry.as_fd())?;
                }
                // Sockets are made anew, and links are not followed.
                _ => {}
            }
        }
        Ok(())
    }

    fn is_to_move(&self, found: &Stat) -> bool {
        found.st_uid == self.from && found.st_dev == self.device
    }

    fn give(&self, what: BorrowedFd<'_>) -> io::Result<()> {
        give(what, self.to)
    }
}

fn give(what: BorrowedFd<'_>, to: Owner) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(to.uid), Gid::from_raw(to.gid));
    let flags = AtFlags::EMPTY_PATH;
    Ok(chownat(what, c"", Some(uid), Some(gid), flags)?)
}

/// The same directory, to be listed.
fn readable(dir: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(dir, c".", flags, Mode::empty())?)
}

fn is_empty(dir: &OwnedFd) -> io::Result<bool> {
    for entry in Dir::read_from(dir)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
    use std::path::{Path, PathBuf};

    use debridfs_base::walk::{Links, walk};

    use super::*;

    const FORMER: Owner = Owner {
        uid: 54_321,
        gid: 54_321,
    };
    const ENGINE: Owner = Owner {
        uid: 54_331,
        gid: 54_332,
    };

    /// A place with root's treasure, which nobody may get.
    struct Place(tempfile::TempDir);

    impl Place {
        fn make() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
            let place = Self(dir);
            fs::create_dir(place.at("etc")).unwrap();
            for name in ["shadow", "passwd"] {
                fs::write(place.at("etc").join(name), "root").unwrap();
                let mode = fs::Permissions::from_mode(0o640);
                fs::set_permissions(place.at("etc").join(name), mode).unwrap();
            }
            place
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// A directory of an engine's, with a file, a cache and links to what is root's.
        fn used(&self, owner: u32) -> PathBuf {
            let state = self.at("state");
            fs::create_dir_all(state.join("cache/playback")).unwrap();
            for file in ["catalogue.db", "cache/playback/1"] {
                fs::write(state.join(file), "").unwrap();
            }
            for dir in ["", "cache", "cache/playback"] {
                let dir = state.join(dir);
                symlink(self.at("etc"), dir.join("link")).unwrap();
                symlink(self.at("etc/shadow"), dir.join("shadow")).unwrap();
                fs::hard_link(self.at("etc/passwd"), dir.join("passwd")).unwrap();
            }
            for entry in [
                "cache/playback/1",
                "cache/playback",
                "cache",
                "catalogue.db",
                "",
            ] {
                chown(state.join(entry), Some(owner), Some(owner)).unwrap();
            }
            state
        }

        fn own(&self, name: &str) -> io::Result<()> {
            let walked = walk(&self.at(name), Links::Trusted, 0o700)?;
            hand_over(&walked, ENGINE)
        }

        #[track_caller]
        fn assert_treasure_is_roots(&self) {
            for (name, mode) in [("etc", 0o755), ("etc/shadow", 0o640), ("etc/passwd", 0o640)] {
                let found = fs::symlink_metadata(self.at(name)).unwrap();
                assert_eq!((found.uid(), found.gid()), (0, 0), "{name}");
                assert_eq!(found.mode() & 0o7777, mode, "{name}");
            }
        }
    }

    fn uid(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().uid()
    }

    #[test]
    fn what_another_engine_left_in_the_engines_directory_is_named_with_the_command() {
        let place = Place::make();
        let state = place.used(FORMER.uid);
        chown(&state, Some(ENGINE.uid), Some(ENGINE.gid)).unwrap();
        let refused = place.own("state").unwrap_err().to_string();
        let command = format!(
            "catalogue.db belongs to user 54321, and the engine is user 54331: `chown -R 54331:54332 {}`",
            fs::canonicalize(&state).unwrap().display()
        );
        assert_eq!(refused, command);
        assert_eq!(uid(&state.join("catalogue.db")), FORMER.uid);
    }

    #[test]
    fn a_changed_puid_takes_everything_of_the_engine_before_and_nothing_else() {
        let place = Place::make();
        let state = place.used(FORMER.uid);
        fs::write(state.join("of-root"), "").unwrap();
        place.own("state").unwrap();
        place.assert_treasure_is_roots();
        for entry in [
            "",
            "catalogue.db",
            "cache",
            "cache/playback",
            "cache/playback/1",
        ] {
            assert_eq!(uid(&state.join(entry)), ENGINE.uid, "{entry}");
        }
        // In a directory of the engine's a file of root's may have come from anywhere.
        assert_eq!(uid(&state.join("of-root")), 0);
    }

    #[test]
    fn what_an_engine_of_roots_left_changes_hands_but_for_links() {
        let place = Place::make();
        let state = place.used(0);
        place.own("state").unwrap();
        place.assert_treasure_is_roots();
        for entry in ["", "catalogue.db", "cache/playback/1"] {
            assert_eq!(uid(&state.join(entry)), ENGINE.uid, "{entry}");
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_directory_leads_root_nowhere() {
        let place = Place::make();
        let state = place.used(ENGINE.uid);
        chown(&state, Some(ENGINE.uid), Some(ENGINE.gid)).unwrap();
        for link in [
            "state/link",
            "state/cache/link",
            "state/cache/playback/link/x",
        ] {
            let refused = place.own(link).unwrap_err().to_string();
            assert!(refused.contains("may have planted"), "{refused}");
        }
        // The engine's own link, and one that it moved here.
        lchown(state.join("link"), Some(ENGINE.uid), None).unwrap();
        place.own("state/link").unwrap_err();
        place.assert_treasure_is_roots();
        assert_eq!(fs::read_dir(place.at("etc")).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_engines_directory_keeps_its_files() {
        let place = Place::make();
        let home = place.at("home");
        fs::create_dir_all(home.join("deeper")).unwrap();
        fs::write(home.join("letter"), "").unwrap();
        for entry in ["letter", "deeper", ""] {
            chown(home.join(entry), Some(FORMER.uid), None).unwrap();
        }
        place.own("home").unwrap();
        assert_eq!(uid(&home), ENGINE.uid);
        assert_eq!(uid(&home.join("letter")), FORMER.uid);
        assert_eq!(uid(&home.join("deeper")), FORMER.uid);
    }

    #[test]
    fn in_a_directory_of_others_only_what_is_theirs_changes_hands() {
        let place = Place::make();
        let theirs = place.at("theirs");
        fs::create_dir_all(theirs.join("empty")).unwrap();
        fs::create_dir_all(theirs.join("full")).unwrap();
        fs::write(theirs.join("full/file"), "").unwrap();
        chown(&theirs, Some(FORMER.uid), None).unwrap();
        // Made by root a moment ago, and by the engine's user itself.
        place.own("theirs/empty").unwrap();
        place.own("theirs/new").unwrap();
        assert_eq!(uid(&theirs.join("new")), ENGINE.uid);
        let refused = place.own("theirs/full").unwrap_err().to_string();
        assert!(refused.contains("it belongs to user 0"), "{refused}");
        assert_eq!(uid(&theirs.join("full/file")), 0);
    }
}
