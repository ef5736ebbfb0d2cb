//! A file system of one file, the marker.

use std::sync::Arc;

use bytes::Bytes;
use debridfs_vfs::{
    Answer, Attr, DirEntry, Error, ErrorKind, Kind, NodeId, ReadOut, ReadRequest, Result, StatFs,
    Vfs,
};

use crate::marker::{MARKER_NAME, Marker};

const FILE: NodeId = NodeId(2);

/// Shows the marker to everybody who may look.
#[derive(Debug)]
pub struct MarkerTree {
    marker: Marker,
    bytes: Bytes,
}

impl MarkerTree {
    /// A tree that shows this marker.
    pub fn new(marker: Marker) -> Arc<Self> {
        let bytes = marker.bytes().into();
        Arc::new(Self { marker, bytes })
    }

    fn node(&self, id: NodeId) -> Result<Attr> {
        let (kind, mode, nlink, size) = match id {
            NodeId::ROOT => (Kind::Directory, 0o555, 2, 4096),
            FILE => (Kind::File, 0o444, 1, self.bytes.len() as u64),
            _ => return Err(failure(ErrorKind::Stale)),
        };
        Ok(Attr {
            id,
            kind,
            mode,
            nlink,
            uid: 0,
            gid: 0,
            size,
            mtime: self.marker.started,
        })
    }
}

fn failure(kind: ErrorKind) -> Error {
    Error {
        kind,
        message: format!("{kind:?}"),
    }
}

impl Vfs for MarkerTree {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Answer<Attr> {
        Answer::Now(match (parent, name) {
            (_, b"." | b"..") | (NodeId::ROOT, b"") => self.node(NodeId::ROOT),
            (NodeId::ROOT, name) if name == MARKER_NAME.as_bytes() => self.node(FILE),
            (NodeId::ROOT, _) => Err(failure(ErrorKind::NotFound)),
            _ => Err(failure(ErrorKind::NotDirectory)),
        })
    }

    fn attr(&self, id: NodeId) -> Answer<Attr> {
        Answer::Now(self.node(id))
    }

    fn open(&self, id: NodeId) -> Answer<u64> {
        Answer::Now(match id {
            FILE => Ok(1),
            NodeId::ROOT => Err(failure(ErrorKind::IsDirectory)),
            _ => Err(failure(ErrorKind::Stale)),
        })
    }

    fn release(&self, _handle: u64) {}

    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        if request.id != FILE {
            return Answer::Now(Err(failure(ErrorKind::IsDirectory)));
        }
        let size = self.bytes.len();
        let start = usize::try_from(request.offset).unwrap_or(size).min(size);
        let end = start.saturating_add(request.size as usize).min(size);
        Answer::Now(Ok(vec![self.bytes.slice(start..end)]))
    }

    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>> {
        if id != NodeId::ROOT {
            return Answer::Now(Err(failure(ErrorKind::NotDirectory)));
        }
        let names = [
            (".", NodeId::ROOT),
            ("..", NodeId::ROOT),
            (MARKER_NAME, FILE),
        ];
        let lines = (1_u64..).zip(names).map(|(cookie, (name, id))| {
            self.node(id).map(|attr| DirEntry {
                name: name.into(),
                attr,
                cookie,
            })
        });
        let skipped = usize::try_from(cookie).unwrap_or(usize::MAX);
        Answer::Now(lines.skip(skipped).take(max).collect())
    }

    fn xattr(&self, _id: NodeId, _name: &[u8]) -> Answer<Vec<u8>> {
        Answer::Now(Err(failure(ErrorKind::NoAttribute)))
    }

    fn xattrs(&self, _id: NodeId) -> Answer<Vec<String>> {
        Answer::Now(Ok(Vec::new()))
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            bytes: self.bytes.len() as u64,
            files: 2,
        }
    }

    fn root(&self) -> Attr {
        Attr {
            id: NodeId::ROOT,
            kind: Kind::Directory,
            mode: 0o555,
            nlink: 2,
            uid: 0,
            gid: 0,
            size: 4096,
            mtime: self.marker.started,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now<T>(answer: Answer<T>) -> Result<T> {
        match answer {
            Answer::Now(result) => result,
            Answer::Later(_) => panic!("nothing here has to wait"),
        }
    }

    #[test]
    fn one_file_with_the_marker() {
        let marker = Marker::fresh().unwrap();
        let tree = MarkerTree::new(marker.clone());
        let file = now(tree.lookup(NodeId::ROOT, MARKER_NAME.as_bytes())).unwrap();
        let read = |offset, size| {
            let request = ReadRequest {
                id: file.id,
                handle: 0,
                offset,
                size,
                deadline: std::time::Duration::from_secs(1),
            };
            now(tree.read(request)).unwrap().concat()
        };
        assert_eq!(Marker::parse(&read(0, 4096)), Some(marker));
        assert_eq!(read(0, 4096).len() as u64, file.size);
        assert!(read(u64::MAX, u32::MAX).is_empty());
        let names = now(tree.read_dir(NodeId::ROOT, 0, 10)).unwrap();
        assert_eq!(names.last().unwrap().name, MARKER_NAME);
        let rest = now(tree.read_dir(NodeId::ROOT, names[1].cookie, 1)).unwrap();
        assert_eq!(rest.len(), 1);
        assert!(now(tree.lookup(NodeId::ROOT, b"x")).is_err());
        assert!(now(tree.attr(NodeId(9))).is_err());
    }
}
