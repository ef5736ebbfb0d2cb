//! A library that answers from a record and from nothing else.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use debridfs_vfs::{
    Answer, Attr, DirEntry, Error, ErrorKind, NodeId, ReadOut, ReadRequest, StatFs, Vfs,
};
use futures_util::FutureExt;
use futures_util::future::{pending, ready};
use jiff::Timestamp;
use parking_lot::Mutex;

use super::compare::Difference;
use super::record::{Question, Record};
use crate::given::{Given, Kind};

/// The record of one request, as a library.
pub(crate) struct Replayed {
    record: Record,
    asked: AtomicUsize,
    difference: Mutex<Option<Difference>>,
}

impl Replayed {
    pub(crate) fn new(record: Record) -> Self {
        Self {
            record,
            asked: AtomicUsize::new(0),
            difference: Mutex::default(),
        }
    }

    /// How what was asked differs from the record; to be called when the request is answered.
    pub(crate) fn difference(&self) -> Option<Difference> {
        let first = self.difference.lock().clone();
        first.or_else(|| {
            let left_out = self.record.get(self.asked.load(Relaxed))?;
            Some(Difference::NotAsked {
                question: format!("{:?}", left_out.question),
            })
        })
    }

    /// The answer in the record, and whether it came later. `None`: this question is not the next one there.
    fn next(&self, question: &Question) -> Option<(bool, Option<Given>)> {
        let at = self.asked.fetch_add(1, Relaxed);
        match self.record.get(at) {
            Some(noted) if noted.question == *question => Some((noted.later, noted.given.clone())),
            other => {
                self.difference
                    .lock()
                    .get_or_insert_with(|| Difference::Asked {
                        primary: other.map(|noted| format!("{:?}", noted.question)),
                        secondary: format!("{question:?}"),
                    });
                None
            }
        }
    }

    fn answer<T: Kind>(&self, question: &Question) -> Answer<T> {
        let take = |given: Given| T::of(&given).cloned().unwrap_or_else(|| Err(wrong()));
        match self.next(question) {
            Some((false, Some(given))) => Answer::Now(take(given)),
            Some((true, Some(given))) => Answer::Later(ready(take(given)).boxed()),
            // The primary did not wait for it either.
            Some((_, None)) => Answer::Later(pending().boxed()),
            None => Answer::Now(Err(wrong())),
        }
    }
}

/// For a question that has no answer: the difference is noted, and this reply is not what matters.
fn wrong() -> Error {
    Error::from(ErrorKind::Invalid)
}

impl Vfs for Replayed {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Answer<Attr> {
        let name = name.to_vec();
        self.answer(&Question::Lookup { parent, name })
    }

    fn attr(&self, id: NodeId) -> Answer<Attr> {
        self.answer(&Question::Attr(id))
    }

    fn open(&self, id: NodeId) -> Answer<u64> {
        self.answer(&Question::Open(id))
    }

    fn release(&self, handle: u64) {
        self.next(&Question::Release(handle));
    }

    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        self.answer(&Question::Read(request.into()))
    }

    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>> {
        self.answer(&Question::ReadDir { id, cookie, max })
    }

    fn xattr(&self, id: NodeId, name: &[u8]) -> Answer<Vec<u8>> {
        let name = name.to_vec();
        self.answer(&Question::Xattr { id, name })
    }

    fn xattrs(&self, id: NodeId) -> Answer<Vec<String>> {
        self.answer(&Question::Xattrs(id))
    }

    fn statfs(&self) -> StatFs {
        match self.next(&Question::StatFs) {
            Some((_, Some(Given::StatFs(numbers)))) => numbers,
            _ => StatFs { bytes: 0, files: 0 },
        }
    }

    fn root(&self) -> Attr {
        match self.next(&Question::Root) {
            Some((_, Some(Given::Root(root)))) => root,
            _ => Attr {
                id: NodeId::ROOT,
                kind: debridfs_vfs::Kind::Directory,
                mode: 0,
                nlink: 2,
                uid: 0,
                gid: 0,
                size: 0,
                mtime: Timestamp::UNIX_EPOCH,
            },
        }
    }
}
