//! The tree that every front shows: an immutable snapshot behind an atomic pointer, attributes, directory cookies, and the [`Vfs`] trait.
//!
//! Nothing here blocks: an operation is answered at once ([`Answer::Now`]) or handed back as a future ([`Answer::Later`]).
#![forbid(unsafe_code)]

mod errors;
mod explain;
mod newcomers;
mod operations;
mod paths;
mod snapshot;
mod sources;
mod style;
#[cfg(test)]
mod testing;
mod tree;
mod xattrs;

pub use debridfs_base::NodeId;
pub use explain::{Found, FoundFile, FoundRelease};
pub use newcomers::follow_newcomers;
pub use operations::{
    Answer, Attr, Change, DirEntry, Error, ErrorKind, Kind, ReadOut, ReadRequest, Result, StatFs,
    Vfs,
};
pub use paths::files_below;
pub use sources::{Demand, FileReader};
pub use style::{Layout, TreeConfig};
pub use tree::{CONTENTS_DEADLINE, Tree};
