//! One of each operation at a time: what is done before, what is timed, and what is undone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, AtFlags, CWD, OFlags, StatxFlags, fadvise, statx};

use super::arguments::Cache;
use super::directory::bytes;

/// An operation that is done again and again.
pub(super) trait Step: Send {
    /// What is done before, without being timed.
    fn before(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What is timed; gives the bytes that moved.
    fn timed(&mut self) -> io::Result<usize>;

    /// What is undone afterwards, without being timed.
    fn after(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Of which file or directory the last one was.
    fn place(&self) -> &Path;
}

/// Memory that begins at a page, as `O_DIRECT` wants it.
struct Buffer {
    bytes: Vec<u8>,
    begin: usize,
    length: usize,
}

impl Buffer {
    const PAGE: usize = 4096;

    fn new(length: usize) -> Self {
        let bytes = bytes(length + Self::PAGE);
        let begin = bytes.as_ptr().align_offset(Self::PAGE);
        Self {
            bytes,
            begin,
            length,
        }
    }

    fn get(&mut self) -> &mut [u8] {
        &mut self.bytes[self.begin..self.begin + self.length]
    }
}

/// How files are opened.
fn flags(cache: Cache) -> i32 {
    match cache {
        Cache::Direct => OFlags::DIRECT.bits() as i32,
        Cache::Keep | Cache::Drop => 0,
    }
}

fn open(path: &Path, cache: Cache) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(flags(cache))
        .open(path)
}

/// Has the kernel drop all pages of a file or directory.
fn forget(path: &Path) -> io::Result<()> {
    Ok(fadvise(File::open(path)?, 0, None, Advice::DontNeed)?)
}

/// The next one of several, for ever.
struct InTurn {
    paths: Vec<PathBuf>,
    next: usize,
}

impl InTurn {
    fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, next: 0 }
    }

    fn this(&self) -> &Path {
        &self.paths[self.next]
    }

    fn on(&mut self) {
        self.next = (self.next + 1) % self.paths.len();
    }
}

/// Open, read the beginning, close.
pub(super) struct ReadWhole {
    files: InTurn,
    cache: Cache,
    buffer: Buffer,
}

impl ReadWhole {
    /// Of these files, at least one, the first `length` bytes.
    pub(super) fn new(files: Vec<PathBuf>, length: usize, cache: Cache) -> Self {
        Self {
            files: InTurn::new(files),
            cache,
            buffer: Buffer::new(length),
        }
    }
}

impl Step for ReadWhole {
    fn before(&mut self) -> io::Result<()> {
        match self.cache {
            Cache::Keep => Ok(()),
            Cache::Drop | Cache::Direct => forget(self.files.this()),
        }
    }

    fn timed(&mut self) -> io::Result<usize> {
        open(self.files.this(), self.cache)?.read_at(self.buffer.get(), 0)
    }

    fn after(&mut self) -> io::Result<()> {
        self.files.on();
        Ok(())
    }

    fn place(&self) -> &Path {
        self.files.this()
    }
}

/// The next bytes of a part of an open file, from its beginning when that is read.
pub(super) struct ReadOn {
    path: PathBuf,
    file: File,
    cache: Cache,
    begin: u64,
    end: u64,
    at: u64,
    buffer: Buffer,
}

impl ReadOn {
    /// `piece` bytes at a time of the part number `part` of `span` bytes; of the last such part where the file is shorter.
    pub(super) fn new(
        path: &Path,
        part: u64,
        span: u64,
        piece: usize,
        cache: Cache,
    ) -> io::Result<Self> {
        let file = open(path, cache)?;
        let length = file.metadata()?.len();
        let begin = (part * span).min(length.saturating_sub(1) / span * span);
        let end = length.min(begin + span);
        Ok(Self {
            path: path.to_owned(),
            file,
            cache,
            begin,
            end,
            at: end,
            buffer: Buffer::new(piece),
        })
    }
}

impl Step for ReadOn {
    fn before(&mut self) -> io::Result<()> {
        if self.at < self.end {
            return Ok(());
        }
        self.at = self.begin;
        if self.cache == Cache::Drop {
            let length = std::num::NonZero::new(self.end - self.begin);
            fadvise(&self.file, self.begin, length, Advice::DontNeed)?;
        }
        Ok(())
    }

    fn timed(&mut self) -> io::Result<usize> {
        let read = self.file.read_at(self.buffer.get(), self.at)?;
        if read == 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.at += read as u64;
        Ok(read)
    }

    fn place(&self) -> &Path {
        &self.path
    }
}

/// How things are written.
#[derive(Clone, Copy)]
pub(super) struct Writing {
    pub(super) cache: Cache,
    pub(super) fsync: bool,
}

impl Writing {
    fn create(self, path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .custom_flags(flags(self.cache))
            .open(path)
    }
}

/// Make a file, which is removed afterwards.
pub(super) struct WriteWhole {
    path: PathBuf,
    writing: Writing,
    buffer: Buffer,
}

impl WriteWhole {
    /// Of `length` bytes at `path`.
    pub(super) fn new(path: PathBuf, length: usize, writing: Writing) -> Self {
        Self {
            path,
            writing,
            buffer: Buffer::new(length),
        }
    }
}

impl Step for WriteWhole {
    fn timed(&mut self) -> io::Result<usize> {
        let mut file = self.writing.create(&self.path)?;
        let bytes = self.buffer.get();
        file.write_all(bytes)?;
        if self.writing.fsync {
            file.sync_all()?;
        }
        Ok(bytes.len())
    }

    fn after(&mut self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    fn place(&self) -> &Path {
        &self.path
    }
}

/// Write the next bytes of an open file, from its beginning when it has `span` bytes.
pub(super) struct WriteOn {
    path: PathBuf,
    file: File,
    writing: Writing,
    span: u64,
    at: u64,
    buffer: Buffer,
}

impl WriteOn {
    /// `piece` bytes at a time to a new file.
    pub(super) fn new(
        path: PathBuf,
        span: u64,
        piece: usize,
        writing: Writing,
    ) -> io::Result<Self> {
        Ok(Self {
            file: writing.create(&path)?,
            path,
            writing,
            span,
            at: 0,
            buffer: Buffer::new(piece),
        })
    }
}

impl Step for WriteOn {
    fn timed(&mut self) -> io::Result<usize> {
        let bytes = self.buffer.get();
        self.file.write_all_at(bytes, self.at)?;
        if self.writing.fsync {
            self.file.sync_data()?;
        }
        self.at = (self.at + bytes.len() as u64) % self.span;
        Ok(bytes.len())
    }

    fn place(&self) -> &Path {
        &self.path
    }
}

/// Ask for attributes.
pub(super) struct Stat {
    paths: InTurn,
    flags: AtFlags,
}

impl Stat {
    /// Of these, at least one.
    pub(super) fn new(paths: Vec<PathBuf>, cache: Cache) -> Self {
        let asked = match cache {
            Cache::Keep => AtFlags::empty(),
            Cache::Drop | Cache::Direct => AtFlags::STATX_FORCE_SYNC,
        };
        Self {
            paths: InTurn::new(paths),
            flags: AtFlags::SYMLINK_NOFOLLOW | asked,
        }
    }
}

impl Step for Stat {
    fn timed(&mut self) -> io::Result<usize> {
        statx(CWD, self.paths.this(), self.flags, StatxFlags::BASIC_STATS)?;
        Ok(0)
    }

    fn after(&mut self) -> io::Result<()> {
        self.paths.on();
        Ok(())
    }

    fn place(&self) -> &Path {
        self.paths.this()
    }
}

/// Open a directory, list it, close.
pub(super) struct List {
    directories: InTurn,
    cache: Cache,
}

impl List {
    /// These, at least one.
    pub(super) fn new(directories: Vec<PathBuf>, cache: Cache) -> Self {
        Self {
            directories: InTurn::new(directories),
            cache,
        }
    }
}

impl Step for List {
    fn before(&mut self) -> io::Result<()> {
        match self.cache {
            Cache::Keep => Ok(()),
            Cache::Drop | Cache::Direct => forget(self.directories.this()),
        }
    }

    fn timed(&mut self) -> io::Result<usize> {
        for entry in std::fs::read_dir(self.directories.this())? {
            entry?;
        }
        Ok(0)
    }

    fn after(&mut self) -> io::Result<()> {
        self.directories.on();
        Ok(())
    }

    fn place(&self) -> &Path {
        self.directories.this()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_is_read_again_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes(10_000)).unwrap();
        let places = |part| {
            let mut reading = ReadOn::new(&path, part, 4096, 3000, Cache::Drop).unwrap();
            let mut places = Vec::new();
            for _ in 0..3 {
                reading.before().unwrap();
                places.push((reading.at, reading.timed().unwrap()));
            }
            places
        };
        assert_eq!(places(0), [(0, 3000), (3000, 3000), (0, 3000)]);
        // The last part is the rest, and there is no fourth one.
        for part in [2, 9] {
            assert_eq!(places(part), [(8192, 1808), (8192, 1808), (8192, 1808)]);
        }
    }

    #[test]
    fn what_is_written_is_removed_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writing = Writing {
            cache: Cache::Keep,
            fsync: true,
        };
        let mut write = WriteWhole::new(path.clone(), 700, writing);
        assert_eq!(write.timed().unwrap(), 700);
        assert_eq!(std::fs::read(&path).unwrap().len(), 700);
        write.after().unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "a user's").unwrap();
        assert!(write.timed().is_err() && WriteOn::new(path.clone(), 1, 1, writing).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"a user's");
    }
}
