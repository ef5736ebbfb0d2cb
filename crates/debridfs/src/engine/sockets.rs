//! The engine's servers. None is needed for serving the mount, so a taken address only delays them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use debridfs_base::Board;
use debridfs_control::RunningEngine;
use debridfs_listen::{Front, Listeners, Place, Tls, raise_descriptors, unix};
use debridfs_web::{MountProbe, Pages, pages_router, public_router, waiting_router};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use debridfs_config::{Config, TlsSetting};

/// What all servers of an engine share.
pub fn listeners(config: &Config) -> Arc<Listeners> {
    let descriptors = raise_descriptors();
    let wanted = config.server.limits();
    let limits = wanted.within(descriptors);
    if limits.connections < wanted.connections {
        tracing::warn!(
            descriptors,
            connections = limits.connections,
            "fewer connections to each listener than server.connections says, as half of the open files are kept for CDNs and disk: raise LimitNOFILE= or `ulimit -n`"
        );
    }
    Listeners::new(limits)
}

/// Answers probes of an engine that serves no mount, until it is dropped: it is alive, and for this `reason` not ready.
pub async fn waiting(listener: TcpListener, config: &Config, reason: &'static str) {
    let front = Listeners::new(config.server.limits()).front("waiting");
    let router = waiting_router(reason);
    serve(front, listener, router, config.web_tls(), &Board::default()).await;
}

/// Serves by TLS, with files that are looked after, where `tls` names some. SIGHUP has them looked
/// at now.
async fn serve(
    front: Front,
    listener: TcpListener,
    router: Router,
    tls: Option<TlsSetting>,
    board: &Board,
) {
    let Some(TlsSetting { setting, files }) = tls else {
        return front.serve(listener, router).await;
    };
    let tls = Tls::new(setting, files);
    let hangups = async {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            return std::future::pending().await;
        };
        while hangup.recv().await.is_some() {
            tls.look_now();
        }
    };
    tokio::select! {
        () = front.serve_with(listener, router, Some(tls.clone())) => {}
        () = tls.follow(board) => {}
        () = hangups => {}
    }
}

/// Serves health, metrics, and pages if there are any.
pub async fn public(
    front: Front,
    place: Place,
    tls: Option<TlsSetting>,
    board: &Board,
    engine: Arc<RunningEngine>,
    probe: MountProbe,
    pages: Option<Pages>,
) {
    let listener = place.listen(board).await;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "health, metrics and pages");
        engine.listening(address);
    }
    let mut router = public_router(engine, probe);
    match pages.map(pages_router).transpose() {
        Ok(Some(pages)) => router = router.merge(pages),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "no pages"),
    }
    serve(front, listener, router, tls, board).await;
}

/// Serves one front, by TLS if it has files for that; an address that is taken is waited for.
pub async fn front(
    listeners: &Arc<Listeners>,
    place: Place,
    tls: Option<TlsSetting>,
    board: &Board,
    login: bool,
    router: Router,
) {
    let front = listeners.front(place.what);
    let listener = place.listen(board).await;
    if let Ok(address) = listener.local_addr() {
        let encrypted = tls.is_some();
        tracing::info!(%address, login, encrypted, "{}", place.what);
    }
    serve(front, listener, router, tls, board).await;
}

/// Serves what the commands of an operator ask for.
///
/// # Errors
/// The socket cannot be made.
pub async fn control(front: Front, path: PathBuf, router: Router) -> io::Result<()> {
    let listener = unix(&path)?;
    front.serve(listener, router).await;
    Ok(())
}
