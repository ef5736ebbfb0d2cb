//! `debridfs token …`.

use std::path::Path;

use clap::{Args, Subcommand};
use debridfs_base::terminal::escaped;

use super::{plain, print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, InstanceArgs, ReportArgs};

/// `token …`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List tokens.
    Ls(ReportArgs),
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
                say(&format!("{:<24} {}", token.name, token.created));
            }
        }
        TokenCommand::New(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let made = runtime.block_on(instance.client.new_token(&args.name))?;
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
