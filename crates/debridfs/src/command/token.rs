//! `debridfs token …`.

use std::path::Path;

use clap::{Args, Subcommand};
use debridfs_base::terminal::escaped;
use debridfs_listen::{Right, TokenRights};

use super::{plain, print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, InstanceArgs, ReportArgs};

/// `token …`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List tokens.
    Ls(ReportArgs),
    /// Make a token and print it; it is not stored, so it cannot be shown again.
    #[command(after_long_help = "\
Example:
  curl -r 0-99 http://127.0.0.1:8284/files/$(debridfs token new curl)/version.txt")]
    New(NewArgs),
    /// Revoke a token: programs that use it can no longer read. `strm` is the token in .strm files; it is replaced at once, and the
    /// files that are still in the downloads folder are rewritten.
    Revoke(TokenArgs),
}

/// Arguments of `token new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Its name.
    pub name: String,
    /// The directory of the library that its users see as the root, such as `/films`.
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub root: String,
    /// What it permits.
    #[arg(
        long,
        value_name = "RIGHTS",
        value_delimiter = ',',
        default_value = "read"
    )]
    pub may: Vec<Right>,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `token revoke`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Its name.
    pub name: String,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Runs one of them.
pub fn run(command: &TokenCommand, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = runtime()?;
    match command {
        TokenCommand::Ls(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let tokens = runtime.block_on(instance.client.tokens())?;
            if args.json {
                return print_json(&tokens, "tokens");
            }
            for token in &plain(&tokens)? {
                let may: Vec<_> = token.rights.may.iter().map(Right::word).collect();
                let (may, root) = (may.join(","), &token.rights.root);
                say(&format!(
                    "{:<24} {}  {may:<12} /{root}",
                    token.name, token.created
                ));
            }
        }
        TokenCommand::New(args) => {
            let rights = TokenRights {
                root: args.root.clone(),
                may: args.may.clone(),
            };
            let instance = Instance::find(&args.instance, file)?;
            let made = runtime.block_on(instance.client.new_token(&args.name, &rights))?;
            say(&made.token);
            if !made.served {
                eprintln!("note: nothing is served with it yet: set `http.listen`");
            }
        }
        TokenCommand::Revoke(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let revoked = runtime.block_on(instance.client.revoke_token(&args.name))?;
            say(&format!("revoked: {}", escaped(&args.name)));
            match revoked.written_anew {
                0 => {}
                jobs => say(&format!(
                    "downloads whose .strm files are written anew: {jobs}"
                )),
            }
        }
    }
    Ok(())
}
