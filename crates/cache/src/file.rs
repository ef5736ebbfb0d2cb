//! Files as the cache knows them, and what it says about them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Names a file: bytes put for one id and size are never read for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    /// Identity, the same for ever.
    pub id: u64,
    /// Size in bytes.
    pub size: u64,
}

/// Why bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheClass {
    /// They were played or copied.
    Playback,
    /// They belong to a head or tail that scanners look at. They have a limit of their own.
    Probe,
}

impl CacheClass {
    pub(crate) const ALL: [Self; 2] = [Self::Playback, Self::Probe];

    /// The word for it, also the name of its directory.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Playback => "playback",
            Self::Probe => "probe",
        }
    }
}

/// A file in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedFile {
    /// Identity, as in [`FileId`].
    pub id: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of it that are cached in this class.
    pub bytes: u64,
    /// Why.
    pub class: CacheClass,
    /// Whether it is never evicted.
    pub pinned: bool,
    /// When it was used last, in seconds of Unix time; to the minute.
    pub used: u64,
}

/// Where the next bytes of a range are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supply {
    /// In the cache.
    Cached(Range<u64>),
    /// They have to be fetched.
    Absent(Range<u64>),
}
