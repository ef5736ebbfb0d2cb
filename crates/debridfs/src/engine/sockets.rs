//! The engine's servers. None is needed for serving the mount, so a taken address only delays them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use debridfs_control::RunningEngine;
use debridfs_listen::{serve, tcp, unix};
use debridfs_web::{MountProbe, Pages, pages_router, public_router, waiting_router};

/// Answers probes of an engine that has no mount to serve yet, until it is dropped. An address that is taken is that of the
/// engine before this one, which answers for both.
pub async fn waiting(address: SocketAddr) {
    let listener = tcp(address, None).await;
    let router = waiting_router("the keeper has not given the mount to this engine yet");
    serve(listener, router).await;
}

/// Serves health, metrics and pages.
pub async fn public(
    address: SocketAddr,
    engine: Arc<RunningEngine>,
    probe: MountProbe,
    pages: Pages,
) {
    let listener = tcp(address, Some("health and metrics")).await;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "health, metrics and pages");
        engine.listening(address);
    }
    let mut router = public_router(engine, probe);
    match pages_router(pages) {
        Ok(pages) => router = router.merge(pages),
        Err(error) => tracing::error!(%error, "no pages"),
    }
    serve(listener, router).await;
}

/// Serves one front; an address that is taken is waited for.
pub async fn front(address: SocketAddr, what: &str, login: bool, router: Router) {
    let listener = tcp(address, Some(&format!("the {what}"))).await;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, login, "{what}");
    }
    serve(listener, router).await;
}

/// Serves what the commands of an operator ask for.
pub async fn control(path: PathBuf, router: Router) {
    match unix(&path) {
        Ok(listener) => serve(listener, router).await,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "no control socket: `debridfs status` will know little");
        }
    }
}
