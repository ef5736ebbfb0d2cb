//! Debrid providers: what a library needs of them, and the one scheduler that every call passes.
//!
//! Nothing here knows about files as paths: a provider has torrents with files, restricted links,
//! and direct links that expire.
//!
//! | question | where |
//! |---|---|
//! | what does a library need of a provider | `traits.rs`: [`Provider`] |
//! | what does a torrent, a link look like | `torrent.rs`, `link.rs` |
//! | what names a release in every account | `content_id.rs`: [`ContentId`] |
//! | which path has a file, whichever vendor tells it | `file_path.rs`: [`canonical_path`] |
//! | what is added, and its info-hash | `addition.rs`: [`Addition`], `bencode.rs` |
//! | what may be concluded from a failure | `error.rs`: [`Verdict`] |
//! | what is the same at all vendors: turns, keys, traffic, settings | `account.rs`, `account/` |
//! | what is a vendor's own | `vendors/NAME.rs`, `vendors/NAME/` |
//! | what are accounts asked now and then | `refresh.rs` |
//! | how is a vendor added | [`vendors`] |
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod account;
mod addition;
pub mod bencode;
mod content_id;
mod error;
mod file_path;
mod link;
mod refresh;
mod torrent;
mod traits;
mod usage;
pub mod vendors;

pub use account::DebridAccount;
pub use account::config::{AccountConfig, ConfigError};
pub use account::key::{KeyId, KeyStatus};
pub use account::limits::{Budget, CacheCheck, Limits, Refusals};
pub use account::scheduler::{Outcome, Scheduler, SchedulerStatus, Turn};
pub use account::traffic::{KeyTraffic, Shortage, TrafficStatus};
pub use addition::Addition;
pub use content_id::{ContentId, ContentKind, InvalidContentId};
pub use error::{Error, Result, Verdict};
pub use file_path::{PathsBegin, canonical_path};
pub use link::{
    DifferingCopy, DirectLink, HosterLink, LinkStore, LinkStoreError, NoLinks, Part, Source,
};
pub use refresh::{compare_traffic, read_facts};
pub use torrent::{
    InfoHash, InvalidInfoHash, TorrentFile, TorrentId, TorrentInfo, TorrentPage, TorrentStatus,
    TorrentSummary,
};
pub use traits::{
    Account, AccountFacts, CallCount, CdnAccess, CdnLimits, Priority, Provider, ProviderHealth,
};
pub use usage::{ActiveCount, BudgetUse, Download, DownloadPage, TrafficDay};
