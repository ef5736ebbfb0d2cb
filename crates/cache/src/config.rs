//! What users may set about the cache.

use debridfs_base::ByteSize;
use serde::{Deserialize, Serialize};

/// `[content.cache]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Most bytes that it takes on disk for what was played or copied.
    pub size: ByteSize,
    /// Most bytes that it takes on disk, besides, for heads and tails of files, which playback never displaces.
    pub probe_size: ByteSize,
    /// Bytes of the volume that are left to others; the lesser of 5 GiB and a twentieth of the volume when absent.
    pub keep_free: Option<ByteSize>,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            size: ByteSize(20 << 30),
            probe_size: ByteSize(4 << 30),
            keep_free: None,
        }
    }
}

impl CacheConfig {
    /// What is to be left free of a volume of `volume` bytes.
    pub(crate) fn reserve(&self, volume: u64) -> u64 {
        self.keep_free
            .map_or((5 << 30).min(volume / 20), |bytes| bytes.0)
    }
}
