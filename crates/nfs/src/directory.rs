//! READDIR and READDIRPLUS.
//!
//! A cookie is that of the library: made of what the line is, never of its place, so it is good for ever, on every server. So is
//! the verifier: it is always zero, and whichever a client sends is taken.

use debridfs_vfs::DirEntry;
use nfs3_types::nfs3::{
    NFS_PROGRAM, Nfs3Option, cookieverf3, entry3, entryplus3, filename3, nfsstat3,
};
use nfs3_types::xdr_codec::Opaque;

use crate::arguments::{Arguments, Garbage};
use crate::attributes::post_op;
use crate::export::READ;
use crate::nfs::{DTPREF, Done, Target, pack};
use crate::patience::told;
use crate::reply::Reply;
use crate::rpc::put;
use crate::server::NfsServer;

/// Bytes behind the lines: that no line follows, and whether that is the end.
const TAIL: usize = 8;
/// Lines that are asked for at one time.
const LINES: usize = 256;

/// How much may be told.
struct Room {
    /// Bytes of the results behind their status.
    all: usize,
    /// Bytes of names, ids and cookies.
    names: usize,
}

impl NfsServer {
    pub(crate) async fn readdir(
        &self,
        target: &Target<'_>,
        arguments: &mut Arguments<'_>,
        reply: Vec<u8>,
    ) -> Result<Done<Reply>, Garbage> {
        let (cookie, _verifier) = (arguments.u64()?, arguments.u64()?);
        let room = Room {
            all: arguments.u32()?.min(DTPREF) as usize,
            names: usize::MAX,
        };
        let line = |reply: &mut Vec<u8>, entry: DirEntry| {
            let entry = entry3 {
                fileid: entry.attr.id.0,
                name: filename3(Opaque::owned(entry.name.into_bytes())),
                cookie: entry.cookie,
            };
            pack(reply, &entry);
        };
        Ok(self.list(target, cookie, &room, reply, line).await)
    }

    pub(crate) async fn readdirplus(
        &self,
        target: &Target<'_>,
        arguments: &mut Arguments<'_>,
        reply: Vec<u8>,
    ) -> Result<Done<Reply>, Garbage> {
        let (cookie, _verifier) = (arguments.u64()?, arguments.u64()?);
        let room = Room {
            names: arguments.u32()? as usize,
            all: arguments.u32()?.min(DTPREF) as usize,
        };
        let line = |reply: &mut Vec<u8>, entry: DirEntry| {
            let entry = entryplus3 {
                fileid: entry.attr.id.0,
                name: filename3(Opaque::owned(entry.name.into_bytes())),
                cookie: entry.cookie,
                name_attributes: post_op(&entry.attr, target.export.fsid),
                name_handle: Nfs3Option::Some(self.fh(target, entry.attr.id)),
            };
            pack(reply, &entry);
        };
        Ok(self.list(target, cookie, &room, reply, line).await)
    }

    async fn list(
        &self,
        target: &Target<'_>,
        mut cookie: u64,
        room: &Room,
        mut reply: Vec<u8>,
        line: impl Fn(&mut Vec<u8>, DirEntry),
    ) -> Done<Reply> {
        let dir = self.directory(target, READ).await?;
        let listings = target.peer.connected.0.listings.clone();
        // It is never closed.
        let turn = listings.acquire_owned().await.ok();
        let start = reply.len();
        pack(&mut reply, &post_op(&dir, target.export.fsid));
        pack(&mut reply, &cookieverf3::default());
        let (mut told_any, mut names) = (false, 0);
        let is_end = 'all: loop {
            let lines = self.lines(target, cookie).await?;
            if lines.is_empty() {
                break true;
            }
            for entry in lines {
                let before = reply.len();
                // Id, name and cookie.
                names += 16 + entry.name.len();
                cookie = entry.cookie;
                put(&mut reply, [1]);
                line(&mut reply, entry);
                let is_too_much = reply.len() - start + TAIL > room.all;
                if is_too_much || told_any && names > room.names {
                    reply.truncate(before);
                    break 'all false;
                }
                told_any = true;
            }
        };
        if !told_any && !is_end {
            return Err(nfsstat3::NFS3ERR_TOOSMALL);
        }
        put(&mut reply, [0, u32::from(is_end)]);
        let mut reply = Reply::from(reply);
        reply.held.window = turn;
        Ok(reply)
    }

    /// The next lines; `..` of the export's top is the top itself.
    async fn lines(&self, target: &Target<'_>, cookie: u64) -> Done<Vec<DirEntry>> {
        let what = told(NFS_PROGRAM::NFSPROC3_READDIR as u32, cookie);
        let lines = self.vfs.read_dir(target.node, cookie, LINES);
        let mut lines = self.ask(target, what, lines).await?;
        if let Some(above) = lines.iter_mut().find(|line| line.name == "..") {
            above.attr = self.above(target).await?;
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use crate::clients::LISTINGS;
    use crate::fuzz::{DIR, FSID, server};
    use crate::server::Peer;

    #[tokio::test]
    async fn a_client_has_few_listings_that_it_has_not_taken() {
        let server = server();
        let peer = |address: &str| {
            let address = address.parse().unwrap();
            let connected = server.clients.connect(address);
            Arc::new(Peer {
                address,
                port: 1,
                connected,
            })
        };
        let (greedy, other) = (peer("127.0.0.2"), peer("127.0.0.3"));
        let handle = server.seal.handle(FSID, DIR);
        let length = handle.len() as u32;
        let head = [9, 0, 2, 100_003, 3, 17, 0, 0, 0, 0, length].map(u32::to_be_bytes);
        let sizes = [0, 0, 0, 0, 1 << 16, 1 << 16].map(u32::to_be_bytes);
        let record = [&head.concat()[..], &handle, &sizes.concat()].concat();
        let ask = |peer: &Arc<Peer>| {
            let answer = server.clone().answer(peer.clone(), record.clone().into());
            answer.now_or_never().flatten()
        };
        let mut kept: Vec<_> = (0..64).filter_map(|_| ask(&greedy)).collect();
        assert_eq!(kept.len(), LISTINGS);
        assert!(ask(&other).is_some());
        kept.pop();
        assert!(ask(&greedy).is_some(), "one was taken");
    }
}
