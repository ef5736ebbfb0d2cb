//! What can go wrong with a command. Reads never fail: what the cache cannot answer comes from elsewhere.

use std::io;
use std::sync::Arc;

/// Why a command to the cache failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CacheError {
    /// Another process has it, its disk does not answer, or it is closed.
    #[error("the cache cannot be used now")]
    Unusable,
    /// More would be pinned than nine tenths of the cache.
    #[error("{needed} bytes would be pinned, and {limit} may be (nine tenths of the cache's size)")]
    DoesNotFit {
        /// Bytes of all pinned files together.
        needed: u64,
        /// Bytes that may be pinned.
        limit: u64,
    },
    /// The disk said no.
    #[error("the cache's disk: {0}")]
    Disk(Arc<io::Error>),
}
