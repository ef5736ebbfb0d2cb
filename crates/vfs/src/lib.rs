//! The interface between the fronts and the library: a file system without any protocol.
//!
//! An operation never blocks: it is answered at once ([`Answer::Now`]) or handed back as a future ([`Answer::Later`]).
//!
//! | question | where |
//! |---|---|
//! | what can a front ask, and what does it get | `operations.rs` |
//! | why can an operation fail | `error.rs` |
//! | how are files served that are only in memory | `memory.rs` (feature `memory`) |
#![forbid(unsafe_code)]

mod error;
#[cfg(feature = "memory")]
mod memory;
mod operations;

pub use debridfs_base::{Client, NodeId};
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "memory")]
pub use memory::{Call, MemoryVfs};
pub use operations::{Answer, Attr, Change, DirEntry, Kind, ReadOut, ReadRequest, StatFs, Vfs};
