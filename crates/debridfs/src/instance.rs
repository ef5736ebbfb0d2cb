//! Asking a running instance: its engine through the control socket, or else its keeper.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use debridfs_control::{CallError, Client, Status, WhyReport, without_engine};
use debridfs_handover as handover;

use crate::config::{self, Environment};
use crate::failure::{Failure, NOBODY};

/// Which instance is meant.
#[derive(Debug, Args)]
pub struct InstanceArgs {
    /// The control socket of the instance; `control.sock` in the configured runtime_dir when absent.
    #[arg(
        long,
        value_name = "PATH",
        env = "DEBRIDFS_CONTROL",
        hide_env_values = true
    )]
    pub socket: Option<PathBuf>,
}

/// Arguments of commands that only report something.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// A healthy keeper answers at once; a busy machine may take its time.
const LIMIT: Duration = Duration::from_secs(5);

/// The sockets of one instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its engine.
    pub client: Client,
    keeper: PathBuf,
}

impl Instance {
    /// The instance that `args`, or else the configuration, names.
    pub fn find(args: &InstanceArgs, file: Option<&Path>) -> Result<Self, Failure> {
        if let Some(control) = &args.socket {
            let dir = control.parent().unwrap_or(Path::new("."));
            return Ok(Self {
                keeper: config::keeper_socket_in(dir),
                client: Client::new(control),
            });
        }
        let config = config::load(file, &Environment::of_process())?.config;
        Ok(Self {
            client: Client::new(config.control_socket()),
            keeper: config.keeper_socket(),
        })
    }

    /// The instance of a runtime directory.
    pub fn in_dir(runtime_dir: &Path) -> Self {
        Self {
            client: Client::new(config::control_socket_in(runtime_dir)),
            keeper: config::keeper_socket_in(runtime_dir),
        }
    }

    /// The keeper's socket.
    pub fn keeper(&self) -> &Path {
        &self.keeper
    }

    /// Whether its keeper answers: then there is an instance, if no engine at the moment.
    pub fn has_keeper(&self) -> bool {
        handover::status(&self.keeper, LIMIT).is_ok()
    }

    /// What the engine says, or what the keeper says of it.
    pub async fn status(&self) -> Result<Status, Failure> {
        let why = match self.client.status().await {
            Ok(status) => return Ok(status),
            Err(CallError::Silent { why, .. }) => why.to_string(),
            Err(error) => error.to_string(),
        };
        handover::status(&self.keeper, LIMIT)
            .map(|keeper| without_engine(&keeper, &why))
            .map_err(|error| {
                let message = format!(
                    "no instance answers: {} ({why}), {} ({error})",
                    self.client.socket().display(),
                    self.keeper.display()
                );
                let help = "start one with `debridfs serve`, or choose it with --socket or DEBRIDFS_CONTROL";
                Failure::new(message, Some(help)).with_code(NOBODY)
            })
    }

    /// What the engine knows of `path`.
    pub async fn why(&self, path: &Path) -> Result<WhyReport, CallError> {
        self.client.why(&path.to_string_lossy()).await
    }
}
