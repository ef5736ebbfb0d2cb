//! `debridfs mcp`.

use std::path::Path;

use debridfs_api::serve_stdio;
use tokio::io::{BufReader, stdin, stdout};

use super::runtime;
use crate::failure::{Doing, Failure};
use crate::instance::{Instance, InstanceArgs};

/// Answers a language model's client on standard input and output until that ends.
pub fn run(args: &InstanceArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(args, file)?;
    let runtime = runtime()?;
    let served = runtime.block_on(serve_stdio(
        &instance.client,
        BufReader::new(stdin()),
        stdout(),
    ));
    // A read of standard input may still wait on a thread, which ends with the process.
    runtime.shutdown_background();
    served.doing(|| "standard input and output".into())
}
