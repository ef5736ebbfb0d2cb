//! `debridfs propagation-test`: arguments, signals and output around the test itself.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use debridfs_base::mountinfo;
use debridfs_base::terminal::{escaped_json, escaped_lines};
use debridfs_propagation::{
    self as test, Recorder, Report, RoleSettings, RuntimeSettings, Settings, Until,
};
use tokio::signal::unix::{SignalKind, signal};

use super::runtime;
use crate::failure::{Doing, Failure, USAGE};
use debridfs_config::Environment;

/// `propagation-test …`.
#[derive(Debug, Subcommand)]
pub enum PropagationCommand {
    /// Run the whole test on this host, with mount namespaces as containers.
    Run(PropagationRunArgs),
    /// Run the whole test in containers of this node's container runtime.
    #[command(
        long_about = "\
Run the whole test in containers that this node's runtime starts as it does for the kubelet. So the test \
includes what the runtime does with volumes, devices, capabilities and system calls. Nothing is fetched: \
this program, which has to be a static build, is bound into containers of an image that is already on the \
node. Run it as root on the node.",
        after_long_help = "\
Examples:
  debridfs propagation-test cri --path /mnt
  debridfs propagation-test cri --socket /run/k3s/containerd/containerd.sock --path /mnt --json"
    )]
    Cri {
        /// The runtime's CRI socket.
        #[arg(
            long,
            value_name = "PATH",
            default_value = "/run/containerd/containerd.sock"
        )]
        socket: PathBuf,
        /// The image of the containers; one for `pause`, which every node has, when absent.
        #[arg(long, value_name = "NAME")]
        image: Option<String>,
        /// The rest.
        #[command(flatten)]
        run: PropagationRunArgs,
    },
    /// Run the host's part: before, while and after the other two run in containers.
    Host {
        /// Which step.
        #[arg(value_enum)]
        step: HostStep,
        /// Work among the mounts of this process: 1 is the node's, in a privileged container that sees
        /// the node's processes (`hostPID`).
        #[arg(long, value_name = "PID")]
        mounts_of: Option<u32>,
        /// The directory at or above `--dir` that has to be shared: the one that containers of the
        /// instance bind; the parent of the configured mount when absent and `--dir` lies in it.
        #[arg(long, value_name = "DIR")]
        share_of: Option<PathBuf>,
        /// Where, and how long.
        #[command(flatten)]
        role: PropagationRoleArgs,
    },
    /// Run the producer's part in one container: mount and serve the marker until SIGTERM.
    Producer {
        /// Where, and how long.
        #[command(flatten)]
        role: PropagationRoleArgs,
        /// Mount as with `mount.allow_other = false`.
        #[arg(long)]
        no_allow_other: bool,
    },
    /// Run a consumer's part in one container: wait for the marker and check it.
    Consumer {
        /// Where, and how long.
        #[command(flatten)]
        role: PropagationRoleArgs,
        /// How far to go.
        #[arg(long, value_enum, default_value_t = UntilArg::Marker)]
        until: UntilArg,
        /// The directory is the mount point itself, not its parent.
        #[arg(long)]
        mount_point: bool,
    },
}

/// A step of the host's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HostStep {
    /// Check that the directory is shared, make the mount point.
    SetUp,
    /// Wait until the producer's marker is seen on the host.
    Look,
    /// Remove what is left.
    Clean,
    /// Set up, wait for SIGTERM, and then remove what the producer leaves.
    Stay,
}

/// How far a consumer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UntilArg {
    /// The marker is seen.
    Marker,
    /// Then the producer stops, and its mount is gone.
    Gone,
    /// Then another producer's marker is seen.
    Restart,
}

/// What a part of the test is told.
#[derive(Debug, Args)]
pub struct PropagationRoleArgs {
    /// The directory that host, producer and consumers share; it must not contain anything else.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The rest.
    #[command(flatten)]
    pub common: PropagationArgs,
}

/// What all parts of the test are told.
#[derive(Debug, Args)]
pub struct PropagationArgs {
    /// How long to wait for the marker, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    pub wait: f64,
    /// Report as JSON on standard output; the log goes to standard error.
    #[arg(long)]
    pub json: bool,
}

/// A number of seconds that makes a limit.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 0 to 86400".into()),
    }
}

/// Arguments of `propagation-test run`.
#[derive(Debug, Args)]
pub struct PropagationRunArgs {
    /// The directory that containers would bind; the parent of the configured mount when absent. A
    /// directory for the test is made in it, and removed at the end.
    #[arg(long, visible_alias = "share-of", value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// Mount as with `mount.allow_other = false`.
    #[arg(long)]
    pub no_allow_other: bool,
    /// The rest.
    #[command(flatten)]
    pub common: PropagationArgs,
}

/// Runs a part of the test. Ends with 1 when it fails.
pub fn run(command: &PropagationCommand, file: Option<&Path>) -> Result<(), Failure> {
    if let PropagationCommand::Host {
        mounts_of: Some(pid),
        ..
    } = command
    {
        // While there is one thread.
        test::enter_mounts_of(*pid).doing(|| format!("mounts of process {pid}"))?;
    }
    // One thread: helpers are told to end with the thread that started them.
    runtime()?.block_on(async {
        match command {
            PropagationCommand::Run(args) => whole(args, None, file).await,
            PropagationCommand::Cri { socket, image, run } => {
                let program = std::env::current_exe().doing(|| "/proc/self/exe".into())?;
                let runtime = RuntimeSettings {
                    socket: socket.clone(),
                    image: image.clone(),
                    program,
                };
                whole(run, Some(runtime), file).await
            }
            PropagationCommand::Host {
                step,
                role,
                share_of,
                ..
            } => {
                let settings = RoleSettings {
                    share_of: shared(share_of.as_deref(), &role.dir, file)?,
                    ..settings_of(role)
                };
                host(*step, settings, &role.common).await
            }
            PropagationCommand::Producer {
                role,
                no_allow_other,
            } => {
                let settings = RoleSettings {
                    allow_other: !no_allow_other,
                    ..settings_of(role)
                };
                let record = Recorder::new(shown(&role.common));
                let stop = stop_signal().doing(|| "signals".into())?;
                let report = test::produce(settings, record, stop).await;
                conclude(&report, &role.common)
            }
            PropagationCommand::Consumer {
                role,
                until,
                mount_point,
            } => {
                let settings = RoleSettings {
                    is_mount_point: *mount_point,
                    ..settings_of(role)
                };
                let until = match until {
                    UntilArg::Marker => Until::Marker,
                    UntilArg::Gone => Until::Gone,
                    UntilArg::Restart => Until::Restart,
                };
                let record = Recorder::new(shown(&role.common));
                let stop = stop_signal().doing(|| "signals".into())?;
                let report = test::consume(settings, until, record, stop).await;
                conclude(&report, &role.common)
            }
        }
    })
}

async fn host(
    step: HostStep,
    settings: RoleSettings,
    common: &PropagationArgs,
) -> Result<(), Failure> {
    let record = Recorder::new(shown(common));
    let report = match step {
        HostStep::SetUp => test::set_up_host(settings, record),
        HostStep::Look => test::look_on_host(settings, record).await,
        HostStep::Clean => test::clean_host(settings, record),
        HostStep::Stay => {
            let stop = stop_signal().doing(|| "signals".into())?;
            test::stay_on_host(settings, record, stop).await
        }
    };
    conclude(&report, common)
}

/// The directory that has to be shared for what `dir` shows to be true of the instance.
fn shared(named: Option<&Path>, dir: &Path, file: Option<&Path>) -> Result<PathBuf, Failure> {
    match named {
        Some(named) if dir.starts_with(named) => Ok(named.into()),
        Some(named) => {
            let message = format!("{} is not in {}", dir.display(), named.display());
            let help = "`--dir` is a directory in the one that `--share-of` names";
            Err(Failure::new(message, Some(help)).with_code(USAGE))
        }
        None => {
            let parent = configured(file)?;
            let below = dir.starts_with(&parent);
            Ok(if below { parent } else { dir.into() })
        }
    }
}

fn helper() -> Vec<OsString> {
    vec!["/proc/self/exe".into(), "propagation-helper".into()]
}

fn settings_of(role: &PropagationRoleArgs) -> RoleSettings {
    RoleSettings {
        helper: helper(),
        dir: role.dir.clone(),
        share_of: role.dir.clone(),
        is_mount_point: false,
        wait: Duration::from_secs_f64(role.common.wait),
        allow_other: true,
    }
}

async fn whole(
    args: &PropagationRunArgs,
    runtime: Option<RuntimeSettings>,
    file: Option<&Path>,
) -> Result<(), Failure> {
    let dir = match &args.path {
        Some(dir) => dir.clone(),
        None => configured(file)?,
    };
    let refused = |why: &str| {
        let message = format!("{} {why}", dir.display());
        let help = "name the directory that containers bind, above the mount point: `--path DIR`";
        Failure::new(message, Some(help)).with_code(USAGE)
    };
    // Before anything touches it.
    if on_live_service(&dir).doing(|| "/proc/self/mountinfo".into())? {
        return Err(refused("lies on a FUSE or network mount"));
    }
    if !dir.is_dir() {
        return Err(refused("is not a directory"));
    }
    let settings = Settings {
        helper: helper(),
        dir,
        wait: Duration::from_secs_f64(args.common.wait),
        allow_other: !args.no_allow_other,
        runtime,
    };
    let stop = stop_signal().doing(|| "signals".into())?;
    let record = Recorder::new(shown(&args.common));
    let report = test::run(settings, record, stop).await;
    conclude(&report, &args.common)
}

fn on_live_service(dir: &Path) -> std::io::Result<bool> {
    let dir = std::path::absolute(dir)?;
    let mounts = mountinfo::read()?;
    let on = mountinfo::containing(&mounts, &dir);
    Ok(on.is_some_and(mountinfo::Mount::is_live_service))
}

/// The parent of the configured mount: what the documents tell people to bind.
fn configured(file: Option<&Path>) -> Result<PathBuf, Failure> {
    let mount = debridfs_config::load(file, &Environment::of_process())?
        .config
        .mount
        .path;
    Ok(mount.parent().unwrap_or(&mount).to_path_buf())
}

/// Ends when somebody wants the test to end.
fn stop_signal() -> std::io::Result<impl Future<Output = String>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hangup.recv() => "SIGHUP",
        };
        format!("ended by {name}")
    })
}

/// Shows the log as it grows.
fn shown(args: &PropagationArgs) -> Box<dyn Fn(&test::Step) + Send> {
    // Nobody may be listening any more; the test goes on and cleans up.
    if args.json {
        Box::new(|step| {
            drop(writeln!(
                std::io::stderr(),
                "{}",
                escaped_lines(&step.to_string())
            ))
        })
    } else {
        Box::new(|step| {
            drop(writeln!(
                std::io::stdout(),
                "{}",
                escaped_lines(&step.to_string())
            ))
        })
    }
}

fn conclude(report: &Report, args: &PropagationArgs) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    let text = if args.json {
        serde_json::to_string_pretty(report).doing(|| "report".into())?
    } else {
        report.conclusion()
    };
    // As above.
    let text = match args.json {
        true => escaped_json(&text),
        false => escaped_lines(&text),
    };
    let _ = writeln!(out, "{text}");
    if report.ok {
        Ok(())
    } else {
        Err(Failure::silent(1))
    }
}
