//! What is in a directory, and what the suite makes in it.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use serde::{Deserialize, Serialize};

use super::operation::{LARGE, SMALL, SPAN};

/// Begins the name of every directory that the suite makes.
pub(super) const OWN: &str = ".debridfs-bench-";
/// So many are enough to choose from: a library may have a million.
const FILES: usize = 256;
const PATHS: usize = 1000;
const DIRECTORIES: usize = 200;
/// Entries after which no more are looked at, and how long it may take.
const ENTRIES: usize = 50_000;
const PATIENCE: Duration = Duration::from_secs(20);
/// What `--prepare` writes: directories of small files, and large files.
const PREPARED_DIRECTORIES: usize = 10;
const PREPARED_SMALL: usize = 20;
const PREPARED_LARGE: usize = 4;

/// Files and directories to measure with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Survey {
    /// Files of 1 to 4095 bytes.
    pub(super) small: Vec<PathBuf>,
    /// Files of any size but 0.
    pub(super) any: Vec<PathBuf>,
    /// Files of more than 1 MiB.
    pub(super) large: Vec<PathBuf>,
    /// Files and directories, to ask for attributes.
    pub(super) paths: Vec<PathBuf>,
    /// The directory itself is the first.
    pub(super) directories: Vec<PathBuf>,
}

impl Survey {
    /// Looks into `dir` and what is below it on the same file system, until there is enough of everything.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let device = std::fs::metadata(dir)?.dev();
        let mut found = Self::default();
        let mut open = VecDeque::from([dir.to_owned()]);
        let (started, mut seen) = (Instant::now(), 0);
        while let Some(dir) = open.pop_front() {
            let entries = match std::fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if found.directories.is_empty() => return Err(error),
                // Somebody else's, or gone meanwhile.
                Err(_) => continue,
            };
            push(&mut found.directories, &dir, DIRECTORIES);
            for entry in entries.flatten() {
                seen += 1;
                let (path, name) = (entry.path(), entry.file_name());
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                if metadata.dev() != device || name.as_encoded_bytes().starts_with(OWN.as_bytes()) {
                    continue;
                }
                found.add(&path, &metadata);
                if metadata.is_dir() {
                    open.push_back(path);
                }
                if found.is_enough() || seen >= ENTRIES || started.elapsed() > PATIENCE {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    fn add(&mut self, path: &Path, metadata: &std::fs::Metadata) {
        push(&mut self.paths, path, PATHS);
        if !metadata.is_file() || metadata.len() == 0 {
            return;
        }
        push(&mut self.any, path, FILES);
        match metadata.len() {
            ..4096 => push(&mut self.small, path, FILES),
            size if size > 1 << 20 => push(&mut self.large, path, FILES),
            _ => {}
        }
    }

    fn is_enough(&self) -> bool {
        self.paths.len() == PATHS
            && self.directories.len() == DIRECTORIES
            && [&self.small, &self.large].map(Vec::len) == [FILES; 2]
    }

    /// Nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

fn push(to: &mut Vec<PathBuf>, path: &Path, most: usize) {
    if to.len() < most {
        to.push(path.to_owned());
    }
}

/// Makes the suite's own directory, which must not be there.
pub(super) fn make(own: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(own)
}

/// Removes it with all that is in it; what is not there is no error.
pub(super) fn remove(own: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(own) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether `bytes` and some more are free where `dir` is.
pub(super) fn has_room(dir: &Path, bytes: u64) -> io::Result<bool> {
    let room = statvfs(dir)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize) > bytes + (64 << 20))
}

/// Fills the suite's own directory and tells what is in it.
pub(super) fn prepare(own: &Path) -> io::Result<Survey> {
    if !has_room(own, PREPARED_LARGE as u64 * SPAN)? {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let block = bytes(LARGE);
    for dir in 0..PREPARED_DIRECTORIES {
        let dir = own.join(format!("directory-{dir}"));
        std::fs::create_dir(&dir)?;
        for file in 0..PREPARED_SMALL {
            std::fs::write(dir.join(format!("small-{file}")), &block[..SMALL])?;
        }
    }
    for file in 0..PREPARED_LARGE {
        let mut file = File::create_new(own.join(format!("large-{file}")))?;
        for _ in 0..SPAN / LARGE as u64 {
            file.write_all(&block)?;
        }
        // Pages that are not on the disk yet cannot be dropped.
        file.sync_all()?;
    }
    let mut survey = Survey::of(own)?;
    // The suite's own directory is not to be listed while writers change it.
    survey.directories.retain(|dir| dir != own);
    Ok(survey)
}

/// Bytes that are not all alike, which some file systems would not store.
pub(super) fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32).map(|n| (n ^ (n >> 8)) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_size_and_own_directories_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        for (name, size) in [
            ("none", 0),
            ("small", 4095),
            ("sub/middle", 4096),
            ("million", 1 << 20),
            ("sub/large", (1 << 20) + 1),
        ] {
            std::fs::write(at(name), bytes(size)).unwrap();
        }
        std::os::unix::fs::symlink(at("small"), at("link")).unwrap();
        let own = at(".debridfs-bench-1");
        make(&own).unwrap();
        assert!(make(&own).is_err());
        std::fs::write(own.join("x"), "x").unwrap();

        let survey = Survey::of(dir.path()).unwrap();
        assert_eq!(survey.small, [at("small")]);
        assert_eq!(survey.large, [at("sub/large")]);
        assert_eq!(survey.any.len(), 4);
        assert_eq!(survey.directories, [dir.path().to_owned(), at("sub")]);
        assert_eq!(survey.paths.len(), 7);
        assert!(Survey::of(&at("small")).is_err() && Survey::of(&at("gone")).is_err());

        remove(&own).unwrap();
        remove(&own).unwrap();
        assert!(!own.exists() && at("small").exists());
    }
}
