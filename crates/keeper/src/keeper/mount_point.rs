//! The mount point before a mount is made on it: what is there already, and may it go?

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, open};

use crate::connection::{abort, is_root, unmount_at};
use crate::{KeeperError, probe};
use debridfs_base::mountinfo::{self, Mount};

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
    /// A dead layer of ours.
    Layer,
}

/// Where the mount is made.
#[derive(Debug)]
pub(super) struct MountPoint {
    pub path: PathBuf,
    /// Has an event (`POLLPRI`) when a mount came or went.
    pub mountinfo: File,
    /// This keeper made the directory.
    made: bool,
}

impl MountPoint {
    /// Its parent is made when it is missing; nothing is mounted yet.
    pub fn find(path: &Path) -> Result<MountPoint, KeeperError> {
        let path = resolve(path)?;
        let mountinfo = File::open("/proc/self/mountinfo")
            .map_err(KeeperError::os("cannot read /proc/self/mountinfo"))?;
        Ok(MountPoint {
            path,
            mountinfo,
            made: false,
        })
    }

    /// True when a mount of ours is there and somebody still holds its connection, be he slow or
    /// stopped.
    pub fn is_alive(&self) -> bool {
        mountinfo::is_mounted(&self.path)
            && probe::state(&self.path, CHECK_LIMIT) != probe::State::Dead
    }

    /// Makes the place ready for a mount: dead mounts of ours are taken away (or kept below, where
    /// that heals consumers), a hung one is made a dead one, anything else is refused. `lost` is
    /// true when the mount there, if any, is known to be dead.
    pub fn prepare(&mut self, lost: bool) -> Result<Place, KeeperError> {
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
                probe::state(path, CHECK_LIMIT)
            };
            match state {
                probe::State::Answers => return Err(KeeperError::AlreadyMounted(path.into())),
                probe::State::Dead if may_stay(&layers, &top) => return Ok(Place::Layer),
                probe::State::Dead => unmount_at(path, false)?,
                // Once: should it hang on, or must connections not be ended by number, it has to
                // go.
                probe::State::Hung if aborted != Some(top.id) && abort(&top).is_ok() => {
                    aborted = Some(top.id);
                }
                probe::State::Hung => unmount_at(path, true)?,
            }
        }
        let place = make_directory(path)?;
        self.made |= place == Place::Made;
        Ok(place)
    }

    /// Sets or clears the immutable flag of the empty directory (`FS_IMMUTABLE_FL`,
    /// ioctl_iflags(2)). Nothing may be mounted on it.
    pub fn set_immutable(&self, immutable: bool) -> io::Result<()> {
        let directory = open_directory(&self.path)?;
        let before = ioctl_getflags(&directory)?;
        let mut after = before;
        after.set(IFlags::IMMUTABLE, immutable);
        if after != before {
            ioctl_setflags(&directory, after)?;
        }
        Ok(())
    }

    /// Takes the directory away, which nothing is mounted on any more, if a keeper made it: this
    /// one, or one before it that was killed or replaced. Of that one it can be told by the
    /// immutable flag alone, where that is set (`immutable`).
    pub fn remove(&self, immutable: bool, was_mounted: bool) {
        if self.made || (immutable && was_mounted && made_by_keeper(&self.path)) {
            if immutable {
                let _ = self.set_immutable(false);
            }
            let _ = fs::remove_dir(&self.path);
        }
    }

    /// Takes away every layer of ours at the path.
    pub fn clear(&self) -> Result<(), KeeperError> {
        loop {
            match mountinfo::top(&layers(&self.path)?) {
                Some(top) if top.is_ours() => unmount_at(&self.path, false)?,
                _ => return Ok(()),
            }
        }
    }
}

/// The path with its parent resolved. The last component is left alone: looking at it could mean
/// asking a dead file system.
fn resolve(path: &Path) -> Result<PathBuf, KeeperError> {
    let failed = |reason: String| KeeperError::MountPoint {
        path: path.into(),
        reason,
    };
    let absolute = std::path::absolute(path).map_err(|error| failed(error.to_string()))?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(failed("the root directory can't be one".into()));
    };
    fs::create_dir_all(parent).map_err(|error| failed(format!("its parent: {error}")))?;
    let parent = parent
        .canonicalize()
        .map_err(|error| failed(format!("its parent: {error}")))?;
    Ok(parent.join(name))
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

fn make_directory(path: &Path) -> Result<Place, KeeperError> {
    let failed = |reason: String| KeeperError::MountPoint {
        path: path.into(),
        reason,
    };
    // Nothing should be written below the mount while it is away; fusermount3 wants to be able to.
    let mode = if is_root() { 0 } else { 0o755 };
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => return Ok(Place::Made),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error.to_string())),
    }
    let mut entries = fs::read_dir(path).map_err(|error| failed(error.to_string()))?;
    match entries.next() {
        None => Ok(Place::Found),
        Some(_) => Err(failed(
            "the directory isn't empty; choose an empty one".into(),
        )),
    }
}

/// True when a keeper of root's has made the directory: nobody else makes one that is closed to
/// everybody and immutable (`make_directory`, [`MountPoint::set_immutable`]). Where the file system
/// has no such flag it cannot be told.
fn made_by_keeper(path: &Path) -> bool {
    let closed =
        |found: fs::Metadata| found.is_dir() && found.uid() == 0 && found.mode() & 0o7777 == 0;
    let immutable = || {
        let directory = open_directory(path)?;
        Ok::<_, io::Error>(ioctl_getflags(&directory)?.contains(IFlags::IMMUTABLE))
    };
    is_root() && fs::symlink_metadata(path).is_ok_and(closed) && immutable().unwrap_or(false)
}

fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
}
