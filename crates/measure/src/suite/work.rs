//! What runs in the process that measures.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::arguments::Cache;
use super::directory::{self, Survey};
use super::operation::{LARGE, Operation, PIECE, SMALL, SPAN};
use super::record::{Measured, Outcome};
use super::step::{List, ReadOn, ReadWhole, Stat, Step, WriteOn, WriteWhole, Writing};
use crate::error::Result;
use crate::process::{Usage, forget_peaks, mebibytes_in};

/// Bytes that each thread of a concurrent operation has.
const PART: u64 = 16 << 20;
/// How often progress is told.
const SHOWN: Duration = Duration::from_millis(100);

/// What it does.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job {
    /// Looks what is in a directory: [`Survey`].
    Survey(PathBuf),
    /// Makes the suite's own directory: [`Writable`].
    Make(PathBuf),
    /// Fills it: [`Survey`].
    Prepare(PathBuf),
    /// Removes it.
    Remove(PathBuf),
    /// Measures: [`Outcome`].
    Operate(Box<Operate>),
}

/// Whether a directory can be written to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Writable {
    Yes,
    /// Why not.
    No(String),
}

/// One operation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Operate {
    pub(super) operation: Operation,
    pub(super) survey: Survey,
    /// The suite's own directory, if it could be made.
    pub(super) own: Option<PathBuf>,
    pub(super) limits: Limits,
    pub(super) cache: Cache,
    pub(super) fsync: bool,
    /// Processes that serve the directory.
    pub(super) servers: Vec<u32>,
}

/// How often and how long.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Limits {
    pub(super) iterations: u32,
    pub(super) warm_up: u32,
    pub(super) seconds: u32,
    pub(super) threads: u32,
}

impl Limits {
    /// How long the operation may take, its warm-up included.
    fn whole(self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// Does what the file `job` says and prints what came of it: the entry point of the process that measures.
///
/// # Errors
/// When the file is none of this program's.
pub fn work(job: &Path) -> Result<()> {
    let job: Job = serde_json::from_slice(&std::fs::read(job)?)?;
    let words = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    match &job {
        Job::Survey(dir) => say(&Survey::of(dir).map_err(|error| words(dir, error))),
        Job::Make(own) => say(&Ok::<_, String>(match directory::make(own) {
            Ok(()) => Writable::Yes,
            Err(error) => Writable::No(error.to_string()),
        })),
        Job::Prepare(own) => say(&directory::prepare(own).map_err(|error| words(own, error))),
        Job::Remove(own) => say(&directory::remove(own).map_err(|error| words(own, error))),
        Job::Operate(operate) => say(&Ok::<_, String>(operate.outcome())),
    }
}

fn say<T: Serialize>(result: &std::result::Result<T, String>) -> Result<()> {
    println!("{}", serde_json::to_string(result)?);
    Ok(())
}

type Steps = Vec<Box<dyn Step>>;

impl Operate {
    fn outcome(&self) -> Outcome {
        let threads = match self.operation.is_concurrent() {
            true => self.limits.threads,
            false => 1,
        };
        match self.steps(threads) {
            Ok(Ok(steps)) => self.measure(steps),
            Ok(Err(why)) => Outcome::NotApplicable(why),
            Err(error) if self.is_refused_direct(&error) => Outcome::NotApplicable(format!(
                "files cannot be opened with O_DIRECT here: {error}"
            )),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn is_refused_direct(&self, error: &io::Error) -> bool {
        self.cache == Cache::Direct && error.kind() == io::ErrorKind::InvalidInput
    }

    /// One for each thread, or why there are none.
    fn steps(&self, threads: u32) -> io::Result<std::result::Result<Steps, String>> {
        let threads = u64::from(threads);
        let Survey {
            small,
            any,
            large,
            paths,
            directories,
        } = self.survey.clone();
        let none = |why: &str| Ok(Err(format!("{why}; --prepare makes some")));
        let one = |step: Box<dyn Step>| Ok(Ok(vec![step]));
        match self.operation {
            Operation::Mount | Operation::Unmount => Ok(Err("no command to mount it".into())),
            Operation::ReadSmall if any.is_empty() => none("no file to read"),
            Operation::ReadSmall => {
                let files = if small.is_empty() { any } else { small };
                one(Box::new(ReadWhole::new(files, SMALL, self.cache)))
            }
            Operation::ReadLarge | Operation::ConcurrentReads if large.is_empty() => {
                none("no file larger than 1 MiB")
            }
            Operation::ReadLarge => one(Box::new(ReadOn::new(
                &large[0], 0, SPAN, LARGE, self.cache,
            )?)),
            Operation::ConcurrentReads => {
                let files = large.len() as u64;
                let reading = (0..threads).map(|n| -> io::Result<Box<dyn Step>> {
                    let path = &large[(n % files) as usize];
                    let reading = ReadOn::new(path, n / files, PART, PIECE, self.cache)?;
                    Ok(Box::new(reading))
                });
                reading.collect::<io::Result<Steps>>().map(Ok)
            }
            Operation::Stat if paths.is_empty() => none("nothing to ask for"),
            Operation::Stat => one(Box::new(Stat::new(paths, self.cache))),
            Operation::Readdir if directories.is_empty() => none("no directory"),
            Operation::Readdir => one(Box::new(List::new(directories, self.cache))),
            Operation::WriteSmall | Operation::WriteLarge | Operation::ConcurrentWrites => {
                self.writing(threads)
            }
        }
    }

    fn writing(&self, threads: u64) -> io::Result<std::result::Result<Steps, String>> {
        let Some(own) = &self.own else {
            return Ok(Err("it cannot be written to".into()));
        };
        if !directory::has_room(own, threads * PART)? {
            return Ok(Err("too little room is free".into()));
        }
        let writing = Writing {
            cache: self.cache,
            fsync: self.fsync,
        };
        let size = match self.operation {
            Operation::WriteSmall => SMALL,
            Operation::WriteLarge => LARGE,
            _ => {
                let writing = (0..threads).map(|n| -> io::Result<Box<dyn Step>> {
                    let path = own.join(format!("written-{n}"));
                    Ok(Box::new(WriteOn::new(path, PART, PIECE, writing)?))
                });
                return writing.collect::<io::Result<Steps>>().map(Ok);
            }
        };
        let path = own.join("written");
        Ok(Ok(vec![Box::new(WriteWhole::new(path, size, writing))]))
    }

    fn measure(&self, steps: Steps) -> Outcome {
        let run = Run {
            limits: self.limits,
            servers: &self.servers,
            warm_up: self.limits.warm_up.div_ceil(steps.len() as u32),
            begun: AtomicU32::new(0),
            barrier: Barrier::new(steps.len()),
            before: OnceLock::new(),
            failed: AtomicBool::new(false),
        };
        let alone = steps.len() == 1;
        let threads: Vec<std::result::Result<Timed, Failed>> = std::thread::scope(|scope| {
            let threads: Vec<_> = steps
                .into_iter()
                .map(|step| scope.spawn(|| run.thread(step)))
                .collect();
            let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            // A panic is a fault of this program, and shown as one.
            joined
                .map(|thread| thread.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let Some(before) = run.before.get() else {
            return Outcome::Failed("nothing was measured".into());
        };
        let after = Now::of(&self.servers);
        let known = !self.servers.is_empty();
        let mut measured = Measured {
            warm_ups: 0,
            seconds: (after.when - before.when).as_secs_f64(),
            bytes: 0,
            client_cpu: after.client_cpu - before.client_cpu,
            server_cpu: known.then(|| (after.servers.cpu - before.servers.cpu).max(0.0)),
            client_memory: mebibytes_in("/proc/self/status", "VmHWM:").unwrap_or_default(),
            server_memory: known.then_some(after.servers.peak),
            nanoseconds: Vec::new(),
        };
        for thread in threads {
            match thread {
                Ok(timed) => {
                    measured.warm_ups += timed.warm_ups;
                    measured.bytes += timed.bytes;
                    measured.nanoseconds.extend(timed.nanoseconds);
                }
                Err(failed) if self.is_refused_direct(&failed.error) => {
                    let why = format!("O_DIRECT does not work here: {}", failed.error);
                    return Outcome::NotApplicable(why);
                }
                Err(failed) => {
                    let place = failed.place.display();
                    return Outcome::Failed(format!("{place}: {}", failed.error));
                }
            }
        }
        if measured.nanoseconds.is_empty() {
            return Outcome::Failed("the warm-up took all the time: allow more --seconds".into());
        }
        if alone {
            // What is done before and after each one does not count.
            measured.seconds = measured.nanoseconds.iter().sum::<u64>() as f64 / 1e9;
        }
        Outcome::Measured(measured)
    }
}

/// What all threads of an operation share.
struct Run<'a> {
    limits: Limits,
    servers: &'a [u32],
    /// Of each thread.
    warm_up: u32,
    /// Measured operations of all threads that have begun.
    begun: AtomicU32,
    barrier: Barrier,
    /// When the first one that counts begins.
    before: OnceLock<Now>,
    /// Somebody failed: the others end.
    failed: AtomicBool,
}

/// What was used up to now.
struct Now {
    when: Instant,
    client_cpu: f64,
    servers: Usage,
}

impl Now {
    fn of(servers: &[u32]) -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            when: Instant::now(),
            client_cpu: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            servers: Usage::of_all(servers),
        }
    }
}

/// What one thread saw.
struct Timed {
    warm_ups: u32,
    bytes: u64,
    nanoseconds: Vec<u64>,
}

/// What went wrong, and where.
struct Failed {
    place: PathBuf,
    error: io::Error,
}

impl Run<'_> {
    fn thread(&self, mut step: Box<dyn Step>) -> std::result::Result<Timed, Failed> {
        let started = Instant::now();
        let mut timed = Timed {
            warm_ups: 0,
            bytes: 0,
            nanoseconds: Vec::new(),
        };
        let mut run = || {
            // Everybody comes to the barriers, also who failed: the others wait for all.
            let warm = self.warm(step.as_mut(), &mut timed, started);
            if warm.is_err() {
                self.failed.store(true, Relaxed);
            }
            if self.barrier.wait().is_leader() {
                self.servers.iter().copied().for_each(forget_peaks);
                self.before.get_or_init(|| Now::of(self.servers));
            }
            self.barrier.wait();
            warm?;
            let measured = self.measure(step.as_mut(), &mut timed, started);
            if measured.is_err() {
                self.failed.store(true, Relaxed);
            }
            measured
        };
        match run() {
            Ok(()) => Ok(timed),
            Err(error) => Err(Failed {
                place: step.place().to_owned(),
                error,
            }),
        }
    }

    fn warm(&self, step: &mut dyn Step, timed: &mut Timed, started: Instant) -> io::Result<()> {
        while timed.warm_ups < self.warm_up
            && started.elapsed() < self.limits.whole() / 10
            && !self.failed.load(Relaxed)
        {
            step.before()?;
            step.timed()?;
            step.after()?;
            timed.warm_ups += 1;
        }
        Ok(())
    }

    fn measure(&self, step: &mut dyn Step, timed: &mut Timed, started: Instant) -> io::Result<()> {
        let mut shown = Instant::now();
        while started.elapsed() < self.limits.whole() && !self.failed.load(Relaxed) {
            let number = self.begun.fetch_add(1, Relaxed);
            if number >= self.limits.iterations {
                break;
            }
            step.before()?;
            let began = Instant::now();
            let bytes = step.timed()?;
            timed.nanoseconds.push(began.elapsed().as_nanos() as u64);
            timed.bytes += bytes as u64;
            step.after()?;
            if shown.elapsed() > SHOWN {
                println!("{number}");
                shown = Instant::now();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operate(operation: Operation, dir: &Path, own: Option<PathBuf>) -> Operate {
        Operate {
            operation,
            survey: Survey::of(dir).unwrap(),
            own,
            limits: Limits {
                iterations: 40,
                warm_up: 6,
                seconds: 20,
                threads: 4,
            },
            cache: Cache::Drop,
            fsync: false,
            servers: vec![std::process::id()],
        }
    }

    const ALL: [Operation; 8] = [
        Operation::ReadSmall,
        Operation::ReadLarge,
        Operation::WriteSmall,
        Operation::WriteLarge,
        Operation::Stat,
        Operation::Readdir,
        Operation::ConcurrentReads,
        Operation::ConcurrentWrites,
    ];

    #[test]
    fn each_operation_is_done_as_often_as_asked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("small"), [1; 100]).unwrap();
        std::fs::write(dir.path().join("large"), vec![1; 3 << 20]).unwrap();
        for operation in ALL {
            let own = dir
                .path()
                .join(format!(".debridfs-bench-{}", operation.name()));
            directory::make(&own).unwrap();
            let outcome = operate(operation, dir.path(), Some(own)).outcome();
            let Outcome::Measured(measured) = outcome else {
                panic!("{operation:?}: {outcome:?}");
            };
            assert_eq!(measured.count(), 40, "{operation:?}");
            let threads = if operation.is_concurrent() { 4 } else { 1 };
            assert_eq!(measured.warm_ups, 6u32.div_ceil(threads) * threads);
            assert!(measured.seconds > 0.0 && measured.server_memory.unwrap() > 0.0);
            let bytes = match operation {
                Operation::ReadSmall => 40 * 100,
                // 2 MiB, then the last one, again and again.
                Operation::ReadLarge => 20 * (3 << 20),
                Operation::WriteSmall => 40 * SMALL as u64,
                Operation::WriteLarge => 40 * LARGE as u64,
                Operation::Stat | Operation::Readdir => 0,
                Operation::ConcurrentReads | Operation::ConcurrentWrites => 40 * PIECE as u64,
                Operation::Mount | Operation::Unmount => unreachable!(),
            };
            assert_eq!(measured.bytes, bytes, "{operation:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_applicable_and_what_is_gone_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        for operation in ALL {
            let outcome = operate(operation, dir.path(), None).outcome();
            let measured = operation == Operation::Readdir;
            match outcome {
                Outcome::NotApplicable(why) => assert!(!measured && !why.is_empty()),
                Outcome::Measured(_) => assert!(measured, "{operation:?}"),
                Outcome::Failed(why) => panic!("{operation:?}: {why}"),
            }
        }
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let gone = operate(Operation::Stat, dir.path(), None);
        std::fs::remove_file(&file).unwrap();
        let outcome = gone.outcome();
        assert!(
            matches!(&outcome, Outcome::Failed(why) if why.contains("/file: No such file")),
            "{outcome:?}"
        );
    }

    #[test]
    fn time_ends_an_operation_before_its_count() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "x").unwrap();
        let mut operate = operate(Operation::Stat, dir.path(), None);
        operate.limits.iterations = u32::MAX;
        operate.limits.warm_up = u32::MAX;
        operate.limits.seconds = 1;
        let started = Instant::now();
        let Outcome::Measured(measured) = operate.outcome() else {
            panic!("not measured");
        };
        assert!(measured.warm_ups > 0 && measured.count() > 0);
        assert!(measured.seconds < 1.0 && started.elapsed() >= Duration::from_secs(1));
    }
}
