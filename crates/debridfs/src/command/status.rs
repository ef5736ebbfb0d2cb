//! `debridfs status`.

use std::path::Path;

use debridfs_control::words;

use super::{plain, print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, ReportArgs};

/// Prints how the instance does. Ends with 1 when something is wrong.
pub fn run(args: &ReportArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(&args.instance, file)?;
    let status = runtime()?.block_on(instance.status())?;
    if args.json {
        print_json(&status, "status")?;
    } else {
        say(&words::status(&plain(&status)?));
    }
    if status.healthy {
        Ok(())
    } else {
        Err(Failure::silent(1))
    }
}
