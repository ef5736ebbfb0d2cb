//! A copy of a release: what one account told of its possession of it.

use std::sync::Arc;

use debridfs_provider::{ContentId, HosterLink, TorrentFile, TorrentId, TorrentStatus};
use jiff::Timestamp;

use crate::Archive;

/// One account's possession of a release, as last told: a torrent at a provider. What the release is
/// follows from its copies ([`crate::Release`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Provider's configured name.
    pub provider: String,
    /// The provider's id of it. The account is that of the provider's first key.
    pub id: TorrentId,
    /// What it is a copy of.
    pub content: ContentId,
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
    pub detail: Option<CopyDetail>,
    /// The archive into which its files were packed, once somebody looked into it.
    pub archive: Option<Arc<Archive>>,
    /// When it was found missing in a complete list: a soft delete.
    pub removed: Option<Timestamp>,
}

/// The part of a copy that only the info call tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyDetail {
    /// Name in the torrent file.
    pub original_filename: String,
    /// Files in the provider's order, with the provider's numbers of them.
    pub files: Vec<TorrentFile>,
}
