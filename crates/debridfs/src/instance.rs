//! Asking a running instance: its engine through the control socket, or else its keeper.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use debridfs_base::{mountinfo, with_causes};
use debridfs_control::{CallError, Client, Status, WhyReport, without_engine};
use debridfs_handover as handover;
use rustix::io::Errno;

use crate::failure::{Failure, NOBODY, START};
use debridfs_config::Environment;

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
    /// The instance that `args`, or else the configuration, names; where none is there, the one that root's settings would name.
    ///
    /// # Errors
    /// The configuration is wrong, or the instance is another user's and not to be asked.
    pub fn find(args: &InstanceArgs, file: Option<&Path>) -> Result<Self, Failure> {
        if let Some(control) = &args.socket {
            let dir = control.parent().unwrap_or(Path::new("."));
            let named = Self {
                keeper: debridfs_config::keeper_socket_in(dir),
                client: Client::new(control),
            };
            named.may_be_asked()?;
            return Ok(named);
        }
        let config = debridfs_config::load(file, &Environment::of_process())?.config;
        let configured = Self {
            client: Client::new(config.control_socket()),
            keeper: config.keeper_socket(),
        };
        if configured.may_be_asked()? {
            return Ok(configured);
        }
        let of_root = Self::in_dir(&debridfs_config::default_runtime_dir(true));
        Ok(match of_root.may_be_asked()? {
            true => of_root,
            false => configured,
        })
    }

    /// Whether somebody listens at one of its sockets.
    fn may_be_asked(&self) -> Result<bool, Failure> {
        let mut there = false;
        for socket in [self.client.socket(), &self.keeper] {
            // A keeper's is of another kind (`EPROTOTYPE`), which is known only of one that may be connected to.
            match UnixStream::connect(socket) {
                Ok(_) => there = true,
                Err(error) if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
                    there = true;
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(of_another_user(socket));
                }
                Err(_) => {}
            }
        }
        Ok(there)
    }

    /// The instance of a runtime directory.
    pub fn in_dir(runtime_dir: &Path) -> Self {
        Self {
            client: Client::new(debridfs_config::control_socket_in(runtime_dir)),
            keeper: debridfs_config::keeper_socket_in(runtime_dir),
        }
    }

    /// The keeper's socket.
    pub fn keeper(&self) -> &Path {
        &self.keeper
    }

    /// Whether somebody listens at one of its sockets, be it that this user may not ask.
    pub fn runs(&self) -> bool {
        self.may_be_asked().unwrap_or(true)
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
                    "no instance answers: {}: {why}; {}",
                    self.client.socket().display(),
                    with_causes(&error)
                );
                Failure::new(message, Some(START)).with_code(NOBODY)
            })
    }

    /// What the engine knows of `path`.
    pub async fn why(&self, path: &Path) -> Result<WhyReport, CallError> {
        self.client.why(&path.to_string_lossy()).await
    }
}

/// That an instance is another user's, and how to ask it.
fn of_another_user(socket: &Path) -> Failure {
    let dir = socket.parent().unwrap_or(socket).display();
    let user = rustix::process::geteuid().as_raw();
    let mounts = mountinfo::read().unwrap_or_default();
    let library = mounts
        .iter()
        .find(|mount| mount.is_ours() && !mount.is_closed());
    let message = match library {
        Some(library) => format!(
            "an instance of another user runs ({}), and user {user} may not ask it: its sockets are in {dir}",
            library.mount_point.display()
        ),
        None => format!("user {user} may not look for an instance in {dir}"),
    };
    let help = format!("ask as root: `sudo {}`", command_line(std::env::args()));
    Failure::new(message, Some(&help)).with_code(NOBODY)
}

/// The command as it was typed, as far as a shell would read it again as the same.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let plain = |text: &str| {
        let legal = |one: char| one.is_ascii_alphanumeric() || "-_./=:@".contains(one);
        !text.is_empty() && text.chars().all(legal)
    };
    let quoted = arguments.map(|one| match plain(&one) {
        true => one,
        false => format!("'{}'", one.replace('\'', "'\\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_as_a_shell_reads_it() {
        let typed = ["debridfs", "why", "It's a film", "--json"].map(str::to_owned);
        let told = command_line(typed.into_iter());
        assert_eq!(told, r"debridfs why 'It'\''s a film' --json");
    }
}
