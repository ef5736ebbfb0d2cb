//! The mount: served from the start, or from when the keeper can make it. All else is served meanwhile.

use std::sync::Arc;

use debridfs_base::{Attention, Late, with_causes};
use debridfs_control::of_mount;
use debridfs_fuse::{
    Admitted, Backends, CrashHook, Ended, NotifyHelper, Outlives, ServeOptions, Serving, Unmounted,
    serve_with,
};
use debridfs_handover::{EngineLink, HandoverError, Lease};
use debridfs_listen::tcp;
use debridfs_vfs::{Change, Vfs};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::parts::Parts;
use super::sockets;
use crate::command::engine::EngineArgs;
use crate::failure::{Doing, Failure};
use debridfs_config::Config;

/// Waits until the keeper admits this engine. Whoever restarts what is not alive need not do so meanwhile: without a keeper the next
/// engine could do no more.
///
/// # Errors
/// It is refused.
pub async fn admitted(config: &Config, args: &EngineArgs) -> Result<Admitted, Failure> {
    let socket = config.keeper_socket();
    let admitted = Admitted::wait(&socket, env!("CARGO_PKG_VERSION"), args.replace);
    let refused = |error: HandoverError| Failure::new(with_causes(&error), None);
    // A keeper's child is not waited for by anybody.
    if args.child {
        return admitted.await.map_err(refused);
    }
    let of = config.clone();
    let probes = tokio::spawn(async move {
        // One that is taken is that of the engine before this one, which answers for both.
        let listener = tcp(of.server.listen, |_, _| {}).await;
        let reason = "the keeper has not given the mount to this engine yet";
        sockets::waiting(listener, &of, reason).await;
    });
    let admitted = admitted.await;
    probes.abort();
    // Afterwards the address is free.
    let _ = probes.await;
    admitted.map_err(refused)
}

/// Why nothing is mounted, if nothing is.
pub fn news(admitted: &Admitted) -> Option<Attention> {
    let trouble = admitted.trouble()?;
    Some(of_mount(admitted.mount(), trouble))
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
    /// Begins to serve the mount that came with the admission. Without one, gives what waits for it.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn begin(&self, admitted: Admitted) -> Result<Option<Unmounted>, Failure> {
        if let Some(line) = news(&admitted) {
            tracing::error!("{line}");
        }
        match admitted.into_lease() {
            Ok((link, lease)) => self.serve(link, lease).map(|()| None),
            Err(unmounted) => Ok(Some(unmounted)),
        }
    }

    /// Waits for the mount if it is still to come, and then until it ends.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub async fn until_end(&self, unmounted: Option<Unmounted>) -> Result<Ended, Failure> {
        if let Some(unmounted) = unmounted {
            match unmounted.mounted(!self.child).await {
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
}
