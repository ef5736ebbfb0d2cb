//! Everything but the mount itself, wired together. An engine may end at any time; another one goes on where it was.
//!
//! Order of the start: the stored library is loaded, then the connection is taken and served, then come sync, control socket
//! and web server. So a restart is over before anything slow begins, and nothing but the library can keep the mount from being
//! served: every other part is opened beside it ([`tasks`]).

mod downloads;
mod hangup;
mod http_files;
mod looks;
mod moves;
mod nfs;
mod parts;
mod repair;
pub mod sockets;
mod state;
mod tasks;
#[cfg(test)]
mod tests;
mod trouble;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::volume::Volume;
use debridfs_base::with_causes;
use debridfs_cache::Cache;
use debridfs_control::{EngineInfo, EngineParts, RunningEngine};
use debridfs_fuse::{Backends, CrashHook, Ended, NotifyHelper, Outlives, ServeOptions};
use debridfs_handover::{EngineLink, HandoverError, Lease};
use debridfs_listen::{Listeners, tcp};
use debridfs_preflight::Alone;
use debridfs_vfs::{Change, Vfs};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::command::engine::EngineArgs;
use crate::failure::{Doing, Failure};
use debridfs_config::Config;

pub use hangup::Settings;
use parts::Parts;
use tasks::Tasks;

/// How soon a keeper that is not there is looked for again.
const KEEPER_RETRY: Duration = Duration::from_millis(500);
/// What a last write of the store, and of the cache, may take at the end.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Why the engine ends.
pub enum End {
    /// It was told to.
    Signal,
    /// The connection did.
    Connection(Ended),
    /// SIGHUP asked for another engine.
    Again,
}

/// Serves until the connection ends, or SIGTERM or SIGINT comes.
pub async fn serve(settings: &Settings, args: &EngineArgs) -> Result<End, Failure> {
    let config = &settings.loaded.config;
    // A keeper that is told replaces its child; an engine alone has to hear of it by itself.
    let hangup = (!args.child).then(|| signal(SignalKind::hangup()));
    let hangup = hangup.transpose().doing(|| "signals".into())?;
    let mut terminate = signal(SignalKind::terminate()).doing(|| "signals".into())?;
    let mut interrupt = signal(SignalKind::interrupt()).doing(|| "signals".into())?;
    let shutdown = CancellationToken::new();
    let listeners = sockets::listeners(config);
    let cache = parts::cache(config);
    let end = tokio::select! {
        _ = terminate.recv() => End::Signal,
        _ = interrupt.recv() => End::Signal,
        end = attach_and_serve(settings, args, hangup, listeners, cache.clone(), shutdown.clone()) => end?,
    };
    shutdown.cancel();
    if let Some(cache) = cache
        && !cache.close(LAST_WRITES)
    {
        tracing::warn!("the newest bytes could not be kept in time");
    }
    Ok(end)
}

async fn attach_and_serve(
    settings: &Settings,
    args: &EngineArgs,
    hangup: Option<Signal>,
    listeners: Arc<Listeners>,
    cache: Option<Arc<Cache>>,
    shutdown: CancellationToken,
) -> Result<End, Failure> {
    let config = &settings.loaded.config;
    let started = Timestamp::now();
    let hook = CrashHook::from_env().doing(|| "crash hook".into())?;
    let alone = Alone::new(Arc::new(config.clone()));
    let has_state = state::answers(&config.state_dir).await;
    if has_state {
        state::keep_alone(&alone, &config.state_dir).await?;
    } else {
        tokio::spawn(state::end_once_it_answers(shutdown.clone()));
    }
    let parts = Arc::new(Parts::load(config, cache, has_state).await?);
    let (link, mut lease) = take_lease(config, args).await?;
    // The keeper's own limit is for the time without an engine.
    let deadline = config.mount.read_deadline.0.as_millis();
    lease.terms.deadline = u64::try_from(deadline).unwrap_or(u64::MAX);
    let generation = lease.terms.generation;
    let mount = lease.terms.mount.clone();
    let keeper = rustix::net::sockopt::socket_peercred(link.as_fd())
        .ok()
        .map(|peer| peer.pid.as_raw_nonzero().get().cast_unsigned());
    let since = i64::try_from(lease.terms.mounted_at)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or(started);
    let options = ServeOptions {
        notify_helper: Some(NotifyHelper {
            program: "/proc/self/exe".into(),
            arguments: vec!["notify-helper".into()],
        }),
        retired: parts
            .catalogue
            .retired_since(since)
            .into_iter()
            .map(|(parent, name)| Change::Entry { parent, name })
            .collect(),
        // A keeper's child is killed with it; whoever starts that keeper again starts both.
        outlives_keeper: (!args.child).then(|| Outlives {
            socket: config.keeper_socket(),
            version: env!("CARGO_PKG_VERSION").into(),
        }),
        crash: hook,
    };
    let changes = parts.tree.changes();
    let vfs: Arc<dyn Vfs> = parts.tree.clone();
    let backends = Arc::new(backends(config, &vfs, has_state).await);
    let backend = backends.clone();
    let handle = Handle::current();
    let serving = debridfs_fuse::serve_with(backend, link, lease, vfs, handle, options, changes)
        .map(Arc::new)
        .doing(|| "transport".into())?;
    tracing::info!(mount = %mount.display(), generation, "serving");

    let tasks = Tasks::new(
        config,
        parts.clone(),
        listeners.clone(),
        mount.clone(),
        alone,
        shutdown.clone(),
    );
    let engine = Arc::new(RunningEngine::new(
        EngineParts {
            providers: parts.providers.clone(),
            catalogue: parts.catalogue.clone(),
            content: parts.content.clone(),
            tree: parts.tree.clone(),
            queue: tasks.queue.clone(),
            repair: tasks.repair.clone(),
            moves: tasks.moves.clone(),
            supervisor: tasks.supervisor.clone(),
            board: tasks.board.clone(),
            serving: serving.clone(),
            backends: backends.clone(),
            tokens: tasks.tokens.clone(),
            listeners: listeners.clone(),
            nfs: tasks.nfs.clone(),
        },
        EngineInfo {
            started,
            mount,
            mounted: since,
            keeper,
            restarts: generation.saturating_sub(1),
            keeper_socket: config.keeper_socket(),
            state_dir: config.state_dir.clone(),
            cache_dir: config.cache_dir.clone(),
        },
    ));
    let ending = tasks.start();
    tasks.start_telling(&engine);

    let stop = shutdown.clone();
    let restarted = hangup::is_started_again(args.supervised);
    let end = tokio::select! {
        end = serving.wait() => End::Connection(end),
        () = hangup::needs_new_engine(hangup, settings, &backends, restarted) => End::Again,
        // Another branch of the program ends it; what is said here is not heard.
        () = stop.cancelled() => End::Connection(Ended::Stopped),
    };
    shutdown.cancel();
    let ended = futures_util::future::join_all(ending);
    if tokio::time::timeout(LAST_WRITES, ended).await.is_err() {
        tracing::warn!("the sync did not end in time");
    }
    Ok(end)
}

/// The backends, with the one that the configuration or a later switch lets answer.
async fn backends(config: &Config, vfs: &Arc<dyn Vfs>, has_state: bool) -> Backends {
    let (dir, configured) = (config.state_dir.clone(), config.fuse.backend);
    let mut kept = None;
    if has_state {
        let read = move || debridfs_fuse::remembered(&dir, configured);
        let answer = Volume::state().run(&config.state_dir, read).await;
        kept = answer.ok().flatten();
    }
    let backends = Backends::new(vfs, configured, kept, config.fuse.fallback);
    backends.compare(config.fuse.shadow_percent);
    backends
}

/// Waits for the keeper, and then until it admits this engine. Whoever restarts what is not alive need not do so meanwhile:
/// without a keeper the next engine could do no more.
async fn take_lease(config: &Config, args: &EngineArgs) -> Result<(EngineLink, Lease), Failure> {
    // A keeper's child is not waited for by anybody.
    if args.child {
        return ask_for_lease(config, false).await;
    }
    let of = config.clone();
    let probes = tokio::spawn(async move {
        // One that is taken is that of the engine before this one, which answers for both.
        let listener = tcp(of.server.listen, |_, _| {}).await;
        let reason = "the keeper has not given the mount to this engine yet";
        sockets::waiting(listener, &of, reason).await;
    });
    let taken = ask_for_lease(config, args.replace).await;
    probes.abort();
    // Afterwards the address is free.
    let _ = probes.await;
    taken
}

async fn ask_for_lease(config: &Config, replace: bool) -> Result<(EngineLink, Lease), Failure> {
    let socket = config.keeper_socket();
    let mut told = false;
    loop {
        let path = socket.clone();
        let taken = tokio::task::spawn_blocking(move || {
            let link = EngineLink::connect(&path, env!("CARGO_PKG_VERSION"), replace)?;
            let lease = link.lease()?;
            Ok((link, lease))
        })
        .await
        .doing(|| "lease".into())?;
        match taken {
            Ok(taken) => return Ok(taken),
            Err(error @ (HandoverError::Connect { .. } | HandoverError::Gone)) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!("waiting for the keeper: {}", with_causes(&error));
                }
                tokio::time::sleep(KEEPER_RETRY).await;
            }
            Err(error) => return Err(Failure::new(with_causes(&error), None)),
        }
    }
}
