//! `debridfs library …`.

use std::path::Path;

use clap::Subcommand;

use super::{runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, InstanceArgs};

/// `library …`.
#[derive(Debug, Subcommand)]
pub enum LibraryCommand {
    /// Accept that releases are gone which vanished from the account and are still kept.
    Accept(InstanceArgs),
}

/// Runs one of them.
pub fn run(command: &LibraryCommand, file: Option<&Path>) -> Result<(), Failure> {
    let LibraryCommand::Accept(args) = command;
    let instance = Instance::find(args, file)?;
    let releases = runtime()?.block_on(instance.client.accept_loss())?;
    say(&format!("accepted: {releases} releases let go"));
    Ok(())
}
