//! `debridfs uninstall`: what a keeper leaves when it stops goes as well.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use debridfs_base::with_causes;
use debridfs_handover as handover;
use tokio::signal::unix::{SignalKind, signal};

use super::{runtime, say};
use crate::failure::{Doing, Failure};
use debridfs_config::Environment;

/// Arguments of `uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Then wait for SIGTERM or SIGINT: for a DaemonSet, whose pods never end by themselves.
    #[arg(long)]
    pub stay: bool,
}

/// For the answer of a keeper that is still there.
const LIMIT: Duration = Duration::from_secs(2);

/// Takes the closed mount point away, and names what it leaves.
pub fn run(args: &UninstallArgs, file: Option<&Path>) -> Result<(), Failure> {
    match args.stay {
        true => runtime()?.block_on(remove_and_stay(file)),
        false => remove(file),
    }
}

async fn remove_and_stay(file: Option<&Path>) -> Result<(), Failure> {
    let stream = |kind| signal(kind).doing(|| "signals".into());
    let mut terminate = stream(SignalKind::terminate())?;
    let mut interrupt = stream(SignalKind::interrupt())?;
    remove(file)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn remove(file: Option<&Path>) -> Result<(), Failure> {
    let config = debridfs_config::load(file, &Environment::of_process())?.config;
    let mount = config.mount.path.display();
    if handover::status(&config.keeper_socket(), LIMIT).is_ok() {
        let help =
            "stop it first: systemctl stop debridfs, docker compose down, kubectl delete -k …";
        let text = format!("a keeper holds the mount at {mount}");
        return Err(Failure::new(text, Some(help)));
    }
    let removed = debridfs_keeper::remove_mount_point(&config.mount.path)
        .map_err(|error| Failure::new(with_causes(&error), None))?;
    match removed {
        true => say(&format!("removed: the mount point {mount}")),
        false => say(&format!("there is no mount point {mount}")),
    }
    say(&format!(
        "left: the state in {}, the cache in {}, and the configuration",
        config.state_dir.display(),
        config.cache_dir.display()
    ));
    Ok(())
}
