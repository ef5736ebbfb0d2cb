//! Files of releases without a common info-hash that were compared.

use debridfs_base::NodeId;

/// Two files of different releases whose heads and tails were compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedFiles {
    /// The one.
    pub file: NodeId,
    /// The other.
    pub other: NodeId,
    /// Whether head and tail are the same.
    pub equal: bool,
}
