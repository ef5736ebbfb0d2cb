//! The published library: immutable, shared by `Arc`, replaced as a whole.

use std::sync::Arc;

use debridfs_provider::{InfoHash, Source};
use jiff::Timestamp;
use serde::Serialize;

/// An inode number that never changes; never 0, 1 or `u64::MAX`, except [`NodeId::ROOT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The root directory (`FUSE_ROOT_ID`).
    pub const ROOT: Self = Self(1);
}

/// Everything that is shown, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// Grows by at least one at each publication.
    pub generation: u64,
    /// Whether a complete list has ever been stored. While not, views answer EIO and never "empty".
    pub listed: bool,
    /// The views in the order of the root directory: `__all__`, `__bad__`, one per provider, custom ones.
    pub views: Vec<View>,
}

/// A directory made by rule.
#[derive(Debug, Clone)]
pub struct View {
    /// Its directory id.
    pub id: NodeId,
    /// Its name in the root.
    pub name: String,
    /// What it shows, sorted by `name`; names are unique.
    pub entries: Arc<Vec<Entry>>,
    /// When an entry last came, went or changed its name.
    pub changed: Timestamp,
}

/// A release in a view.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name shown: a legal POSIX name of 1 to 255 bytes, unique in the view.
    pub name: String,
    /// Directory ids of this view's copy of `ReleaseTree::dirs`, in the same order; holds at least the release's own directory.
    pub dir_ids: Arc<[NodeId]>,
    /// What is in it.
    pub release: Arc<Release>,
}

/// One info-hash as a library entry, whatever number of torrents and providers hold it.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its identity.
    pub hash: InfoHash,
    /// The earliest `added` of its torrents: the modification time of its directories and files.
    pub added: Timestamp,
    /// Names of the providers that hold it.
    pub providers: Vec<String>,
    /// Why it is in `__bad__`, if it is.
    pub bad: Option<BadReason>,
    /// Its files.
    pub contents: Contents,
}

/// Whether the files of a release are known.
#[derive(Debug, Clone)]
pub enum Contents {
    /// No info call has been answered yet; looking into it asks for one first.
    Unknown,
    /// Known.
    Known(Arc<ReleaseTree>),
}

/// Directories and files of a release, with names made legal.
#[derive(Debug, Clone, Default)]
pub struct ReleaseTree {
    /// Paths of directories relative to the release, `""` (the release itself) first, parents before children.
    pub dirs: Vec<String>,
    /// Files, sorted by (`dir`, `name`).
    pub files: Vec<File>,
}

/// A file of a release.
#[derive(Debug, Clone)]
pub struct File {
    /// Inode number: the same in every view, on every node, after every restart.
    pub id: NodeId,
    /// Index of its directory in [`ReleaseTree::dirs`].
    pub dir: usize,
    /// Its name there.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Where its bytes are, the preferred one first; empty when there is no link for it.
    pub sources: Vec<Source>,
}

/// Why a release cannot be served, shown by `user.debridfs.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadReason {
    /// The provider packed several files into one RAR.
    PackedRar,
    /// Fewer links than selected files.
    MissingLinks,
    /// It is in no list of the provider any more.
    Removed,
    /// The provider reports an error, a virus or a dead torrent.
    Failed,
}

impl BadReason {
    /// The word shown to people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PackedRar => "packed-rar",
            Self::MissingLinks => "missing-links",
            Self::Removed => "removed",
            Self::Failed => "failed",
        }
    }
}
