//! Inode numbers.

use serde::Serialize;

/// An inode number that never changes; never 0, 1 or `u64::MAX`, except [`NodeId::ROOT`]. `catalogue/src/ids.rs` makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The root directory (`FUSE_ROOT_ID`).
    pub const ROOT: Self = Self(1);
}
