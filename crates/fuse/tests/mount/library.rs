//! The file system under test: small, in memory, with files that are slow, stuck, gated, too short or deadly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use debridfs_vfs::{
    Answer, Attr, DirEntry, Error, ErrorKind, Kind, NodeId, ReadOut, ReadRequest, StatFs, Vfs,
};
use tokio::sync::watch;

/// Not a multiple of a page.
pub const LARGE: u64 = (16 << 20) + 777;
pub const MANY: u64 = 10_000;
pub const MANY_DIR: u64 = 1000;

/// Names in the root: node, size.
pub const FILES: &[(&str, u64, u64)] = &[
    ("one.txt", 2, 5000),
    ("now.bin", 3, LARGE),
    ("later.bin", 4, LARGE),
    ("stuck.bin", 5, LARGE),
    ("short.bin", 6, 100_000),
    ("panic.bin", 7, 100_000),
    ("deadly.bin", 8, 100_000),
    ("gated.bin", 9, LARGE),
    (GONE, 10, 10),
    ("panic-at-once.bin", 11, 10),
];
pub const GONE: &str = "gone.txt";
const DIRECTORIES: &[(&str, u64, u64)] = &[("a", 20, 1), ("b", 21, 20), ("many", MANY_DIR, 1)];
const DEEP: (&str, u64, u64) = ("c.txt", 22, 21);
const FIRST_OF_MANY: u64 = 10_000;

/// The bytes of a file, a function of its node and the offset.
pub fn content(node: u64, offset: u64, size: usize) -> Vec<u8> {
    let word = |at: u64| {
        (at ^ node << 40)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23)
            .to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(size + 16);
    let mut at = offset / 8;
    while bytes.len() < size + 8 {
        bytes.extend_from_slice(&word(at));
        at += 1;
    }
    bytes.drain(..(offset % 8) as usize);
    bytes.truncate(size);
    bytes
}

pub fn many_name(index: u64) -> String {
    format!("Release.{index:05}.{}", "x".repeat((index % 90) as usize))
}

pub struct Library {
    many: Vec<(String, u64)>,
    root_before: Vec<(String, u64)>,
    root_after: Vec<(String, u64)>,
    below_a: Vec<(String, u64)>,
    below_b: Vec<(String, u64)>,
    pub gone: AtomicBool,
    pub gate: watch::Sender<bool>,
}

impl Library {
    pub fn new() -> Arc<Self> {
        let mut root = owned(FILES.iter().map(|file| (file.0, file.1)));
        root.extend(below(1));
        Arc::new(Self {
            many: (0..MANY)
                .map(|index| (many_name(index), FIRST_OF_MANY + index))
                .collect(),
            root_after: root.iter().filter(|line| line.0 != GONE).cloned().collect(),
            root_before: root,
            below_a: below(20),
            below_b: owned([(DEEP.0, DEEP.1)]),
            gone: AtomicBool::new(false),
            gate: watch::channel(false).0,
        })
    }

    fn find(&self, id: u64) -> Option<Attr> {
        let (kind, size, nlink) = match id {
            1 => (Kind::Directory, 4096, 4),
            10 if self.gone.load(SeqCst) => return None,
            20 | 21 => (Kind::Directory, 4096, 3),
            MANY_DIR => (Kind::Directory, 4096, 2),
            22 => (Kind::File, 12_345, 1),
            FIRST_OF_MANY.. if id < FIRST_OF_MANY + MANY => (Kind::File, id, 1),
            _ => {
                let file = FILES.iter().find(|file| file.1 == id)?;
                (Kind::File, file.2, 1)
            }
        };
        Some(Attr {
            id: NodeId(id),
            kind,
            mode: if kind == Kind::Directory {
                0o555
            } else {
                0o444
            },
            nlink,
            uid: 0,
            gid: 0,
            size,
            mtime: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        })
    }

    fn parent(id: u64) -> u64 {
        match id {
            22 => DEEP.2,
            FIRST_OF_MANY.. => MANY_DIR,
            _ => DIRECTORIES
                .iter()
                .find(|directory| directory.1 == id)
                .map_or(1, |directory| directory.2),
        }
    }

    /// What a directory shows, in order.
    fn children(&self, id: u64) -> &[(String, u64)] {
        if id == MANY_DIR {
            return &self.many;
        }
        match id {
            1 if self.gone.load(SeqCst) => &self.root_after,
            1 => &self.root_before,
            20 => &self.below_a,
            21 => &self.below_b,
            _ => &[],
        }
    }
}

fn owned(names: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<(String, u64)> {
    names
        .into_iter()
        .map(|(name, node)| (name.to_owned(), node))
        .collect()
}

fn below(id: u64) -> Vec<(String, u64)> {
    let directories = DIRECTORIES.iter().filter(|directory| directory.2 == id);
    owned(directories.map(|directory| (directory.0, directory.1)))
}

fn error<T>(kind: ErrorKind) -> Result<T, Error> {
    Err(Error {
        kind,
        message: format!("{kind:?}"),
    })
}

/// A tick of other work, so that the answer comes from the runtime.
async fn later() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

impl Vfs for Library {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Answer<Attr> {
        let Some(directory) = self.find(parent.0) else {
            return Answer::Now(error(ErrorKind::Stale));
        };
        let node = match name {
            b"." => Some(parent.0),
            b".." => Some(Self::parent(parent.0)),
            _ if directory.kind == Kind::File => {
                return Answer::Now(error(ErrorKind::NotDirectory));
            }
            _ if parent.0 == MANY_DIR => self
                .many
                .binary_search_by(|child| child.0.as_bytes().cmp(name))
                .ok()
                .map(|found| self.many[found].1),
            _ => {
                let mut children = self.children(parent.0).iter();
                children
                    .find(|child| child.0.as_bytes() == name)
                    .map(|child| child.1)
            }
        };
        let found = node.and_then(|node| self.find(node)).ok_or(Error {
            kind: ErrorKind::NotFound,
            message: "no such name".into(),
        });
        // Lookups below `a` come later, the others at once.
        if parent.0 == 20 || parent.0 == 21 {
            Answer::Later(Box::pin(async move {
                later().await;
                found
            }))
        } else {
            Answer::Now(found)
        }
    }

    fn attr(&self, id: NodeId) -> Answer<Attr> {
        Answer::Now(self.find(id.0).map_or_else(|| error(ErrorKind::Stale), Ok))
    }

    fn open(&self, id: NodeId) -> Answer<u64> {
        Answer::Now(Ok(id.0 + 1_000_000))
    }

    fn release(&self, _handle: u64) {}

    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        let Some(attr) = self.find(request.id.0) else {
            return Answer::Now(error(ErrorKind::Stale));
        };
        let left = attr.size.saturating_sub(request.offset);
        let size = left.min(u64::from(request.size)) as usize;
        let bytes = Bytes::from(content(request.id.0, request.offset, size));
        // In parts, as a window would give them.
        let spans: ReadOut = (0..size)
            .step_by(10_000)
            .map(|at| bytes.slice(at..size.min(at + 10_000)))
            .collect();
        match request.id.0 {
            4 => Answer::Later(Box::pin(async move {
                later().await;
                Ok(spans)
            })),
            5 => Answer::Later(Box::pin(std::future::pending())),
            6 => Answer::Now(Ok(vec![bytes.slice(..size.saturating_sub(1))])),
            7 => Answer::Later(Box::pin(async { panic!("asked for by the test") })),
            8 => Answer::Later(Box::pin(async {
                later().await;
                std::process::abort()
            })),
            9 => {
                let mut gate = self.gate.subscribe();
                Answer::Later(Box::pin(async move {
                    let _ = gate.wait_for(|open| *open).await;
                    Ok(spans)
                }))
            }
            11 => panic!("asked for by the test"),
            _ => Answer::Now(Ok(spans)),
        }
    }

    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>> {
        let Some(directory) = self.find(id.0) else {
            return Answer::Now(error(ErrorKind::Stale));
        };
        if directory.kind == Kind::File {
            return Answer::Now(error(ErrorKind::NotDirectory));
        }
        let dots = [(".", id.0), ("..", Self::parent(id.0))];
        let children = self.children(id.0).iter();
        let lines = dots
            .into_iter()
            .chain(children.map(|(name, node)| (name.as_str(), *node)));
        let lines: Vec<_> = lines
            .zip(1..)
            .skip(cookie as usize)
            .take(max)
            .filter_map(|((name, node), cookie)| {
                Some(DirEntry {
                    name: name.to_owned(),
                    attr: self.find(node)?,
                    cookie,
                })
            })
            .collect();
        // Every third part of a listing comes later.
        if cookie % 3 == 1 {
            Answer::Later(Box::pin(async move {
                later().await;
                Ok(lines)
            }))
        } else {
            Answer::Now(Ok(lines))
        }
    }

    fn xattr(&self, id: NodeId, name: &[u8]) -> Answer<Vec<u8>> {
        Answer::Now(match (id.0, name) {
            (2, b"user.debridfs.hash") => Ok(b"0123456789abcdef".to_vec()),
            _ => error(ErrorKind::NoAttribute),
        })
    }

    fn xattrs(&self, id: NodeId) -> Answer<Vec<String>> {
        let names: &[_] = if id.0 == 2 {
            &["user.debridfs.hash", "user.debridfs.provider"]
        } else {
            &[]
        };
        Answer::Now(Ok(names.iter().map(ToString::to_string).collect()))
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            bytes: 4096 * 1000,
            files: 20_000,
        }
    }

    fn root(&self) -> Attr {
        self.find(1).unwrap()
    }
}
