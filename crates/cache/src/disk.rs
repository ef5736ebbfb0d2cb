//! The directory of the cache: its lock, the names of its files, and what its file system has to be able to do.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use debridfs_base::volume::alive;
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, fstatvfs};
use rustix::io::Errno;

use crate::entry::Files;
use crate::map::{self, BLOCK, Header, PAGE, Page, SEGMENT};

const DATA: &str = "data";
const MAP: &str = "map";

/// The directory of one class.
#[derive(Debug)]
pub(crate) struct Dir {
    path: PathBuf,
}

/// The lock of a cache directory; the kernel lets go of it when its holder dies.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Also tells how much room there is.
    file: File,
}

/// The volume of a cache directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Volume {
    /// Bytes that may still be written.
    pub(crate) free: u64,
    /// All its bytes.
    pub(crate) size: u64,
}

/// What is found at the start.
pub(crate) struct Found {
    pub(crate) header: Header,
    pub(crate) pages: Vec<(u64, Page)>,
    /// What both files take on disk.
    pub(crate) allocated: u64,
}

impl Lock {
    /// Makes `root` and locks it; `None` while another process has it.
    pub(crate) fn take(root: &Path) -> io::Result<Option<Self>> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(root.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// How much room there is.
    pub(crate) fn volume(&self) -> io::Result<Volume> {
        let volume = fstatvfs(&self.file)?;
        Ok(Volume {
            free: volume.f_bavail.saturating_mul(volume.f_frsize),
            size: volume.f_blocks.saturating_mul(volume.f_frsize),
        })
    }
}

impl Dir {
    /// The directory of a class; made if missing.
    ///
    /// # Errors
    /// What the disk says, and `Unsupported` when it cannot keep sparse files and punch holes into them.
    pub(crate) fn open(root: &Path, class: &str) -> io::Result<Self> {
        let path = root.join(class);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
        let dir = Self { path };
        dir.try_sparse()?;
        Ok(dir)
    }

    fn try_sparse(&self) -> io::Result<()> {
        let path = self.path.join("trial");
        let file = open(&path, true)?;
        let tried = (|| {
            file.set_len(2 * SEGMENT)?;
            file.write_all_at(&[1; BLOCK as usize], SEGMENT)?;
            punch(&file, SEGMENT, SEGMENT)?;
            Ok(file.metadata()?.blocks() * 512 < SEGMENT)
        })();
        fs::remove_file(&path)?;
        match tried {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "its file system has no sparse files",
            )),
            Err(error) => Err(error),
        }
    }

    fn file(&self, id: u64, kind: &str) -> PathBuf {
        self.path.join(format!("{id:016x}.{kind}"))
    }

    /// Opens the files of an entry, or makes them if it may. The data file has the size of the media file from then on.
    pub(crate) fn open_files(&self, header: &Header, make: bool) -> io::Result<Files> {
        let data = open(&self.file(header.id, DATA), make)?;
        if data.metadata()?.len() != header.size {
            data.set_len(header.size)?;
        }
        let map = open(&self.file(header.id, MAP), make)?;
        if map.metadata()?.len() < PAGE as u64 {
            map.write_all_at(&header.encode(), 0)?;
        }
        Ok(Files { data, map })
    }

    /// Removes the files of an entry.
    pub(crate) fn remove(&self, id: u64) -> io::Result<()> {
        // The side file first: data without it is never believed.
        for kind in [MAP, DATA] {
            match fs::remove_file(self.file(id, kind)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads all side files, and removes what has no part in the cache: data without a side file, side files that cannot be understood.
    /// Files with other names are not ours and are left alone.
    pub(crate) fn scan(&self, mut found: impl FnMut(Found)) -> io::Result<()> {
        let mut data = Vec::new();
        for item in fs::read_dir(&self.path)? {
            alive();
            let name = item?.file_name();
            let Some((id, kind)) = name.to_str().and_then(parse) else {
                continue;
            };
            if kind == DATA {
                data.push(id);
                continue;
            }
            match self.load(id) {
                Ok(Some(entry)) => found(entry),
                Ok(None) => {
                    tracing::warn!(id, "a damaged side file of the cache is dropped");
                    self.remove(id)?;
                }
                Err(error) => tracing::warn!(id, %error, "a side file cannot be read"),
            }
        }
        for id in data {
            if !self.file(id, MAP).exists() {
                self.remove(id)?;
            }
        }
        Ok(())
    }

    /// What the side file of `id` says; `None` if it says nothing that could be true.
    fn load(&self, id: u64) -> io::Result<Option<Found>> {
        let map = File::open(self.file(id, MAP))?;
        let mut head = [0; PAGE];
        let size = map.metadata()?.len();
        if size < PAGE as u64 {
            return Ok(None);
        }
        map.read_exact_at(&mut head, 0)?;
        let Some(header) = Header::decode(&head).filter(|header| header.id == id) else {
            return Ok(None);
        };
        let data = match fs::metadata(self.file(id, DATA)) {
            Ok(data) => data,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut pages = Vec::new();
        let written = (size / PAGE as u64).saturating_sub(1);
        for index in 0..written.min(map::pages(header.size)) {
            let mut bytes = [0; PAGE];
            map.read_exact_at(&mut bytes, (index + 1) * PAGE as u64)?;
            // What lay behind the end of a shorter data file is lost.
            let there = header.size.min(data.len());
            let readable = if there == header.size {
                there
            } else {
                there / map::GRANULE * map::GRANULE
            };
            if let Some(page) = map::decode_page(id, readable, index, &bytes) {
                pages.push((index, page));
            } else if bytes != [0; PAGE] {
                tracing::warn!(id, page = index, "a damaged page of a side file is ignored");
            }
        }
        Ok(Some(Found {
            header,
            pages,
            allocated: (data.blocks() + map.metadata()?.blocks()) * 512,
        }))
    }
}

/// Gives the disk space of a part of a data file back.
pub(crate) fn punch(data: &File, offset: u64, len: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(data, flags, offset, len)?)
}

fn open(path: &Path, make: bool) -> io::Result<File> {
    OpenOptions::new()
        .create(make)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

fn parse(name: &str) -> Option<(u64, &str)> {
    let (id, kind) = name.split_once('.')?;
    let ours = id.len() == 16 && (kind == DATA || kind == MAP);
    let id = u64::from_str_radix(id, 16).ok()?;
    (ours && format!("{id:016x}") == name[..16]).then_some((id, kind))
}
