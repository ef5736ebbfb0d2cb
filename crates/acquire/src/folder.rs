//! What is done in the downloads folder, so that no name in it leads elsewhere.
//!
//! The folder is shared: an arr, or whoever took one over, may put a link in the place of anything in it. So it is opened once, and
//! each name below is opened from a descriptor of the directory that holds it, without following links (`O_NOFOLLOW`). That is
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS` of openat2(2) by hand: that call is younger than the oldest kernel we serve, some
//! sandboxes refuse it, and directories are made on the way. Only the folder itself may be reached through links: they are the
//! operator's.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the downloads' volume"
)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use debridfs_base::require_parent;
use debridfs_base::volume::alive;
use debridfs_provider::InfoHash;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, fsync, linkat, mkdirat, open, openat,
    readlinkat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::AcquireConfig;

/// What begins every hidden name that is made here.
pub(crate) const PREFIX: &str = ".debridfs-";
/// What ends the name of a directory in which something is made.
pub(crate) const BUILDING: &str = ".part";

/// A directory to go through: to look into it, [`Dir::readable`] opens it again.
const THROUGH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A file: neither its link nor, if it is a pipe, its other end is waited for.
const FILE: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);
/// As `create_dir` has it; the umask takes its share.
const SHARED: Mode = Mode::RWXU.union(Mode::RWXG).union(Mode::RWXO);

/// A path below one of the folders that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    root: PathBuf,
    below: PathBuf,
}

impl AcquireConfig {
    /// Where `path` lies. Of folders in each other the outer one counts, as the inner one could be exchanged in it.
    ///
    /// # Errors
    /// It lies in none of the configured folders, or leads out of it.
    pub(crate) fn spot(&self, path: &Path) -> io::Result<Spot> {
        let rules = self.categories.values();
        let roots = rules.filter_map(|rule| rule.folder.as_ref());
        let roots = roots.chain([&self.downloads]);
        let root = roots
            .filter(|root| path.starts_with(root))
            .min_by_key(|root| root.components().count());
        let root = root.ok_or_else(|| {
            let words = "lies in no folder of the configuration: name it as `acquire.downloads` or as the `folder` of a category";
            io::Error::other(format!("{} {words}", path.display()))
        })?;
        Spot::below(root, path)
    }
}

impl Spot {
    /// `path`, which begins with `root`.
    pub(crate) fn below(root: &Path, path: &Path) -> io::Result<Self> {
        let below = path.strip_prefix(root).map_err(io::Error::other)?;
        let plain = below
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        match plain {
            true => Ok(Self {
                root: root.to_owned(),
                below: below.to_owned(),
            }),
            false => Err(io::Error::other(format!(
                "{} leads out of its folder",
                path.display()
            ))),
        }
    }

    /// The directory; nothing when it, or one above it, is not there.
    pub(crate) fn open(&self) -> io::Result<Option<Dir>> {
        match Dir::root(&self.root)? {
            Some(root) => root.find(&self.below),
            None => Ok(None),
        }
    }

    /// The directory that holds it, which is made with those above it, and its name there.
    pub(crate) fn make_above(&self) -> io::Result<(Dir, &OsStr)> {
        make_root(&self.root)?;
        let root = Dir::root(&self.root)?.ok_or_else(|| gone(&self.root))?;
        root.make_above(&self.below)
    }

    /// Makes something in this directory and removes it; without `make`, only if the directory is
    /// there.
    pub(crate) fn try_out(&self, make: bool) -> io::Result<()> {
        let name = format!(".debridfs-try-{}", std::process::id());
        if make {
            let within = Self {
                root: self.root.clone(),
                below: self.below.join(&name),
            };
            within.make_above()?;
        }
        match self.open()? {
            Some(dir) => dir.try_out(OsStr::new(&name)),
            None => Ok(()),
        }
    }

    /// As [`Self::make_above`]; nothing when it is not there.
    pub(crate) fn find_above(&self) -> io::Result<Option<(Dir, &OsStr)>> {
        match Dir::root(&self.root)? {
            Some(root) => root.find_above(&self.below),
            None => Ok(None),
        }
    }
}

/// Makes a configured folder, in a directory that is there: a parent that is missing is the mount point of a disk that is not
/// mounted, and what was made in its place would fill another one.
fn make_root(root: &Path) -> io::Result<()> {
    match std::fs::create_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // It may have come a moment ago.
            require_parent(root).and(Err(error))
        }
        // The folder itself may be a link of the operator's.
        Err(_) if root.is_dir() => Ok(()),
        made => made.map_err(|error| {
            let words = format!("{} cannot be made: {error}", root.display());
            io::Error::new(error.kind(), words)
        }),
    }
}

/// A directory that is held open.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// For words.
    path: PathBuf,
}

impl Dir {
    /// A configured folder, if it is there.
    fn root(path: &Path) -> io::Result<Option<Self>> {
        match open(path, THROUGH, Mode::empty()) {
            Ok(fd) => Ok(Some(Self {
                fd,
                path: path.to_owned(),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(told(path, errno)),
        }
    }

    fn try_out(&self, name: &OsStr) -> io::Result<()> {
        self.make(name, Mode::RWXU)?;
        let gone = unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
        gone.map_err(|errno| self.told(name, errno))
    }

    /// The directory `name` in it, if there is something of that name.
    pub(crate) fn enter(&self, name: &OsStr) -> io::Result<Option<Self>> {
        match openat(&self.fd, name, THROUGH | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Some(Self {
                fd,
                path: self.path.join(name),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.told(name, errno)),
        }
    }

    /// The directory `name` in it; whether it was made just now.
    fn make(&self, name: &OsStr, mode: Mode) -> io::Result<(Self, bool)> {
        let made = match mkdirat(&self.fd, name, mode) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(self.told(name, errno)),
        };
        let dir = self.enter(name)?;
        Ok((dir.ok_or_else(|| gone(&self.path.join(name)))?, made))
    }

    /// The directory `path` below it, if it is there.
    fn find(&self, path: &Path) -> io::Result<Option<Self>> {
        let mut at = self.again()?;
        for name in path {
            match at.enter(name)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The directory that holds `path` below it, and its name there; nothing when that directory is not there.
    pub(crate) fn find_above<'a>(&self, path: &'a Path) -> io::Result<Option<(Self, &'a OsStr)>> {
        // For each of perhaps 100 000 files.
        alive();
        let (above, name) = split(path)?;
        Ok(self.find(above)?.map(|dir| (dir, name)))
    }

    /// As [`Self::find_above`], with directories that are missing being made.
    pub(crate) fn make_above<'a>(&self, path: &'a Path) -> io::Result<(Self, &'a OsStr)> {
        alive();
        let (above, name) = split(path)?;
        let mut at = self.again()?;
        for name in above {
            (at, _) = at.make(name, SHARED)?;
        }
        Ok((at, name))
    }

    /// The directory in which something of `owner` is made: nobody else's, and closed to all others until [`Self::publish`].
    pub(crate) fn building(&self, owner: InfoHash) -> io::Result<Self> {
        let name = building_name(owner);
        let (dir, made) = self.make(OsStr::new(&name), Mode::RWXU)?;
        if !made {
            dir.require_ours(owner)?;
            let closed = dir.mode()?.difference(Mode::RWXG | Mode::RWXO);
            // Some volumes know one mode only, such as exFAT; there it stays as it is.
            let _ = dir.set_mode(closed);
        }
        Ok(dir)
    }

    /// Moves the building of `owner` in this directory to `name`, with the mode of any directory that is made there.
    pub(crate) fn publish(&self, building: &Dir, owner: InfoHash, name: &OsStr) -> io::Result<()> {
        let probe = hidden(owner, ".mode");
        building.remove_dir(OsStr::new(&probe))?;
        let (usual, _) = building.make(OsStr::new(&probe), SHARED)?;
        let mode = usual.mode()?;
        building.remove_dir(OsStr::new(&probe))?;
        building.set_mode(mode)?;
        self.rename(OsStr::new(&building_name(owner)), self, name)
    }

    fn mode(&self) -> io::Result<Mode> {
        Ok(Mode::from_raw_mode(fstat(&self.fd)?.st_mode))
    }

    fn set_mode(&self, mode: Mode) -> io::Result<()> {
        match self.mode()? == mode {
            true => Ok(()),
            false => fchmod(self.readable()?, mode).map_err(|errno| told(&self.path, errno)),
        }
    }

    /// Refuses a directory of somebody else's: what lies in it may change at any moment. On a volume where everything is one user's,
    /// whoever makes it (CIFS, NFS with `all_squash`), that user is us.
    pub(crate) fn require_ours(&self, owner: InfoHash) -> io::Result<()> {
        let user = fstat(&self.fd)?.st_uid;
        if user == geteuid().as_raw() || self.maker(owner)? == user {
            return Ok(());
        }
        let words = format!(
            "{} is in the way: it belongs to user {user}, not to debridfs; move it away",
            self.path.display()
        );
        Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
    }

    /// Whom a file belongs to that is made here now.
    fn maker(&self, owner: InfoHash) -> io::Result<u32> {
        let name = hidden(owner, ".own");
        self.remove_file(OsStr::new(&name))?;
        let file = self.create(OsStr::new(&name))?;
        let user = fstat(&file)?.st_uid;
        self.remove_file(OsStr::new(&name))?;
        Ok(user)
    }

    /// What `name` is, without following it.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.told(name, errno)),
        }
    }

    /// A new file. What is there already is an error.
    pub(crate) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = FILE | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        // As `File::create` has it; the umask takes its share.
        let mode = Mode::from_raw_mode(0o666);
        let file = openat(&self.fd, name, flags, mode);
        file.map(File::from).map_err(|errno| self.told(name, errno))
    }

    /// A regular file that is there, and nothing else.
    pub(crate) fn open_file(&self, name: &OsStr, access: OFlags) -> io::Result<File> {
        let file = openat(&self.fd, name, FILE | access, Mode::empty());
        let file = file.map_err(|errno| self.told(name, errno))?;
        match is(&fstat(&file)?, FileType::RegularFile) {
            true => Ok(file.into()),
            false => Err(self.in_the_way(name, "it is no file")),
        }
    }

    /// Up to `most` bytes of a file.
    pub(crate) fn read(&self, name: &OsStr, most: u64) -> io::Result<Vec<u8>> {
        let file = self.open_file(name, OFlags::RDONLY)?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Makes a file of this content in the place of any other.
    pub(crate) fn write_anew(&self, name: &OsStr, text: &str) -> io::Result<()> {
        self.remove_file(name)?;
        let mut file = self.create(name)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    }

    pub(crate) fn symlink(&self, target: &Path, name: &OsStr) -> io::Result<()> {
        symlinkat(target, &self.fd, name).map_err(|errno| self.told(name, errno))
    }

    pub(crate) fn read_link(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = readlinkat(&self.fd, name, Vec::new());
        let target = target.map_err(|errno| self.told(name, errno))?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// Gives the file `name` a second name.
    pub(crate) fn hard_link(&self, name: &OsStr, to: &Dir, new: &OsStr) -> io::Result<()> {
        let linked = linkat(&self.fd, name, &to.fd, new, AtFlags::empty());
        linked.map_err(|errno| to.told(new, errno))
    }

    pub(crate) fn rename(&self, name: &OsStr, to: &Dir, new: &OsStr) -> io::Result<()> {
        renameat(&self.fd, name, &to.fd, new).map_err(|errno| to.told(new, errno))
    }

    /// Removes a file or a link, if it is there.
    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.told(name, errno)),
        }
    }

    /// Removes a directory, if it is there and empty; whether it is gone.
    pub(crate) fn remove_dir(&self, name: &OsStr) -> io::Result<bool> {
        match unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            // Which of the two is said depends on the file system.
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(errno) => Err(self.told(name, errno)),
        }
    }

    /// Removes whatever is called `name`, with all that is in it.
    pub(crate) fn remove_all(&self, name: &OsStr) -> io::Result<()> {
        match self.look(name)? {
            None => return Ok(()),
            Some(found) if !is(&found, FileType::Directory) => return self.remove_file(name),
            Some(_) => {}
        }
        if let Some(dir) = self.enter(name)? {
            dir.clear()?;
        }
        match self.remove_dir(name)? {
            true => Ok(()),
            false => Err(self.in_the_way(name, "something was put into it meanwhile")),
        }
    }

    /// Removes all that is in it.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let names = self.entries()?.into_iter();
        names
            .map(|(name, _)| name)
            .try_for_each(|name| self.remove_all(&name))
    }

    /// What lies in it: names, and what they are.
    pub(crate) fn entries(&self) -> io::Result<Vec<(OsString, FileType)>> {
        let entries = rustix::fs::Dir::new(self.readable()?);
        let mut found = Vec::new();
        for entry in entries.map_err(|errno| told(&self.path, errno))? {
            let entry = entry.map_err(|errno| told(&self.path, errno))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => self
                    .look(name)?
                    .map_or(FileType::Unknown, |found| kind(&found)),
                kind => kind,
            };
            found.push((name.to_owned(), kind));
        }
        Ok(found)
    }

    /// Waits until what was made and renamed in it is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        fsync(self.readable()?).map_err(|errno| told(&self.path, errno))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// That `name` in it is not what it should be.
    pub(crate) fn in_the_way(&self, name: &OsStr, why: &str) -> io::Error {
        let words = format!("{} is in the way: {why}", self.path.join(name).display());
        io::Error::new(io::ErrorKind::AlreadyExists, words)
    }

    fn readable(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.fd, ".", flags, Mode::empty()).map_err(|errno| told(&self.path, errno))
    }

    fn again(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
            path: self.path.clone(),
        })
    }

    /// What `errno` means for `name`.
    fn told(&self, name: &OsStr, errno: Errno) -> io::Error {
        if matches!(errno, Errno::LOOP | Errno::NOTDIR) {
            let found = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
            let is_link = found.is_ok_and(|found| is(&found, FileType::Symlink));
            return self.in_the_way(
                name,
                match is_link {
                    true => "a symbolic link, and none is followed below the downloads folder; remove it",
                    false => "it is no directory",
                },
            );
        }
        told(&self.path.join(name), errno)
    }
}

/// The name of the directory in which something of `owner` is made.
pub(crate) fn building_name(owner: InfoHash) -> String {
    hidden(owner, BUILDING)
}

/// A name that is nobody else's: two jobs may work in one directory.
pub(crate) fn hidden(owner: InfoHash, end: &str) -> String {
    format!("{PREFIX}{owner}{end}")
}

/// Whether `found` is of this kind.
pub(crate) fn is(found: &Stat, wanted: FileType) -> bool {
    kind(found) == wanted
}

fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

/// The directory of a path below another one, and the name in it.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(above), Some(name)) => Ok((above, name)),
        _ => Err(io::Error::other(
            "the folder itself, where a name in it is needed",
        )),
    }
}

fn told(path: &Path, errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn gone(path: &Path) -> io::Error {
    let words = format!("{} is gone again", path.display());
    io::Error::new(io::ErrorKind::NotFound, words)
}

#[cfg(test)]
mod tests;
