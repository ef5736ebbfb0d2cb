//! A library that notes what it is asked for one request, and what it answers.

use std::sync::Arc;

use debridfs_vfs::{Answer, Attr, DirEntry, NodeId, ReadOut, ReadRequest, StatFs, Vfs};
use futures_util::FutureExt;
use parking_lot::Mutex;

use crate::given::{Given, Kind};

/// A question, with all of its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Question {
    Lookup { parent: NodeId, name: Vec<u8> },
    Attr(NodeId),
    Open(NodeId),
    Release(u64),
    Read(ReadKey),
    ReadDir { id: NodeId, cookie: u64, max: usize },
    Xattr { id: NodeId, name: Vec<u8> },
    Xattrs(NodeId),
    StatFs,
    Root,
}

/// A read's arguments. What is left of its deadline counts as well.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReadKey {
    pub(crate) id: NodeId,
    pub(crate) handle: u64,
    pub(crate) offset: u64,
    pub(crate) size: u32,
    pub(crate) deadline: std::time::Duration,
    pub(crate) client: debridfs_base::Client,
}

impl From<ReadRequest> for ReadKey {
    fn from(read: ReadRequest) -> Self {
        Self {
            id: read.id,
            handle: read.handle,
            offset: read.offset,
            size: read.size,
            deadline: read.deadline,
            client: read.client,
        }
    }
}

/// A question and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub(crate) question: Question,
    /// Whether the answer had to be waited for.
    pub(crate) later: bool,
    /// `None`: it was not waited for in the end.
    pub(crate) given: Option<Given>,
}

/// What one request asked, in order.
pub(crate) type Record = Vec<Noted>;

/// The library, for one request.
pub(crate) struct Recorded {
    vfs: Arc<dyn Vfs>,
    record: Arc<Mutex<Record>>,
}

impl Recorded {
    pub(crate) fn new(vfs: Arc<dyn Vfs>) -> Self {
        let record = Arc::default();
        Self { vfs, record }
    }

    /// What was asked; to be called once, when the request is answered.
    pub(crate) fn take(&self) -> Record {
        std::mem::take(&mut *self.record.lock())
    }

    fn note<T: Kind>(&self, question: Question, answer: Answer<T>) -> Answer<T> {
        let mut record = self.record.lock();
        let at = record.len();
        match answer {
            Answer::Now(answer) => {
                record.push(Noted {
                    question,
                    later: false,
                    given: Some(T::give(answer.clone())),
                });
                Answer::Now(answer)
            }
            Answer::Later(answer) => {
                record.push(Noted {
                    question,
                    later: true,
                    given: None,
                });
                let record = Arc::clone(&self.record);
                let noted = answer.inspect(move |answer| {
                    if let Some(noted) = record.lock().get_mut(at) {
                        noted.given = Some(T::give(answer.clone()));
                    }
                });
                Answer::Later(noted.boxed())
            }
        }
    }

    fn note_now(&self, question: Question, given: Given) {
        self.record.lock().push(Noted {
            question,
            later: false,
            given: Some(given),
        });
    }
}

impl Vfs for Recorded {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Answer<Attr> {
        let answer = self.vfs.lookup(parent, name);
        let name = name.to_vec();
        self.note(Question::Lookup { parent, name }, answer)
    }

    fn attr(&self, id: NodeId) -> Answer<Attr> {
        self.note(Question::Attr(id), self.vfs.attr(id))
    }

    fn open(&self, id: NodeId) -> Answer<u64> {
        self.note(Question::Open(id), self.vfs.open(id))
    }

    fn release(&self, handle: u64) {
        self.vfs.release(handle);
        self.note_now(Question::Release(handle), Given::Nothing);
    }

    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        let question = Question::Read(request.into());
        self.note(question, self.vfs.read(request))
    }

    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>> {
        let answer = self.vfs.read_dir(id, cookie, max);
        self.note(Question::ReadDir { id, cookie, max }, answer)
    }

    fn xattr(&self, id: NodeId, name: &[u8]) -> Answer<Vec<u8>> {
        let answer = self.vfs.xattr(id, name);
        let name = name.to_vec();
        self.note(Question::Xattr { id, name }, answer)
    }

    fn xattrs(&self, id: NodeId) -> Answer<Vec<String>> {
        self.note(Question::Xattrs(id), self.vfs.xattrs(id))
    }

    fn statfs(&self) -> StatFs {
        let numbers = self.vfs.statfs();
        self.note_now(Question::StatFs, Given::StatFs(numbers));
        numbers
    }

    fn root(&self) -> Attr {
        let root = self.vfs.root();
        self.note_now(Question::Root, Given::Root(root));
        root
    }
}
