//! `debridfs why`.

use std::path::{Path, PathBuf};

use clap::Args;
use debridfs_control::{WhyState, words};

use super::{plain, print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, InstanceArgs};
use crate::library_path;

/// Arguments of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// A file, a directory of a release, or a release; an info-hash, a part of a name, a download, or a
    /// path in the downloads folder.
    pub path: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Prints what is known of a path. Ends with 1 when it cannot be read.
pub fn run(args: &WhyArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(&args.instance, file)?;
    let report = runtime()?.block_on(library_path::explain_like(&instance, &args.path))?;
    if args.json {
        print_json(&report, "report")?;
    } else {
        say(&words::why(&plain(&report)?));
    }
    match report.state {
        WhyState::Quiet | WhyState::Fine => Ok(()),
        WhyState::NotKnownYet | WhyState::Trouble | WhyState::Bad => Err(Failure::silent(1)),
    }
}
