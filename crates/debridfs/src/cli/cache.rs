//! `debridfs cache …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::InstanceArgs;

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
