//! A supervisor whose engine another one has replaced: it answers probes in the engine's place, so that nobody restarts its container
//! and thereby takes over from the newer engine; and it sees whether an engine is there at all.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser as _;
use debridfs_handover as handover;
use debridfs_handover::EngineState;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::cli::Cli;
use crate::engine::sockets;
use debridfs_config::{Config, Environment};

/// The newer engine may share this one's network: it gets the address first. It tries every two seconds.
const AFTER_THE_NEWER: Duration = Duration::from_secs(3);

/// How often the keeper is asked for its engine, and how long it has to answer.
const EVERY: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(2);

/// The configuration of the engine that has these arguments.
///
/// # Errors
/// In words, when it is not what it was when the engine started.
pub fn config_of(arguments: &[OsString]) -> Result<Config, String> {
    let line = std::iter::once("debridfs".into()).chain(arguments.iter().cloned());
    let cli = Cli::try_parse_from::<_, OsString>(line).map_err(|error| error.to_string())?;
    let loaded = debridfs_config::load(cli.config.as_deref(), &Environment::of_process());
    Ok(loaded.map_err(|error| error.to_string())?.config)
}

/// Answers probes, and returns once the keeper has been without an engine for a third of `mount.read_deadline`: then the newer one
/// does not come back in time for readers.
pub async fn until_nobody_serves(config: &Config) {
    tokio::select! {
        () = answer(config) => {}
        () = nobody_serves(config) => {}
    }
}

async fn answer(config: &Config) {
    sleep(AFTER_THE_NEWER).await;
    if let Ok(listener) = TcpListener::bind(config.server.listen).await {
        sockets::waiting(
            listener,
            config,
            "another engine has taken over; this one waits to be stopped",
        )
        .await;
    }
    // The newer engine answers there.
    std::future::pending().await
}

async fn nobody_serves(config: &Config) {
    let patience = config.mount.read_deadline.0 / 3;
    let mut seen = Instant::now();
    while seen.elapsed() < patience {
        sleep(EVERY).await;
        let socket = config.keeper_socket();
        let asked = tokio::task::spawn_blocking(move || handover::status(&socket, LIMIT)).await;
        // While no keeper answers, an engine may serve alone.
        let absent = matches!(&asked, Ok(Ok(status)) if status.engine_state == EngineState::Absent);
        if !absent {
            seen = Instant::now();
        }
    }
}
