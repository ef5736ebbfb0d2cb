//! `debridfs token …`.

use std::path::Path;

use clap::{Args, Subcommand};
use hyper::Method;

use super::runtime;
use crate::failure::{Doing, Failure};
use crate::instance::{Instance, InstanceArgs, ReportArgs, with_arguments};

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
            let said = runtime.block_on(instance.ask(Method::GET, "/tokens"))?;
            if args.json {
                let text = serde_json::to_string_pretty(&said["tokens"]);
                println!("{}", text.doing(|| "tokens".into())?);
                return Ok(());
            }
            for token in said["tokens"].as_array().into_iter().flatten() {
                let text = |key: &str| token[key].as_str().unwrap_or_default();
                println!("{:<24} {}", text("name"), text("created"));
            }
        }
        TokenCommand::New(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = with_arguments("/tokens/new", &[("name", &args.name)]);
            let said = runtime.block_on(instance.ask(Method::POST, &path))?;
            println!("{}", said["token"].as_str().unwrap_or_default());
        }
        TokenCommand::Revoke(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = with_arguments("/tokens/revoke", &[("name", &args.name)]);
            let said = runtime.block_on(instance.ask(Method::POST, &path))?;
            println!("revoked: {}", args.name);
            match said["written_anew"].as_u64() {
                None | Some(0) => {}
                Some(jobs) => println!("downloads whose .strm files are written anew: {jobs}"),
            }
        }
    }
    Ok(())
}
