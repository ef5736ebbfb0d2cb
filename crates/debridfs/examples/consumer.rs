//! Reads from a mount until it is killed, checks every byte, and writes down what failed and how long it took: the reader of `scripts/test-k8s.sh`.
//!
//! ```text
//! consumer ROOT RELEASE FILE HASH LOG
//! ```
//!
//! The file is `ROOT/__all__/RELEASE/FILE`, and `HASH` the info-hash of its release at the simulated account. Four loops use it: `held` reads
//! from a file that stays open, `opened` opens it for each read, `listed` lists `ROOT` and `__all__`, `looked` asks for its size. `LOG` gets a line for
//! each call that failed or took [`LONG`], and for one call of each loop in [`PULSE`]: `START END LOOP OUTCOME`, in seconds since 1970.
//! The outcome is `ok`, an errno, `wrong` (bytes, names or a size that are not the right ones), or `empty` (a list of nothing).
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use debridfs_sim::content;
use rustix::fs::{Advice, fadvise};
use rustix::io::Errno;

const CHUNK: usize = 64 * 1024;
const PAGE: usize = 4096;
const LONG: Duration = Duration::from_millis(20);
const PULSE: Duration = Duration::from_millis(500);
/// Between two calls of a loop.
const PAUSE: Duration = Duration::from_millis(50);

/// What a call gave, if not an error.
enum Seen {
    Right,
    Wrong,
    Empty,
}

impl From<bool> for Seen {
    fn from(right: bool) -> Self {
        if right { Self::Right } else { Self::Wrong }
    }
}

fn name(outcome: &io::Result<Seen>) -> String {
    let error = match outcome {
        Ok(Seen::Right) => return "ok".into(),
        Ok(Seen::Wrong) => return "wrong".into(),
        Ok(Seen::Empty) => return "empty".into(),
        Err(error) => error,
    };
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => "ENOENT".into(),
        Some(Errno::IO) => "EIO".into(),
        Some(Errno::NOTCONN) => "ENOTCONN".into(),
        Some(Errno::CONNABORTED) => "ECONNABORTED".into(),
        Some(Errno::PERM) => "EPERM".into(),
        Some(Errno::ACCESS) => "EACCES".into(),
        Some(Errno::STALE) => "ESTALE".into(),
        Some(errno) => format!("errno-{}", errno.raw_os_error()),
        None => "short".into(),
    }
}

/// Random chunks of a file whose bytes are known.
struct Chunks {
    key: u64,
    size: u64,
    state: u64,
    memory: Vec<u8>,
    expected: Vec<u8>,
}

impl Chunks {
    fn new(key: u64, size: u64, seed: u64) -> Self {
        Self {
            key,
            size,
            state: seed | 1,
            memory: vec![0; CHUNK + PAGE],
            expected: vec![0; CHUNK],
        }
    }

    /// Reads the next chunk, from the mount and not from the page cache.
    fn read(&mut self, file: &File) -> io::Result<Seen> {
        // xorshift64: any spread will do.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let offset = self.state % (self.size / CHUNK as u64) * CHUNK as u64;
        fadvise(file, offset, None, Advice::DontNeed)?;
        // At a page boundary, as O_DIRECT wants it.
        let start = self.memory.as_ptr().align_offset(PAGE);
        let chunk = &mut self.memory[start..start + CHUNK];
        file.read_exact_at(chunk, offset)?;
        content::fill(self.key, offset, &mut self.expected);
        Ok((*chunk == *self.expected).into())
    }
}

fn names(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Lists again what was listed at the start.
fn listed(expected: &[(PathBuf, Vec<std::ffi::OsString>)]) -> io::Result<Seen> {
    for (directory, expected) in expected {
        match names(directory)? {
            now if now.is_empty() => return Ok(Seen::Empty),
            now if now != *expected => return Ok(Seen::Wrong),
            _ => {}
        }
    }
    Ok(Seen::Right)
}

fn since_1970() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Calls for ever. Does not end: what is written down is what failed.
fn repeat(log: &Path, what: &str, mut call: impl FnMut() -> io::Result<Seen>) -> io::Result<()> {
    let mut log = OpenOptions::new().create(true).append(true).open(log)?;
    let mut pulse = Instant::now();
    loop {
        let (start, begun) = (since_1970(), Instant::now());
        let outcome = call();
        let fine = matches!(outcome, Ok(Seen::Right));
        if !fine || begun.elapsed() >= LONG || pulse.elapsed() >= PULSE {
            pulse = Instant::now();
            let line = format!("{start:.3} {:.3} {what} {}\n", since_1970(), name(&outcome));
            log.write_all(line.as_bytes())?;
        }
        std::thread::sleep(PAUSE);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, release, file, hash, log] = &arguments[..] else {
        return Err("consumer ROOT RELEASE FILE HASH LOG".into());
    };
    let (root, log) = (Path::new(root), Path::new(log));
    let all = root.join("__all__");
    let path = &all.join(release).join(file);
    let key = content::key(hash, &format!("/{file}"));
    let size = std::fs::metadata(path)?.len();
    let mut lists = Vec::new();
    for directory in [root, &all] {
        lists.push((directory.to_owned(), names(directory)?));
    }
    let seed = u64::from(std::process::id());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut chunks, mut open) = (Chunks::new(key, size, seed), None);
            repeat(log, "held", || {
                let file = match open.take() {
                    Some(file) => file,
                    None => File::open(path)?,
                };
                let seen = chunks.read(&file)?;
                open = Some(file);
                Ok(seen)
            })
        });
        scope.spawn(|| {
            let mut chunks = Chunks::new(key, size, !seed);
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(libc::O_DIRECT);
            repeat(log, "opened", || chunks.read(&options.open(path)?))
        });
        scope.spawn(|| repeat(log, "listed", || listed(&lists)));
        repeat(log, "looked", || {
            Ok((std::fs::metadata(path)?.len() == size).into())
        })
    })?;
    Ok(())
}
