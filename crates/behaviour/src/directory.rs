//! A directory of a kernel: the mount itself, or what a client of NFS or SMB has mounted.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::{Capability, Front, Kind, Stat, Write};

/// The library below a directory.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
    lacks: BTreeSet<Capability>,
}

impl Directory {
    /// The library at `root`, read by a file system that lacks some capabilities.
    pub fn new(root: &Path, lacks: &[Capability]) -> Self {
        Self {
            root: root.to_owned(),
            lacks: lacks.iter().copied().collect(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// The system's error; what is none of it is a fault of the test.
fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::PROTO)
}

fn kind(kind: fs::FileType) -> Kind {
    match kind {
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_file() => Kind::File,
        _ => Kind::Other,
    }
}

impl Front for Directory {
    fn capabilities(&self) -> BTreeSet<Capability> {
        let all = Capability::ALL.into_iter();
        all.filter(|capability| !self.lacks.contains(capability))
            .collect()
    }

    fn stat(&self, path: &str) -> Result<Stat, Errno> {
        let stat = fs::symlink_metadata(self.at(path)).map_err(|error| errno(&error))?;
        Ok(Stat {
            kind: kind(stat.file_type()),
            size: stat.len(),
            links: Some(stat.nlink()),
            mode: Some(stat.mode() & 0o7777),
            inode: Some(stat.ino()),
            modified: Some(stat.mtime()),
        })
    }

    fn list(&self, path: &str) -> Result<Vec<(String, Option<Kind>)>, Errno> {
        let entries = fs::read_dir(self.at(path)).map_err(|error| errno(&error))?;
        let names = entries.map(|entry| {
            let entry = entry.map_err(|error| errno(&error))?;
            let name = entry.file_name().into_string().map_err(|_| Errno::ILSEQ)?;
            Ok((name, entry.file_type().ok().map(kind)))
        });
        names.collect()
    }

    fn list_in_parts(&self, path: &str, between: &mut dyn FnMut()) -> Result<Vec<String>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(self.at(path), flags, Mode::empty())?;
        // A few names at a time.
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut entries = RawDir::new(&directory, &mut buffer);
        let (mut names, mut told) = (Vec::new(), false);
        while let Some(entry) = entries.next() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
            if names.len() == 2 && !told {
                told = true;
                between();
            }
        }
        Ok(names)
    }

    fn read(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let file = File::open(self.at(path)).map_err(|error| errno(&error))?;
        let mut bytes = vec![0; length];
        let mut done = 0;
        loop {
            let place = offset.saturating_add(done as u64);
            let read = file.read_at(&mut bytes[done..], place);
            let read = read.map_err(|error| errno(&error))?;
            done += read;
            if read == 0 || done == length {
                bytes.truncate(done);
                return Ok(bytes);
            }
        }
    }

    fn read_link(&self, path: &str) -> Result<String, Errno> {
        let target = fs::read_link(self.at(path)).map_err(|error| errno(&error))?;
        Ok(target.to_string_lossy().into_owned())
    }

    fn write(&self, what: Write, path: &str) -> Result<(), Errno> {
        let at = self.at(path);
        let new = at.join("new");
        let beside = at.with_file_name("beside");
        let done = match what {
            Write::Create => fs::write(new, "x"),
            Write::MakeDirectory => fs::create_dir(new),
            Write::Symlink => std::os::unix::fs::symlink("x", new),
            Write::Link => fs::hard_link(at, beside),
            Write::Remove => fs::remove_file(at),
            Write::RemoveDirectory => fs::remove_dir(at),
            Write::Rename => fs::rename(at, beside),
            Write::Open => OpenOptions::new().write(true).open(at).map(drop),
            Write::Truncate => OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(at)
                .map(drop),
            Write::Chmod => fs::set_permissions(at, fs::Permissions::from_mode(0o777)),
        };
        done.map_err(|error| errno(&error))
    }
}
