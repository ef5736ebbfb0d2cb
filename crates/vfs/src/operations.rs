//! The operations every front uses.

use std::time::Duration;

use bytes::Bytes;
use debridfs_base::{Client, NodeId};
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::Result;

/// An answer, now or later. Dropping the future gives the operation up.
pub enum Answer<T> {
    /// From memory.
    Now(Result<T>),
    /// Has to wait for something; to be driven by the front's runtime.
    Later(BoxFuture<'static, Result<T>>),
}

impl<T> Answer<T> {
    /// The answer, once it is there.
    pub async fn get(self) -> Result<T> {
        match self {
            Self::Now(answer) => answer,
            Self::Later(answer) => answer.await,
        }
    }
}

/// Directory or regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
}

/// Attributes of a node. Times and sizes never flap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// Inode number.
    pub id: NodeId,
    /// Kind.
    pub kind: Kind,
    /// Permission bits, umask applied.
    pub mode: u16,
    /// 1 for files, 2 + sub-directories for directories.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes; 4096 for directories.
    pub size: u64,
    /// Modification, change and access time.
    pub mtime: Timestamp,
}

/// A line of a directory.
#[derive(Debug, Clone)]
pub struct DirEntry {
    /// Name; `.` and `..` come first.
    pub name: String,
    /// Attributes; of `.` and `..` as well.
    pub attr: Attr,
    /// Where to go on after this line: stable while the directory changes, 1 to 2^63 - 1.
    pub cookie: u64,
}

/// Numbers of the file system as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatFs {
    /// Bytes of all files in `__all__`.
    pub bytes: u64,
    /// Number of nodes.
    pub files: u64,
}

/// A read.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest {
    /// The file.
    pub id: NodeId,
    /// The open handle: a hint that tells readers apart; unknown ones are as good.
    pub handle: u64,
    /// First byte.
    pub offset: u64,
    /// Bytes wanted; fewer are returned at the end of the file only.
    pub size: u32,
    /// What is left of the read's deadline, counted from its arrival through replays.
    pub deadline: Duration,
    /// Who asks.
    pub client: Client,
}

/// Bytes of a read, in order; together exactly what was asked, or what there is up to the end of the file.
pub type ReadOut = Vec<Bytes>;

/// What the kernel has to be told after the tree changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// The name is gone from the directory, or stands for another node now.
    Entry {
        /// Directory.
        parent: NodeId,
        /// Name.
        name: String,
    },
    /// Attributes or the listing of the node changed.
    Node(NodeId),
}

/// A file system without any protocol.
pub trait Vfs: Send + Sync + 'static {
    /// Finds `name` in `parent`; `.` and `..` as well, for any known id (NFS export).
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Answer<Attr>;
    /// Attributes of a node.
    fn attr(&self, id: NodeId) -> Answer<Attr>;
    /// Opens a file: a fresh handle.
    fn open(&self, id: NodeId) -> Answer<u64>;
    /// Closes a handle; unknown ones are ignored.
    fn release(&self, handle: u64);
    /// Reads.
    fn read(&self, request: ReadRequest) -> Answer<ReadOut>;
    /// Lines of a directory after `cookie` (0 = from the start), at most `max`; an empty answer is the end.
    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>>;
    /// Value of an extended attribute.
    fn xattr(&self, id: NodeId, name: &[u8]) -> Answer<Vec<u8>>;
    /// Names of the extended attributes.
    fn xattrs(&self, id: NodeId) -> Answer<Vec<String>>;
    /// Numbers of the whole; always at once.
    fn statfs(&self) -> StatFs;
    /// The root's attributes; always at once.
    fn root(&self) -> Attr;
}
