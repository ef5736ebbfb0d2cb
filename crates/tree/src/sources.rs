//! Who the tree asks for what it does not hold: bytes of files, and files of releases.

use std::time::Duration;

use bytes::Bytes;
use debridfs_catalogue::{File, ReleaseTree};
use debridfs_content::{Content, ContentError, FileRef, ReadRequest};
use debridfs_provider::{ContentId, Source};
use futures_util::future::BoxFuture;

use debridfs_vfs::{Error, ErrorKind};

/// Gets the files of a release known.
pub trait Demand: Send + Sync + 'static {
    /// Asks for the files of a release before all others; resolves once a library that knows them is published, or with a text for people.
    fn demand(&self, release: ContentId) -> BoxFuture<'static, Result<(), String>>;
}

/// Gives bytes: [`Content`], or a stand-in in tests.
pub trait FileReader: Send + Sync + 'static {
    /// The bytes, if they are in memory; never blocks.
    fn try_read(&self, file: &FileRef, request: &ReadRequest) -> Option<Vec<Bytes>>;
    /// The bytes, before the request's deadline.
    fn read(
        &self,
        file: &FileRef,
        request: &ReadRequest,
    ) -> BoxFuture<'static, Result<Vec<Bytes>, ContentError>>;
    /// The file was opened: what its first read needs may be made ready, but nothing is waited for.
    fn opened(&self, _file: &FileRef) {}
    /// Forgets a handle.
    fn release(&self, handle: u64);
    /// How old the direct link of `source` is, if there is one in memory.
    fn link_age(&self, source: &Source) -> Option<Duration>;
}

impl FileReader for Content {
    fn try_read(&self, file: &FileRef, request: &ReadRequest) -> Option<Vec<Bytes>> {
        Self::try_read(self, file, request)
    }

    fn read(
        &self,
        file: &FileRef,
        request: &ReadRequest,
    ) -> BoxFuture<'static, Result<Vec<Bytes>, ContentError>> {
        Self::read(self, file, request)
    }

    fn opened(&self, file: &FileRef) {
        Self::open(self, file);
    }

    fn release(&self, handle: u64) {
        Self::release(self, handle);
    }

    fn link_age(&self, source: &Source) -> Option<Duration> {
        Self::link_age(self, source)
    }
}

/// The file as the reader has to know it; without sources when no account has a link for it.
pub fn file_ref(tree: &ReleaseTree, file: &File) -> FileRef {
    FileRef {
        id: file.id.0,
        size: file.size,
        sources: tree.sources(file).collect(),
    }
}

/// A failed read as fronts see it.
pub(crate) fn failed_read(error: ContentError) -> Error {
    use debridfs_content::ErrorKind as Kind;
    let kind = match error.kind() {
        Kind::TimedOut => ErrorKind::TimedOut,
        Kind::Unavailable => ErrorKind::Unavailable,
        Kind::TooLarge => ErrorKind::Invalid,
    };
    Error::new(kind, error)
}
