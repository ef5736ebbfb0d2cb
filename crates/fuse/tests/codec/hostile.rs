//! A file system for the fuzz target: its answers follow the whims of arbitrary bytes. No tree of
//! nodes can contradict itself as it does.

use debridfs_vfs::{
    Answer, Attr, DirEntry, Error, ErrorKind, Kind, NodeId, ReadOut, ReadRequest, StatFs, Vfs,
};

/// A file system in which nothing is as it should be.
pub struct Hostile(pub Vec<u8>);

impl Hostile {
    pub fn attr(&self, id: NodeId) -> Attr {
        Attr {
            id,
            kind: if self.byte(0).is_multiple_of(2) {
                Kind::Directory
            } else {
                Kind::File
            },
            mode: u16::from(self.byte(1)),
            nlink: 1,
            uid: 0,
            gid: 0,
            size: u64::from(self.byte(2)),
            mtime: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn answer<T: Send + 'static>(&self, value: T) -> Answer<T> {
        let failure = Error::from(ErrorKind::Unavailable);
        match self.byte(3) % 4 {
            0 => Answer::Now(Ok(value)),
            1 => Answer::Now(Err(failure)),
            2 => Answer::Later(Box::pin(async move { Ok(value) })),
            _ => Answer::Later(Box::pin(async move { Err(failure) })),
        }
    }
}

impl Vfs for Hostile {
    fn lookup(&self, parent: NodeId, _name: &[u8]) -> Answer<Attr> {
        self.answer(self.attr(parent))
    }

    fn attr(&self, id: NodeId) -> Answer<Attr> {
        self.answer(Hostile::attr(self, id))
    }

    fn open(&self, id: NodeId) -> Answer<u64> {
        self.answer(id.0)
    }

    fn release(&self, _handle: u64) {}

    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        let size = (request.size as usize).min(1 << 16) + usize::from(self.byte(4) % 2);
        self.answer(vec![vec![0; size].into()])
    }

    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>> {
        let left = u64::from(self.byte(5)).saturating_sub(cookie);
        let lines = (0..left.min(max as u64)).map(|line| DirEntry {
            name: "n".repeat(usize::from(self.byte(6))),
            attr: Hostile::attr(self, id),
            cookie: cookie + line + 1,
        });
        self.answer(lines.collect())
    }

    fn xattr(&self, _id: NodeId, _name: &[u8]) -> Answer<Vec<u8>> {
        self.answer(self.0.clone())
    }

    fn xattrs(&self, _id: NodeId) -> Answer<Vec<String>> {
        self.answer(vec!["user.x".into(); usize::from(self.byte(7))])
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            bytes: u64::MAX,
            files: u64::MAX,
        }
    }

    fn root(&self) -> Attr {
        Hostile::attr(self, NodeId::ROOT)
    }
}
