//! `debridfs queue …`.

use clap::{Args, Subcommand};

use super::InstanceArgs;

/// `queue …`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List downloads, with what is in the way of those that wait.
    Ls(QueueLsArgs),
    /// Add a magnet link or an info-hash.
    #[command(after_long_help = "\
Example:
  debridfs queue add --category tv 'magnet:?xt=urn:btih:…'")]
    Add(QueueAddArgs),
    /// Remove a download. With `--files` what was put in place goes as well, and `acquire.delete` says what becomes of the torrent.
    Rm(QueueRmArgs),
}

/// Arguments of `queue ls`.
#[derive(Debug, Args)]
pub struct QueueLsArgs {
    /// As JSON.
    #[arg(long, conflicts_with = "watch")]
    pub json: bool,
    /// Follow those that are under way until none is left; each that is over is a line.
    #[arg(long)]
    pub watch: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
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
