//! READ.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_vfs::{Client, Kind, ReadOut, ReadRequest};
use nfs3_types::nfs3::nfsstat3;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::attributes::post_op;
use crate::clients::WINDOW;
use crate::export::{EXECUTE, READ, permits};
use crate::nfs::{Done, Target, pack};
use crate::patience::failed;
use crate::reply::{Held, Reply};
use crate::rpc::put;
use crate::server::{NfsServer, RTMAX};

/// Bytes of a read where the memory for replies is used up: everybody gets on.
const LEAST: u32 = 32 << 10;
/// A read that takes longer waits for a provider.
const STALLED: Duration = Duration::from_millis(500);

impl NfsServer {
    pub(crate) async fn read(
        &self,
        target: &Target<'_>,
        offset: u64,
        count: u32,
        mut reply: Vec<u8>,
    ) -> Done<Reply> {
        let attr = self.attr(target).await?;
        if attr.kind != Kind::File {
            return Err(nfsstat3::NFS3ERR_INVAL);
        }
        // Who may run a program has it read for him.
        if !permits(&target.user, &attr, READ) && !permits(&target.user, &attr, EXECUTE) {
            return Err(nfsstat3::NFS3ERR_ACCES);
        }
        let left = attr.size.saturating_sub(offset);
        let mut size = count
            .min(RTMAX)
            .min(u32::try_from(left).unwrap_or(u32::MAX));
        let mut held = Held::default();
        let mut body = Vec::new();
        if size > 0 {
            held.window = self.window(target, size).await;
            held.memory = self.memory.try_take(u64::from(size));
            if held.memory.is_none() {
                size = size.min(LEAST);
            }
            let opened = self
                .open_files
                .handle(target.peer.connected.0.network, target.node);
            let handle = opened.await.map_err(|error| failed(&error))?;
            let request = ReadRequest {
                id: target.node,
                handle,
                offset,
                size,
                deadline: self.read_deadline,
                client: Client::Nfs(target.peer.address),
            };
            body = self.unless_stalled(target, request, &mut held).await?;
            let sum: usize = body.iter().map(Bytes::len).sum();
            if sum != size as usize {
                tracing::error!(sum, size, "a read over NFS came with the wrong length");
                return Err(nfsstat3::NFS3ERR_IO);
            }
        }
        pack(&mut reply, &post_op(&attr, target.export.fsid));
        let is_end = offset.saturating_add(u64::from(size)) >= attr.size;
        put(&mut reply, [size, u32::from(is_end), size]);
        Ok(Reply {
            head: reply,
            body,
            held,
        })
    }

    /// The bytes of a read. One that has to wait takes nothing of its client's window meanwhile: others of that client go on. If
    /// there is no room in the window when the bytes come, they are given up and read again once there is, most likely from memory:
    /// otherwise a client that takes no replies would have any number of them kept.
    async fn unless_stalled(
        &self,
        target: &Target<'_>,
        request: ReadRequest,
        held: &mut Held,
    ) -> Done<ReadOut> {
        {
            let mut reading = pin!(self.read_patiently(target, request));
            if let Ok(read) = timeout(STALLED, &mut reading).await {
                return read;
            }
            *held = Held::default();
            let read = reading.await?;
            held.window = self.window_at_once(target, request.size);
            if held.window.is_some() {
                held.memory = self.memory.try_take(u64::from(request.size));
                return Ok(read);
            }
        }
        held.window = self.window(target, request.size).await;
        held.memory = self.memory.try_take(u64::from(request.size));
        self.read_patiently(target, request).await
    }

    /// A part of the client's window: its reads wait for each other, and for no one else's.
    async fn window(&self, target: &Target<'_>, size: u32) -> Option<OwnedSemaphorePermit> {
        let window: Arc<_> = target.peer.connected.0.window.clone();
        // It is never closed.
        window.acquire_many_owned(kibibytes(size)).await.ok()
    }

    /// The same, if nobody waits for it.
    fn window_at_once(&self, target: &Target<'_>, size: u32) -> Option<OwnedSemaphorePermit> {
        let window: Arc<_> = target.peer.connected.0.window.clone();
        window.try_acquire_many_owned(kibibytes(size)).ok()
    }
}

/// A window counts in KiB.
fn kibibytes(size: u32) -> u32 {
    size.div_ceil(1 << 10).min(WINDOW as u32)
}
