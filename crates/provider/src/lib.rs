//! Debrid providers: what a library needs of them, Real-Debrid's implementation, and the one scheduler that every call passes.
//!
//! Nothing here knows about files as paths: a provider has torrents with files, restricted links, and direct links that expire.
#![forbid(unsafe_code)]

mod error;
mod link;
mod torrent;
mod traits;

pub use error::{Error, Result, Verdict};
pub use link::{DirectLink, HosterLink, LinkStore, LinkStoreError, Source};
pub use torrent::{
    InfoHash, InvalidInfoHash, TorrentFile, TorrentId, TorrentInfo, TorrentPage, TorrentStatus,
    TorrentSummary,
};
pub use traits::{Account, CallCount, CdnPermit, Priority, Provider, ProviderHealth};
