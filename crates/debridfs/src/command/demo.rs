//! `debridfs demo`: a simulated account, mounted, and gone without a trace at the end.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use debridfs_config::LogConfig;
use debridfs_demo::{Demo, Simulated};

use super::doctor::require_fuse;
use super::runtime;
use super::serve::default_owner;
use crate::failure::{Doing, Failure};
use crate::logging;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where to mount; a temporary directory when absent. A missing directory is created, and removed at the end.
    #[arg(long, value_name = "DIR")]
    pub mount: Option<PathBuf>,
    /// Address of health, metrics and pages.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// About how many files the simulated account holds.
    #[arg(long, value_name = "N")]
    pub files: Option<u64>,
    /// A vendor whose account to simulate, as in `[provider.NAME] kind`; several form one library.
    #[arg(long, value_name = "VENDOR", num_args = 1..)]
    pub provider: Vec<Simulated>,
    /// The seed that the library is generated from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// Runs until SIGINT, SIGTERM or SIGHUP, or until something fails.
pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    logging::start(&LogConfig::default())?;
    require_fuse()?;
    let demo = Demo {
        program: std::env::current_exe().doing(|| "the program's own file".into())?,
        owner: default_owner(),
        mount: args.mount.clone(),
        listen: args.listen,
        files: args.files,
        providers: args.provider.clone(),
        seed: args.seed,
    };
    runtime()?
        .block_on(demo.run())
        .map_err(|error| Failure::new(error.to_string(), error.help().as_deref()))
}
