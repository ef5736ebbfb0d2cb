//! The producer's two processes, made of the product's own parts: a keeper that mounts, and an
//! engine that serves the marker.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::with_causes;
use debridfs_fuse::ServeOptions;
use debridfs_handover::{EngineLink, HandoverError};
use debridfs_keeper::{KeeperOptions, Mode, Owner};
use serde::{Deserialize, Serialize};

use crate::level::USER;
use crate::marker::Marker;
use crate::tree::marker_tree;

/// How soon a keeper that is not there yet is looked for again.
const RETRY: Duration = Duration::from_millis(20);

/// What the keeper is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Keep {
    pub mount: PathBuf,
    pub socket: PathBuf,
    /// The engine is an ordinary user's.
    pub unprivileged: bool,
    pub allow_other: bool,
}

/// Mounts and keeps the mount until SIGTERM. Log lines go to standard error.
pub(crate) fn keep(keep: Keep, ready: impl FnOnce() + 'static) -> io::Result<()> {
    let mut options = KeeperOptions::new(keep.mount, keep.socket, Mode::Attached);
    options.owner = keep.unprivileged.then_some(Owner {
        uid: USER,
        gid: USER,
    });
    options.allow_other = keep.allow_other;
    options.threads = Some(2);
    options.log = Box::new(|_, line| eprintln!("{line}"));
    options.ready = Some(Box::new(ready));
    debridfs_keeper::run(options).map_err(|error| io::Error::other(with_causes(&error)))
}

/// Serves the marker until the connection ends.
pub(crate) fn serve(socket: &Path, marker: Marker) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let link = loop {
            match EngineLink::connect(socket, env!("CARGO_PKG_VERSION"), false) {
                Ok(link) => break link,
                Err(HandoverError::Connect { .. }) => tokio::time::sleep(RETRY).await,
                Err(error) => return Err(io::Error::other(error)),
            }
        };
        let lease = link.lease().map_err(io::Error::other)?;
        let options = ServeOptions {
            notify_helper: None,
            retired: Vec::new(),
            // What happens when both are gone is a part of the test.
            outlives_keeper: None,
            crash: None,
        };
        // Nothing ever changes.
        let (_unused, changes) = tokio::sync::mpsc::unbounded_channel();
        let tree = Arc::new(marker_tree(&marker));
        let handle = tokio::runtime::Handle::current();
        let serving = debridfs_fuse::serve(link, lease, tree, handle, options, changes)?;
        serving.wait().await;
        Ok(())
    })
}
