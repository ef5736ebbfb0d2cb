//! What the engine holds, looked at twice a second: memory, descriptors and the disk.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{CACHE, LONG_RUN, MIB, PROBES};
use crate::support::Instance;

/// Buffers of 64 MiB, and the program, its threads' stacks, its spare buffers and what the allocator keeps.
const MEMORY: u64 = 192 * MIB;
/// Two for each of 128 files in each part of the cache, 64 transfers, and the program's own.
const DESCRIPTORS: u64 = 700;
/// So much more may an engine hold in the last quarter of a long run than in the second: what leaks does so for good.
const MEMORY_CREEP: u64 = 16 * MIB;
const DESCRIPTOR_CREEP: u64 = 100;
const EVERY: Duration = Duration::from_millis(500);

/// One look; bytes, and descriptors.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    after: Duration,
    memory: u64,
    peak: u64,
    descriptors: u64,
    played: u64,
    probed: u64,
}

type Value = fn(&Sample) -> u64;

#[derive(Debug)]
struct Watched {
    started: Instant,
    engine: AtomicI32,
    cache: PathBuf,
    samples: Mutex<Vec<Sample>>,
    stop: AtomicBool,
}

/// Looks until it is dropped.
pub struct Gauges {
    watched: Arc<Watched>,
    watcher: Option<JoinHandle<()>>,
}

/// A line of `/proc/PID/status` in bytes.
fn line(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

/// What the files of a directory take on disk.
fn taken(directory: &Path) -> u64 {
    // Files go while they are listed.
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let blocks = files.filter_map(|file| Some(file.metadata().ok()?.blocks()));
    blocks.sum::<u64>() * 512
}

impl Watched {
    /// Nothing while there is no engine.
    fn look(&self) -> Option<Sample> {
        let engine = self.engine.load(Ordering::Relaxed);
        let status = fs::read_to_string(format!("/proc/{engine}/status")).ok()?;
        Some(Sample {
            after: self.started.elapsed(),
            memory: line(&status, "VmRSS:")?,
            peak: line(&status, "VmHWM:")?,
            descriptors: fs::read_dir(format!("/proc/{engine}/fd")).ok()?.count() as u64,
            played: taken(&self.cache.join("playback")),
            probed: taken(&self.cache.join("probe")),
        })
    }
}

impl Gauges {
    pub fn start(instance: &Instance) -> Self {
        let watched = Arc::new(Watched {
            started: Instant::now(),
            engine: AtomicI32::new(0),
            cache: instance.state().with_file_name("cache"),
            samples: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let for_thread = watched.clone();
        let watcher = std::thread::spawn(move || {
            while !for_thread.stop.load(Ordering::Relaxed) {
                let sample = for_thread.look();
                for_thread.samples.lock().expect("no panic").extend(sample);
                std::thread::sleep(EVERY);
            }
        });
        let gauges = Self {
            watched,
            watcher: Some(watcher),
        };
        gauges.engine_changed(instance);
        gauges
    }

    /// There is another engine.
    pub fn engine_changed(&self, instance: &Instance) {
        let engine = instance.engine_pid().as_raw_nonzero().get();
        self.watched.engine.store(engine, Ordering::Relaxed);
    }

    fn samples(&self) -> Vec<Sample> {
        self.watched.samples.lock().expect("no panic").clone()
    }

    fn most(&self, value: Value) -> u64 {
        self.samples().iter().map(value).max().unwrap_or(0)
    }

    /// The middle of what was seen in a quarter of a run, from 0.
    fn middle(&self, value: Value, length: Duration, quarter: u32) -> u64 {
        let within = length / 4 * quarter..length / 4 * (quarter + 1);
        let samples = self.samples().into_iter();
        let mut seen: Vec<u64> = samples
            .filter(|sample| within.contains(&sample.after))
            .map(|sample| value(&sample))
            .collect();
        seen.sort_unstable();
        seen.get(seen.len() / 2).copied().unwrap_or(0)
    }

    /// # Panics
    /// When there was ever too much of something, or when it grew in a long run.
    pub fn assert_within_limits(&self, length: Duration) {
        let limits: [(&str, Value, u64); 4] = [
            ("memory", |sample| sample.peak, MEMORY),
            ("descriptors", |sample| sample.descriptors, DESCRIPTORS),
            ("disk for what was played", |sample| sample.played, CACHE),
            ("disk for heads and tails", |sample| sample.probed, PROBES),
        ];
        for (what, value, limit) in limits {
            let most = self.most(value);
            assert!(most > 0 && most <= limit, "{what}: {most} of {limit}");
        }
        if length < LONG_RUN {
            return;
        }
        let creeps: [(&str, Value, u64); 2] = [
            ("memory", |sample| sample.memory, MEMORY_CREEP),
            ("descriptors", |sample| sample.descriptors, DESCRIPTOR_CREEP),
        ];
        for (what, value, more) in creeps {
            let [early, late] = [1, 3].map(|quarter| self.middle(value, length, quarter));
            assert!(early > 0 && late <= early + more, "{what}: {early}, {late}");
        }
    }
}

impl fmt::Display for Gauges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let samples = self.samples();
        let mib = |value: Value| self.most(value) / MIB;
        write!(
            out,
            "{} looks; at most {} MiB of memory (peak {}), {} descriptors, {} MiB on disk of what was played, {} of heads and tails",
            samples.len(),
            mib(|sample| sample.memory),
            mib(|sample| sample.peak),
            self.most(|sample| sample.descriptors),
            mib(|sample| sample.played),
            mib(|sample| sample.probed),
        )?;
        // Ten moments of the run, for the eye.
        for sample in samples.iter().step_by((samples.len() / 10).max(1)) {
            let Sample {
                after,
                memory,
                descriptors,
                played,
                probed,
                ..
            } = sample;
            let [memory, played, probed] = [memory, played, probed].map(|bytes| bytes / MIB);
            let after = after.as_secs();
            write!(
                out,
                "\n  {after} s: memory {memory}, descriptors {descriptors}, disk {played} + {probed}"
            )?;
        }
        Ok(())
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        self.watched.stop.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            // Its panic would show as samples that are missing.
            let _ = watcher.join();
        }
    }
}
