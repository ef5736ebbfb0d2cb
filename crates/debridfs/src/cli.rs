//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use debridfs_measure::BenchCommand;
use debridfs_preflight::{OwnDirectoriesArgs, TryAsUserArgs};

use crate::command::backend::BackendCommand;
use crate::command::cache::CacheCommand;
use crate::command::completions::CompletionsArgs;
use crate::command::config::ConfigCommand;
use crate::command::demo::DemoArgs;
use crate::command::doctor::DoctorArgs;
use crate::command::engine::EngineArgs;
use crate::command::import::ImportCommand;
use crate::command::library::LibraryCommand;
use crate::command::mount_probe::MountProbeArgs;
use crate::command::mounts::MountsArgs;
use crate::command::propagation_test::PropagationCommand;
use crate::command::provider::ProviderCommand;
use crate::command::queue::QueueCommand;
use crate::command::repair::RepairCommand;
use crate::command::serve::{KeeperArgs, ServeArgs};
use crate::command::sim::SimArgs;
use crate::command::supervise::SuperviseArgs;
use crate::command::token::TokenCommand;
use crate::command::trace::TraceCommand;
use crate::command::uninstall::UninstallArgs;
use crate::command::why::WhyArgs;
use crate::instance::{InstanceArgs, ReportArgs};

/// Your debrid account as a file system that never goes away.
#[derive(Debug, Parser)]
#[command(
    name = "debridfs",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_long_help = "\
First steps:
  debridfs demo                      try it with a simulated account; Ctrl-C leaves nothing behind
  debridfs doctor                    check this machine, with the fix for anything missing
  export DEBRIDFS__PROVIDER__RD__TOKEN=…
  debridfs serve                     mount the account at /mnt/dfs
  debridfs status                    show the state of the running instance

Configuration is one TOML file (--config, DEBRIDFS_CONFIG, /etc/debridfs/config.toml as root,
~/.config/debridfs/config.toml otherwise); every key can be set by a variable as well:
[mount] path = … is DEBRIDFS__MOUNT__PATH."
)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "DEBRIDFS_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Mount the account and serve it.
    #[command(
        long_about = "\
Mount the account and serve it until SIGTERM or SIGINT.

Two processes do this: the keeper holds the mount and is never restarted; the engine does the rest. \
Whenever the engine ends, the keeper starts another one, and readers go on. When root starts it, \
the engine runs as PUID:PGID, or without these as the user debridfs, or as 65534.",
        after_long_help = "\
Examples:
  DEBRIDFS__PROVIDER__RD__TOKEN=… debridfs serve
  debridfs serve --config debridfs.toml
  DEBRIDFS__MOUNT__PATH=$HOME/dfs DEBRIDFS__MOUNT__ALLOW_OTHER=false debridfs serve   # as a user"
    )]
    Serve(ServeArgs),
    /// Hold the mount only; an engine attaches to it.
    #[command(long_about = "\
Hold the mount only, and lend it to an engine that attaches (`debridfs engine` with the same \
runtime_dir). Run it in a container of its own, so that the engine's container can be upgraded while readers wait.")]
    Keeper(KeeperArgs),
    /// Serve a mount that a keeper holds.
    #[command(long_about = "\
Serve a mount that a keeper holds (`debridfs keeper` with the same runtime_dir). Waits until the \
keeper is there and no other engine runs; attaches again when it lost the mount.")]
    Engine(EngineArgs),
    /// Run as process 1 of a container: restart a command whenever it crashes.
    #[command(
        long_about = "\
Start a command, and restart it at once whenever it crashes, so that a crash does not end the \
container: its runtime would wait longer before each restart. Forwards signals. Ends with the \
command when that was told to end, or found its configuration wrong. Gives up a command that has \
only crashed at its start for 5 minutes.",
        after_long_help = "\
Examples:
  debridfs supervise keeper
  debridfs --config /etc/debridfs/config.toml supervise engine"
    )]
    Supervise(SuperviseArgs),
    /// Try it with a simulated account.
    #[command(
        long_about = "\
Mount a simulated account with playable films. Prints `ready DIR` when the library can be browsed, \
then things to try. SIGINT or SIGTERM leaves no mount, no process and no file behind.

With a token in DEBRIDFS__PROVIDER__RD__TOKEN it mounts that real account instead.",
        after_long_help = "\
Examples:
  debridfs demo
  debridfs demo --mount /tmp/films --files 100000"
    )]
    Demo(DemoArgs),
    /// Run the simulated provider alone.
    #[command(
        long_about = "\
Run a simulated provider and its CDN alone. Prints its base URL, a token and (with --tls) the \
file of its CA, so that curl, rclone or another debrid client can be pointed at it. Faults and \
counters are under /control/.",
        after_long_help = "\
Examples:
  debridfs sim --listen 127.0.0.1:9000
  debridfs sim --listen 127.0.0.1:9443 --tls --library 3000"
    )]
    Sim(SimArgs),
    /// Show the state of a running instance.
    #[command(after_long_help = "\
Exits with 0 when all is well, 1 when something is wrong, 3 when there is no answer.

Examples:
  debridfs status
  debridfs status --json | jq .engine.pid
  DEBRIDFS_CONTROL=/run/debridfs/control.sock debridfs status")]
    Status(ReportArgs),
    /// Tell why a file or release cannot be read.
    #[command(
        long_about = "\
Tell why a file or release cannot be read: its state, what happened to it lately, and what to do. \
Asks the running instance, never the provider, and does not touch the mount.",
        after_long_help = "\
PATH is below the mount (also as another host or container sees it), relative to its root or to
__all__, or a symbolic link that leads there. Exits with 0 when nothing prevents reading it,
1 when it cannot be read or there is no such path, 3 when there is no answer.

Examples:
  debridfs why /mnt/dfs/__all__/Film.2024/Film.2024.mkv
  debridfs why Film.2024
  debridfs why 0123456789abcdef0123456789abcdef01234567
  debridfs why /mnt/downloads/tv/Film.2024
  debridfs why --json /media/films/Film.mkv | jq .files[0].events"
    )]
    Why(WhyArgs),
    /// Replace the engine by the currently installed program.
    #[command(
        long_about = "\
Replace the engine of a running `debridfs serve` by the currently installed program and settings, \
without a gap: the new engine loads the library beside the old one and takes over when it is ready. \
If anything goes wrong, the old program serves on. SIGHUP to `debridfs serve` does the same.

An attached engine is replaced by starting the new one with `debridfs engine --replace`.",
        after_long_help = "\
Example:
  install debridfs.new /usr/local/bin/debridfs && debridfs upgrade"
    )]
    Upgrade(InstanceArgs),
    /// Remove the mount point that a stopped instance leaves.
    #[command(long_about = "\
Remove the mount point. An instance that stops leaves it, closed (mode 0000) and immutable, so that \
no program takes it for an empty library or fills the disk below it until the next one starts. \
State, cache and configuration stay; their paths are printed.")]
    Uninstall(UninstallArgs),
    /// Check this machine, and name the fix for anything missing.
    #[command(after_long_help = "\
Exits with 0 when nothing prevents serving, 1 otherwise.

Examples:
  debridfs doctor
  debridfs doctor --path /mnt                   do mounts made there reach containers?
  debridfs doctor --path /mnt --fix             make it a shared mount if it is not
  debridfs doctor --node --json | jq '.checks[] | select(.outcome != \"ok\")'")]
    Doctor(DoctorArgs),
    /// Test whether a mount made in one container reaches the others.
    #[command(
        subcommand,
        long_about = "\
Test whether a FUSE mount that is made in one container reaches the others. The test uses a real \
mount that shows one file with a nonce, for every way in which people bind a library, as several \
users, while the producer dies and returns. Every failure has a code, a cause and a fix; nothing is \
left behind.

The last line begins with SUCCESS: or FAILURE:. Exits with 0 on success, 1 otherwise.",
        after_long_help = "\
Examples:
  debridfs propagation-test run                    the whole test on this host
  debridfs propagation-test run --path /mnt --json
  debridfs propagation-test cri --path /mnt        the same in this node's containers
In real containers, each with /mnt/test as a volume:
  debridfs propagation-test host set-up --dir /mnt/test
  debridfs propagation-test producer --dir /mnt/test             Bidirectional, privileged
  debridfs propagation-test consumer --dir /mnt/test             HostToContainer
  debridfs propagation-test host clean --dir /mnt/test"
    )]
    PropagationTest(PropagationCommand),
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Move in from decypharr, zurg or rdt-client.
    #[command(
        subcommand,
        long_about = "\
Read the configuration of another program and convert it to one for debridfs that keeps all paths, so \
that symlinks still work and media servers notice nothing. Shows what is carried over, what is not, and \
why. Writes nothing without --write."
    )]
    Import(ImportCommand),
    /// Downloads for arrs: list, add, remove.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Tokens for files over HTTP: list, make, revoke.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Serve language models over standard input and output (Model Context Protocol).
    #[command(long_about = "\
A read-only server of the Model Context Protocol on standard input and output, with the tools \
browse, why, status and queue. A client starts it. It asks the running engine, and answers with \
errors while there is none. The same server is at /mcp over HTTP (docs/api.md).")]
    Mcp(InstanceArgs),
    /// Print how other machines mount the NFS exports.
    #[command(
        long_about = "\
Print how other machines mount the NFS exports: the command, an /etc/fstab line, a systemd unit, a \
Kubernetes volume, macOS, and players. Reads only the configuration.",
        after_long_help = "\
Examples:
  debridfs mounts
  debridfs mounts --host 192.168.1.10 --at /mnt/dfs media"
    )]
    Mounts(MountsArgs),
    /// Releases that cannot be read: list, check, repair.
    #[command(subcommand)]
    Repair(RepairCommand),
    /// Accounts: list, test, move releases, end a pause.
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Accept a held loss of releases.
    #[command(subcommand)]
    Library(LibraryCommand),
    /// Record what programs read, and summarise it.
    #[command(subcommand)]
    Trace(TraceCommand),
    /// Show or switch the backend that decodes the kernel's requests.
    #[command(subcommand)]
    Backend(BackendCommand),
    /// Measure any directory, and compare two runs.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// The cache on disk: list, fill, pin, remove.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Print shell completions.
    #[command(after_long_help = "\
Example:
  debridfs completions bash > /etc/bash_completion.d/debridfs")]
    Completions(CompletionsArgs),
    /// Do one thing of a propagation test.
    #[command(hide = true)]
    PropagationHelper {
        /// The process that started this one, without which it is of no use.
        #[arg(long)]
        parent: Option<i32>,
        /// What to do, as JSON.
        description: String,
    },
    /// Do one operation of `bench run`.
    #[command(hide = true)]
    BenchWorker {
        /// What to do, as JSON.
        job: PathBuf,
    },
    /// Tell the kernel what its caches have to forget.
    #[command(hide = true)]
    NotifyHelper,
    /// Make directories, and make them somebody's own.
    #[command(hide = true)]
    OwnDirectories(OwnDirectoriesArgs),
    /// Try one thing as the engine's user.
    #[command(hide = true)]
    TryAsUser(TryAsUserArgs),
    /// Look through the mount once.
    #[command(hide = true)]
    MountProbe(MountProbeArgs),
}
