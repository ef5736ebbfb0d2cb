//! The mount point before a mount is made on it: what is there already, and may it go?
//!
//! It may lie in a directory of the engine's user, who could put a link to another directory in its
//! place: so its parent is held open, and everything is done from there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{
    AtFlags, CWD, Dir, IFlags, Mode, OFlags, fchmod, fstat, ioctl_getflags, ioctl_setflags,
    mkdirat, openat, unlinkat,
};
use rustix::io::Errno;

use crate::connection::{Site, abort, is_root, mount_closed, unmount_at};
use crate::{KeeperError, probe};
use debridfs_base::mountinfo::{self, Mount};
use debridfs_base::walk::{self, Links, walk};

/// How long a mount may take to answer before it counts as hung.
const CHECK_LIMIT: Duration = Duration::from_secs(2);

/// Dead layers that may stay below a new mount. Where the mount propagates, consumers that bound
/// the mount point itself see a new mount only when it is stacked on the one they have.
const DEAD_LAYERS: usize = 4;

/// What a mount is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A directory that was not there before.
    Made,
    /// An empty directory that was.
    Found,
    /// A directory with something in it, which is hidden while the mount is there.
    Occupied,
    /// A dead layer of ours.
    Layer,
}

/// Where the mount is made.
#[derive(Debug)]
pub(super) struct MountPoint {
    pub path: PathBuf,
    /// The directory it lies in.
    parent: OwnedFd,
    name: OsString,
    /// Has an event (`POLLPRI`) when a mount came or went.
    pub mountinfo: File,
    /// This keeper made the directory.
    made: bool,
}

impl MountPoint {
    /// Its parent is made when it is missing; nothing is mounted yet.
    pub fn find(path: &Path) -> Result<MountPoint, KeeperError> {
        let (parent, path, name) = resolve(path)?;
        let mountinfo = File::open("/proc/self/mountinfo")
            .map_err(KeeperError::os("cannot read /proc/self/mountinfo"))?;
        Ok(MountPoint {
            path,
            parent,
            name,
            mountinfo,
            made: false,
        })
    }

    /// For the calls that mount and unmount.
    pub fn site(&self) -> Site<'_> {
        Site {
            path: &self.path,
            parent: self.parent.as_fd(),
            name: &self.name,
        }
    }

    /// True when a mount of ours is there and somebody still holds its connection, be he slow or
    /// stopped.
    pub fn is_alive(&self) -> bool {
        let top = mountinfo::find(&self.path).ok().flatten();
        top.is_some_and(|top| top.is_ours() && self.state(&top) != probe::State::Dead)
    }

    fn state(&self, top: &Mount) -> probe::State {
        if top.is_closed() {
            // It refuses whoever asks.
            probe::State::Dead
        } else {
            probe::state(&self.path, CHECK_LIMIT)
        }
    }

    /// Makes the place ready for a mount: dead mounts of ours are taken away (or kept below, where
    /// that heals consumers), a hung one is made a dead one, anything else is refused. `lost` is
    /// true when the mount there, if any, is known to be dead.
    pub fn prepare(&mut self, lost: bool) -> Result<Place, KeeperError> {
        self.find_again()?;
        let path = self.path.as_path();
        let mut aborted = None;
        loop {
            let layers = layers(path)?;
            let Some(top) = mountinfo::top(&layers) else {
                break;
            };
            if !top.is_ours() {
                if top.is_live_service() {
                    let fstype = top.fstype.to_string_lossy().into_owned();
                    return Err(KeeperError::Foreign {
                        path: path.into(),
                        fstype,
                    });
                }
                // A directory bound here, as containers get their volumes.
                break;
            }
            let state = if lost {
                probe::State::Dead
            } else {
                self.state(&top)
            };
            match state {
                probe::State::Answers => return Err(KeeperError::AlreadyMounted(path.into())),
                probe::State::Dead if may_stay(&layers, &top) => return Ok(Place::Layer),
                probe::State::Dead => unmount_at(&self.site(), false)?,
                // Once: should it hang on, or must connections not be ended by number, it has to
                // go.
                probe::State::Hung if aborted != Some(top.id) && abort(&top).is_ok() => {
                    aborted = Some(top.id);
                }
                probe::State::Hung => unmount_at(&self.site(), true)?,
            }
        }
        let place = self.make_directory()?;
        self.made |= place == Place::Made;
        Ok(place)
    }

    /// Closes the empty directory: mode 0000 and immutable (`FS_IMMUTABLE_FL`, ioctl_iflags(2)). While
    /// the mount is away nobody writes into it, and nobody but root takes it for an empty library.
    /// Where the file system has no such flag, its mode keeps out all but root, and the error tells.
    /// Nothing may be mounted on it.
    pub fn close(&self) -> io::Result<()> {
        let directory = self.open()?;
        let flags = ioctl_getflags(&directory);
        if fstat(&directory)?.st_mode & 0o7777 != 0 {
            // One that is immutable keeps its mode.
            if let Ok(flags) = flags
                && flags.contains(IFlags::IMMUTABLE)
            {
                ioctl_setflags(&directory, flags - IFlags::IMMUTABLE)?;
            }
            fchmod(&directory, Mode::empty())?;
        }
        ioctl_setflags(&directory, flags? | IFlags::IMMUTABLE)?;
        Ok(())
    }

    /// Nothing is mounted there any more. A closed directory stays for the next keeper: without it
    /// consumers would see no library, or make an empty one of their own. Any other goes, if this
    /// keeper made it.
    pub fn leave(&self, closed: bool) {
        if self.made && !closed {
            let _ = unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
        }
    }

    /// Takes the closed directory away, and what keeps it closed; false if there is none.
    fn remove(&mut self) -> Result<bool, KeeperError> {
        let served = self.is_alive();
        if !served {
            self.clear()?;
        }
        let failed = |reason: &str| KeeperError::MountPoint {
            path: self.path.clone(),
            reason: reason.to_owned(),
        };
        if mountinfo::top(&layers(&self.path)?).is_some() {
            return Err(failed("something is mounted there: stop it first"));
        }
        let directory = match self.open() {
            Err(Errno::NOENT) => return Ok(false),
            opened => opened.map_err(|errno| failed(&errno.to_string()))?,
        };
        let found = fstat(&directory).map_err(|errno| failed(&errno.to_string()))?;
        if found.st_mode & 0o7777 != 0 {
            return Err(failed(
                "no keeper has closed it, so it may belong to another program: remove it by hand",
            ));
        }
        // A file system without the flag needs none of this.
        if let Ok(flags) = ioctl_getflags(&directory) {
            ioctl_setflags(&directory, flags - IFlags::IMMUTABLE)
                .map_err(|errno| failed(&errno.to_string()))?;
        }
        unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR)
            .map_err(|errno| failed(&errno.to_string()))?;
        Ok(true)
    }

    /// Something else may have been mounted on the parent since.
    fn find_again(&mut self) -> Result<(), KeeperError> {
        (self.parent, ..) = resolve(&self.path)?;
        Ok(())
    }

    /// Ends every layer of ours at the path, and takes it away.
    pub fn clear(&mut self) -> Result<(), KeeperError> {
        self.find_again()?;
        loop {
            match mountinfo::top(&layers(&self.path)?) {
                Some(top) if top.is_ours() => {
                    // umount(2) waits for a notification that waits for a read which nobody answers
                    // any more. A dead one has no connection.
                    let _ = abort(&top);
                    unmount_at(&self.site(), false)?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Ends what is mounted here and puts something in front of it that refuses everybody. The layers
    /// below stay, dead: consumers that bound the mount point itself see what is stacked on them.
    pub fn close_mount(&mut self) -> Result<(), KeeperError> {
        self.find_again()?;
        let top = mountinfo::top(&layers(&self.path)?).filter(Mount::is_ours);
        if let Some(top) = top {
            // A dead one has no connection.
            let _ = abort(&top);
            // mount(2) waits for whoever waits in this directory, and he for an engine.
            if self.state(&top) != probe::State::Dead {
                return Err(KeeperError::AlreadyMounted(self.path.clone()));
            }
        }
        mount_closed(&self.site())
    }

    fn make_directory(&self) -> Result<Place, KeeperError> {
        let failed = |reason: String| KeeperError::MountPoint {
            path: self.path.clone(),
            reason,
        };
        // Nothing should be written below the mount while it is away; fusermount3 wants to be able
        // to.
        let mode = if is_root() { 0 } else { 0o755 };
        match mkdirat(&self.parent, &self.name, Mode::from_raw_mode(mode)) {
            Ok(()) => return Ok(Place::Made),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno.to_string())),
        }
        let listed = self.open().and_then(Dir::new);
        let entries = listed.map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => {
                failed("it is a symbolic link or no directory; name the directory itself".into())
            }
            errno => failed(errno.to_string()),
        })?;
        let is_one = |name: &std::ffi::CStr| !matches!(name.to_bytes(), b"." | b"..");
        for entry in entries {
            let entry = entry.map_err(|errno| failed(errno.to_string()))?;
            if is_one(entry.file_name()) {
                return Ok(Place::Occupied);
            }
        }
        Ok(Place::Found)
    }

    fn open(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.parent, &self.name, flags, Mode::empty())
    }
}

/// Takes the closed mount point at `path` away that a keeper has left there, when nobody wants it any more; false if there
/// is none.
///
/// # Errors
/// Something is mounted there, is in it, or it was not closed by a keeper.
pub fn remove_mount_point(path: &Path) -> Result<bool, KeeperError> {
    MountPoint::find(path)?.remove()
}

/// The parent, opened, and the path with it resolved. The last component is left alone: looking at
/// it could mean asking a dead file system.
fn resolve(path: &Path) -> Result<(OwnedFd, PathBuf, OsString), KeeperError> {
    let failed = |reason: String| KeeperError::MountPoint {
        path: path.into(),
        reason,
    };
    let absolute = std::path::absolute(path).map_err(|error| failed(error.to_string()))?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(failed("the root directory can't be one".into()));
    };
    let opened = if is_root() {
        walk(parent, Links::Trusted, 0o755).map(|walked| walked.dir)
    } else {
        // Whose user it is may go where he likes.
        fs::create_dir_all(parent).and_then(|()| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(openat(CWD, parent, flags, Mode::empty())?)
        })
    };
    let told = |error: io::Error| failed(format!("its parent: {error}"));
    let opened = opened.map_err(told)?;
    let resolved = walk::path_of(&opened).map_err(told)?;
    Ok((opened, resolved.join(name), name.to_owned()))
}

/// What is said of a mount point with something in it.
pub fn occupied(path: &Path) -> String {
    format!(
        "{} is not empty: what is in it is hidden while the library is mounted there, and others can \
         write to it while it is not; take it away while nothing is mounted",
        path.display()
    )
}

/// What is mounted there, one above the other.
fn layers(path: &Path) -> Result<Vec<Mount>, KeeperError> {
    let mounts = mountinfo::read().map_err(KeeperError::os("cannot read /proc/self/mountinfo"))?;
    Ok(mountinfo::layers(mounts, path))
}

fn may_stay(layers: &[Mount], top: &Mount) -> bool {
    top.is_shared()
        && is_root()
        && layers.iter().filter(|mount| mount.is_ours()).count() <= DEAD_LAYERS
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

    use super::*;

    /// A file system that knows no immutable directories.
    struct Ram(tempfile::TempDir);

    impl Ram {
        fn mounted() -> Self {
            let dir = tempfile::tempdir().unwrap();
            mount("none", dir.path(), "ramfs", MountFlags::empty(), None).expect("root");
            Self(dir)
        }
    }

    impl Drop for Ram {
        fn drop(&mut self) {
            unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
        }
    }

    #[test]
    fn a_directory_that_cannot_be_immutable_is_closed_to_users() {
        let ram = Ram::mounted();
        let path = ram.0.path().join("dfs");
        fs::create_dir(&path).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_ne!(mode(), 0);
        let closed = MountPoint::find(&path).unwrap().close();
        assert!(closed.is_err(), "it has the flag: this tests nothing");
        assert_eq!(mode(), 0);
    }

    #[test]
    fn a_directory_that_was_opened_again_is_closed_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dfs");
        fs::create_dir(&path).unwrap();
        let point = MountPoint::find(&path).unwrap();
        let set = |immutable| {
            let directory = point.open().unwrap();
            let mut flags = ioctl_getflags(&directory).unwrap();
            flags.set(IFlags::IMMUTABLE, immutable);
            ioctl_setflags(&directory, flags).unwrap();
        };
        // Somebody's own, with a mode that leaves it open.
        set(true);
        point.close().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        let refused = fs::write(path.join("x"), "").unwrap_err();
        set(false);
        assert_eq!(mode, 0);
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }
}
