//! `debridfs engine`: what an engine gives up and prepares before it serves.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap::Args;
use debridfs_base::with_causes;
use debridfs_confine::{ConfineError, Filter};
use debridfs_fuse::Ended;

use super::serve::{owner, require_providers};
use crate::engine::{self, End, Settings};
use crate::failure::{AGAIN, Doing, Failure, REPLACED};
use crate::logging;
use debridfs_config::{Config, Environment};

/// Arguments of `engine`.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Started by a keeper, which starts another one when this one ends.
    #[arg(long, hide = true)]
    pub child: bool,
    /// Root started it, or its keeper: without settings the directories are a service's, not those of the user that this engine is.
    #[arg(long, hide = true)]
    pub by_root: bool,
    /// Take over from the engine that serves now as soon as this one has loaded everything; the old one then ends.
    #[arg(long)]
    pub replace: bool,
    /// `debridfs supervise` started it: tells that by its code when another engine took over.
    #[arg(long, hide = true)]
    pub supervised: bool,
    /// Print the engine's seccomp profile for container runtimes, and end.
    #[arg(long)]
    pub print_seccomp_profile: bool,
}

/// Serves until told to end.
pub fn run(args: &EngineArgs, file: Option<&Path>) -> Result<(), Failure> {
    if args.print_seccomp_profile {
        super::say(&format!("{:#}", debridfs_confine::profile()));
        return Ok(());
    }
    // Before anything secret is read; what is in the environment is there already.
    debridfs_confine::close_to_others().map_err(gave_up)?;
    let started_by_root = args.by_root || rustix::process::geteuid().is_root();
    let environment = Environment {
        started_by_root,
        ..Environment::of_process()
    };
    let settings = Settings::load(file, environment)?;
    let loaded = &settings.loaded;
    let config = &loaded.config;
    logging::start(&config.log)?;
    if !args.child {
        for note in &loaded.notes {
            tracing::info!("{note}");
        }
    }
    require_providers(config)?;
    // A dump would keep a dead engine alive for as long as it is written, and it would hold the token.
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)
        .doing(|| "core dump limit".into())?;
    rustix::process::umask(config.mount.umask.of_files());
    confine(config)?;
    // It may have been started by way of a descriptor, whose number is no name.
    rustix::thread::set_name(c"debridfs-engine").doing(|| "process name".into())?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // One alone would leave nobody to answer readers while it is at something long.
        .worker_threads(processors.max(2))
        .thread_name("engine")
        .enable_all()
        .build()
        .doing(|| "runtime".into())?;
    let ended = runtime.block_on(engine::serve(&settings, args));
    // Dropping it would drop the futures of waiting reads, and so take them from the journal's next reader.
    std::mem::forget(runtime);
    match ended? {
        End::Signal => Ok(()),
        End::Again => Err(Failure::silent(AGAIN)),
        End::Connection(end) => {
            tracing::info!(?end, "the connection ended");
            match end {
                Ended::Replaced if args.supervised => Err(Failure::silent(REPLACED)),
                Ended::Replaced => Ok(()),
                _ if args.child => Ok(()),
                _ => Err(attach_again(started_by_root)),
            }
        }
    }
}

/// Gives up what an engine does not need: being root, every capability, most system calls. Before any thread is started.
fn confine(config: &Config) -> Result<(), Failure> {
    if let Some(owner) = owner(config) {
        // A keeper starts its engine as that user; this one was started by somebody else.
        if owner.uid == 0 {
            tracing::warn!(
                "the engine runs as root, as it was told to: set PUID to a user of its own"
            );
        } else {
            debridfs_preflight::prepare(config, Some(owner))?;
            debridfs_confine::become_user(owner.uid, owner.gid).map_err(|error| {
                Failure::new(with_causes(&error), Some("start it as that user"))
            })?;
            // With the change of the user the kernel decides anew (`fs.suid_dumpable`).
            debridfs_confine::close_to_others().map_err(gave_up)?;
        }
    }
    match debridfs_confine::confine() {
        Ok(Filter::On) => Ok(()),
        Ok(Filter::Off(reason)) => {
            tracing::warn!("system calls are not filtered: {reason}");
            Ok(())
        }
        Err(error) => Err(gave_up(error)),
    }
}

fn gave_up(error: ConfineError) -> Failure {
    Failure::new(with_causes(&error), None)
}

/// Begins anew in this same process: without a keeper as parent nobody else would. Returns only if that fails.
fn attach_again(started_by_root: bool) -> Failure {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "debridfs".into());
    let error = Command::new("/proc/self/exe")
        .arg0(name)
        .args(arguments_again(arguments, started_by_root))
        .exec();
    Failure::new(format!("cannot start again: {error}"), None)
}

fn arguments_again(
    arguments: impl Iterator<Item = OsString>,
    started_by_root: bool,
) -> Vec<OsString> {
    // Who is engine now was not there when this one was to take over.
    let kept = arguments.filter(|one| one != "--replace" && one != "--by-root");
    // By now it is another user, whose directories would be others.
    kept.chain(started_by_root.then(|| "--by-root".into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_begins_anew_still_knows_that_root_started_it() {
        let again = |words: &[&str], by_root| {
            let words = words.iter().map(OsString::from);
            let again = arguments_again(words, by_root);
            again.join(std::ffi::OsStr::new(" "))
        };
        assert_eq!(again(&["engine", "--replace"], true), "engine --by-root");
        assert_eq!(again(&["engine", "--by-root"], true), "engine --by-root");
        let settings = ["--config", "c.toml", "engine", "--replace"];
        assert_eq!(again(&settings, false), "--config c.toml engine");
    }
}
