//! `debridfs repair …`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use debridfs_control::{Found, words};

use super::{plain, print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, InstanceArgs, ReportArgs};

/// Subcommands of `repair`.
#[derive(Debug, Subcommand)]
pub enum RepairCommand {
    /// List releases that cannot be read or are suspected, with the evidence and what was done.
    Ls(ReportArgs),
    /// Check now whether a file or release can be read, with new links.
    #[command(after_long_help = "\
Exits with 0 when it can be read, 1 when it cannot or when that is unknown. The result counts as one
of several checks: nothing is done because of one answer.

Example:
  debridfs repair check /mnt/dfs/__all__/Film.2024")]
    Check(RepairCheckArgs),
    /// Repair confirmed releases even though so many are bad that their provider is suspected.
    #[command(after_long_help = "\
Without a PATH, repairs all releases that are listed now. They still have to be confirmed, and the
limit of repairs per hour applies.

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

/// Runs one of them.
pub fn run(command: &RepairCommand, file: Option<&Path>) -> Result<(), Failure> {
    match command {
        RepairCommand::Ls(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let status = runtime()?.block_on(instance.client.repair())?;
            if args.json {
                return print_json(&status, "repair");
            }
            say(&words::repair(&plain(&status)?));
            Ok(())
        }
        RepairCommand::Check(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = args.path.to_string_lossy();
            let check = plain(&runtime()?.block_on(instance.client.check(&path))?)?;
            let (name, found) = (check.name, check.found.as_str());
            match check.words {
                Some(words) => say(&format!("{name}: {found}: {words}")),
                None => say(&format!("{name}: {found}")),
            }
            match check.found {
                Found::Well => Ok(()),
                Found::Gone | Found::Bad | Found::Unclear => Err(Failure::silent(1)),
            }
        }
        RepairCommand::Run(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = args.path.as_ref();
            let path = path.map(|path| path.to_string_lossy().into_owned());
            let approved = runtime()?.block_on(instance.client.approve(path))?;
            say(&format!("approved: {approved}"));
            Ok(())
        }
    }
}
