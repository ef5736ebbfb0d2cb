//! Files over NFS: the key, the exports and the listener.

use std::sync::{Arc, LazyLock};

use debridfs_base::volume::Volume;
use debridfs_base::{Board, Late, Trouble};
use debridfs_listen::{Listeners, Place};
use debridfs_nfs::{KEY_LEN, Key, NfsServer, RpcbindError};
use debridfs_vfs::Vfs;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::trouble::of_state;
use debridfs_config::Config;

/// The volume of `nfs.key_file`.
static KEY_FILE: LazyLock<Volume> = LazyLock::new(|| Volume::new("nfs.key_file"));

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
    /// Whether it listens.
    pub listens: watch::Sender<bool>,
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
        let listener = self.place.listen(&self.board).await;
        self.listens.send_replace(true);
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, exports = self.config.nfs.export.len(), "NFS");
        }
        server
            .serve(&self.listeners, self.place.what, listener)
            .await;
        Err(Trouble::of_end())
    }

    /// Keeps the server registered with rpcbind while it listens, until `shutdown`.
    ///
    /// # Errors
    /// It cannot be registered.
    pub async fn keep_registered(self, shutdown: CancellationToken) -> Result<(), Trouble> {
        let mut listens = self.listens.subscribe();
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            // Its sender lives as long as this.
            _ = listens.wait_for(|listens| *listens) => {}
        }
        let kept = debridfs_nfs::keep_registered(self.place.address, shutdown.cancelled()).await;
        kept.map_err(|error| Trouble::new(&error, help(&error)))
    }

    /// The key of `nfs.key_file`. It is read as what lies on a volume of its own: while that does not answer, nothing else waits.
    async fn shared_key(&self) -> Result<Option<[u8; KEY_LEN]>, Trouble> {
        let Some(file) = self.config.nfs.key_file.clone() else {
            return Ok(None);
        };
        let path = file.clone();
        let read = KEY_FILE.run(&file, move || Key::read(&path)).await;
        let read = read.map_err(|silent| silent.to_string());
        let key = read.and_then(|key| key.map_err(|error| error.to_string()));
        let help =
            "mend `nfs.key_file`, or the volume that it lies on; it is tried again by itself";
        key.map(Some).map_err(|words| Trouble::new(words, help))
    }

    async fn make(&self) -> Result<Arc<NfsServer>, Trouble> {
        let shared = self.shared_key().await?;
        let state = self.config.state_dir.clone();
        let load = move || Key::load(shared, &state, Timestamp::now());
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

fn help(error: &RpcbindError) -> &'static str {
    match error {
        RpcbindError::Absent(_) => {
            "install and start rpcbind (Debian: `apt install rpcbind`), or leave `nfs.rpcbind` out: clients that name the port need none, as in `debridfs mounts`"
        }
        RpcbindError::Silent(_) => "see the log of rpcbind; it is tried again by itself",
        RpcbindError::Taken { .. } => {
            "stop the other NFS server (`rpcinfo -p` lists it), or leave `nfs.rpcbind` out"
        }
        RpcbindError::Refused { .. } => {
            "`rpcinfo -d PROGRAM 3` as root takes back what another user registered; rpcbind has to see calls come from this machine: give the container the host's network, or /run/rpcbind.sock"
        }
    }
}
