//! Arguments of `debridfs token`.

use clap::{Args, Subcommand};

use super::{InstanceArgs, StatusArgs};

/// `token …`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List tokens.
    Ls(StatusArgs),
    /// Make a token and print it; it is not kept, so it cannot be shown again.
    #[command(after_long_help = "\
Example:
  curl -r 0-99 http://127.0.0.1:8284/files/$(debridfs token new curl)/version.txt")]
    New(TokenArgs),
    /// Take a token back: what holds it cannot read any more. `strm` is the one in .strm files; it is replaced at once, and those that
    /// still lie in the downloads folder are written anew.
    Revoke(TokenArgs),
}

/// Arguments of `token new` and `token revoke`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Its name.
    pub name: String,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}
