//! What reads: a process of its own, pinned to the reader's core, that can be killed when a mount does not answer.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::num::NonZero;
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use debridfs_measure::{Child, pin, wait};
use rustix::fs::{Advice, OFlags, fadvise};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Result;

/// What `dd bs=1M`, a copy and most players' demuxers do at the most.
pub(crate) const BLOCK: usize = 1 << 20;

/// Work for a reader.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Job {
    /// One file from its beginning; `bytes` of it, all when 0. Errors are tried again at the same place after `retry_ms` when that is
    /// not 0. After `seconds`, if that is not 0, it ends with the first read that is no failure.
    Stream {
        path: PathBuf,
        bytes: u64,
        retry_ms: u64,
        seconds: f64,
    },
    /// Places one after another; a file stays open until another one is named.
    Places { places: Vec<Place> },
    /// All files at once, one thread each, for `seconds` after each of them has its first block, which does not count. `keep`: the kernel's
    /// pages of what was read are not given back, as most programs do not.
    Crowd {
        paths: Vec<PathBuf>,
        seconds: f64,
        keep: bool,
    },
    /// All files at once, one thread each, 128 KiB after 128 KiB past the page cache (`O_DIRECT`) for `seconds`, from the beginning again
    /// at the end. Each rests for a millisecond between two reads.
    Direct { paths: Vec<PathBuf>, seconds: f64 },
    /// All files at once as players do: read up to `buffer` seconds ahead of what is shown, showing begins after `begin` seconds are
    /// there.
    Players {
        paths: Vec<PathBuf>,
        /// Bytes a second.
        rate: f64,
        seconds: f64,
        buffer: f64,
        begin: f64,
    },
}

/// A place of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) length: usize,
}

/// One read that took long, or failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pause {
    /// Seconds on the monotonic clock when it was over.
    pub(crate) until: f64,
    /// How long it took, seconds.
    pub(crate) seconds: f64,
    /// Where in the file.
    pub(crate) offset: u64,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

/// What a reader saw.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Seconds from beginning to end.
    pub(crate) seconds: f64,
    /// Bytes read, in the order of the files for many at once.
    pub(crate) bytes: Vec<u64>,
    /// Seconds of each place's read; with the open where a file is opened for it.
    pub(crate) places: Vec<f64>,
    /// A hash of each place's bytes.
    pub(crate) hashes: Vec<u64>,
    /// Reads of more than [`PAUSE`], and failed ones.
    pub(crate) pauses: Vec<Pause>,
    /// Times that a player stood still for want of bytes, and the seconds it stood, all players together.
    pub(crate) underruns: u64,
    /// Seconds of all under-runs.
    pub(crate) underrun_seconds: f64,
    /// Errors of players and of a crowd.
    pub(crate) errors: Vec<String>,
}

impl Job {
    /// A whole file, read once from its beginning to its end.
    pub(crate) fn whole(path: PathBuf) -> Self {
        Self::Stream {
            path,
            bytes: 0,
            retry_ms: 0,
            seconds: 0.0,
        }
    }
}

impl Seen {
    /// Bytes of all files.
    pub(crate) fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// MB/s of all files.
    pub(crate) fn rate(&self) -> f64 {
        self.total() as f64 / 1e6 / self.seconds
    }

    /// The longest read, in seconds; 0 when none took longer than [`PAUSE`].
    pub(crate) fn longest_pause(&self) -> f64 {
        let seconds = self.pauses.iter().map(|pause| pause.seconds);
        seconds.fold(0.0, f64::max)
    }

    /// Takes note of a read that began then, if it took long or failed.
    fn note(&mut self, began: Instant, offset: u64, error: Option<String>) {
        let seconds = began.elapsed().as_secs_f64();
        if seconds > PAUSE || error.is_some() {
            self.pauses.push(Pause {
                until: now(),
                seconds,
                offset,
                error,
            });
        }
    }

    /// The least of the files' bytes by the most.
    pub(crate) fn fairness(&self) -> f64 {
        let least = self.bytes.iter().min().copied().unwrap_or(0);
        let most = self.bytes.iter().max().copied().unwrap_or(0);
        least as f64 / most.max(1) as f64
    }
}

/// Reads shorter than this are not noted one by one.
pub(crate) const PAUSE: f64 = 0.02;

/// Seconds on the clock that all processes share.
pub(crate) fn now() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// A hash as readers give it.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// A reader at work.
pub(crate) struct Reader(Child);

impl Reader {
    /// Starts one; it is killed when it takes longer than `limit`.
    pub(crate) fn start(job: &Job, limit: Duration) -> Result<Self> {
        let mut command = pin::command(std::env::current_exe()?, pin::CLIENT);
        command.arg("reader");
        Ok(Self(Child::start(command, job, limit)?))
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Result<Seen> {
        let seen = self.0.finish(|_| ());
        Ok(seen.map_err(|error| format!("reading: {error}"))?)
    }
}

/// Runs `job` and waits for it, `seconds` at most.
pub(crate) fn read(job: &Job, seconds: u64) -> Result<Seen> {
    Reader::start(job, Duration::from_secs(seconds))?.finish()
}

/// The reader's own program: does the [`Job`] in a file and prints what it saw.
pub(crate) fn run(job: &Path) -> Result<()> {
    let seen = match serde_json::from_slice(&std::fs::read(job)?)? {
        Job::Stream {
            path,
            bytes,
            retry_ms,
            seconds,
        } => stream(&path, bytes, retry_ms, seconds),
        Job::Places { places } => in_places(&places),
        Job::Crowd {
            paths,
            seconds,
            keep,
        } => crowd(&paths, seconds, keep),
        Job::Direct { paths, seconds } => direct(&paths, seconds),
        Job::Players {
            paths,
            rate,
            seconds,
            buffer,
            begin,
        } => players(&paths, rate, seconds, buffer, begin),
    };
    let seen = seen.map_err(|error| error.to_string());
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

/// Gives pages back behind a reader, so that the same ones are used again: on a virtual machine a page that was never used before takes longer
/// to get than to fill, and that is not what is measured here.
#[derive(Default)]
struct Behind {
    forgotten: u64,
}

impl Behind {
    /// So much is read before what lies behind is given back.
    const STEP: u64 = 32 << 20;
    /// The newest pages stay: the kernel has them in its lists of each processor, and to give such a page back it has all processors empty
    /// theirs, for which a reader waited seconds on a busy core.
    const NEWEST: u64 = 4 << 20;

    fn read_to(&mut self, file: &File, offset: u64) {
        let until = offset.saturating_sub(Self::NEWEST);
        if let Some(length) = NonZero::new(until.saturating_sub(self.forgotten))
            && length.get() >= Self::STEP
        {
            // Where it cannot be done the figures are those of this machine's memory.
            let _ = fadvise(file, self.forgotten, Some(length), Advice::DontNeed);
            self.forgotten = until;
        }
    }
}

fn stream(path: &Path, bytes: u64, retry_ms: u64, seconds: f64) -> Result<Seen> {
    let limit = if seconds > 0.0 { seconds } else { f64::MAX };
    let started = Instant::now();
    let mut file = open_with_retries(path, retry_ms)?;
    let end = match bytes {
        0 => file.metadata()?.len(),
        bytes => bytes,
    };
    let mut buffer = vec![0; BLOCK];
    let (mut offset, mut seen) = (0, Seen::default());
    let mut behind = Behind::default();
    while offset < end {
        let want = BLOCK.min((end - offset) as usize);
        let began = Instant::now();
        let result = file.read_at(&mut buffer[..want], offset);
        let error = result.as_ref().err().map(ToString::to_string);
        seen.note(began, offset, error);
        match result {
            Ok(0) => return Err(format!("the file ended at {offset}").into()),
            Ok(length) => {
                offset += length as u64;
                behind.read_to(&file, offset);
                if started.elapsed().as_secs_f64() > limit {
                    break;
                }
            }
            Err(error) if retry_ms == 0 => return Err(error.into()),
            // As a player or a copy that is started again: the same place, with a new descriptor.
            Err(_) => {
                wait(retry_ms);
                file = open_with_retries(path, retry_ms)?;
            }
        }
    }
    seen.seconds = started.elapsed().as_secs_f64();
    seen.bytes = vec![offset];
    Ok(seen)
}

fn open_with_retries(path: &Path, retry_ms: u64) -> Result<File> {
    loop {
        match File::open(path) {
            Ok(file) => return Ok(file),
            Err(error) if retry_ms == 0 => return Err(error.into()),
            // The parent has a limit of time.
            Err(_) => wait(retry_ms),
        }
    }
}

fn in_places(places: &[Place]) -> Result<Seen> {
    let started = Instant::now();
    let mut seen = Seen::default();
    let mut open: Option<(&Path, File)> = None;
    let mut buffer = Vec::new();
    for place in places {
        buffer.resize(place.length, 0);
        let began = Instant::now();
        let file = match open {
            Some((path, file)) if path == place.path => file,
            _ => File::open(&place.path)?,
        };
        file.read_exact_at(&mut buffer, place.offset)?;
        seen.places.push(began.elapsed().as_secs_f64());
        seen.hashes.push(hash(&buffer));
        seen.bytes.push(place.length as u64);
        open = Some((&place.path, file));
    }
    seen.seconds = started.elapsed().as_secs_f64();
    Ok(seen)
}

fn crowd(paths: &[PathBuf], seconds: f64, keep: bool) -> Result<Seen> {
    let ready = Barrier::new(paths.len());
    let one = |path: &Path| {
        let mut mine = Seen {
            bytes: vec![0],
            ..Seen::default()
        };
        let mut buffer = vec![0; BLOCK];
        // A whole block, and none of it again: of a page that is read twice the kernel takes note in a list of the processor, too.
        let first = File::open(path).and_then(|mut file| {
            file.read_exact(&mut buffer)?;
            Ok(file)
        });
        // Everybody comes here, also who failed: the others wait for all.
        ready.wait();
        let read = first.and_then(|mut file| {
            let mut behind = Behind::default();
            let started = Instant::now();
            while started.elapsed().as_secs_f64() < seconds {
                let (offset, began) = (mine.bytes[0], Instant::now());
                let length = file.read(&mut buffer)?;
                if length == 0 {
                    return Err(std::io::Error::other("the file is too short"));
                }
                mine.note(began, offset, None);
                mine.bytes[0] += length as u64;
                if !keep {
                    behind.read_to(&file, BLOCK as u64 + mine.bytes[0]);
                }
            }
            Ok(())
        });
        mine.errors
            .extend(read.err().map(|error| error.to_string()));
        mine
    };
    let mut all = Seen {
        seconds,
        ..Seen::default()
    };
    for seen in at_once(paths, one) {
        all.bytes.extend(seen.bytes);
        all.pauses.extend(seen.pauses);
        all.errors.extend(seen.errors);
    }
    Ok(all)
}

fn direct(paths: &[PathBuf], seconds: f64) -> Result<Seen> {
    let one = |path: &Path| -> std::io::Result<Seen> {
        const READ: usize = 128 << 10;
        let file = File::options()
            .read(true)
            .custom_flags(OFlags::DIRECT.bits() as i32)
            .open(path)?;
        let (mut buffer, mut offset) = (vec![0; READ], 0);
        let mut mine = Seen {
            bytes: vec![0],
            ..Seen::default()
        };
        let started = Instant::now();
        while started.elapsed().as_secs_f64() < seconds {
            let began = Instant::now();
            let read = file.read_at(&mut buffer, offset);
            let error = read.as_ref().err().map(ToString::to_string);
            mine.errors.extend(error.clone());
            mine.note(began, offset, error);
            let read = read.unwrap_or(0) as u64;
            mine.bytes[0] += read;
            offset = if read == 0 { 0 } else { offset + read };
            wait(1);
        }
        Ok(mine)
    };
    let mut all = Seen {
        seconds,
        ..Seen::default()
    };
    for seen in at_once(paths, one) {
        let seen = seen?;
        all.bytes.extend(seen.bytes);
        all.pauses.extend(seen.pauses);
        all.errors.extend(seen.errors);
    }
    Ok(all)
}

fn players(paths: &[PathBuf], rate: f64, seconds: f64, buffer: f64, begin: f64) -> Result<Seen> {
    let one = |path: &Path| -> std::io::Result<(u64, u64, f64)> {
        /// What mpv and ffmpeg ask of the kernel, more or less.
        const READ: usize = 128 << 10;
        let mut file = File::open(path)?;
        let mut block = vec![0; READ];
        let (started, mut bytes) = (Instant::now(), 0u64);
        // Seconds on the reader's clock at which byte 0 would have been shown, once showing has begun.
        let mut zero: Option<f64> = None;
        let (mut underruns, mut stood) = (0, 0.0);
        loop {
            let now = started.elapsed().as_secs_f64();
            if now > seconds {
                return Ok((bytes, underruns, stood));
            }
            let have = bytes as f64 / rate;
            match zero {
                None if have >= begin => zero = Some(now),
                Some(zero) if have - (now - zero) > buffer => {
                    wait(10);
                    continue;
                }
                _ => {}
            }
            file.read_exact(&mut block)?;
            let now = started.elapsed().as_secs_f64();
            if let Some(at) = zero
                && now - at > have
            {
                // The last picture stood until these bytes came.
                underruns += 1;
                stood += now - at - have;
                zero = Some(now - have);
            }
            bytes += READ as u64;
        }
    };
    let mut seen = Seen {
        seconds,
        ..Seen::default()
    };
    for result in at_once(paths, one) {
        match result {
            Ok((bytes, underruns, stood)) => {
                seen.bytes.push(bytes);
                seen.underruns += underruns;
                seen.underrun_seconds += stood;
            }
            Err(error) => {
                seen.bytes.push(0);
                seen.errors.push(error.to_string());
            }
        }
    }
    Ok(seen)
}

/// One thread for each path.
fn at_once<T: Send>(paths: &[PathBuf], one: impl Fn(&Path) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = paths.iter().map(|path| scope.spawn(|| one(path))).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    })
}
