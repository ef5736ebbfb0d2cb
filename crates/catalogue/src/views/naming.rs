//! Who gets which name in the views.
//!
//! A name belongs to the release that was first shown with it. Of those that ask for it before that, the earliest added gets it, also while it is not ready yet;
//! the others get ` [hash8]` behind it. A release has the same name in every view.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use debridfs_provider::ContentId;
use jiff::Timestamp;

use super::memory::ShownRelease;
use crate::names::suffixed;

/// The names given, for ever.
#[derive(Debug, Default)]
pub(super) struct ShownNames {
    releases: HashMap<ContentId, ShownRelease>,
    taken: HashSet<Arc<str>>,
}

/// Names asked for by releases that are not shown yet.
#[derive(Debug, Default)]
pub(super) struct Wishes(HashMap<String, (Timestamp, ContentId)>);

impl Wishes {
    /// Notes that a release would like the name.
    pub(super) fn add(&mut self, name: String, added: Timestamp, content: ContentId) {
        let wish = self.0.entry(name).or_insert((added, content));
        *wish = (*wish).min((added, content));
    }

    /// Whether someone else comes before the release.
    fn precede(&self, name: &str, added: Timestamp, content: ContentId) -> bool {
        self.0
            .get(name)
            .is_some_and(|first| *first < (added, content))
    }
}

impl ShownNames {
    pub(super) fn new(releases: Vec<ShownRelease>) -> Self {
        let taken = releases.iter().map(|release| release.name.clone());
        let taken = taken.collect();
        let releases = releases
            .into_iter()
            .map(|release| (release.id, release))
            .collect();
        Self { releases, taken }
    }

    pub(super) fn get(&self, content: &ContentId) -> Option<&ShownRelease> {
        self.releases.get(content)
    }

    /// Shows a release: with the name it has, or with a new one. Returns what has to be stored, if that is new.
    pub(super) fn show(
        &mut self,
        content: ContentId,
        plain: &str,
        added: Timestamp,
        good: bool,
        wishes: &Wishes,
    ) -> Option<ShownRelease> {
        if let Some(shown) = self.releases.get_mut(&content) {
            let news = (good && !shown.good) || added < shown.added;
            shown.good |= good;
            shown.added = shown.added.min(added);
            return news.then(|| shown.clone());
        }
        let digits = content.digits();
        let mut name = plain.to_owned();
        if self.taken.contains(&*name) || wishes.precede(plain, added, content) {
            name = [8, 16, 40]
                .into_iter()
                .map(|length| suffixed(plain, &format!(" [{}]", &digits[..length]), false))
                .chain((2u64..).map(|n| suffixed(plain, &format!(" [{digits}] [{n}]"), false)))
                .find(|name| !self.taken.contains(&**name))
                .unwrap_or(digits);
        }
        let name: Arc<str> = name.into();
        self.taken.insert(name.clone());
        let shown = ShownRelease {
            id: content,
            name,
            added,
            good,
        };
        self.releases.insert(content, shown.clone());
        Some(shown)
    }
}
