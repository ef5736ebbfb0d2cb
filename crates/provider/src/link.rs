//! Restricted (hoster) links and the direct links made of them.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, KeyId, TorrentId};

/// What a provider makes a direct link of: a restricted link of one file, such as
/// `https://real-debrid.com/d/XXXXXXXXXXXXX`, or another text that names the file there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HosterLink(pub String);

/// A time-limited URL that can be read at any offset. It is as good as a password: never log `url`.
#[derive(Clone, PartialEq, Eq)]
pub struct DirectLink {
    /// Where the bytes are.
    pub url: String,
    /// The provider's name of the file.
    pub filename: String,
    /// Size as told when the link was made; `None` when the provider did not know (it says 0).
    pub bytes: Option<u64>,
    /// When the link was made.
    pub resolved_at: Timestamp,
    /// The key it was made with: its bytes count as that key's traffic.
    pub key: KeyId,
}

impl std::fmt::Debug for DirectLink {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("DirectLink")
            .field("filename", &self.filename)
            .field("bytes", &self.bytes)
            .field("resolved_at", &self.resolved_at)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// One place that holds a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// Provider's configured name.
    pub provider: String,
    /// The torrent there.
    pub torrent: TorrentId,
    /// The restricted link.
    pub link: HosterLink,
    /// Where the file lies in what the link gives; `None` when that is the file itself.
    pub part: Option<Part>,
}

/// A file's place in a container that is read through one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// The container's byte that is the file's first.
    pub offset: u64,
    /// Size of the container in bytes.
    pub container: u64,
}

/// Why the link store could not be asked; reads go on without it.
#[derive(Debug, thiserror::Error)]
#[error("link store: {0}")]
pub struct LinkStoreError(pub String);

/// A copy of a file that gave other bytes than another one did.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DifferingCopy {
    /// The file, by its number in the library.
    pub file: u64,
    /// Provider's configured name.
    pub provider: String,
    /// The torrent there.
    pub torrent: TorrentId,
}

/// Keeps direct links over a restart, so that it costs no call; and which copies are not to be used.
///
/// Saving and forgetting return immediately and report nothing: the store keeps changes in the
/// order of the calls, and logs and repeats one that it cannot keep now.
#[async_trait]
pub trait LinkStore: Send + Sync + 'static {
    /// The stored direct links of `hoster` at `provider`: at most one of each key.
    ///
    /// # Errors
    /// [`LinkStoreError`] when the store does not tell.
    async fn load(
        &self,
        provider: &str,
        hoster: &HosterLink,
    ) -> Result<Vec<DirectLink>, LinkStoreError>;
    /// Begins to store `link`, in place of an older one of its key.
    fn save(&self, provider: &str, hoster: &HosterLink, link: &DirectLink);
    /// Begins to forget the link of `key`: it was refused or has expired.
    fn forget(&self, provider: &str, hoster: &HosterLink, key: &KeyId);
    /// The provider made a link of `source`, or said why it does not. Kept for people alone: nothing
    /// is asked less often for it.
    fn asked(&self, source: &Source, answer: Result<(), &Error>) {
        let _ = (source, answer);
    }
    /// Copies that were found to differ, at the start: they are not read for that file again.
    fn differing(&self) -> Vec<DifferingCopy> {
        Vec::new()
    }
    /// Begins to store that a copy was found to differ.
    fn differs(&self, copy: DifferingCopy) {
        let _ = copy;
    }
}

/// Keeps nothing: each start makes its links anew.
#[derive(Debug, Clone, Copy)]
pub struct NoLinks;

#[async_trait]
impl LinkStore for NoLinks {
    async fn load(&self, _: &str, _: &HosterLink) -> Result<Vec<DirectLink>, LinkStoreError> {
        Ok(Vec::new())
    }
    fn save(&self, _: &str, _: &HosterLink, _: &DirectLink) {}
    fn forget(&self, _: &str, _: &HosterLink, _: &KeyId) {}
}
