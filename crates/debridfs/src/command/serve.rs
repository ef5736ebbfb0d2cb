//! `debridfs serve` and `debridfs keeper`: the half that holds the mount. No async runtime, no network.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use debridfs_base::with_causes;
use debridfs_doctor::{Check, Outcome};
use debridfs_keeper::{KeeperError, KeeperOptions, Level, Limits, Mode, Owner};
use debridfs_preflight as preflight;

use super::doctor::require_fuse;
use super::end_with;
use crate::failure::{Doing, Failure, IN_USE, USAGE};
use crate::logging;
use debridfs_config::{Config, Environment, KeeperMode, Loaded};

/// Arguments of `serve` and `keeper`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The process that started this one: it ends with that.
    #[arg(long, hide = true, value_name = "PID")]
    pub parent: Option<i32>,
}

/// Arguments of `keeper`.
#[derive(Debug, Args)]
pub struct KeeperArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// Only ask the running keeper whether it holds the mount; exits with 0 if it does. For readiness probes.
    #[arg(long)]
    probe: bool,
}

/// Mounts and serves, with an engine as a child unless the configuration says otherwise.
pub fn run(args: &ServeArgs, file: Option<&Path>) -> Result<(), Failure> {
    keep(args, file, None)
}

/// Mounts, and waits for engines that others start.
pub fn run_attached(args: &KeeperArgs, file: Option<&Path>) -> Result<(), Failure> {
    if args.probe {
        return probe(&debridfs_config::load(file, &Environment::of_process())?.config);
    }
    // `supervise` starts it as /proc/self/exe, and it would be called `exe` in every list of processes.
    rustix::thread::set_name(c"debridfs-keeper").doing(|| "process name".into())?;
    keep(&args.serve, file, Some(KeeperMode::Attached))
}

fn probe(config: &Config) -> Result<(), Failure> {
    let status = debridfs_handover::status(&config.keeper_socket(), ANSWER)
        .map_err(|error| Failure::new(with_causes(&error), Some("start the keeper")))?;
    if status.mounted {
        return Ok(());
    }
    let (reason, help) =
        (status.mount_trouble).map_or_else(Default::default, |one| (one.reason, one.help));
    let words = format!("{} is not mounted: {reason}", status.mount.display());
    Err(Failure::new(words, Some(&help)))
}

fn keep(args: &ServeArgs, file: Option<&Path>, mode: Option<KeeperMode>) -> Result<(), Failure> {
    if let Some(pid) = args.parent {
        end_with(pid)?;
    }
    close()?;
    let loaded = debridfs_config::load(file, &Environment::of_process())?;
    let config = &loaded.config;
    logging::start(&config.log)?;
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
    let mode = match mode.unwrap_or(config.keeper.mode) {
        KeeperMode::Attached => Mode::Attached,
        KeeperMode::Child => {
            // A mistake is told here, once, rather than by engine after engine.
            require_providers(config)?;
            Mode::Child {
                command: engine_command(&loaded)?,
                installed: installed()?,
            }
        }
    };
    if config.fuse.required {
        require_fuse()?;
    }
    refuse_second(config)?;
    let owner = owner(config);
    debridfs_keeper::keep_from_children().doing(|| "/proc/self/fd".into())?;
    // An attached engine looks for itself, and this is before anything of another instance's changes hands.
    if matches!(mode, Mode::Child { .. }) {
        require_alone(config, owner)?;
    }
    preflight::prepare(config, owner)?;
    if matches!(mode, Mode::Child { .. }) {
        require_files(config, owner)?;
    }
    if let (Some(owner), Some(file)) = (owner, &loaded.file) {
        warn_unless_readable(file, owner);
    }
    keep_needed_privileges()?;
    let mut options = KeeperOptions::new(config.mount.path.clone(), config.keeper_socket(), mode);
    options.owner = owner;
    options.mount_required = config.fuse.required;
    options.allow_other = config.mount.allow_other;
    options.immutable = config.mount.immutable;
    options.threads = config.keeper.threads;
    options.recovery = config.keeper.recovery;
    options.service_manager = true;
    options.refused = Some(IN_USE.into());
    options.limits = Limits {
        deadline: config.mount.read_deadline.0,
        heartbeat: config.keeper.hang_limit.0,
        linger: config.keeper.linger.0,
        ..Limits::default()
    };
    options.log = Box::new(|level, line| match level {
        Level::Error => tracing::error!("{line}"),
        Level::Warn => tracing::warn!("{line}"),
        Level::Info => tracing::info!("{line}"),
    });
    debridfs_keeper::run(options).map_err(|error| explained(&error, config))
}

/// Refuses to start without what no engine could start without either, which would be started again for ever. The rest is warned of.
fn require_files(config: &Config, owner: Option<Owner>) -> Result<(), Failure> {
    let checks = preflight::checks(&preflight::named(config), owner);
    let (needed, rest): (Vec<Check>, Vec<Check>) = checks
        .into_iter()
        .filter(|check| check.outcome != Outcome::Ok)
        .partition(|check| check.outcome == Outcome::Failed && check.name.starts_with("provider."));
    for check in rest {
        let fix = check.fix.unwrap_or_default();
        tracing::warn!(fix, "{}: {}", check.name, check.seen);
    }
    match Failure::of_checks(needed.iter()) {
        Some(failure) => Err(failure.with_code(USAGE)),
        None => Ok(()),
    }
}

/// Refuses to start where another instance has a directory of this one. Of two that start at the same moment, the engine of the second is refused,
/// and its keeper ends with it ([`IN_USE`]).
fn require_alone(config: &Config, owner: Option<Owner>) -> Result<(), Failure> {
    let checks = preflight::checks(&preflight::alone(config), owner);
    let failed = checks.iter().filter(|one| one.outcome == Outcome::Failed);
    match Failure::of_checks(failed) {
        Some(failure) => Err(failure.with_code(IN_USE)),
        None => Ok(()),
    }
}

/// A keeper that does not answer within this time is left to be found out by its socket.
const ANSWER: Duration = Duration::from_secs(2);

/// Refuses to start where an instance runs already, before anything of it is touched.
fn refuse_second(config: &Config) -> Result<(), Failure> {
    let Ok(running) = debridfs_handover::status(&config.keeper_socket(), ANSWER) else {
        return Ok(());
    };
    Err(already_running(Some(running.keeper_pid), &running.mount))
}

fn already_running(pid: Option<u32>, mount: &Path) -> Failure {
    let pid = pid.map_or_else(String::new, |pid| format!(" as pid {pid}"));
    let message = format!("already running{pid}, mounted at {}", mount.display());
    let help = "`debridfs status` tells how it does, `debridfs upgrade` replaces its engine; a second instance needs a `runtime_dir`, a `state_dir` and a `mount.path` of its own";
    Failure::new(message, Some(help))
}

/// Why there is no keeper, with what to do.
fn explained(error: &KeeperError, config: &Config) -> Failure {
    match error {
        // With another `runtime_dir`.
        KeeperError::AlreadyMounted(mount) => already_running(keeper_of_another(), mount),
        // It has begun since this one looked.
        KeeperError::AlreadyListening(_) => refuse_second(config)
            .err()
            .unwrap_or_else(|| already_running(keeper_of_another(), &config.mount.path)),
        // The engine has said whose it is, and what to do.
        KeeperError::Refused => Failure::silent(IN_USE),
        KeeperError::MountPoint { .. } | KeeperError::Foreign { .. } => {
            Failure::new(with_causes(error), Some(MOUNT_POINT))
        }
        error => {
            let help = "`debridfs doctor` checks the machine and names the fix";
            Failure::new(with_causes(error), Some(help))
        }
    }
}

/// What to do about a mount point that is of no use.
const MOUNT_POINT: &str = "`mount.path` has to name a directory, or nothing yet: set another one, or move away (`umount`) what is there";

/// The first process but this that goes by the name of a keeper.
fn keeper_of_another() -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut keepers: Vec<u32> = processes
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            let mut words = command.split(|byte| *byte == 0);
            let keeps = words.any(|word| word == b"serve" || word == b"keeper");
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            (keeps && name.starts_with("debridfs") && pid != std::process::id()).then_some(pid)
        })
        .collect();
    keepers.sort_unstable();
    keepers.first().copied()
}

/// Refuses to start without an account, or with settings that no engine could use.
pub fn require_providers(config: &Config) -> Result<(), Failure> {
    if config.provider.is_empty() {
        let unread = match std::env::var_os("RD_TOKEN") {
            Some(_) => "RD_TOKEN is for compose.yaml alone: ",
            None => "",
        };
        let help = format!(
            "{unread}export DEBRIDFS__PROVIDER__RD__TOKEN=… (https://real-debrid.com/apitoken), or add [provider.rd] with token_file; \
             `debridfs demo` needs none"
        );
        return Err(Failure::new("no provider is configured", Some(&help)).with_code(USAGE));
    }
    for (name, provider) in &config.provider {
        provider.validate().map_err(|error| {
            let help = match error.key.contains("_file") {
                true => format!("make it, or correct `provider.{name}.{}`", error.key),
                false => "correct it; `debridfs config check` looks again".to_owned(),
            };
            Failure::new(error.to_string(), Some(&help)).with_code(USAGE)
        })?;
    }
    Ok(())
}

/// The same program as the engine: by its open file, so that it still is when the file has been replaced.
fn engine_command(loaded: &Loaded) -> Result<Vec<OsString>, Failure> {
    let mut command: Vec<OsString> = vec!["/proc/self/exe".into()];
    if let Some(file) = &loaded.file {
        let file = fs::canonicalize(file).doing(|| file.display().to_string())?;
        command.extend(["--config".into(), file.into()]);
    }
    command.extend(["engine".into(), "--child".into()]);
    if rustix::process::geteuid().is_root() {
        command.push("--by-root".into());
    }
    Ok(command)
}

/// Where the program is installed, also when another file has been put there since it was started.
fn installed() -> Result<PathBuf, Failure> {
    let path = std::env::current_exe().doing(|| "/proc/self/exe".into())?;
    // What the kernel adds to the name of a file that has been unlinked (proc_pid_exe(5)).
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Ok(OsStr::from_bytes(bytes).into())
}

/// Whom the engine runs as when root starts it, nothing else is said, and the machine has no user for it: nobody in particular, but never root.
const ENGINE_USER: Owner = Owner {
    uid: 65_534,
    gid: 65_534,
};

/// The user that `deploy/systemd/debridfs.sysusers` makes. That of 65534 is everybody's who has none of his own.
const OWN_USER: &str = "debridfs";

/// Whom the engine runs as when root starts it and nothing else is said.
pub fn default_owner() -> Owner {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    own_user(&users).unwrap_or(ENGINE_USER)
}

/// The engine's own user among those of passwd(5).
fn own_user(users: &str) -> Option<Owner> {
    let line = users.lines().find_map(|line| {
        let (name, rest) = line.split_once(':')?;
        (name == OWN_USER).then_some(rest)
    })?;
    let mut fields = line.split(':').skip(1);
    let uid = fields.next()?.parse().ok().filter(|uid| *uid != 0)?;
    let gid = fields.next()?.parse().ok()?;
    Some(Owner { uid, gid })
}

/// Whom the engine runs as; only root can choose.
pub fn owner(config: &Config) -> Option<Owner> {
    let keeper = &config.keeper;
    rustix::process::geteuid()
        .is_root()
        .then(|| match keeper.engine_uid {
            Some(uid) => Owner {
                uid,
                gid: keeper.engine_gid.unwrap_or(uid),
            },
            None => Owner {
                gid: keeper.engine_gid.unwrap_or(default_owner().gid),
                ..default_owner()
            },
        })
}

/// The engine reads the configuration itself, so that it can be replaced together with it.
fn warn_unless_readable(file: &Path, owner: Owner) {
    // By the mode alone: it is a hint, and the engine says for itself what it cannot read.
    let readable = |found: fs::Metadata| {
        let mode = found.mode();
        owner.uid == 0
            || mode & 0o004 != 0
            || (found.gid() == owner.gid && mode & 0o040 != 0)
            || (found.uid() == owner.uid && mode & 0o400 != 0)
    };
    if !fs::metadata(file).is_ok_and(readable) {
        tracing::warn!(
            "the engine runs as user {} (PUID) and may be unable to read {}: `chown {}:{}` it",
            owner.uid,
            file.display(),
            owner.uid,
            owner.gid,
        );
    }
}

/// What holds whatever started this process; `deploy/systemd` says it as well. No core dump, which could hold a token and takes its time, no look into
/// it by others of its user, and for root no way to more privileges than it has: programs that it starts are an engine and helpers. Without root
/// `fusermount3` needs that way.
fn close() -> Result<(), Failure> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).doing(|| "core dump limit".into())?;
    debridfs_confine::close_to_others().doing(|| "closing /proc to others".into())?;
    if rustix::process::geteuid().is_root() {
        rustix::thread::set_no_new_privs(true).doing(|| "no_new_privs".into())?;
    }
    Ok(())
}

/// From here on the keeper has the capabilities that it needs, and no others.
fn keep_needed_privileges() -> Result<(), Failure> {
    let kept = debridfs_confine::keep_needed().doing(|| "giving up capabilities".into())?;
    if !kept.missing.is_empty() {
        let missing = kept.missing.join(", ");
        tracing::info!(
            "some things cannot be done without capabilities: {missing} (docs/security.md)"
        );
    }
    if kept.bounding_stays {
        tracing::info!("the bounding set of capabilities stays as it is: CAP_SETPCAP is missing");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_own_user_is_found_by_its_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\ndebridfs2:x:7:8::/:\ndebridfs:x:998:997:debridfs engine:/:/usr/sbin/nologin\n";
        let owner = Owner { uid: 998, gid: 997 };
        assert_eq!(own_user(users), Some(owner));
        assert_eq!(own_user("debridfs:x:0:0::/:\n"), None);
        assert_eq!(own_user("debridfs\ndebridfs:x\n"), None);
    }
}
