//! Processes that are measured: each ends, and its mount with it, when its guard is dropped.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Result};
use crate::stop;

/// A process that ends with this value.
pub struct Running {
    /// The process itself.
    pub child: Child,
    mount: Option<PathBuf>,
}

impl Running {
    /// Starts `command`; `mount` is what it mounts, and is unmounted when it is gone.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, mount: Option<&Path>) -> Result<Self> {
        // A group of its own: Ctrl-C is for this program, which then drops its guards.
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        Ok(Self {
            child,
            mount: mount.map(Path::to_owned),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, but no longer than `limit`: it is killed then.
    ///
    /// # Errors
    /// After `limit`, or when this program is told to end.
    pub fn wait(&mut self, limit: Duration) -> Result<std::process::ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            stop::check()?;
            if started.elapsed() > limit {
                return Err(Error::Child(format!(
                    "not done within {} s",
                    limit.as_secs()
                )));
            }
            wait(2);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None))
            && started.elapsed() < Duration::from_secs(8)
        {
            wait(10);
        }
        // A reader that a peer's mount never answers does not even end by SIGKILL: it is not waited for without a limit.
        let _ = self.child.kill();
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None))
            && started.elapsed() < Duration::from_secs(2)
        {
            wait(10);
        }
        if let Some(mount) = &self.mount {
            let _ = rustix::mount::unmount(mount, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// Lets `milliseconds` pass, 900 at most.
pub fn wait(milliseconds: u64) {
    // A poll without descriptors: this program has nothing else to wait for.
    let time = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000 * milliseconds.min(900) as i64,
    };
    let _ = rustix::event::poll(&mut [], Some(&time));
}

/// Waits until `done` holds.
///
/// # Errors
/// After so many seconds, or when this program is told to end.
pub fn until(what: &str, seconds: u64, done: impl FnMut() -> bool) -> Result<Duration> {
    until_every(5, what, seconds, done)
}

/// As [`until`], but asks only so often: for questions that cost time of the measured cores.
///
/// # Errors
/// As [`until`].
pub fn until_every(
    milliseconds: u64,
    what: &str,
    seconds: u64,
    mut done: impl FnMut() -> bool,
) -> Result<Duration> {
    let started = Instant::now();
    while !done() {
        stop::check()?;
        if started.elapsed() > Duration::from_secs(seconds) {
            return Err(Error::Child(format!("{what}: not within {seconds} s")));
        }
        wait(milliseconds);
    }
    Ok(started.elapsed())
}

/// What a process and all its descendants used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Resident now, MiB; what processes share counts for each.
    pub resident: f64,
    /// The sum of each one's most, MiB, since its start or [`forget_peaks`].
    pub peak: f64,
    /// Seconds of processor time since its start, its own and the kernel's for it.
    pub cpu: f64,
}

impl Usage {
    /// Of `pid` and all that descend from it.
    pub fn of(pid: u32) -> Self {
        Self::of_all(&[pid])
    }

    /// Of all these and what descends from them, each once.
    pub fn of_all(pids: &[u32]) -> Self {
        let all: BTreeSet<u32> = pids.iter().copied().flat_map(family).collect();
        all.into_iter().fold(Self::default(), |sum, pid| Self {
            resident: sum.resident + mebibytes(pid, "VmRSS:"),
            peak: sum.peak + mebibytes(pid, "VmHWM:"),
            cpu: sum.cpu + cpu_seconds(pid),
        })
    }
}

/// Resident memory of the largest process of `pid` and all that descend from it, MiB.
pub fn largest_resident(pid: u32) -> f64 {
    let resident = family(pid).into_iter();
    let resident = resident.map(|pid| mebibytes(pid, "VmRSS:"));
    resident.fold(0.0, f64::max)
}

/// From now on [`Usage::peak`] counts anew.
pub fn forget_peaks(pid: u32) {
    for pid in family(pid) {
        // 5: "reset the peak resident set size" (proc_pid_clear_refs(5)). Without it the peak is that of the whole life: never too small.
        let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// A process that ended meanwhile counts as nothing.
fn mebibytes(pid: u32, field: &str) -> f64 {
    mebibytes_in(&format!("/proc/{pid}/status"), field).unwrap_or_default()
}

/// A field of a file of `/proc` that gives it in kB; `None` when one of them is not there.
pub fn mebibytes_in(path: &str, field: &str) -> Option<f64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

fn cpu_seconds(pid: u32) -> f64 {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return 0.0;
    };
    // Fields 14 and 15 of proc_pid_stat(5), counted behind the name, which may hold spaces.
    let ticks: f64 = text
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().skip(11).take(2))
        .into_iter()
        .flatten()
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / rustix::param::clock_ticks_per_second() as f64
}

pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return all;
    };
    for thread in threads.flatten() {
        let Ok(list) = std::fs::read_to_string(thread.path().join("children")) else {
            continue;
        };
        for child in list.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            all.extend(family(child));
        }
    }
    all
}

/// Drops the kernel's caches of pages, dentries and inodes.
///
/// # Errors
/// Without root.
pub fn drop_caches() -> Result<()> {
    rustix::fs::sync();
    Ok(std::fs::write("/proc/sys/vm/drop_caches", "3")?)
}
