//! Debrid providers: what a library needs of them, Real-Debrid's implementation, and the one scheduler that every call passes.
//!
//! Nothing here knows about files as paths: a provider has torrents with files, restricted links, and direct links that expire.
#![forbid(unsafe_code)]

mod cdn_connections;
mod error;
mod key;
mod link;
pub mod real_debrid;
mod scheduler;
mod torrent;
mod traffic;
mod traits;

pub use cdn_connections::{CdnConnections, OLDEST_EVERY};
pub use error::{Error, Result, Verdict};
pub use key::{KeyId, KeyStatus};
pub use link::{DirectLink, HosterLink, LinkStore, LinkStoreError, Part, Source};
pub use scheduler::{BACKGROUND_SHARE, BURST_SHARE, Outcome, Scheduler, SchedulerStatus, Turn};
pub use torrent::{
    InfoHash, InvalidInfoHash, TorrentFile, TorrentId, TorrentInfo, TorrentPage, TorrentStatus,
    TorrentSummary,
};
pub use traffic::{KeyTraffic, Shortage, TrafficLedger, TrafficLimits, TrafficStatus};
pub use traits::{Account, CallCount, CdnPermit, Priority, Provider, ProviderHealth};
