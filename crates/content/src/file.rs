//! What is read: a file's identity, size and sources, and one request for a part of it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_base::Client;
use debridfs_cache::FileId;
use debridfs_provider::Source;

/// The largest read that is served in one piece; fronts ask for 1 MiB at most.
pub const MAX_READ: u32 = 16 << 20;

/// A file as those have to know it who fetch it; what is in memory is found by [`FileRef::file_id`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// Identity, the same for ever.
    pub id: u64,
    /// Size in bytes; an answer that speaks of another size is refused.
    pub size: u64,
    /// Where the bytes are, the best first.
    pub sources: Arc<[Source]>,
}

/// One read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    /// The open handle: a hint that tells readers of one file apart. 0 = none; then the file's readers without a handle share.
    pub handle: u64,
    /// First byte.
    pub offset: u64,
    /// Bytes wanted, up to [`MAX_READ`]; fewer are returned at the end of the file only.
    pub size: u32,
    /// What is left of the read's time.
    pub deadline: Duration,
    /// Who asks.
    pub client: Client,
}

/// Bytes of a read, in order; together what was asked, or what there is of it up to the end of the file.
pub type ReadOut = Vec<Bytes>;

impl FileRef {
    /// Its identity and size.
    pub fn file_id(&self) -> FileId {
        FileId {
            id: self.id,
            size: self.size,
        }
    }
}

impl ReadRequest {
    /// The part that is meant of a file of `size` bytes; empty at and behind its end.
    pub(crate) fn range(&self, size: u64) -> Range<u64> {
        let start = self.offset.min(size);
        start..start.saturating_add(self.size.into()).min(size)
    }
}
