//! What must outlive a restart, so that paths, ids and times stay.

use std::sync::Arc;

use debridfs_provider::ContentId;
use jiff::Timestamp;

use crate::ids::IdOverride;

/// What was shown before; empty for a fresh library.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Every release that ever had a path. As long as it is here, nobody else gets its name.
    pub releases: Vec<ShownRelease>,
    /// Choices of ids.
    pub ids: Vec<IdOverride>,
    /// The views as last published.
    pub views: Vec<ShownView>,
}

/// A release that has a path; its key is the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownRelease {
    /// Which.
    pub id: ContentId,
    /// Its name in every view, for ever.
    pub name: Arc<str>,
    /// Its modification time: the earliest `added` seen of it.
    pub added: Timestamp,
    /// Whether it was ever in `__all__`, so that it stays there when it turns bad.
    pub good: bool,
}

/// A view as last published; its key is the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownView {
    /// Which.
    pub name: String,
    /// When a release last came or went.
    pub changed: Timestamp,
    /// Its releases, in any order.
    pub members: Vec<ContentId>,
}

/// How a [`ShownView`] changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewChange {
    /// Which.
    pub view: String,
    /// Its new time.
    pub changed: Timestamp,
    /// Releases that came.
    pub joined: Vec<ContentId>,
    /// Releases that went.
    pub left: Vec<ContentId>,
    /// Whether the view itself is no longer configured: to be forgotten.
    pub dropped: bool,
}
