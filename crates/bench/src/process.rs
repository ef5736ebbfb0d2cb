//! Processes that are measured: each ends, and its mount with it, when its guard is dropped.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Result, stop};

/// A process that ends with this value.
pub(crate) struct Running {
    pub(crate) child: Child,
    mount: Option<PathBuf>,
}

impl Running {
    /// Starts `command`; `mount` is what it mounts, and is unmounted when it is gone.
    pub(crate) fn start(mut command: Command, mount: Option<&Path>) -> Result<Self> {
        // A group of its own: Ctrl-C is for this program, which then drops its guards.
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        Ok(Self {
            child,
            mount: mount.map(Path::to_owned),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, but no longer than `limit`: it is killed then.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<std::process::ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            stop::check()?;
            if started.elapsed() > limit {
                return Err(format!("not done within {} s", limit.as_secs()).into());
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
pub(crate) fn wait(milliseconds: u64) {
    // A poll without descriptors: this program has nothing else to wait for.
    let time = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000 * milliseconds.min(900) as i64,
    };
    let _ = rustix::event::poll(&mut [], Some(&time));
}

/// Waits until `done` holds.
pub(crate) fn until(what: &str, seconds: u64, done: impl FnMut() -> bool) -> Result<Duration> {
    until_every(5, what, seconds, done)
}

/// As [`until`], but asks only so often: for questions that cost time of the measured cores.
pub(crate) fn until_every(
    milliseconds: u64,
    what: &str,
    seconds: u64,
    mut done: impl FnMut() -> bool,
) -> Result<Duration> {
    let started = Instant::now();
    while !done() {
        stop::check()?;
        if started.elapsed() > Duration::from_secs(seconds) {
            return Err(format!("{what}: not within {seconds} s").into());
        }
        wait(milliseconds);
    }
    Ok(started.elapsed())
}

/// What a process and all its descendants used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Resident now, MiB; what processes share counts for each.
    pub(crate) resident: f64,
    /// The sum of each one's most, MiB, since its start or [`forget_peaks`].
    pub(crate) peak: f64,
    /// Seconds of processor time since its start, its own and the kernel's for it.
    pub(crate) cpu: f64,
}

impl Usage {
    /// Of `pid` and all that descend from it.
    pub(crate) fn of(pid: u32) -> Self {
        family(pid)
            .into_iter()
            .fold(Self::default(), |sum, pid| Self {
                resident: sum.resident + mebibytes(pid, "VmRSS:"),
                peak: sum.peak + mebibytes(pid, "VmHWM:"),
                cpu: sum.cpu + cpu_seconds(pid),
            })
    }
}

/// Resident memory of the largest process of `pid` and all that descend from it, MiB.
pub(crate) fn largest_resident(pid: u32) -> f64 {
    let resident = family(pid).into_iter();
    let resident = resident.map(|pid| mebibytes(pid, "VmRSS:"));
    resident.fold(0.0, f64::max)
}

/// From now on [`Usage::peak`] counts anew.
pub(crate) fn forget_peaks(pid: u32) {
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
pub(crate) fn mebibytes_in(path: &str, field: &str) -> Option<f64> {
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

fn family(pid: u32) -> Vec<u32> {
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
pub(crate) fn drop_caches() -> Result<()> {
    rustix::fs::sync();
    Ok(std::fs::write("/proc/sys/vm/drop_caches", "3")?)
}
