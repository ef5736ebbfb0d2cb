//! What the store keeps of a torrent, and what views are built from.

use std::sync::Arc;

use debridfs_provider::{HosterLink, InfoHash, TorrentFile, TorrentId, TorrentStatus};
use jiff::Timestamp;

use crate::Archive;

/// One torrent at one provider, as last told.
#[derive(Debug, Clone, PartialEq)]
pub struct TorrentRecord {
    /// Provider's configured name.
    pub provider: String,
    /// The provider's id.
    pub id: TorrentId,
    /// What it is.
    pub hash: InfoHash,
    /// Display name as the list gives it.
    pub filename: String,
    /// Bytes of the selected files.
    pub bytes: u64,
    /// State at the provider.
    pub status: TorrentStatus,
    /// When it was added to the account.
    pub added: Timestamp,
    /// When it was ready.
    pub ended: Option<Timestamp>,
    /// Restricted links, in the order of the selected files.
    pub links: Vec<HosterLink>,
    /// What the info call said, once one was answered.
    pub detail: Option<TorrentDetail>,
    /// The archive into which its files were packed, once somebody looked into it.
    pub archive: Option<Arc<Archive>>,
    /// When it was found missing in a complete list: a soft delete.
    pub removed: Option<Timestamp>,
}

/// The part of a torrent that only the info call tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorrentDetail {
    /// Name in the torrent file.
    pub original_filename: String,
    /// Files in the provider's order.
    pub files: Vec<TorrentFile>,
}
