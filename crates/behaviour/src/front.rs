//! A way to read the library.

use std::collections::BTreeSet;

use rustix::io::Errno;

/// What not every front can do or tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// It lists directories.
    List,
    /// It reads ranges; without, whole files alone.
    Ranges,
    /// It tells directories from what is not there, and both from what is too long: ENOTDIR, EISDIR, ENAMETOOLONG.
    Errors,
    /// It tells apart names that differ in case alone.
    Case,
    /// It tells the number of links, and that of a directory counts the directories in it.
    Links,
    /// It tells permissions.
    Modes,
    /// It tells inode numbers.
    Inodes,
    /// It tells modification times.
    Times,
    /// It has symbolic links, or says of what is none that it is none.
    Symlinks,
    /// It has operations that would write.
    Writes,
    /// A listing can be read in parts.
    Parts,
    /// It tells the attributes of a file whose bytes are lost; without, that file fails as a read of it does.
    Lost,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::List,
        Self::Ranges,
        Self::Errors,
        Self::Case,
        Self::Links,
        Self::Modes,
        Self::Inodes,
        Self::Times,
        Self::Symlinks,
        Self::Writes,
        Self::Parts,
        Self::Lost,
    ];
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// Anything else.
    Other,
}

/// What is told of a file or directory; where a front is not capable of telling it, nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// In bytes; of a directory whatever it says.
    pub size: u64,
    /// Number of links.
    pub links: Option<u64>,
    /// The permission bits.
    pub mode: Option<u32>,
    /// Its number in the file system.
    pub inode: Option<u64>,
    /// When it was modified, in seconds since 1970.
    pub modified: Option<i64>,
}

/// What would change the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// A new file in this directory.
    Create,
    /// A new directory in this one.
    MakeDirectory,
    /// A new symbolic link in this directory.
    Symlink,
    /// Another name for this file.
    Link,
    /// This file goes.
    Remove,
    /// This directory goes.
    RemoveDirectory,
    /// This file gets another name.
    Rename,
    /// Bytes for this file.
    Open,
    /// This file gets shorter.
    Truncate,
    /// This file gets other permissions.
    Chmod,
}

impl Write {
    /// What needs a directory.
    pub const IN_DIRECTORY: [Self; 4] = [
        Self::Create,
        Self::MakeDirectory,
        Self::Symlink,
        Self::RemoveDirectory,
    ];
    /// What needs a file.
    pub const OF_FILE: [Self; 6] = [
        Self::Link,
        Self::Remove,
        Self::Rename,
        Self::Open,
        Self::Truncate,
        Self::Chmod,
    ];
}

/// A way to read the library. Paths are relative to its root, with `/` between names; the root itself is empty.
///
/// Errors are those of POSIX, into which a front translates its protocol's.
pub trait Front: Sync {
    /// What it can do.
    fn capabilities(&self) -> BTreeSet<Capability>;

    /// Attributes of `path`.
    ///
    /// # Errors
    /// As the front tells it.
    fn stat(&self, path: &str) -> Result<Stat, Errno>;

    /// All names in the directory `path` but `.` and `..`, in the order in which they come, with what each is if that is told.
    ///
    /// # Errors
    /// As the front tells it.
    fn list(&self, path: &str) -> Result<Vec<(String, Option<Kind>)>, Errno>;

    /// As [`Self::list`]; `between` is called after the first names have come. Only with [`Capability::Parts`].
    ///
    /// # Errors
    /// As the front tells it.
    fn list_in_parts(&self, path: &str, between: &mut dyn FnMut()) -> Result<Vec<String>, Errno> {
        let _ = (path, between);
        Err(Errno::NOTSUP)
    }

    /// At most `length` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// As the front tells it.
    fn read(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, Errno>;

    /// Where the symbolic link `path` points. Only with [`Capability::Symlinks`].
    ///
    /// # Errors
    /// As the front tells it; EINVAL for what is none.
    fn read_link(&self, path: &str) -> Result<String, Errno> {
        let _ = path;
        Err(Errno::NOTSUP)
    }

    /// Tries to change something; must fail. Only with [`Capability::Writes`].
    ///
    /// # Errors
    /// As the front tells it.
    fn write(&self, what: Write, path: &str) -> Result<(), Errno> {
        let _ = (what, path);
        Err(Errno::NOTSUP)
    }
}
