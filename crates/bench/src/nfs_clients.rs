//! Clients of NFS in a process of their own: one that asks for attributes, and a crowd that reads.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use debridfs_measure::{Child, pin};
use nfs3_client::net::Connector;
use nfs3_client::tokio::TokioIo;
use nfs3_client::{Nfs3Connection, Nfs3ConnectionBuilder};
use nfs3_types::nfs3::{GETATTR3args, LOOKUP3args, Nfs3Result, READ3args, diropargs3, nfs_fh3};
use nfs3_types::rpc::{auth_unix, opaque_auth};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpSocket, TcpStream};

use crate::Result;
use crate::bed::numbered;

/// Bytes of one read, where the server allows it.
const READ: u32 = 512 << 10;

/// Where a server is, and what it exports.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Export {
    /// Of NFS and MOUNT.
    pub(crate) nfs: SocketAddr,
    pub(crate) mount: SocketAddr,
    /// The path to mount.
    pub(crate) path: String,
}

/// What the process does.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// LOOKUP and GETATTR of so many files of this stem, one after the other.
    Stat { stem: String, count: u64 },
    /// So many clients, each at an address of its own, read this file from its start, again and again, for so many seconds.
    Crowd {
        file: String,
        clients: u8,
        seconds: f64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Job {
    export: Export,
    work: Work,
}

/// What it saw.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) seconds: f64,
    /// Of each client.
    pub(crate) bytes: Vec<u64>,
}

/// Connects from this address.
struct At(Ipv4Addr);

type Connection = Nfs3Connection<TokioIo<TcpStream>>;

impl Connector for At {
    type Connection = TokioIo<TcpStream>;

    async fn connect(&self, address: SocketAddr) -> io::Result<Self::Connection> {
        self.connect_with_port(address, 0).await
    }

    async fn connect_with_port(
        &self,
        address: SocketAddr,
        port: u16,
    ) -> io::Result<Self::Connection> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((IpAddr::V4(self.0), port).into())?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(stream))
    }
}

async fn mount(export: &Export, from: u8) -> Result<Connection> {
    let connector = At(Ipv4Addr::new(127, 0, 0, from));
    let host = export.nfs.ip().to_string();
    let builder = Nfs3ConnectionBuilder::new(connector, host, export.path.clone());
    let mounting = builder
        .connect_from_privileged_port(false)
        .mount_port(export.mount.port())
        .nfs3_port(export.nfs.port())
        .credential(opaque_auth::auth_unix(&auth_unix::default()))
        .mount();
    mounting.await.map_err(|error| error.to_string().into())
}

/// What a procedure came to.
fn good<T, E>(result: Nfs3Result<T, E>, what: &str) -> Result<T> {
    match result {
        Nfs3Result::Ok(value) => Ok(value),
        Nfs3Result::Err((status, _)) => Err(format!("{what}: {status}").into()),
    }
}

async fn lookup(client: &mut Connection, dir: &nfs_fh3, name: &str) -> Result<nfs_fh3> {
    let what = diropargs3 {
        dir: dir.clone(),
        name: name.as_bytes().into(),
    };
    let found = client.lookup(&LOOKUP3args { what }).await;
    let found = found.map_err(|error| error.to_string())?;
    Ok(good(found, name)?.object)
}

async fn stat(export: &Export, stem: &str, count: u64) -> Result<Seen> {
    let mut client = mount(export, 1).await?;
    let root = client.root_nfs_fh3();
    let started = Instant::now();
    for number in 0..count {
        let object = lookup(&mut client, &root, &numbered(stem, number)).await?;
        let attributes = client.getattr(&GETATTR3args { object }).await;
        let attributes = attributes.map_err(|error| error.to_string())?;
        good(attributes, "GETATTR")?;
    }
    Ok(Seen {
        seconds: started.elapsed().as_secs_f64(),
        bytes: Vec::new(),
    })
}

/// Bytes that a client has until `end`.
async fn read_until(export: Export, file: String, from: u8, end: Instant) -> Result<u64> {
    let mut client = mount(&export, from).await?;
    let root = client.root_nfs_fh3();
    let file = lookup(&mut client, &root, &file).await?;
    let (mut offset, mut bytes) = (0, 0);
    while Instant::now() < end {
        let args = READ3args {
            file: file.clone(),
            offset,
            count: READ,
        };
        let read = client
            .read(&args)
            .await
            .map_err(|error| error.to_string())?;
        let read = good(read, "READ")?;
        bytes += read.data.len() as u64;
        offset = if read.eof {
            0
        } else {
            offset + read.data.len() as u64
        };
    }
    Ok(bytes)
}

async fn crowd(export: &Export, file: &str, clients: u8, seconds: f64) -> Result<Seen> {
    let started = Instant::now();
    let end = started + Duration::from_secs_f64(seconds);
    let reading: Vec<_> = (0..clients)
        .map(|number| {
            // 127.0.0.1 is for others.
            let reading = read_until(export.clone(), file.to_owned(), 2 + number, end);
            tokio::spawn(reading)
        })
        .collect();
    let mut bytes = Vec::new();
    for one in reading {
        bytes.push(one.await??);
    }
    Ok(Seen {
        seconds: started.elapsed().as_secs_f64(),
        bytes,
    })
}

/// Does what `job` says.
pub(crate) fn run(job: &Path) -> Result<()> {
    let Job { export, work } = serde_json::from_slice(&std::fs::read(job)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let seen: Result<Seen> = runtime.block_on(async {
        match work {
            Work::Stat { stem, count } => stat(&export, &stem, count).await,
            Work::Crowd {
                file,
                clients,
                seconds,
            } => crowd(&export, &file, clients, seconds).await,
        }
    });
    let seen = seen.map_err(|error| error.to_string());
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

/// Has it done on the client's core.
pub(crate) fn ask(export: &Export, work: Work) -> Result<Seen> {
    /// More than a crowd of the longest run takes.
    const LIMIT: Duration = Duration::from_secs(180);
    let mut command = pin::command(std::env::current_exe()?, pin::CLIENT);
    command.arg("nfs-clients");
    let export = export.clone();
    Ok(Child::start(command, &Job { export, work }, LIMIT)?.finish(|_| ())?)
}
