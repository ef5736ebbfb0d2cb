//! `debridfs repair …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{InstanceArgs, StatusArgs};

/// Subcommands of `repair`.
#[derive(Debug, Subcommand)]
pub enum RepairCommand {
    /// List releases that cannot be read, or are said so, with the evidence and what was done.
    Ls(StatusArgs),
    /// Look now whether a file or release can be read, with links made anew.
    #[command(after_long_help = "\
Ends with 0 when it can be read, 1 when not or when nothing can be told. What is found counts as one
check of several: nothing is done for one answer.

Example:
  debridfs repair check /mnt/dfs/__all__/Film.2024")]
    Check(RepairCheckArgs),
    /// Treat what is confirmed although so many releases are bad that their provider is suspected.
    #[command(after_long_help = "\
Without a PATH, all releases that are listed now. They still have to be confirmed, and are treated
few in an hour.

Example:
  debridfs repair run Film.2024")]
    Run(RepairRunArgs),
}

/// Arguments of `repair check`.
#[derive(Debug, Args)]
pub struct RepairCheckArgs {
    /// Below the mount, or relative to its root or to `__all__`.
    pub path: PathBuf,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `repair run`.
#[derive(Debug, Args)]
pub struct RepairRunArgs {
    /// Below the mount, or relative to its root or to `__all__`.
    pub path: Option<PathBuf>,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}
