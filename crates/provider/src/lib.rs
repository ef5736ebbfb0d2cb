//! Debrid providers: what a library needs of them, Real-Debrid's implementation, and the one scheduler that every call passes.
//!
//! Nothing here knows about files as paths: a provider has torrents with files, restricted links, and direct links that expire.
#![forbid(unsafe_code)]

mod byte_size;
mod cdn_connections;
mod clock;
mod error;
mod key;
mod link;
pub mod real_debrid;
mod replace_file;
mod scheduler;
mod tls;
mod torrent;
mod traffic;
mod traits;

pub use byte_size::{ByteSize, InvalidByteSize};
pub use cdn_connections::{CdnConnections, OLDEST_EVERY};
pub use clock::{SystemClock, TokioClock, WallClock};
pub use error::{Error, Result, Verdict};
pub use key::{KeyId, KeyStatus};
pub use link::{DirectLink, HosterLink, LinkStore, LinkStoreError, Part, Source};
pub use replace_file::replace_file;
pub use scheduler::{BACKGROUND_SHARE, BURST_SHARE, Outcome, Scheduler, SchedulerStatus, Turn};
pub use tls::tls_config;
pub use torrent::{
    InfoHash, InvalidInfoHash, TorrentFile, TorrentId, TorrentInfo, TorrentPage, TorrentStatus,
    TorrentSummary,
};
pub use traffic::{KeyTraffic, Shortage, TrafficLedger, TrafficLimits, TrafficStatus};
pub use traits::{Account, CallCount, CdnPermit, Priority, Provider, ProviderHealth};
