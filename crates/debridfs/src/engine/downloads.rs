//! The queue of downloads and its fronts.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use debridfs_acquire::{Acquire, Checkpoint, MountedLibrary, qbittorrent, sabnzbd};
use debridfs_fuse::ALLOW_VARIABLE;
use debridfs_listen::Listeners;

use super::http_files::HttpFiles;
use super::parts::Parts;
use super::sockets;
use crate::config::Config;
use crate::failure::{Doing, Failure};

/// A directory; the program kills itself at the point of a job that a file in it is named after, once. For tests alone.
const CRASH_VARIABLE: &str = "DEBRIDFS_TEST_CRASH_JOBS";

/// The queue, and who may call it.
pub struct Downloads {
    /// The queue.
    pub queue: Arc<Acquire>,
    /// Where its front listens.
    listen: SocketAddr,
    credentials: qbittorrent::Credentials,
    sabnzbd: Option<(SocketAddr, sabnzbd::Credentials)>,
}

impl Downloads {
    /// Opens the queue, if downloads are configured.
    pub async fn load(
        config: &Config,
        parts: &Parts,
        http: &HttpFiles,
    ) -> Result<Option<Self>, Failure> {
        let Some(mut queue) = config.acquire.queue(&config.state_dir) else {
            return Ok(None);
        };
        queue.in_hand = Some(config.runtime_dir.join("in-hand.json"));
        queue.checkpoint = checkpoint().doing(|| "crash hook".into())?;
        queue.arrs = config.arrs()?;
        let credentials = config.qbittorrent.credentials(&config.arr)?;
        let sabnzbd = config.sabnzbd.front()?;
        let addresses = http.addresses.clone();
        let library = MountedLibrary::new(
            parts.catalogue.clone(),
            parts.content.clone(),
            &config.content,
            config.mount.path.clone(),
            config.library.layout,
            Arc::new(move |path| addresses.of(path).map_err(|error| error.to_string())),
        );
        let queue = Acquire::open(queue, parts.providers.clone(), Arc::new(library)).await;
        Ok(Some(Self {
            queue: queue.doing(|| "downloads".into())?,
            listen: config.qbittorrent.listen,
            credentials,
            sabnzbd,
        }))
    }

    /// Serves its fronts.
    pub async fn serve(self, listeners: Arc<Listeners>) {
        let Self {
            queue,
            listen,
            credentials,
            sabnzbd,
        } = self;
        if let Some((listen, credentials)) = sabnzbd {
            let attempts = listeners.attempts().clone();
            let router = sabnzbd::router(queue.clone(), credentials, attempts);
            let listeners = listeners.clone();
            tokio::spawn(async move {
                sockets::front(&listeners, listen, "SABnzbd API", true, router).await;
            });
        }
        let login = !credentials.is_open();
        let router = qbittorrent::router(queue, credentials, listeners.attempts().clone());
        sockets::front(&listeners, listen, "qBittorrent API", login, router).await;
    }
}

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
