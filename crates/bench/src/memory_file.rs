//! A file in memory behind the same keeper and the same backend: what FUSE allows when no provider is in the way.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use debridfs_fuse::ServeOptions;
use debridfs_keeper::handover::EngineLink;
use debridfs_vfs::{
    Answer, Attr, DirEntry, Error, ErrorKind, Kind, NodeId, ReadOut, ReadRequest, StatFs, Vfs,
};
use jiff::Timestamp;

use crate::Result;

/// Name of the file in the root.
pub(crate) const NAME: &str = "memory";
const FILE: NodeId = NodeId(2);

/// Bytes that the file really has, again and again up to its size: far more than any processor's cache, out of which a file is not read either.
const MEMORY: u64 = 512 << 20;

/// One file in memory.
struct Memory {
    size: u64,
    bytes: Bytes,
}

impl Memory {
    fn attr_of(&self, id: NodeId) -> Attr {
        let file = id == FILE;
        Attr {
            id,
            kind: if file { Kind::File } else { Kind::Directory },
            mode: if file { 0o444 } else { 0o555 },
            nlink: if file { 1 } else { 2 },
            uid: 0,
            gid: 0,
            size: if file { self.size } else { 4096 },
            mtime: Timestamp::UNIX_EPOCH,
        }
    }
}

fn error<T>(kind: ErrorKind) -> Answer<T> {
    Answer::Now(Err(Error {
        kind,
        message: String::new(),
    }))
}

impl Vfs for Memory {
    fn lookup(&self, _parent: NodeId, name: &[u8]) -> Answer<Attr> {
        if name == NAME.as_bytes() {
            Answer::Now(Ok(self.attr_of(FILE)))
        } else {
            error(ErrorKind::NotFound)
        }
    }

    fn attr(&self, id: NodeId) -> Answer<Attr> {
        Answer::Now(Ok(self.attr_of(id)))
    }

    fn open(&self, _id: NodeId) -> Answer<u64> {
        Answer::Now(Ok(1))
    }

    fn release(&self, _handle: u64) {}

    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        let mut left =
            u64::from(request.size).min(self.size.saturating_sub(request.offset)) as usize;
        let mut at = (request.offset % self.bytes.len() as u64) as usize;
        let mut out = ReadOut::new();
        while left > 0 {
            let part = self.bytes.slice(at..self.bytes.len().min(at + left));
            left -= part.len();
            at = 0;
            out.push(part);
        }
        Answer::Now(Ok(out))
    }

    fn read_dir(&self, _id: NodeId, cookie: u64, _max: usize) -> Answer<Vec<DirEntry>> {
        let lines = match cookie {
            0 => vec![DirEntry {
                name: NAME.into(),
                attr: self.attr_of(FILE),
                cookie: 1,
            }],
            _ => Vec::new(),
        };
        Answer::Now(Ok(lines))
    }

    fn xattr(&self, _id: NodeId, _name: &[u8]) -> Answer<Vec<u8>> {
        error(ErrorKind::NoAttribute)
    }

    fn xattrs(&self, _id: NodeId) -> Answer<Vec<String>> {
        Answer::Now(Ok(Vec::new()))
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            bytes: self.size,
            files: 2,
        }
    }

    fn root(&self) -> Attr {
        self.attr_of(NodeId::ROOT)
    }
}

/// Takes the connection from the keeper at `socket` and serves the file until the keeper is gone.
pub(crate) fn serve(socket: &Path, size: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let link = EngineLink::connect(socket, env!("CARGO_PKG_VERSION"), false)?;
    let lease = link.lease()?;
    let memory = Memory {
        size,
        bytes: Bytes::from(vec![0x5a; size.clamp(1, MEMORY) as usize]),
    };
    let (_keep, changes) = tokio::sync::mpsc::unbounded_channel();
    let options = ServeOptions {
        notify_helper: None,
        retired: Vec::new(),
        outlives_keeper: None,
        crash: None,
    };
    let serving = debridfs_fuse::serve(
        link,
        lease,
        Arc::new(memory),
        runtime.handle().clone(),
        options,
        changes,
    )?;
    runtime.block_on(serving.wait());
    Ok(())
}
