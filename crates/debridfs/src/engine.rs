//! Everything but the mount itself, wired together. An engine may end at any time; another one goes on where it was.
//!
//! Order of the start: the stored library is loaded, then the connection is taken and served ([`mount`]), then come sync, control socket
//! and web server. So a restart is over before anything slow begins, and nothing but the library can keep the mount from being
//! served: every other part is opened beside it ([`tasks`]).

mod downloads;
mod hangup;
mod http_files;
mod looks;
mod mount;
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

use std::sync::Arc;
use std::time::Duration;

use debridfs_base::Late;
use debridfs_base::volume::Volume;
use debridfs_cache::Cache;
use debridfs_control::{EngineInfo, EngineParts, RunningEngine};
use debridfs_fuse::{Backends, CrashHook, Ended};
use debridfs_listen::Listeners;
use debridfs_preflight::Alone;
use debridfs_vfs::Vfs;
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::command::engine::EngineArgs;
use crate::failure::{Doing, Failure};
use debridfs_config::Config;

pub use hangup::Settings;
use mount::Mounting;
use parts::Parts;
use tasks::Tasks;

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
    let admitted = mount::admitted(config, args).await?;
    let vfs: Arc<dyn Vfs> = parts.tree.clone();
    let backends = Arc::new(backends(config, &vfs, has_state).await);
    let mounting = Mounting {
        config: Arc::new(config.clone()),
        parts: parts.clone(),
        backends: backends.clone(),
        crash: hook,
        child: args.child,
        serving: Late::expected(),
        news: watch::Sender::new(mount::news(&admitted)),
    };
    let info = EngineInfo {
        started,
        mount: admitted.mount().to_owned(),
        keeper: admitted.keeper(),
        restarts: admitted.restarts(),
        keeper_socket: config.keeper_socket(),
        state_dir: config.state_dir.clone(),
        cache_dir: config.cache_dir.clone(),
    };
    let unmounted = mounting.begin(admitted)?;

    let tasks = Tasks::new(
        config,
        parts.clone(),
        listeners.clone(),
        (info.mount.clone(), mounting.news.subscribe()),
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
            serving: mounting.serving.clone(),
            mount_news: mounting.news.clone(),
            backends: backends.clone(),
            tokens: tasks.tokens.clone(),
            listeners: listeners.clone(),
            nfs: tasks.nfs.clone(),
        },
        info,
    ));
    let ending = tasks.start(&backends);
    tasks.start_telling(&engine);

    let stop = shutdown.clone();
    let restarted = hangup::is_started_again(args.supervised);
    let end = tokio::select! {
        end = mounting.until_end(unmounted) => End::Connection(end?),
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
        let read = move || debridfs_fuse::remembered(&dir);
        let answer = Volume::state().run(&config.state_dir, read).await;
        kept = answer.ok().flatten();
    }
    let backends = Backends::new(vfs, configured, kept, config.fuse.fallback);
    backends.compare(config.fuse.shadow_percent);
    backends.set_rollout(config.fuse.rollout.clone());
    backends
}
