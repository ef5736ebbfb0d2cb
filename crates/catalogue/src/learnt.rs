//! Info-hashes that were told of releases which were shown without one.

use std::collections::{BTreeMap, BTreeSet};

use debridfs_provider::{ContentId, TorrentId};

use crate::Copy;

/// All of them, by what the releases are shown as.
#[derive(Debug, Clone, Default)]
pub(crate) struct LearntHashes {
    by_shown: BTreeMap<ContentId, LearntHash>,
    /// What each hash is shown as besides.
    by_hash: BTreeMap<ContentId, BTreeSet<ContentId>>,
}

/// An info-hash that was told later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LearntHash {
    pub(crate) hash: ContentId,
    /// The account and the torrent that it was told of: the copy that the release was shown from.
    pub(crate) provider: String,
    pub(crate) torrent: TorrentId,
}

impl LearntHash {
    fn is_of(&self, copy: &Copy) -> bool {
        self.provider == copy.provider && self.torrent == copy.id
    }
}

impl LearntHashes {
    /// What the copies of a release are called that is shown as `content`: its hash, if one was learnt.
    pub(crate) fn named(&self, content: ContentId) -> ContentId {
        let learnt = self.by_shown.get(&content);
        learnt.map_or(content, |learnt| learnt.hash)
    }

    /// Whether copies joined what is shown as `content` by a hash that was learnt.
    pub(crate) fn is_joined(&self, content: ContentId) -> bool {
        self.by_shown.contains_key(&content) || self.by_hash.contains_key(&content)
    }

    /// Where a copy stands among those of a release, before its age. The first one gives files their paths: of what was shown
    /// without an info-hash, the copy that it was shown from. That one comes last in what was shown as the hash.
    pub(crate) fn standing(&self, content: ContentId, copy: &Copy) -> u8 {
        let is_own = |shown| {
            let learnt = self.by_shown.get(shown);
            learnt.is_some_and(|learnt| learnt.is_of(copy))
        };
        if is_own(&content) {
            return 0;
        }
        let mut shown = self.by_hash.get(&copy.content).into_iter().flatten();
        match shown.any(is_own) {
            true => 2,
            false => 1,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ContentId, &LearntHash)> {
        self.by_shown.iter()
    }

    pub(crate) fn insert(&mut self, shown: ContentId, learnt: LearntHash) {
        self.remove(shown);
        self.by_hash.entry(learnt.hash).or_default().insert(shown);
        self.by_shown.insert(shown, learnt);
    }

    pub(crate) fn remove(&mut self, shown: ContentId) {
        let Some(learnt) = self.by_shown.remove(&shown) else {
            return;
        };
        if let Some(others) = self.by_hash.get_mut(&learnt.hash) {
            others.remove(&shown);
            if others.is_empty() {
                self.by_hash.remove(&learnt.hash);
            }
        }
    }
}

impl FromIterator<(ContentId, LearntHash)> for LearntHashes {
    fn from_iter<T: IntoIterator<Item = (ContentId, LearntHash)>>(pairs: T) -> Self {
        let mut hashes = Self::default();
        for (shown, learnt) in pairs {
            hashes.insert(shown, learnt);
        }
        hashes
    }
}
