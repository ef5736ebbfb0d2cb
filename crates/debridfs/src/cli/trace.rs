//! `debridfs trace …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::InstanceArgs;

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
