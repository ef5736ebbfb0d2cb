//! How the keeper admits an engine: with the connection, or to wait for it while everything else is served.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_base::with_causes;
use debridfs_handover::{Admission, EngineLink, HandoverError, Lease, MountTrouble, Mounted};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::serving::Ended;

/// How soon a keeper that is not there is looked for again.
const RETRY: Duration = Duration::from_millis(500);

/// What a keeper that comes while nothing is mounted may take to admit this engine. Longer, and it has admitted another one.
const ADMISSION_LIMIT: Duration = Duration::from_secs(30);

/// Where the keeper is found, and as whom.
#[derive(Debug, Clone)]
struct Door {
    socket: PathBuf,
    /// Version of the program, for people.
    version: String,
}

/// An engine that was admitted.
#[derive(Debug)]
pub struct Admitted {
    link: EngineLink,
    admission: Admission,
    door: Door,
}

/// An engine that serves everything but the mount.
#[derive(Debug)]
pub struct Unmounted {
    link: EngineLink,
    door: Door,
}

impl Admitted {
    /// Waits for the keeper at `socket`, and then until it admits this engine, a program of `version`. With `replace` the engine that
    /// serves now is to end for this one.
    ///
    /// # Errors
    /// It is refused, or what listens there is no keeper.
    pub async fn wait(socket: &Path, version: &str, replace: bool) -> Result<Self, HandoverError> {
        let door = Door {
            socket: socket.to_owned(),
            version: version.to_owned(),
        };
        loop {
            match door.enter(replace).await?.admission().await {
                // It ended before it had admitted anybody.
                Err(HandoverError::Gone) => sleep(RETRY).await,
                admitted => return admitted,
            }
        }
    }

    /// The mount point.
    pub fn mount(&self) -> &Path {
        match &self.admission {
            Admission::Lease(lease) => &lease.terms.mount,
            Admission::Unmounted(unmounted) => &unmounted.mount,
        }
    }

    /// Engines before this one.
    pub fn restarts(&self) -> u64 {
        let generation = match &self.admission {
            Admission::Lease(lease) => lease.terms.generation,
            Admission::Unmounted(unmounted) => unmounted.generation,
        };
        generation.saturating_sub(1)
    }

    /// The keeper's process id, if it is in a namespace that can be seen.
    pub fn keeper(&self) -> Option<u32> {
        let peer = rustix::net::sockopt::socket_peercred(self.link.as_fd()).ok()?;
        Some(peer.pid.as_raw_nonzero().get().cast_unsigned())
    }

    /// Why nothing is mounted, if nothing is.
    pub fn trouble(&self) -> Option<&MountTrouble> {
        match &self.admission {
            Admission::Lease(_) => None,
            Admission::Unmounted(unmounted) => Some(&unmounted.trouble),
        }
    }

    /// The connection, or what waits for it.
    ///
    /// # Errors
    /// There is no connection yet.
    pub fn into_lease(self) -> Result<(EngineLink, Lease), Unmounted> {
        let Self {
            link,
            admission,
            door,
        } = self;
        match admission {
            Admission::Lease(lease) => Ok((link, lease)),
            Admission::Unmounted(_) => Err(Unmounted { link, door }),
        }
    }
}

impl Unmounted {
    /// Tells the keeper that everything else is served, and waits for the mount. With `outlives` it also waits for the next keeper
    /// when this one is gone.
    ///
    /// # Errors
    /// Why this engine is to end without a mount.
    pub async fn mounted(self, outlives: bool) -> Result<(EngineLink, Lease), Ended> {
        let Self { mut link, door } = self;
        loop {
            // If the keeper is gone by now, that is seen next.
            let _ = link.serving();
            let waited = blocking(link, |link| link.mounted()).await;
            match waited {
                Ok((link, Mounted::Lease(lease))) => return Ok((link, lease)),
                Ok((_, Mounted::Stop)) => return Err(Ended::Stopped),
                Ok((_, Mounted::Replaced)) => return Err(Ended::Replaced),
                Err(_) if !outlives => return Err(Ended::KeeperGone),
                Err(error) => tracing::warn!(%error, "all but the mount is served on"),
            }
            sleep(RETRY).await;
            let entered = door.enter(false).await.map_err(|_| Ended::KeeperGone)?;
            let admitted = timeout(ADMISSION_LIMIT, entered.admission()).await;
            let Ok(Ok(admitted)) = admitted else {
                return Err(Ended::KeeperGone);
            };
            match admitted.into_lease() {
                Ok(lease) => return Ok(lease),
                Err(unmounted) => link = unmounted.link,
            }
        }
    }
}

/// An engine at the door.
struct Entered {
    link: EngineLink,
    door: Door,
}

impl Door {
    /// Connects, as soon as there is a keeper.
    async fn enter(&self, replace: bool) -> Result<Entered, HandoverError> {
        let mut told = false;
        loop {
            let connected = blocking(self.clone(), move |door| {
                EngineLink::connect_without_mount(&door.socket, &door.version, replace)
            });
            match connected.await {
                Ok((door, link)) => return Ok(Entered { link, door }),
                Err(error @ (HandoverError::Connect { .. } | HandoverError::Gone)) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!("waiting for the keeper: {}", with_causes(&error));
                    }
                    sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Entered {
    async fn admission(self) -> Result<Admitted, HandoverError> {
        let (link, admission) = blocking(self.link, EngineLink::admission).await?;
        Ok(Admitted {
            link,
            admission,
            door: self.door,
        })
    }
}

/// Runs what waits for the keeper in a thread for that; gives `subject` back with what came of it.
async fn blocking<S: Send + 'static, T: Send + 'static>(
    subject: S,
    task: impl FnOnce(&S) -> Result<T, HandoverError> + Send + 'static,
) -> Result<(S, T), HandoverError> {
    let done = spawn_blocking(move || task(&subject).map(|done| (subject, done)));
    done.await
        .unwrap_or_else(|error| Err(HandoverError::Io(error.into())))
}
