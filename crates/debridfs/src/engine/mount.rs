//! The mount: served from the start, or from when the keeper can make it. All else is served meanwhile.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{Attention, Late, with_causes};
use debridfs_control::of_mount;
use debridfs_fuse::{
    Backends, CrashHook, Ended, NotifyHelper, Outlives, ServeOptions, Serving, serve_with,
};
use debridfs_handover::{Admission, EngineLink, HandoverError, Lease, Mounted};
use debridfs_listen::tcp;
use debridfs_vfs::{Change, Vfs};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::parts::Parts;
use super::sockets;
use crate::command::engine::EngineArgs;
use crate::failure::{Doing, Failure};
use debridfs_config::Config;

/// How soon a keeper that is not there is looked for again.
const KEEPER_RETRY: Duration = Duration::from_millis(500);
/// What a keeper that comes while nothing is mounted may take to admit this engine. Longer, and it has admitted another one.
const ADMISSION_LIMIT: Duration = Duration::from_secs(30);

/// How this engine was admitted, and by whom.
pub struct Admitted {
    link: EngineLink,
    admission: Admission,
}

impl Admitted {
    /// Waits for the keeper, and then until it admits this engine. Whoever restarts what is not alive need not do so meanwhile: without
    /// a keeper the next engine could do no more.
    ///
    /// # Errors
    /// It is refused.
    pub async fn wait(config: &Config, args: &EngineArgs) -> Result<Self, Failure> {
        // A keeper's child is not waited for by anybody.
        if args.child {
            return Self::ask(config, false).await;
        }
        let of = config.clone();
        let probes = tokio::spawn(async move {
            // One that is taken is that of the engine before this one, which answers for both.
            let listener = tcp(of.server.listen, |_, _| {}).await;
            let reason = "the keeper has not given the mount to this engine yet";
            sockets::waiting(listener, &of, reason).await;
        });
        let admitted = Self::ask(config, args.replace).await;
        probes.abort();
        // Afterwards the address is free.
        let _ = probes.await;
        admitted
    }

    async fn ask(config: &Config, replace: bool) -> Result<Self, Failure> {
        let mut told = false;
        loop {
            match Self::by(connected(config, replace).await?).await? {
                Ok(admitted) => return Ok(admitted),
                Err(error @ HandoverError::Gone) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!("waiting for the keeper: {}", with_causes(&error));
                    }
                    sleep(KEEPER_RETRY).await;
                }
                Err(error) => return Err(Failure::new(with_causes(&error), None)),
            }
        }
    }

    async fn by(link: EngineLink) -> Result<Result<Self, HandoverError>, Failure> {
        let asked = spawn_blocking(move || {
            let admission = link.admission()?;
            Ok(Self { link, admission })
        });
        asked.await.doing(|| "lease".into())
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
    pub fn news(&self) -> Option<Attention> {
        match &self.admission {
            Admission::Lease(_) => None,
            Admission::Unmounted(unmounted) => Some(of_mount(&unmounted.mount, &unmounted.trouble)),
        }
    }
}

/// Connects to the keeper, as soon as there is one.
async fn connected(config: &Config, replace: bool) -> Result<EngineLink, Failure> {
    let mut told = false;
    loop {
        let socket = config.keeper_socket();
        let connect =
            move || EngineLink::connect_without_mount(&socket, env!("CARGO_PKG_VERSION"), replace);
        match spawn_blocking(connect).await.doing(|| "lease".into())? {
            Ok(link) => return Ok(link),
            Err(error @ (HandoverError::Connect { .. } | HandoverError::Gone)) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!("waiting for the keeper: {}", with_causes(&error));
                }
                sleep(KEEPER_RETRY).await;
            }
            Err(error) => return Err(Failure::new(with_causes(&error), None)),
        }
    }
}

/// What serves the mount.
pub struct Mounting {
    /// Settings.
    pub config: Arc<Config>,
    /// From the provider up to the tree.
    pub parts: Arc<Parts>,
    /// Who decodes requests.
    pub backends: Arc<Backends>,
    /// For tests.
    pub crash: Option<CrashHook>,
    /// Started by its keeper.
    pub child: bool,
    /// The mount, once there is one.
    pub serving: Late<Serving>,
    /// Why there is none.
    pub news: watch::Sender<Option<Attention>>,
}

impl Mounting {
    /// Begins to serve the mount that came with the admission. Without one, gives the keeper that will tell of it.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn begin(&self, admitted: Admitted) -> Result<Option<EngineLink>, Failure> {
        match admitted.admission {
            Admission::Lease(lease) => {
                self.serve(admitted.link, lease)?;
                Ok(None)
            }
            Admission::Unmounted(unmounted) => {
                let (reason, help) = (unmounted.trouble.reason, unmounted.trouble.help);
                tracing::error!(help, "serving all but the mount: {reason}");
                Ok(Some(admitted.link))
            }
        }
    }

    /// Waits for the mount if it is still to come, and then until it ends.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub async fn until_end(&self, keeper: Option<EngineLink>) -> Result<Ended, Failure> {
        if let Some(link) = keeper {
            match self.wait(link).await? {
                Ok((link, lease)) => self.serve(link, lease)?,
                Err(end) => return Ok(end),
            }
        }
        match self.serving.get() {
            Some(serving) => Ok(serving.wait().await),
            None => Ok(Ended::Unmounted),
        }
    }

    fn serve(&self, link: EngineLink, mut lease: Lease) -> Result<(), Failure> {
        // The keeper's own limit is for the time without an engine.
        let deadline = self.config.mount.read_deadline.0.as_millis();
        lease.terms.deadline = u64::try_from(deadline).unwrap_or(u64::MAX);
        let generation = lease.terms.generation;
        let mount = lease.terms.mount.clone();
        let since = i64::try_from(lease.terms.mounted_at).ok();
        let since = since.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        let retired = self
            .parts
            .catalogue
            .retired_since(since.unwrap_or_else(Timestamp::now));
        let options = ServeOptions {
            notify_helper: Some(NotifyHelper {
                program: "/proc/self/exe".into(),
                arguments: vec!["notify-helper".into()],
            }),
            retired: retired
                .into_iter()
                .map(|(parent, name)| Change::Entry { parent, name })
                .collect(),
            // A keeper's child is killed with it; whoever starts that keeper again starts both.
            outlives_keeper: (!self.child).then(|| Outlives {
                socket: self.config.keeper_socket(),
                version: env!("CARGO_PKG_VERSION").into(),
            }),
            crash: self.crash.clone(),
        };
        let changes = self.parts.tree.changes();
        let vfs: Arc<dyn Vfs> = self.parts.tree.clone();
        let (backend, handle) = (self.backends.clone(), Handle::current());
        let serving = serve_with(backend, link, lease, vfs, handle, options, changes)
            .map(Arc::new)
            .doing(|| "transport".into())?;
        self.serving.set(serving);
        self.news.send_replace(None);
        tracing::info!(mount = %mount.display(), generation, "serving");
        Ok(())
    }

    /// Waits for the mount, or why this engine is to end without one. A keeper that is gone is waited for as well: all else goes on.
    async fn wait(
        &self,
        mut link: EngineLink,
    ) -> Result<Result<(EngineLink, Lease), Ended>, Failure> {
        loop {
            // If it is gone by now, that is seen next.
            let _ = link.serving();
            let waited = spawn_blocking(move || {
                let mounted = link.mounted();
                (link, mounted)
            });
            let (same, mounted) = waited.await.doing(|| "lease".into())?;
            match mounted {
                Ok(Mounted::Lease(lease)) => return Ok(Ok((same, lease))),
                Ok(Mounted::Stop) => return Ok(Err(Ended::Stopped)),
                Ok(Mounted::Replaced) => return Ok(Err(Ended::Replaced)),
                Err(_) if self.child => return Ok(Err(Ended::KeeperGone)),
                Err(error) => tracing::warn!("{}: waiting for the next", with_causes(&error)),
            }
            sleep(KEEPER_RETRY).await;
            let next = Admitted::by(connected(&self.config, false).await?);
            let Ok(Ok(Ok(admitted))) = timeout(ADMISSION_LIMIT, next).await else {
                return Ok(Err(Ended::KeeperGone));
            };
            match admitted.admission {
                Admission::Lease(lease) => return Ok(Ok((admitted.link, lease))),
                Admission::Unmounted(_) => link = admitted.link,
            }
        }
    }
}
