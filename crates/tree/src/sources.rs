//! Files and failures of reads, between the library's words and the reader's.

use debridfs_catalogue::{File, ReleaseTree};
use debridfs_content::{ContentError, FileRef};
use debridfs_vfs::{Error, ErrorKind};

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
