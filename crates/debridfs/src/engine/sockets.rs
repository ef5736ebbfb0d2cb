//! The engine's servers. None is needed for serving the mount, so a taken address only delays them.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use debridfs_base::{AttentionKind, Board, Trouble};
use debridfs_control::RunningEngine;
use debridfs_listen::{Front, Listeners, raise_descriptors, tcp, unix};
use debridfs_web::{MountProbe, Pages, pages_router, public_router, waiting_router};
use tokio::net::TcpListener;

use debridfs_config::{Config, ServerConfig};

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
pub async fn waiting(listener: TcpListener, server: &ServerConfig, reason: &'static str) {
    let front = Listeners::new(server.limits()).front("waiting");
    front.serve(listener, waiting_router(reason)).await;
}

/// Where something is served.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// What, such as `qBittorrent API`.
    pub what: &'static str,
    /// The setting that says where.
    pub setting: &'static str,
    /// Where.
    pub address: SocketAddr,
}

impl Place {
    /// Listens there; until it can, `board` says why not.
    pub async fn listen(&self, board: &Board) -> TcpListener {
        let listener = tcp(self.address, |error, by| {
            let Trouble { words, help } = self.trouble(&error, by);
            if board.raise(
                AttentionKind::Port,
                self.setting,
                Trouble::new(&words, &help),
            ) {
                tracing::error!(help, "{words}");
            }
        });
        let listener = listener.await;
        board.settle(AttentionKind::Port, self.setting);
        listener
    }

    /// What is said where it cannot listen, `by` whom the address is held if that is known.
    pub fn trouble(&self, error: &io::Error, by: Option<&str>) -> Trouble {
        let Self {
            what,
            setting,
            address,
        } = self;
        if error.kind() != io::ErrorKind::AddrInUse {
            let help = format!(
                "`{setting}` has to be an address of this machine, with a port that its user may take"
            );
            return Trouble::new(format!("no {what}: {address}: {error}"), help);
        }
        let by = by.map_or_else(String::new, |by| format!(" by {by}"));
        let help = format!(
            "stop that program (it is tried again by itself), or set `{setting}` to another port"
        );
        Trouble::new(format!("no {what}: {address} is taken{by}"), help)
    }
}

/// Serves health, metrics, and pages if there are any.
pub async fn public(
    front: Front,
    place: Place,
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
    front.serve(listener, router).await;
}

/// Serves one front; an address that is taken is waited for.
pub async fn front(
    listeners: &Arc<Listeners>,
    place: Place,
    board: &Board,
    login: bool,
    router: Router,
) {
    let front = listeners.front(place.what);
    let listener = place.listen(board).await;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, login, "{}", place.what);
    }
    front.serve(listener, router).await;
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
