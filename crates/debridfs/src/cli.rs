//! The command line.

mod repair;
mod token;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::token::TokenCommand;
pub use repair::RepairCommand;

use crate::import::ImportCommand;

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
  debridfs doctor                    check this machine, with the fix for whatever is missing
  export DEBRIDFS__PROVIDER__RD__TOKEN=…
  debridfs serve                     mount the account at /mnt/dfs
  debridfs status                    how it does

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
When the engine ends for whatever reason, the keeper starts another one, and readers go on. \
When root starts it, the engine runs as PUID:PGID, or as 65534 without these variables.",
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
runtime_dir). Run it in a container of its own: then the engine's can be upgraded under readers.")]
    Keeper(ServeArgs),
    /// Serve a mount that a keeper holds.
    #[command(long_about = "\
Serve a mount that a keeper holds (`debridfs keeper` with the same runtime_dir). Waits until the \
keeper is there and no other engine lives; takes the mount again when it was lost.")]
    Engine(EngineArgs),
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
Run the simulated Real-Debrid and its CDN alone. Prints its base URL, a token and (with --tls) the \
file of its CA, so that curl, rclone or another debrid client can be pointed at it. Faults and \
counters are under /control/.",
        after_long_help = "\
Examples:
  debridfs sim --listen 127.0.0.1:9000
  debridfs sim --listen 127.0.0.1:9443 --tls --library 3000"
    )]
    Sim(SimArgs),
    /// Tell how a running instance does.
    #[command(after_long_help = "\
Ends with 0 when all is well, 1 when something is wrong, 3 when nobody answers.

Examples:
  debridfs status
  debridfs status --json | jq .engine.pid
  DEBRIDFS_CONTROL=/run/debridfs/control.sock debridfs status")]
    Status(StatusArgs),
    /// Tell why a file or release cannot be read.
    #[command(
        long_about = "\
Tell why a file or release cannot be read: how it stands, what happened to it lately, and what to do. \
Asks the running instance, never the provider, and does not touch the mount.",
        after_long_help = "\
PATH is below the mount (also as another host or container sees it), relative to its root or to
__all__, or a symbolic link that leads there. Ends with 0 when nothing speaks against reading it,
1 when it cannot be read or there is no such path, 3 when nobody answers.

Examples:
  debridfs why /mnt/dfs/__all__/Film.2024/Film.2024.mkv
  debridfs why Film.2024
  debridfs why --json /media/films/Film.mkv | jq .files[0].events"
    )]
    Why(WhyArgs),
    /// Replace the engine by the program as it is installed now.
    #[command(
        long_about = "\
Replace the engine of a running `debridfs serve` by the program (and settings) as installed now, \
without a gap: the new engine loads the library beside the old one and takes over when it is ready. \
If anything goes wrong, the old program serves on. SIGHUP to `debridfs serve` does the same.

An attached engine is replaced by starting the new one with `debridfs engine --replace`.",
        after_long_help = "\
Example:
  install debridfs.new /usr/local/bin/debridfs && debridfs upgrade"
    )]
    Upgrade(InstanceArgs),
    /// Check this machine, with the fix for whatever is missing.
    #[command(after_long_help = "\
Ends with 0 when nothing is in the way, 1 otherwise.

Examples:
  debridfs doctor
  debridfs doctor --path /mnt                   does what is mounted there reach containers?
  debridfs doctor --path /mnt --fix             make it a shared mount if it is not
  debridfs doctor --node --json | jq '.checks[] | select(.outcome != \"ok\")'")]
    Doctor(DoctorArgs),
    /// Test whether a mount made in one container reaches the others.
    #[command(
        subcommand,
        long_about = "\
Test whether a FUSE mount that is made in one container reaches the others: with a real mount that \
shows one file with a nonce, for every way in which people bind a library, as several users, through \
the producer's death and return. Every failure has a code, a cause and a fix; nothing is left behind.

The last line begins with SUCCESS: or FAILURE:. Ends with 0 on success, 1 otherwise.",
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
Read the configuration of another program and make one of ours that keeps its paths, so that symlinks \
and media servers go on. Shows what is carried over and what is not, and why; writes nothing without --write."
    )]
    Import(ImportCommand),
    /// Downloads for arrs: list, add, remove.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Tokens for files over HTTP: list, make, revoke.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Releases that cannot be read: list, check, treat.
    #[command(subcommand)]
    Repair(RepairCommand),
    /// Decide about the library.
    #[command(subcommand)]
    Library(LibraryCommand),
    /// Record what programs read, and look at it.
    #[command(subcommand)]
    Trace(TraceCommand),
    /// Look into the cache on disk, fill it, and empty it.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Print shell completions.
    #[command(after_long_help = "\
Example:
  debridfs completions bash > /etc/bash_completion.d/debridfs")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Do one thing of a propagation test.
    #[command(hide = true)]
    PropagationHelper {
        /// What to do, as JSON.
        description: String,
    },
    /// Tell the kernel what its caches have to forget.
    #[command(hide = true)]
    NotifyHelper,
    /// Look through the mount once.
    #[command(hide = true)]
    MountProbe {
        /// The mount point.
        path: PathBuf,
    },
}

/// Arguments of the services.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// End when the process that started this one does.
    #[arg(long, hide = true)]
    pub die_with_parent: bool,
}

/// Arguments of `engine`.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Started by a keeper, which starts another one when this one ends.
    #[arg(long, hide = true)]
    pub child: bool,
    /// Take over from the engine that serves now, as soon as this one has loaded everything; that one ends.
    #[arg(long)]
    pub replace: bool,
    /// Print the profile of the system calls that an engine uses, for container runtimes, and end.
    #[arg(long)]
    pub print_seccomp_profile: bool,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where to mount; a directory of its own when absent. Made, and removed again, if it is missing.
    #[arg(long, value_name = "DIR")]
    pub mount: Option<PathBuf>,
    /// Address of health, metrics and pages.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// About how many files the simulated account holds.
    #[arg(long, value_name = "N")]
    pub files: Option<u64>,
    /// Another seed makes another library.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// Arguments of `sim`.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Serve HTTPS with a certificate of an own CA.
    #[arg(long)]
    pub tls: bool,
    /// What the account holds: `demo`, a number of torrents, or a JSON file.
    #[arg(long, value_name = "FILE|demo|N", default_value = "demo")]
    pub library: String,
    /// Another seed makes another library.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// About how many files the account holds; in place of `--library`.
    #[arg(long, hide = true, conflicts_with = "library")]
    pub files: Option<u64>,
    /// Without a limit of calls a minute.
    #[arg(long, hide = true)]
    pub unlimited: bool,
    /// End when the process that started this one does.
    #[arg(long, hide = true)]
    pub die_with_parent: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// A file, a directory of a release, or a release.
    pub path: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Which instance is meant.
#[derive(Debug, Args)]
pub struct InstanceArgs {
    /// The control socket of the instance; `control.sock` in the configured runtime_dir when absent.
    #[arg(
        long,
        value_name = "PATH",
        env = "DEBRIDFS_CONTROL",
        hide_env_values = true
    )]
    pub socket: Option<PathBuf>,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The directory that containers bind, which then has to be shared; the parent of the configured
    /// mount when absent.
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// What a Kubernetes node needs as well; by itself on a machine that is one.
    #[arg(long)]
    pub node: bool,
    /// Do what is safe, asking before each: make the directory a shared mount, load the FUSE module.
    #[arg(long)]
    pub fix: bool,
    /// Do it without asking.
    #[arg(long, requires = "fix")]
    pub yes: bool,
}

/// `config …`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Find mistakes without starting anything.
    Check,
    /// Print what is in force, defaults included; secrets are hidden.
    Show,
    /// Ask for a password and print its hash, for `web.password_hash`.
    #[command(after_long_help = "\
Examples:
  debridfs config hash-password
  printf %s \"$PASSWORD\" | debridfs config hash-password > /run/secrets/web")]
    HashPassword,
}

/// `library …`.
#[derive(Debug, Subcommand)]
pub enum LibraryCommand {
    /// Let go of the releases that vanished from the account and are being kept.
    Accept(InstanceArgs),
}

/// `propagation-test …`.
#[derive(Debug, Subcommand)]
pub enum PropagationCommand {
    /// The whole test on this host; containers are mount namespaces.
    Run(PropagationRunArgs),
    /// The whole test in containers of this node's container runtime.
    #[command(
        long_about = "\
The whole test in containers of this node's container runtime, asked for as the kubelet asks for them: \
what the runtime makes of volumes, devices, capabilities and system calls is part of it. Nothing is \
fetched: this program, which has to be a static build, is bound into containers of an image that is \
there. Run it as root on the node.",
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
    /// The host's part: before, while and after the other two run in containers.
    Host {
        /// Which step.
        #[arg(value_enum)]
        step: HostStep,
        /// Work among the mounts of this process: 1 is the node's, in a privileged container that sees
        /// the node's processes (`hostPID`).
        #[arg(long, value_name = "PID")]
        mounts_of: Option<u32>,
        /// Where, and how long.
        #[command(flatten)]
        role: PropagationRoleArgs,
    },
    /// The producer's part in one container: mounts and serves the marker until SIGTERM.
    Producer {
        /// Where, and how long.
        #[command(flatten)]
        role: PropagationRoleArgs,
        /// Mount as with `mount.allow_other = false`.
        #[arg(long)]
        no_allow_other: bool,
    },
    /// A consumer's part in one container: waits for the marker and looks at it.
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
    /// The directory that host, producer and consumers share; it has to be empty of anything else.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The rest.
    #[command(flatten)]
    pub common: PropagationArgs,
}

/// What all parts of the test are told.
#[derive(Debug, Args)]
pub struct PropagationArgs {
    /// How long the marker is waited for, in seconds.
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
    /// directory of the test's own is made in it, and removed at the end.
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// Mount as with `mount.allow_other = false`.
    #[arg(long)]
    pub no_allow_other: bool,
    /// The rest.
    #[command(flatten)]
    pub common: PropagationArgs,
}

/// `trace …`.
#[derive(Debug, Subcommand)]
pub enum TraceCommand {
    /// Record the reads of a running instance.
    #[command(
        long_about = "\
Record the reads of a running instance until the time is over or SIGINT comes: offsets, lengths, \
times, and what each reader was taken for. The file holds no names and no contents, so it can be \
sent to others as it is.",
        after_long_help = "\
Examples:
  debridfs trace record -o scan.jsonl            # while Plex or Jellyfin scans
  debridfs trace record --path /mnt/dfs/__all__/Film --seconds 60 -o film.jsonl"
    )]
    Record(RecordArgs),
    /// Summarise a trace.
    Show(ShowArgs),
}

/// Arguments of `trace record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Only files at and below this path in the mount, or relative to its root.
    #[arg(long, value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// End after so many seconds.
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `trace show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A file that `trace record` wrote.
    pub file: PathBuf,
}

/// `cache …`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// List what is in it.
    Ls {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// The instance's socket.
        #[command(flatten)]
        instance: InstanceArgs,
    },
    /// Remove files from it; the library is not touched.
    #[command(after_long_help = "\
Examples:
  debridfs cache purge __all__/Film
  debridfs cache purge --all")]
    Purge(PurgeArgs),
    /// Fetch all of a release or file into it. SIGINT stops; what is there stays.
    #[command(after_long_help = "\
Example:
  debridfs cache pin __all__/Film && debridfs cache warm __all__/Film    # and keep it")]
    Warm(CachePathArgs),
    /// Keep what is cached of a release or file, now and later, whatever else needs the room.
    Pin(CachePathArgs),
    /// Let it be evicted again.
    Unpin(CachePathArgs),
}

/// Arguments of `cache warm`, `pin` and `unpin`.
#[derive(Debug, Args)]
pub struct CachePathArgs {
    /// A file or directory in the mount, or relative to its root.
    pub path: PathBuf,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `cache purge`.
#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// A file or directory in the mount, or relative to its root.
    #[arg(required_unless_present = "all")]
    pub path: Option<PathBuf>,
    /// Everything.
    #[arg(long, conflicts_with = "path")]
    pub all: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// `queue …`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List downloads, with what is in the way of those that wait.
    Ls(StatusArgs),
    /// Add a magnet link or an info-hash.
    #[command(after_long_help = "\
Example:
  debridfs queue add --category tv 'magnet:?xt=urn:btih:…'")]
    Add(QueueAddArgs),
    /// Remove a download. With `--files` what was put in place goes as well, and `acquire.delete` says what becomes of the torrent.
    Rm(QueueRmArgs),
}

/// Arguments of `queue add`.
#[derive(Debug, Args)]
pub struct QueueAddArgs {
    /// The magnet link, or an info-hash.
    pub link: String,
    /// Its category.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub category: String,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `queue rm`.
#[derive(Debug, Args)]
pub struct QueueRmArgs {
    /// The info-hash.
    pub hash: String,
    /// Remove what was put in place as well.
    #[arg(long)]
    pub files: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}
