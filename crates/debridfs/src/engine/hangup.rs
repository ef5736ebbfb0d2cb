//! SIGHUP to an attached engine: the settings, and the program, as they are installed now.

use std::path::{Path, PathBuf};

use debridfs_config::{ConfigError, Environment, Loaded};
use debridfs_fuse::Backends;
use tokio::signal::unix::Signal;

/// The settings in force, and where they came from.
pub struct Settings {
    pub loaded: Loaded,
    file: Option<PathBuf>,
    environment: Environment,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// They are wrong.
    pub fn load(file: Option<&Path>, environment: Environment) -> Result<Self, ConfigError> {
        Ok(Self {
            loaded: debridfs_config::load(file, &environment)?,
            file: file.map(Path::to_owned),
            environment,
        })
    }

    fn again(&self) -> Result<Loaded, ConfigError> {
        debridfs_config::load(self.file.as_deref(), &self.environment)
    }
}

/// Whether something starts this process again when it ends: `debridfs supervise`, the runtime of a
/// container, systemd (`INVOCATION_ID`, systemd.exec(5)).
pub fn is_started_again(supervised: bool) -> bool {
    supervised || std::process::id() == 1 || std::env::var_os("INVOCATION_ID").is_some()
}

/// Waits until SIGHUP asks for what a new engine alone can do. Where nothing but `[fuse]` has
/// changed, this one takes that over; wrong settings change nothing. Without a process that starts
/// it again (`restarted`) an engine does not end for a signal that most take for "read your
/// settings": readers would wait until their deadline.
pub async fn needs_new_engine(
    hangup: Option<Signal>,
    settings: &Settings,
    backends: &Backends,
    restarted: bool,
) {
    let Some(mut hangup) = hangup else {
        return std::future::pending().await;
    };
    let mut before = settings.loaded.config.fuse.clone();
    while hangup.recv().await.is_some() {
        let loaded = match settings.again() {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!("SIGHUP changes nothing: {error}");
                continue;
            }
        };
        let fuse = &loaded.config.fuse;
        let to = fuse.backend;
        let same = to == backends.configured()
            && fuse.shadow_percent == before.shadow_percent
            && fuse.rollout == before.rollout;
        if loaded.needs_new_engine(&settings.loaded) || same {
            if restarted {
                tracing::info!("SIGHUP: another engine goes on, with program and settings of now");
                return;
            }
            tracing::error!(
                "SIGHUP changes nothing: this takes a new engine; start `debridfs engine --replace`"
            );
            continue;
        }
        backends.compare(fuse.shadow_percent);
        backends.set_rollout(fuse.rollout.clone());
        before = fuse.clone();
        if to != backends.configured()
            && let Err(error) = backends.configure(to)
        {
            tracing::error!("SIGHUP: {error}");
        }
    }
    std::future::pending().await
}
