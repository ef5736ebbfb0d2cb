//! Reads from a mount for as long as its standard input stays open and checks every byte; the tests' stand-in for players and scanners.
//!
//! ```text
//! verified_reader buffered|direct|mmap FILE KEY     random and sequential reads of one file
//! verified_reader walk DIRECTORY                    lists the whole tree again and again, always the same number of entries
//! verified_reader handle FILE KEY                   open_by_handle_at and a read, again and again
//! verified_reader once FILE OFFSET LENGTH           one read; prints `reading` before it
//! ```
//!
//! `KEY` names the content (`debridfs_sim::content::key`). When standard input ends it prints one line of JSON:
//! `{"reads":…,"bytes":…,"wrong":…,"worst_ms":…,"errors":[…]}`. It is a process of its own so that a mapping that faults, or a reader
//! that cannot be killed, does not take a test down with it.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use debridfs_sim::content;

const PAGE: usize = 4096;
const CHUNK: usize = 128 * 1024;

#[derive(Default)]
struct Tally {
    reads: u64,
    bytes: u64,
    wrong: u64,
    worst_ms: f64,
    errors: Vec<String>,
}

impl Tally {
    /// Counts one operation: its time, its error, or whether its bytes are the right ones.
    fn count(&mut self, started: Instant, outcome: io::Result<usize>, right: bool) {
        self.worst_ms = self.worst_ms.max(started.elapsed().as_secs_f64() * 1000.0);
        self.reads += 1;
        match outcome {
            Ok(bytes) => {
                self.bytes += bytes as u64;
                self.wrong += u64::from(!right);
            }
            Err(error) if self.errors.len() < 20 => self.errors.push(error.to_string()),
            Err(_) => {}
        }
    }

    fn print(&self) -> io::Result<()> {
        let line = serde_json::json!({
            "reads": self.reads, "bytes": self.bytes, "wrong": self.wrong,
            "worst_ms": self.worst_ms, "errors": self.errors,
        });
        writeln!(io::stdout(), "{line}")
    }
}

/// Memory at a page boundary, as `O_DIRECT` wants it.
struct Aligned {
    memory: Vec<u8>,
    start: usize,
}

impl Aligned {
    fn new(size: usize) -> Self {
        let memory = vec![0; size + PAGE];
        let start = memory.as_ptr().align_offset(PAGE);
        Self { memory, start }
    }

    fn get(&mut self, size: usize) -> &mut [u8] {
        &mut self.memory[self.start..self.start + size]
    }
}

/// Places to read: runs of eight sequential chunks from random offsets.
struct Places {
    state: u64,
    left: u32,
    at: u64,
    size: u64,
}

impl Places {
    fn new(size: u64) -> Self {
        let state = u64::from(std::process::id()) | 1;
        Self {
            state,
            left: 0,
            at: 0,
            size,
        }
    }

    fn next(&mut self) -> u64 {
        if self.left == 0 || self.at + CHUNK as u64 > self.size {
            // xorshift64: any spread will do.
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            let last = self.size.saturating_sub(CHUNK as u64) / CHUNK as u64;
            self.at = (self.state % (last + 1)) * CHUNK as u64;
            self.left = 8;
        }
        self.left -= 1;
        let at = self.at;
        self.at += CHUNK as u64;
        at
    }
}

/// Reads again when a signal came in between, as every program does: a control group that is frozen for a moment sends one to all.
fn uninterrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn right(key: u64, offset: u64, bytes: &[u8], scratch: &mut [u8]) -> bool {
    let expected = &mut scratch[..bytes.len()];
    content::fill(key, offset, expected);
    bytes == expected
}

fn read_loop(path: &Path, key: u64, direct: bool, stop: &AtomicBool) -> io::Result<Tally> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let size = file.metadata()?.len();
    let (mut tally, mut places) = (Tally::default(), Places::new(size));
    let (mut memory, mut scratch) = (Aligned::new(CHUNK), vec![0; CHUNK]);
    while tally.reads == 0 || !stop.load(Ordering::Relaxed) {
        let offset = places.next();
        let length = CHUNK.min((size - offset) as usize);
        let buffer = memory.get(CHUNK);
        let started = Instant::now();
        let outcome = uninterrupted(|| file.read_at(buffer, offset)).and_then(|got| {
            if got == length {
                Ok(got)
            } else {
                Err(io::Error::other(format!(
                    "short read: {got} of {length} at {offset}"
                )))
            }
        });
        let right = outcome.is_err() || right(key, offset, &buffer[..length], &mut scratch);
        tally.count(started, outcome, right);
    }
    Ok(tally)
}

fn mmap_loop(path: &Path, key: u64, stop: &AtomicBool) -> io::Result<Tally> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let (mut tally, mut places) = (Tally::default(), Places::new(size));
    let (mut copy, mut scratch) = (vec![0; CHUNK], vec![0; CHUNK]);
    while tally.reads == 0 || !stop.load(Ordering::Relaxed) {
        let offset = places.next();
        let length = CHUNK.min((size - offset) as usize);
        let started = Instant::now();
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing; the offset is a multiple of the page size.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                offset as libc::off_t,
            )
        };
        if address == libc::MAP_FAILED {
            tally.count(started, Err(io::Error::last_os_error()), true);
            continue;
        }
        // SAFETY: the mapping is `length` bytes long and nothing writes to the file; a failed page is SIGBUS, which ends this process
        // and fails the test, as it should.
        unsafe {
            std::ptr::copy_nonoverlapping(address.cast::<u8>(), copy.as_mut_ptr(), length);
            libc::munmap(address, length);
        }
        let right = right(key, offset, &copy[..length], &mut scratch);
        tally.count(started, Ok(length), right);
    }
    Ok(tally)
}

fn walk(directory: &Path) -> io::Result<u64> {
    let mut entries = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        entries += 1;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            entries += walk(&entry.path())?;
        }
    }
    Ok(entries)
}

fn walk_loop(root: &Path, stop: &AtomicBool) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let expected = walk(root)?;
    while tally.reads == 0 || !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let outcome = walk(root);
        let right = outcome
            .as_ref()
            .map_or(true, |entries| *entries == expected);
        tally.count(started, outcome.map(|entries| entries as usize), right);
    }
    Ok(tally)
}

/// `struct file_handle` of Linux with room for any handle (`MAX_HANDLE_SZ` is 128).
#[repr(C)]
struct Handle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    data: [u8; 128],
}

fn handle_loop(path: &Path, key: u64, stop: &AtomicBool) -> io::Result<Tally> {
    let parent = File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let mut handle = Handle {
        bytes: 128,
        kind: 0,
        data: [0; 128],
    };
    let mut mount_id = 0;
    // SAFETY: the structure has the layout of `struct file_handle` and says how much room it has.
    let done = unsafe {
        libc::name_to_handle_at(
            libc::AT_FDCWD,
            name.as_ptr(),
            std::ptr::from_mut(&mut handle).cast(),
            &mut mount_id,
            0,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut tally = Tally::default();
    let (mut bytes, mut scratch) = (vec![0; PAGE], vec![0; PAGE]);
    let mut offset = 0;
    while tally.reads == 0 || !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        // SAFETY: as above; the kernel only reads the structure.
        let fd = unsafe {
            libc::open_by_handle_at(
                parent.as_raw_fd(),
                std::ptr::from_mut(&mut handle).cast(),
                libc::O_RDONLY,
            )
        };
        if fd < 0 {
            tally.count(started, Err(io::Error::last_os_error()), true);
            continue;
        }
        // SAFETY: the descriptor was just opened and belongs to nobody else.
        let file = unsafe { File::from_raw_fd(fd) };
        let size = file.metadata()?.len();
        let outcome = uninterrupted(|| file.read_at(&mut bytes, offset));
        let right = outcome
            .as_ref()
            .map_or(true, |got| right(key, offset, &bytes[..*got], &mut scratch));
        tally.count(started, outcome, right);
        offset = (offset + 7 * CHUNK as u64) % size.saturating_sub(PAGE as u64).max(1);
    }
    Ok(tally)
}

fn once(path: &Path, offset: u64, length: usize) -> io::Result<Tally> {
    let file = File::open(path)?;
    writeln!(io::stdout(), "reading")?;
    io::stdout().flush()?;
    let mut tally = Tally::default();
    let mut bytes = vec![0; length];
    let started = Instant::now();
    let outcome = uninterrupted(|| file.read_at(&mut bytes, offset));
    tally.count(started, outcome, true);
    Ok(tally)
}

fn run() -> Result<Tally, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().ok_or("mode missing")?;
    let path = PathBuf::from(arguments.next().ok_or("path missing")?);
    let stop = Arc::new(AtomicBool::new(false));
    if mode != "once" {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            // Whatever ends standard input ends the work.
            let _ = io::stdin().read(&mut [0]);
            stop.store(true, Ordering::Relaxed);
        });
    }
    let mut number = || -> Result<u64, Box<dyn std::error::Error>> {
        Ok(arguments.next().ok_or("argument missing")?.parse()?)
    };
    Ok(match mode.as_str() {
        "buffered" => read_loop(&path, number()?, false, &stop)?,
        "direct" => read_loop(&path, number()?, true, &stop)?,
        "mmap" => mmap_loop(&path, number()?, &stop)?,
        "walk" => walk_loop(&path, &stop)?,
        "handle" => handle_loop(&path, number()?, &stop)?,
        "once" => once(&path, number()?, usize::try_from(number()?)?)?,
        other => return Err(format!("unknown mode {other}").into()),
    })
}

fn main() -> ExitCode {
    match run() {
        Ok(tally) => {
            let clean = tally.errors.is_empty() && tally.wrong == 0;
            match tally.print() {
                Ok(()) if clean => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            // One line of the same shape, so that a test reads all failures in one way.
            let tally = Tally {
                errors: vec![error.to_string()],
                ..Tally::default()
            };
            let _ = tally.print();
            ExitCode::FAILURE
        }
    }
}
