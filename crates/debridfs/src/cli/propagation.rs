//! `debridfs propagation-test …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
