//! Files in memory: a file system for tests, for the benchmark, and for the marker of the
//! propagation test.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use debridfs_base::NodeId;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

use crate::{Answer, Attr, DirEntry, ErrorKind, Kind, ReadOut, ReadRequest, Result, StatFs, Vfs};

/// Cookies of `.` and `..`; those of children follow in the order in which they were added.
const DOT: u64 = 1;
const DOT_DOT: u64 = 2;

/// A file system in memory. It begins with an empty root; nodes come and go while it is served.
pub struct MemoryVfs {
    nodes: RwLock<HashMap<NodeId, Node>>,
    mtime: Timestamp,
    statfs: Option<StatFs>,
    wait: Option<Wait>,
    handles: AtomicU64,
    open: Mutex<HashSet<u64>>,
}

/// An operation that [`MemoryVfs::with_wait`] can hold back.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    /// A name is looked up in this directory.
    Lookup(NodeId),
    /// This directory is listed from behind this cookie.
    ReadDir(NodeId, u64),
    /// A file is read.
    Read(&'a ReadRequest),
}

type Wait = Box<dyn Fn(Call<'_>) -> Option<BoxFuture<'static, ()>> + Send + Sync>;
type Content = Box<dyn Fn(&ReadRequest) -> Result<ReadOut> + Send + Sync>;

struct Node {
    parent: NodeId,
    name: String,
    xattrs: BTreeMap<String, Vec<u8>>,
    body: Body,
}

enum Body {
    Directory {
        by_name: HashMap<String, NodeId>,
        by_cookie: BTreeMap<u64, NodeId>,
        last_cookie: u64,
        subdirs: u32,
    },
    File {
        size: u64,
        content: Content,
    },
}

impl Node {
    fn new(parent: NodeId, name: &str, body: Body) -> Self {
        Self {
            parent,
            name: name.to_owned(),
            xattrs: BTreeMap::new(),
            body,
        }
    }
}

impl Body {
    fn directory() -> Self {
        Self::Directory {
            by_name: HashMap::new(),
            by_cookie: BTreeMap::new(),
            last_cookie: DOT_DOT,
            subdirs: 0,
        }
    }
}

impl MemoryVfs {
    /// An empty root; every node has the time `mtime`.
    pub fn new(mtime: Timestamp) -> Self {
        let root = Node::new(NodeId::ROOT, "", Body::directory());
        Self {
            nodes: RwLock::new(HashMap::from([(NodeId::ROOT, root)])),
            mtime,
            statfs: None,
            wait: None,
            handles: AtomicU64::new(1),
            open: Mutex::default(),
        }
    }

    /// Tells these numbers instead of its own.
    pub fn with_statfs(self, statfs: StatFs) -> Self {
        let statfs = Some(statfs);
        Self { statfs, ..self }
    }

    /// Calls `wait` before each of these operations: with a future the answer comes later, once the
    /// future is done, without one at once. It may note what it sees, and panic.
    pub fn with_wait(
        self,
        wait: impl Fn(Call<'_>) -> Option<BoxFuture<'static, ()>> + Send + Sync + 'static,
    ) -> Self {
        let wait: Option<Wait> = Some(Box::new(wait));
        Self { wait, ..self }
    }

    /// Adds a directory.
    ///
    /// # Panics
    /// `parent` is no directory, or has the name; `id` is taken.
    pub fn add_directory(&self, parent: NodeId, name: &str, id: NodeId) {
        self.add(parent, name, id, Body::directory());
    }

    /// Adds a file of these bytes.
    ///
    /// # Panics
    /// As [`Self::add_directory`].
    pub fn add_bytes(&self, parent: NodeId, name: &str, id: NodeId, bytes: Bytes) {
        let size = bytes.len() as u64;
        self.add_file(parent, name, id, size, move |request| {
            let start = request.offset as usize;
            Ok(vec![bytes.slice(start..start + request.size as usize)])
        });
    }

    /// Adds a file of `size` bytes whose reads `content` answers; they are cut to the file's end before.
    ///
    /// # Panics
    /// As [`Self::add_directory`].
    pub fn add_file(
        &self,
        parent: NodeId,
        name: &str,
        id: NodeId,
        size: u64,
        content: impl Fn(&ReadRequest) -> Result<ReadOut> + Send + Sync + 'static,
    ) {
        let content: Content = Box::new(content);
        self.add(parent, name, id, Body::File { size, content });
    }

    fn add(&self, parent: NodeId, name: &str, id: NodeId, body: Body) {
        let mut nodes = self.nodes.write();
        let Some(Body::Directory {
            by_name,
            by_cookie,
            last_cookie,
            subdirs,
        }) = nodes.get_mut(&parent).map(|parent| &mut parent.body)
        else {
            panic!("{parent:?} is no directory");
        };
        *last_cookie += 1;
        *subdirs += u32::from(matches!(body, Body::Directory { .. }));
        by_cookie.insert(*last_cookie, id);
        let same_name = by_name.insert(name.to_owned(), id);
        let same_id = nodes.insert(id, Node::new(parent, name, body));
        assert!(same_name.is_none() && same_id.is_none(), "{name} is there");
    }

    /// Adds an extended attribute to a node.
    ///
    /// # Panics
    /// There is no such node.
    pub fn add_xattr(&self, id: NodeId, name: &str, value: &[u8]) {
        let mut nodes = self.nodes.write();
        let node = nodes.get_mut(&id).expect("a known node");
        node.xattrs.insert(name.to_owned(), value.to_vec());
    }

    /// Removes a file; what has it open gets [`ErrorKind::Stale`]. Nothing happens when it is gone.
    pub fn remove_file(&self, id: NodeId) {
        let mut nodes = self.nodes.write();
        let Some(gone) = nodes.remove(&id) else {
            return;
        };
        if let Some(Body::Directory {
            by_name, by_cookie, ..
        }) = nodes.get_mut(&gone.parent).map(|parent| &mut parent.body)
        {
            by_name.remove(&gone.name);
            by_cookie.retain(|_, child| *child != id);
        }
    }

    /// How many handles are open.
    pub fn open_handles(&self) -> usize {
        self.open.lock().len()
    }

    fn attr_of(&self, id: NodeId, node: &Node) -> Attr {
        let (kind, mode, nlink, size) = match &node.body {
            Body::Directory { subdirs, .. } => (Kind::Directory, 0o555, 2 + subdirs, 4096),
            Body::File { size, .. } => (Kind::File, 0o444, 1, *size),
        };
        Attr {
            id,
            kind,
            mode,
            nlink,
            uid: 0,
            gid: 0,
            size,
            mtime: self.mtime,
        }
    }

    fn with_node<T>(&self, id: NodeId, ask: impl FnOnce(&Node) -> Result<T>) -> Result<T> {
        self.nodes
            .read()
            .get(&id)
            .map_or(Err(ErrorKind::Stale.into()), ask)
    }

    fn known(&self, id: NodeId) -> Result<Attr> {
        self.with_node(id, |node| Ok(self.attr_of(id, node)))
    }

    fn found(&self, parent: NodeId, name: &[u8]) -> Result<Attr> {
        let id = self.with_node(parent, |node| match (name, &node.body) {
            (b".", _) => Ok(parent),
            (b"..", _) => Ok(node.parent),
            (_, Body::File { .. }) => Err(ErrorKind::NotDirectory.into()),
            (_, Body::Directory { by_name, .. }) => {
                let name = std::str::from_utf8(name).ok();
                let id = name.and_then(|name| by_name.get(name));
                id.copied().ok_or(ErrorKind::NotFound.into())
            }
        })?;
        self.known(id)
    }

    fn bytes(&self, request: &ReadRequest) -> Result<ReadOut> {
        self.with_node(request.id, |node| match &node.body {
            Body::Directory { .. } => Err(ErrorKind::IsDirectory.into()),
            Body::File { size, content } => {
                let offset = request.offset.min(*size);
                let left = u32::try_from(size - offset).unwrap_or(u32::MAX);
                content(&ReadRequest {
                    offset,
                    size: request.size.min(left),
                    ..*request
                })
            }
        })
    }

    fn lines(&self, id: NodeId, cookie: u64, max: usize) -> Result<Vec<DirEntry>> {
        let nodes = self.nodes.read();
        let node = nodes.get(&id).ok_or(ErrorKind::Stale)?;
        let Body::Directory { by_cookie, .. } = &node.body else {
            return Err(ErrorKind::NotDirectory.into());
        };
        let dots = [(DOT, ".", id), (DOT_DOT, "..", node.parent)];
        let children = by_cookie.range(cookie.saturating_add(1)..);
        let children = children.map(|(cookie, id)| (*cookie, &*nodes[id].name, *id));
        let lines = dots.into_iter().filter(|dot| dot.0 > cookie);
        let lines = lines.chain(children).take(max);
        let lines = lines.map(|(cookie, name, id)| DirEntry {
            name: name.to_owned(),
            attr: self.attr_of(id, &nodes[&id]),
            cookie,
        });
        Ok(lines.collect())
    }

    /// `answer`, after what the operation has to wait for.
    fn after<T: Send + 'static>(
        &self,
        call: Call<'_>,
        answer: impl FnOnce() -> Result<T>,
    ) -> Answer<T> {
        let wait = self.wait.as_ref().and_then(|wait| wait(call));
        let answer = answer();
        match wait {
            None => Answer::Now(answer),
            Some(wait) => Answer::Later(Box::pin(async move {
                wait.await;
                answer
            })),
        }
    }
}

impl Vfs for MemoryVfs {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Answer<Attr> {
        self.after(Call::Lookup(parent), || self.found(parent, name))
    }

    fn attr(&self, id: NodeId) -> Answer<Attr> {
        Answer::Now(self.known(id))
    }

    fn open(&self, id: NodeId) -> Answer<u64> {
        Answer::Now(self.with_node(id, |node| match node.body {
            Body::Directory { .. } => Err(ErrorKind::IsDirectory.into()),
            Body::File { .. } => {
                let handle = self.handles.fetch_add(1, Ordering::Relaxed);
                self.open.lock().insert(handle);
                Ok(handle)
            }
        }))
    }

    fn release(&self, handle: u64) {
        self.open.lock().remove(&handle);
    }

    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        self.after(Call::Read(&request), || self.bytes(&request))
    }

    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>> {
        self.after(Call::ReadDir(id, cookie), || self.lines(id, cookie, max))
    }

    fn xattr(&self, id: NodeId, name: &[u8]) -> Answer<Vec<u8>> {
        Answer::Now(self.with_node(id, |node| {
            let name = std::str::from_utf8(name).ok();
            let value = name.and_then(|name| node.xattrs.get(name));
            value.cloned().ok_or(ErrorKind::NoAttribute.into())
        }))
    }

    fn xattrs(&self, id: NodeId) -> Answer<Vec<String>> {
        Answer::Now(self.with_node(id, |node| Ok(node.xattrs.keys().cloned().collect())))
    }

    fn statfs(&self) -> StatFs {
        self.statfs.unwrap_or_else(|| {
            let nodes = self.nodes.read();
            let sizes = nodes.values().map(|node| match node.body {
                Body::Directory { .. } => 0,
                Body::File { size, .. } => size,
            });
            StatFs {
                bytes: sizes.sum(),
                files: nodes.len() as u64,
            }
        })
    }

    fn root(&self) -> Attr {
        self.attr_of(NodeId::ROOT, &self.nodes.read()[&NodeId::ROOT])
    }
}
