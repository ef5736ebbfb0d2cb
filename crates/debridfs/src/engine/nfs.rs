//! Files over NFS: the key, the exports and the listener.

use std::sync::Arc;

use debridfs_base::volume::Volume;
use debridfs_base::{Board, Late, Trouble};
use debridfs_listen::{Listeners, Place};
use debridfs_nfs::{Key, NfsServer};
use debridfs_vfs::Vfs;
use jiff::Timestamp;

use super::trouble::of_state;
use debridfs_config::Config;

/// What NFS is served with.
#[derive(Clone)]
pub struct Serving {
    /// Settings.
    pub config: Arc<Config>,
    /// Where.
    pub place: Place,
    /// What.
    pub vfs: Arc<dyn Vfs>,
    /// What all servers share.
    pub listeners: Arc<Listeners>,
    /// What somebody has to look at.
    pub board: Board,
    /// The server, once there is a key.
    pub server: Late<NfsServer>,
}

impl Serving {
    /// Serves for ever.
    ///
    /// # Errors
    /// There is no key.
    pub async fn run(self) -> Result<(), Trouble> {
        let server = match self.server.get() {
            Some(server) => server.clone(),
            None => self.make().await?,
        };
        let front = self.listeners.front(self.place.what);
        let listener = self.place.listen(&self.board).await;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, exports = self.config.nfs.export.len(), "NFS");
        }
        server.serve(front, listener).await;
        Err(Trouble::of_end())
    }

    async fn make(&self) -> Result<Arc<NfsServer>, Trouble> {
        let config = self.config.clone();
        let load = move || {
            Key::load(
                config.nfs.key_file.as_deref(),
                &config.state_dir,
                Timestamp::now(),
            )
        };
        let key = match Volume::state().run(&self.config.state_dir, load).await {
            Ok(key) => key.map_err(|error| of_state(&self.config, error))?,
            Err(silent) => return Err(of_state(&self.config, silent)),
        };
        if key.change.replaced {
            let since = key.change.since;
            tracing::warn!(%since, "the key of NFS handles took the place of another one: clients that had mounted before have to mount again");
        }
        let server = NfsServer::new(
            self.vfs.clone(),
            self.config.nfs.exports(),
            &key.bytes,
            self.config.mount.read_deadline.0,
        );
        self.server.set(server.clone());
        Ok(server)
    }
}
