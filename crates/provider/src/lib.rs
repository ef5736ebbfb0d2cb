//! Debrid providers: what a library needs of them, Real-Debrid's implementation, and the one scheduler that every call passes.
//!
//! Nothing here knows about files as paths: a provider has torrents with files, restricted links, and direct links that expire.
#![forbid(unsafe_code)]

mod account;
mod cdn_connections;
mod error;
mod link;
mod torrent;
mod traits;
pub mod vendors;

pub use account::key::{KeyId, KeyStatus};
pub use account::scheduler::{Outcome, Scheduler, SchedulerStatus, Turn};
pub use account::traffic::{KeyTraffic, Shortage, TrafficLedger, TrafficLimits, TrafficStatus};
pub use cdn_connections::{CdnConnections, OLDEST_EVERY};
pub use error::{Error, Result, Verdict};
pub use link::{DirectLink, HosterLink, LinkStore, LinkStoreError, Part, Source};
pub use torrent::{
    InfoHash, InvalidInfoHash, TorrentFile, TorrentId, TorrentInfo, TorrentPage, TorrentStatus,
    TorrentSummary,
};
pub use traits::{Account, CallCount, CdnPermit, Priority, Provider, ProviderHealth};
pub use vendors::real_debrid;
