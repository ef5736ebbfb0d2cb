//! `debridfs provider …`.

use std::path::Path;

use clap::{Args, Subcommand};

use super::{runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, InstanceArgs};

/// `provider …`.
#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// End the pause after a refusal ("too many calls", a refused token) now.
    #[command(after_long_help = "\
`debridfs status` shows the pause (\"cooling down\"). The next call is made at once; if the provider
refuses it again, the pause begins again.

Examples:
  debridfs provider resume
  debridfs provider resume rd")]
    Resume(ResumeArgs),
}

/// Arguments of `provider resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The NAME of [provider.NAME]; all when absent.
    pub name: Option<String>,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Runs one of them.
pub fn run(command: &ProviderCommand, file: Option<&Path>) -> Result<(), Failure> {
    let ProviderCommand::Resume(args) = command;
    let instance = Instance::find(&args.instance, file)?;
    let resumed = runtime()?.block_on(instance.client.resume(args.name.clone()))?;
    match resumed[..] {
        [] => say("nothing paused"),
        _ => say(&format!("resumed: {}", resumed.join(", "))),
    }
    Ok(())
}
