//! What moving needs to know and to do. Tests put another one in the place of the library's, as bytes of a real one come from sockets, which no paused
//! clock waits for.

use std::sync::Arc;

use async_trait::async_trait;
use debridfs_provider::{InfoHash, Provider, TorrentInfo};

use super::SourceCopy;
use crate::Again;

/// What a comparison of two copies' files found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// Head and tail of the file of this path are the same.
    Same(String),
    /// There is no further file.
    Over,
    /// They are not the same, or the target lacks a file.
    Differs(String),
    /// The source says that it cannot be read, so nothing can be compared.
    NoSource(String),
    /// One of them gave no bytes now, or the library does not show it yet.
    NotNow(String),
}

/// The library and its accounts.
#[async_trait]
pub trait MoveWard: Send + Sync + 'static {
    /// The account of that name.
    fn provider(&self, name: &str) -> Option<Arc<dyn Provider>>;
    /// Torrents of a release in all accounts.
    async fn copies(&self, hash: InfoHash) -> Vec<SourceCopy>;
    /// Everything that is needed to add the torrent of a release at `provider`; `None` when there is no such account.
    async fn addition(&self, hash: InfoHash, provider: &str) -> Option<Again>;
    /// An account has just said this of a torrent.
    async fn told(&self, provider: &str, info: TorrentInfo);
    /// Compares head and tail of the first file whose path comes behind `after`, as one of `from` and as `to` give it.
    async fn compare(
        &self,
        hash: InfoHash,
        from: &[SourceCopy],
        to: &str,
        after: Option<&str>,
    ) -> Compared;
}
