//! The cores of those that serve, for the time of a run.

use std::fs;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::arguments::Pin;
use crate::error::{Error, Result};
use crate::process::family;

/// Threads of other processes that run where they were told. Dropped, they run again where they did.
pub(super) struct Pinned {
    before: Vec<Before>,
}

/// Where a process was allowed to run.
struct Before {
    pid: u32,
    /// Its first thread.
    whole: CpuSet,
    threads: Vec<(i32, CpuSet)>,
}

/// Cores for the process that measures and for those that serve.
pub(super) struct Cores {
    pub(super) client: String,
    server: Option<usize>,
}

impl Cores {
    /// What `pin` means on this machine.
    pub(super) fn of(pin: Pin) -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU)
            .rev()
            .filter(|cpu| allowed.is_set(*cpu));
        let (last, before) = (cores.next(), cores.next());
        let name = |core: Option<usize>| core.map(|core| core.to_string()).unwrap_or_default();
        match (pin, before) {
            (Pin::None, _) => Ok(Self {
                client: String::new(),
                server: None,
            }),
            (Pin::SameCore, _) => Ok(Self {
                client: name(last),
                server: last,
            }),
            (Pin::CrossCores, Some(_)) => Ok(Self {
                client: name(last),
                server: before,
            }),
            (Pin::CrossCores, None) => Err(Error::Refused(
                "--pin cross-cores wants two cores, and this program may use one".into(),
            )),
        }
    }

    /// Has these processes and what descends from them run on the server's core.
    pub(super) fn pin(&self, servers: &[u32]) -> Result<Pinned> {
        let mut pinned = Pinned { before: Vec::new() };
        let Some(core) = self.server else {
            return Ok(pinned);
        };
        let mut one = CpuSet::new();
        one.set(core);
        let mut all: Vec<u32> = servers.iter().copied().flat_map(family).collect();
        all.sort_unstable();
        all.dedup();
        for pid in all {
            // A thread that ended meanwhile is none.
            let of = |thread: i32| Some((thread, sched_getaffinity(Pid::from_raw(thread)).ok()?));
            let was: Vec<_> = threads(pid).into_iter().filter_map(of).collect();
            let Some((_, whole)) = was.iter().find(|(thread, _)| *thread == pid as i32) else {
                continue;
            };
            let whole = *whole;
            pinned.before.push(Before {
                pid,
                whole,
                threads: was,
            });
            for thread in threads(pid) {
                sched_setaffinity(Pid::from_raw(thread), &one).map_err(|error| {
                    Error::Refused(format!(
                        "process {pid} cannot be pinned ({error}): run as root, or without --pin"
                    ))
                })?;
            }
        }
        Ok(pinned)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        for process in &self.before {
            for thread in threads(process.pid) {
                let before = process.threads.iter().find(|(known, _)| *known == thread);
                // One that was started meanwhile has got the core from another one.
                let cores = before.map_or(&process.whole, |(_, cores)| cores);
                let _ = sched_setaffinity(Pid::from_raw(thread), cores);
            }
        }
    }
}

fn threads(pid: u32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    threads
        .filter_map(|thread| thread.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_server_is_pinned_for_the_run_alone() {
        let mut sleeping = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let cores = || sched_getaffinity(Some(Pid::from_child(&sleeping))).unwrap();
        let before = cores();
        let pinned = Cores::of(Pin::SameCore)
            .unwrap()
            .pin(&[sleeping.id()])
            .unwrap();
        assert_eq!(cores().count(), 1);
        drop(pinned);
        assert_eq!(cores(), before);
        drop(Cores::of(Pin::None).unwrap().pin(&[sleeping.id()]).unwrap());
        assert_eq!(cores(), before);
        drop(sleeping.stdin.take());
        sleeping.wait().unwrap();
    }
}
