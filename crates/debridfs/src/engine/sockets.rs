//! The engine's servers. None is needed for serving the mount, so a taken address only delays them.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use debridfs_web::{MountProbe, Pages, pages_router, public_router, waiting_router};
use tokio::net::{TcpListener, UnixListener};

use super::report::Report;

/// How soon a taken address is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Listens on `address`; one that is taken is waited for, and `what`, if anything, is said to be missing meanwhile.
async fn listen(address: SocketAddr, mut what: Option<&str>) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                if let Some(what) = what.take() {
                    tracing::error!(%address, %error, "{what} cannot be served yet");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Answers probes of an engine that has no mount to serve yet, until it is dropped. An address that is taken is that of the
/// engine before this one, which answers for both.
pub async fn waiting(address: SocketAddr) {
    let listener = listen(address, None).await;
    let router = waiting_router("the keeper has not given the mount to this engine yet");
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "health ended");
    }
}

/// Serves health, metrics and pages.
pub async fn public(address: SocketAddr, report: Arc<Report>, probe: MountProbe, pages: Pages) {
    let listener = listen(address, Some("health and metrics")).await;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "health, metrics and pages");
        report.listening(address);
    }
    let mut router = public_router(report, probe);
    match pages_router(pages) {
        Ok(pages) => router = router.merge(pages),
        Err(error) => tracing::error!(%error, "no pages"),
    }
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!(%error, "health and metrics ended");
    }
}

/// Serves one front; an address that is taken is waited for.
pub async fn front(address: SocketAddr, what: &str, login: bool, router: Router) {
    let listener = listen(address, Some(&format!("the {what}"))).await;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, login, "{what}");
    }
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!(%error, "the {what} ended");
    }
}

/// Serves what the commands of an operator ask for.
pub async fn control(path: PathBuf, router: Router) {
    let listener = match bind(&path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "no control socket: `debridfs status` will know little");
            return;
        }
    };
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the control socket ended");
    }
}

/// Binds beside `path` and moves it there, so that it takes the place of a dead engine's and is never open to others.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let fresh = path.with_extension(format!("{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}
