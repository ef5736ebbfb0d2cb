//! A server of a library in memory, and clients of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_listen::{Limits, Listeners};
use debridfs_nfs::{Export, NfsServer, Squash};
use debridfs_vfs::{MemoryVfs, NodeId, Vfs};
use jiff::Timestamp;
use nfs3_client::tokio::{TokioConnector, TokioIo};
use nfs3_client::{Nfs3Connection, Nfs3ConnectionBuilder};
use nfs3_types::nfs3::{
    LOOKUP3args, LOOKUP3res, Nfs3Result, READ3args, READDIR3args, cookieverf3, diropargs3, nfs_fh3,
    nfsstat3,
};
use nfs3_types::rpc::{auth_unix, opaque_auth};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub const LONG: Duration = Duration::from_secs(30);
pub const KEY: [u8; 32] = [7; 32];
pub const FILMS: NodeId = NodeId(1 << 20);
pub const FILM: NodeId = NodeId((1 << 20) + 1);
pub const OTHERS: NodeId = NodeId((1 << 20) + 2);
pub const SECRET: NodeId = NodeId((1 << 20) + 3);

pub type Connection = Nfs3Connection<TokioIo<TcpStream>>;

/// Bytes that tell where they are.
pub fn content(size: usize) -> Bytes {
    (0..size).map(|at| (at / 7 + at) as u8).collect()
}

/// `/films/film.mkv` and `/others/secret.mkv`.
pub fn library() -> MemoryVfs {
    let vfs = MemoryVfs::new(Timestamp::from_second(1_700_000_000).unwrap());
    fill(&vfs);
    vfs
}

pub fn fill(vfs: &MemoryVfs) {
    vfs.add_directory(NodeId::ROOT, "films", FILMS);
    vfs.add_bytes(FILMS, "film.mkv", FILM, content(3_000_001));
    vfs.add_directory(NodeId::ROOT, "others", OTHERS);
    vfs.add_bytes(OTHERS, "secret.mkv", SECRET, content(5));
}

pub fn export(name: &str, path: &str) -> Export {
    Export {
        name: name.into(),
        path: path.into(),
        fsid: Export::default_fsid(name),
        networks: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        squash: Squash::Root,
        anonymous: (65534, 65534),
        insecure: true,
        patience: Duration::from_secs(10),
    }
}

/// A server; it ends when this is dropped.
pub struct Served {
    pub server: Arc<NfsServer>,
    pub listeners: Arc<Listeners>,
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    pub async fn with(vfs: impl Vfs, exports: Vec<Export>) -> Self {
        let limit = LONG;
        Self::at("127.0.0.1:0", Arc::new(vfs), exports, limit).await
    }

    pub async fn at(
        address: &str,
        vfs: Arc<dyn Vfs>,
        exports: Vec<Export>,
        read_deadline: Duration,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = NfsServer::new(vfs, exports, &KEY, read_deadline);
        let listeners = Listeners::new(Limits::default());
        let (serving, fronts) = (server.clone(), listeners.clone());
        let task = tokio::spawn(async move { serving.serve(&fronts, "NFS", listener).await });
        Self {
            server,
            listeners,
            address,
            task,
        }
    }

    /// A client that has mounted `path`, as user 1000.
    pub async fn mount(&self, path: &str) -> Result<Connection, String> {
        self.mount_by(self.address.ip(), path).await
    }

    /// The same by another address of this machine.
    pub async fn mount_by(&self, ip: IpAddr, path: &str) -> Result<Connection, String> {
        let user = auth_unix {
            uid: 1000,
            gid: 1000,
            ..auth_unix::default()
        };
        let (host, port) = (ip.to_string(), self.address.port());
        let mounting = Nfs3ConnectionBuilder::new(TokioConnector, host, path)
            .connect_from_privileged_port(false)
            .mount_port(port)
            .nfs3_port(port)
            .credential(opaque_auth::auth_unix(&user))
            .mount();
        mounting.await.map_err(|error| error.to_string())
    }
}

pub async fn lookup(client: &mut Connection, dir: &nfs_fh3, name: &str) -> LOOKUP3res {
    let what = diropargs3 {
        dir: dir.clone(),
        name: name.as_bytes().into(),
    };
    client.lookup(&LOOKUP3args { what }).await.unwrap()
}

pub fn status<T, E>(result: Nfs3Result<T, E>) -> nfsstat3 {
    match result {
        Nfs3Result::Ok(_) => nfsstat3::NFS3_OK,
        Nfs3Result::Err((status, _)) => status,
    }
}

/// Reads; the bytes, or the status.
pub async fn read(
    client: &mut Connection,
    file: &nfs_fh3,
    offset: u64,
    count: u32,
) -> Result<Vec<u8>, nfsstat3> {
    let file = file.clone();
    let args = READ3args {
        file,
        offset,
        count,
    };
    match client.read(&args).await.unwrap() {
        Nfs3Result::Ok(read) => Ok(read.data.to_vec()),
        Nfs3Result::Err((status, _)) => Err(status),
    }
}

/// The handle at a path below `dir`.
pub async fn handle(client: &mut Connection, path: &str) -> nfs_fh3 {
    let mut at = client.root_nfs_fh3();
    for name in path.split('/') {
        at = lookup(client, &at, name).await.unwrap().object;
    }
    at
}

/// The names in a directory, or the status.
pub async fn list(client: &mut Connection, dir: &nfs_fh3) -> Result<Vec<String>, nfsstat3> {
    let args = READDIR3args {
        dir: dir.clone(),
        cookie: 0,
        cookieverf: cookieverf3::default(),
        count: 1 << 16,
    };
    match client.readdir(&args).await.unwrap() {
        Nfs3Result::Err((status, _)) => Err(status),
        Nfs3Result::Ok(list) => {
            let names = list.reply.entries.0.into_iter();
            let names = names.map(|entry| String::from_utf8(entry.name.0.to_vec()).unwrap());
            Ok(names.collect())
        }
    }
}
