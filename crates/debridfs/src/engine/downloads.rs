//! The queue of downloads and its fronts.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use debridfs_acquire::{Acquire, Checkpoint, MountNews, MountedLibrary, qbittorrent, sabnzbd};
use debridfs_base::{Board, Late, Trouble};
use debridfs_dav::Addresses;
use debridfs_fuse::ALLOW_VARIABLE;
use debridfs_listen::{Listeners, Place};
use debridfs_preflight::Alone;
use debridfs_services::watch_arrs;
use tokio_util::sync::CancellationToken;

use super::looks;
use super::parts::Parts;
use super::sockets;
use super::trouble::{of_setting, of_state};
use debridfs_config::Config;

/// A directory; the program kills itself at the point of a job that a file in it is named after, once. For tests alone.
const CRASH_VARIABLE: &str = "DEBRIDFS_TEST_CRASH_JOBS";

/// The queue, and what it is made of.
#[derive(Clone)]
pub struct Downloads {
    /// Settings.
    pub config: Arc<Config>,
    /// The library that they come into.
    pub parts: Arc<Parts>,
    /// What is in `.strm` files.
    pub addresses: Arc<Addresses>,
    /// What all servers share.
    pub listeners: Arc<Listeners>,
    /// What somebody has to look at.
    pub board: Board,
    /// Keeps other instances out of the folders.
    pub alone: Alone,
    /// Why nothing is mounted.
    pub mount_news: MountNews,
    /// The queue, once it is open.
    pub queue: Late<Acquire>,
}

impl Downloads {
    /// Opens the queue unless it is open, goes on with its jobs and serves its fronts, until
    /// `shutdown`.
    ///
    /// # Errors
    /// Why it cannot be opened, or that it ended.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Trouble> {
        let config = &self.config;
        let credentials = config.qbittorrent.credentials(&config.arr);
        let credentials = credentials.map_err(|error| of_setting(&error))?;
        let sabnzbd = config.sabnzbd.front();
        let sabnzbd = sabnzbd.map_err(|error| of_setting(&error))?;
        let queue = match self.queue.get() {
            Some(queue) => queue.clone(),
            None => {
                let queue = self.open().await?;
                self.queue.set(queue.clone());
                queue
            }
        };
        looks::keep_folders(&queue, &self.alone).await?;
        let login = !credentials.is_open();
        let (listeners, board) = (&self.listeners, &self.board);
        let place = Place {
            what: "qBittorrent API",
            setting: "qbittorrent.listen",
            address: config.qbittorrent.listen,
        };
        let attempts = listeners.attempts();
        let front = qbittorrent::router(queue.clone(), credentials, attempts.clone());
        let tls = config.qbittorrent_tls();
        let front = sockets::front(listeners, place, tls, board, login, front);
        let second = async {
            match sabnzbd {
                Some((address, credentials)) => {
                    let place = Place {
                        what: "SABnzbd API",
                        setting: "sabnzbd.listen",
                        address,
                    };
                    let router = sabnzbd::router(queue.clone(), credentials, attempts.clone());
                    let tls = config.sabnzbd_tls();
                    sockets::front(listeners, place, tls, board, true, router).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = queue.clone().run(shutdown) => {}
            () = front => {}
            () = second => {}
            trouble = looks::at_folders(&queue, board, &self.alone) => return Err(trouble),
            () = watch_arrs(&queue.config().arrs, board) => {}
        }
        Err(Trouble::of_end())
    }

    async fn open(&self) -> Result<Arc<Acquire>, Trouble> {
        let (config, parts) = (&self.config, &self.parts);
        let Some(mut queue) = config.acquire.queue(&config.state_dir) else {
            return Err(Trouble::new(
                "`acquire.downloads` is not configured",
                "set it",
            ));
        };
        queue.in_hand = Some(config.runtime_dir.join("in-hand.json"));
        queue.checkpoint = checkpoint().map_err(|error| of_state(config, error))?;
        queue.arrs = config.arrs().map_err(|error| of_setting(&error))?;
        let addresses = self.addresses.clone();
        let library = MountedLibrary::new(
            parts.catalogue.clone(),
            parts.content.clone(),
            &config.content,
            (config.mount.path.clone(), self.mount_news.clone()),
            config.library.layout,
            Arc::new(move |film, name| {
                let address = addresses.of(film, name);
                address.map_err(|error| error.to_string())
            }),
        );
        let queue = Acquire::open(queue, parts.providers.clone(), Arc::new(library)).await;
        queue.map_err(|error| of_state(config, error))
    }
}

#[allow(clippy::disallowed_methods, reason = "for tests that kill the program")]
fn checkpoint() -> io::Result<Checkpoint> {
    let Some(dir) = std::env::var_os(CRASH_VARIABLE).map(PathBuf::from) else {
        return Ok(Arc::new(|_| {}));
    };
    if std::env::var_os(ALLOW_VARIABLE).is_none_or(|value| value != "1") {
        let words = format!("{CRASH_VARIABLE} is a hook for tests; it needs {ALLOW_VARIABLE}=1");
        return Err(io::Error::other(words));
    }
    Ok(Arc::new(move |point| {
        // Once: the next engine comes by here as well.
        if std::fs::remove_file(dir.join(point)).is_ok() {
            let own = rustix::process::getpid();
            // Nothing is left to say if even this fails.
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        }
    }))
}
