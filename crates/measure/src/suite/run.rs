//! One run: each operation on each directory, in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum as _;
use debridfs_base::mountinfo;
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;

use super::arguments::{Named, RunArgs, Target};
use super::directory::{OWN, Survey};
use super::mounting::{Commands, MountedBy};
use super::operation::Operation;
use super::pinned::Cores;
use super::record::{FORMAT, OperationRecord, Outcome, Record, TargetRecord};
use super::work::{Job, Limits, Operate, Writable};
use super::{Ended, plots, servers, words};
use crate::error::{Error, Result};
use crate::{Child, pin, stop};

/// How much longer than asked an operation may take: the last one of it, and the start and end of its process.
const GRACE: u64 = 60;
/// How long it may take to look at what is there, and to write what is read.
const SURVEY: u64 = 120;

/// `bench run`.
pub(super) fn run(args: &RunArgs) -> Result<Ended> {
    stop::on_signals()?;
    let record = measure(args)?;
    let mut text = words::run(&record);
    if let Some(file) = &args.json {
        let json = serde_json::to_string(&record)?;
        match file == Path::new("-") {
            true => text = json,
            false => write(file, &json)?,
        }
    }
    if let Some(file) = &args.html {
        write(file, &plots::page(&record))?;
    }
    let outcomes = record.targets.iter().flat_map(|target| &target.operations);
    let mut failed = outcomes.filter(|one| matches!(one.outcome, Outcome::Failed(_)));
    let code = u8::from(failed.next().is_some());
    Ok(Ended { text, code })
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).map_err(|error| Error::File(file.display().to_string(), error))
}

/// Measures, with progress on a terminal.
///
/// # Errors
/// When the directories or the arguments make no sense, with what to do; when this program is told to end.
pub fn measure(args: &RunArgs) -> Result<Record> {
    check(args)?;
    let cores = Cores::of(args.pin)?;
    let operations = match args.operations.as_slice() {
        [] => Operation::value_variants().to_vec(),
        some => {
            let mut some = some.to_vec();
            some.sort_unstable();
            some.dedup();
            some
        }
    };
    let commands: Vec<Option<Commands<'_>>> =
        args.targets.iter().map(|one| commands(args, one)).collect();
    let mut sites = Vec::new();
    for (target, commands) in args.targets.iter().zip(&commands) {
        sites.push(Site::open(args, target, commands.as_ref(), &operations)?);
    }
    let all: Vec<u32> = sites
        .iter()
        .flat_map(|site| &site.record.servers)
        .copied()
        .collect();
    let pinned = cores.pin(&all)?;
    for operation in operations.iter().filter(|one| !one.mounts()) {
        for site in &mut sites {
            let outcome = site.outcome(args, &cores, *operation)?;
            site.record.operations.push(OperationRecord {
                operation: *operation,
                outcome,
            });
        }
    }
    drop(pinned);
    let targets = sites.into_iter().map(|site| site.record).collect();
    Ok(record(args, targets))
}

fn check(args: &RunArgs) -> Result<()> {
    let mut names: Vec<&str> = args.targets.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::Refused(format!(
            "two directories are called {}: name them, as in one=DIR other=DIR",
            twice[0]
        )));
    }
    let servers = args.server.iter().map(|Named(name, _)| name);
    let commands = args.mount.iter().chain(&args.unmount);
    for name in servers.chain(commands.map(|Named(name, _)| name)) {
        if !names.contains(&name.as_str()) {
            return Err(Error::Refused(format!(
                "no directory is called {name}: write {name}=DIR"
            )));
        }
    }
    Ok(())
}

/// The last one that was given for this directory.
fn given<'a, T>(all: &'a [Named<T>], target: &Target) -> Option<&'a T> {
    let mut mine = all.iter().filter(|Named(name, _)| *name == target.name);
    mine.next_back().map(|Named(_, value)| value)
}

fn commands<'a>(args: &'a RunArgs, target: &'a Target) -> Option<Commands<'a>> {
    Some(Commands {
        dir: &target.dir,
        mount: given(&args.mount, target)?,
        unmount: given(&args.unmount, target).map(String::as_str),
    })
}

fn limits(args: &RunArgs) -> Limits {
    Limits {
        iterations: args.iterations,
        warm_up: args.warm_up,
        seconds: args.seconds,
        threads: args.threads,
    }
}

/// One directory, while it is measured.
struct Site<'a> {
    record: TargetRecord,
    survey: Survey,
    own: Writability,
    // Unmounted after the suite's own directory is removed.
    _mounted: Option<MountedBy<'a>>,
}

/// Where the suite may write.
enum Writability {
    Own(Own),
    No(String),
}

impl<'a> Site<'a> {
    fn open(
        args: &RunArgs,
        target: &Target,
        commands: Option<&'a Commands<'a>>,
        operations: &[Operation],
    ) -> Result<Self> {
        let mut done = Vec::new();
        if commands.is_none() {
            let mounts = operations.iter().filter(|one| one.mounts());
            done.extend(mounts.map(|operation| OperationRecord {
                operation: *operation,
                outcome: Outcome::NotApplicable("--mount NAME=COMMAND says how".into()),
            }));
        }
        if let Some(commands) = commands
            && operations.iter().any(|one| one.mounts())
        {
            let both = commands.measure(limits(args))?;
            done.extend(
                both.into_iter()
                    .filter(|one| operations.contains(&one.operation)),
            );
        }
        let mounted = commands.map(Commands::mount).transpose()?;
        let mounts = mountinfo::read()?;
        let mount = mountinfo::containing(&mounts, &mountinfo::resolved(&target.dir));
        let mut serving: Vec<u32> = mount.map(servers::of).unwrap_or_default();
        serving.extend(mounted.as_ref().map(MountedBy::pid));
        if let Some(pid) = given(&args.server, target) {
            serving = vec![*pid];
        }
        let survey: Survey = ask(&Job::Survey(target.dir.clone()), SURVEY)
            .map_err(|error| refused(&target.dir, &error))?;
        let only_reads = !args.prepare && !operations.iter().any(|one| one.writes());
        let own = match only_reads {
            true => Writability::No("nothing was to be written".into()),
            false => Own::make(&target.dir)?,
        };
        let mut site = Self {
            record: TargetRecord {
                name: target.name.clone(),
                dir: target.dir.clone(),
                file_system: mount
                    .map(|mount| mount.fstype.to_string_lossy().into_owned())
                    .unwrap_or_default(),
                servers: serving,
                operations: done,
            },
            survey,
            own,
            _mounted: mounted,
        };
        if args.prepare {
            site.prepare()?;
        }
        let reads = operations.iter().any(|one| !one.writes() && !one.mounts());
        if reads && site.survey.is_empty() {
            return Err(Error::Refused(format!(
                "{} is empty: name a directory with files in it, or let --prepare write some",
                target.dir.display()
            )));
        }
        Ok(site)
    }

    fn prepare(&mut self) -> Result<()> {
        let dir = self.record.dir.display();
        let refused = |why: &str| {
            Error::Refused(format!(
                "--prepare cannot write to {dir}: {why}. Leave it out to measure the files that are there"
            ))
        };
        match &self.own {
            Writability::No(why) => return Err(refused(why)),
            Writability::Own(own) => {
                self.survey =
                    ask(&Job::Prepare(own.0.clone()), SURVEY).map_err(|error| match error {
                        Error::Interrupted => Error::Interrupted,
                        error => refused(&error.to_string()),
                    })?;
            }
        }
        Ok(())
    }

    fn outcome(&self, args: &RunArgs, cores: &Cores, operation: Operation) -> Result<Outcome> {
        let own = match &self.own {
            Writability::No(why) if operation.writes() => {
                return Ok(Outcome::NotApplicable(why.clone()));
            }
            Writability::No(_) => None,
            Writability::Own(own) => Some(own.0.clone()),
        };
        let operate = Operate {
            operation,
            survey: self.survey.clone(),
            own,
            limits: limits(args),
            cache: args.cache,
            fsync: args.fsync,
            servers: self.record.servers.clone(),
        };
        let bar = bar(&format!("{} {}", self.record.name, operation.name()), args);
        let job = Job::Operate(Box::new(operate));
        let limit = Duration::from_secs(GRACE + u64::from(args.seconds));
        let child = Child::start(worker(&cores.client)?, &job, limit)?;
        let outcome = child.finish(|line| {
            if let Ok(number) = line.parse() {
                bar.set_position(number);
            }
        });
        bar.finish_and_clear();
        match outcome {
            Ok(outcome) => Ok(outcome),
            Err(Error::Child(why)) => Ok(Outcome::Failed(why)),
            Err(error) => Err(error),
        }
    }
}

fn refused(dir: &Path, error: &Error) -> Error {
    match error {
        Error::Interrupted => Error::Interrupted,
        // The reason names the path already.
        Error::Child(why) if why.contains('/') => Error::Refused(why.clone()),
        error => Error::Refused(format!("{}: {error}", dir.display())),
    }
}

fn bar(what: &str, args: &RunArgs) -> ProgressBar {
    // Without a terminal nothing is drawn.
    let bar = ProgressBar::new(args.iterations.into());
    match ProgressStyle::with_template("{msg:32} {bar:40} {pos}/{len} {elapsed}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
    .with_message(what.to_owned())
}

/// This program, as the one that measures.
fn worker(cores: &str) -> Result<Command> {
    let mut command = pin::command(std::env::current_exe()?, cores);
    command.arg("bench-worker");
    Ok(command)
}

fn ask<T: DeserializeOwned>(job: &Job, seconds: u64) -> Result<T> {
    Child::start(worker(pin::ANY)?, job, Duration::from_secs(seconds))?.finish(|_| ())
}

/// The suite's own directory below a measured one. Removed when dropped.
struct Own(PathBuf);

impl Own {
    fn make(dir: &Path) -> Result<Writability> {
        let name = tempfile::Builder::new().prefix(OWN).tempfile()?;
        let name = name.path().file_name().unwrap_or_default();
        let own = Self(dir.join(name));
        match ask(&Job::Make(own.0.clone()), GRACE)? {
            Writable::Yes => Ok(Writability::Own(own)),
            Writable::No(why) => Ok(Writability::No(why)),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let removed = worker(pin::ANY).and_then(|worker| {
            let job = Job::Remove(self.0.clone());
            Child::start(worker, &job, Duration::from_secs(GRACE))?
                .regardless_of_signals()
                .finish::<()>(|_| ())
        });
        if let Err(error) = removed {
            eprintln!("{} is left, remove it by hand: {error}", self.0.display());
        }
    }
}

fn record(args: &RunArgs, targets: Vec<TargetRecord>) -> Record {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|model| model.trim_start_matches(['\t', ' ', ':']));
    Record {
        format: FORMAT,
        when: jiff::Timestamp::now(),
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        processor: model.unwrap_or_default().to_owned(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cache: args.cache,
        pin: args.pin,
        fsync: args.fsync,
        threads: args.threads,
        targets,
    }
}
