//! The library as a tree: an immutable snapshot behind an atomic pointer, which every front asks by the interface [`debridfs_vfs::Vfs`].
//!
//! Nothing here blocks: an operation is answered from memory, or handed back as a future.
//!
//! | question | where |
//! |---|---|
//! | how is an operation answered, and how a new library shown | `tree.rs` |
//! | which file does the reader read, and what does its failure mean | `sources.rs` |
//! | what does one moment of the tree hold | `snapshot.rs` |
//! | what does a name stand for | `snapshot/resolve.rs` |
//! | which lines has a directory, with which cookies | `snapshot/listing.rs` |
//! | what has the kernel to be told of a new library | `snapshot/diff.rs` |
//! | what do `.strm` files hold, and how are they called | `strm.rs`, `snapshot/strm.rs` |
//! | which owner, mode and size has a node | `style.rs` |
//! | which extended attributes has a node | `xattrs.rs` |
//! | what does a path that somebody typed stand for | `explain.rs`, `paths.rs` |
//! | which files of other releases are the same | `twins.rs` |
//! | which films are new | `newcomers.rs` |
//! | how do files come into the cache before anybody reads them | `warm.rs` |
#![forbid(unsafe_code)]

mod explain;
mod newcomers;
mod paths;
mod snapshot;
mod sources;
mod strm;
mod style;
#[cfg(test)]
mod testing;
mod tree;
mod twins;
mod warm;
mod xattrs;

pub use explain::{Found, FoundFile, FoundRelease};
pub use newcomers::follow_newcomers;
pub use paths::{files_below, node_at};
pub use sources::file_ref;
pub use strm::StrmTexts;
pub use style::TreeConfig;
pub use tree::{CONTENTS_DEADLINE, Tree};
pub use twins::Comparisons;
pub use warm::Warming;
