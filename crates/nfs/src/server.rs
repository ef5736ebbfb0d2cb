//! The server: who is let in, and which program a call is for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_listen::{ByteBudget, Guest, Listeners, Stream};
use debridfs_vfs::Vfs;
use nfs3_types::rpc::accept_stat;
use nfs3_types::{mount, nfs3};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::arguments::{Arguments, Garbage};
use crate::clients::{ClientReport, Clients, Connected, Ended};
use crate::connection;
use crate::counts::{Counts, OperationReport, Status};
use crate::delayed::Delayed;
use crate::export::Export;
use crate::handle::{KEY_LEN, Seal};
use crate::mount::Mounted;
use crate::open_files::OpenFiles;
use crate::patience::Finished;
use crate::reply::Reply;
use crate::rpc::{Call, NoCall, accepted, version_mismatch};
use crate::tops::Tops;

/// Bytes of one READ, at most: what NFS-Ganesha gives, and what the cache has spare buffers for (decision 0088).
pub const RTMAX: u32 = 1 << 20;
/// Bytes of one WRITE, at most: it is refused, but has to be read for that.
pub const WTMAX: u32 = 32 << 10;
/// A connection without a request is kept for so long: longer than the 5 minutes after which Linux closes one itself, so none is
/// closed under a call. Where there are too many, those that do nothing make room sooner.
const IDLE: Duration = Duration::from_secs(360);
/// The version of both programs.
pub(crate) const VERSION: u32 = 3;
/// Bytes of files in replies that are under way, of all clients. Beyond it a read gets fewer bytes than it asked for.
const MEMORY: u64 = 64 << 20;
/// Bytes that were read for clients which have not asked again yet.
const KEPT: u64 = 16 << 20;

/// Serves exports of a library over NFS.
pub struct NfsServer {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) seal: Seal,
    pub(crate) exports: Vec<Export>,
    pub(crate) read_deadline: Duration,
    pub(crate) clients: Clients,
    pub(crate) counts: Counts,
    pub(crate) delayed: Delayed<Arc<Finished>>,
    pub(crate) open_files: OpenFiles,
    pub(crate) mounted: Mounted,
    pub(crate) tops: Tops,
    pub(crate) memory: Arc<ByteBudget>,
    pub(crate) kept: Arc<ByteBudget>,
}

/// Figures of a server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NfsReport {
    /// Clients, the one that asked last first.
    pub clients: Vec<ClientReport>,
    /// Procedures that were called.
    pub operations: Vec<OperationReport>,
    /// Bytes of files that were sent to all clients since the start.
    pub bytes: u64,
    /// Requests that clients have to ask again.
    pub delayed: usize,
    /// Bytes of files in replies that are under way.
    pub memory: u64,
    /// Exports whose path leads to no directory of the library.
    pub missing: Vec<String>,
}

/// The other end of a connection.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) connected: Connected,
}

/// Results of a procedure: packed, with the status they hold.
pub(crate) struct Results {
    pub(crate) reply: Reply,
    pub(crate) ended: Ended,
    pub(crate) status: Status,
}

impl NfsServer {
    /// A server of `exports`, with handles under `key`. A read ends `read_deadline` after it was asked for first.
    pub fn new(
        vfs: Arc<dyn Vfs>,
        exports: Vec<Export>,
        key: &[u8; KEY_LEN],
        read_deadline: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            open_files: OpenFiles::new(vfs.clone()),
            vfs,
            seal: Seal::new(key),
            exports,
            read_deadline,
            clients: Clients::default(),
            counts: Counts::default(),
            delayed: Delayed::default(),
            mounted: Mounted::default(),
            tops: Tops::default(),
            memory: ByteBudget::new(MEMORY),
            kept: ByteBudget::new(KEPT),
        })
    }

    /// Accepts connections as the front `name` of `listeners`, for ever. Who may use no export is not listened to.
    pub async fn serve(
        self: Arc<Self>,
        listeners: &Arc<Listeners>,
        name: &'static str,
        listener: TcpListener,
    ) {
        let front = listeners.front_with_idle(name, IDLE);
        let serve = move |stream, guest| self.clone().connection(stream, guest);
        front.accept(listener, "", serve).await;
    }

    async fn connection(self: Arc<Self>, stream: Stream<TcpStream>, guest: Guest) {
        let Ok(from) = stream.get_ref().peer_addr() else {
            return;
        };
        let address = from.ip().to_canonical();
        if !self
            .exports
            .iter()
            .any(|export| export.admits_address(address))
        {
            tracing::debug!(%address, "a connection over NFS from an address that no export admits");
            return;
        }
        // Replies are written as a whole.
        if let Err(error) = stream.get_ref().set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let peer = Arc::new(Peer {
            address,
            port: from.port(),
            connected: self.clients.connect(address),
        });
        let answer = |record| self.clone().answer(peer.clone(), record);
        connection::serve(stream, guest, answer).await;
    }

    /// The reply to one call; none where there is no call.
    pub(crate) async fn answer(self: Arc<Self>, peer: Arc<Peer>, record: Bytes) -> Option<Reply> {
        let begun = Instant::now();
        let mut arguments = Arguments::new(&record);
        let call = match Call::read(&mut arguments) {
            Ok(call) => call,
            Err(NoCall::Malformed) => return None,
            Err(NoCall::Refused(reply)) => {
                peer.connected.0.count(Ended::Failed, 0);
                return Some(reply.into());
            }
        };
        let (xid, procedure) = (call.xid, (call.program, call.procedure));
        let results = match (call.program, call.version) {
            (nfs3::PROGRAM, VERSION) => self.nfs(&peer, call, arguments).await,
            (mount::PROGRAM, VERSION) => self.mount(&peer, call, arguments).await,
            (nfs3::PROGRAM | mount::PROGRAM, _) => {
                Ok(Some(Results::refused(version_mismatch(xid, VERSION))))
            }
            _ => Ok(Some(Results::refused(accepted(
                xid,
                accept_stat::PROG_UNAVAIL,
            )))),
        };
        let Results {
            reply,
            ended,
            status,
        } = match results {
            Ok(Some(results)) => results,
            Ok(None) => Results::refused(accepted(xid, accept_stat::PROC_UNAVAIL)),
            Err(Garbage) => Results::refused(accepted(xid, accept_stat::GARBAGE_ARGS)),
        };
        let bytes = reply.bytes() as u64;
        self.counts
            .answered(procedure, status, begun.elapsed(), bytes);
        peer.connected.0.count(ended, bytes);
        Some(reply)
    }

    /// How it does.
    pub fn report(&self) -> NfsReport {
        NfsReport {
            clients: self.clients.report(),
            operations: self.counts.report(),
            bytes: self.counts.bytes(),
            delayed: self.delayed.len(),
            memory: self.memory.used(),
            missing: self.missing(),
        }
    }
}

impl Results {
    pub(crate) fn refused(reply: Vec<u8>) -> Self {
        Self {
            reply: reply.into(),
            ended: Ended::Failed,
            status: Status::Refused,
        }
    }

    pub(crate) fn well(reply: impl Into<Reply>) -> Self {
        Self {
            reply: reply.into(),
            ended: Ended::Well,
            status: Status::Of(0),
        }
    }
}
