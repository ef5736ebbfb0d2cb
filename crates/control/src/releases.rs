//! Views of the library and the releases in them: listed and searched by name or info-hash.

use debridfs_catalogue::{Contents, Entry};
use debridfs_provider::InfoHash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::RunningEngine;

/// A view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ViewLine {
    /// Its name in the root.
    pub name: String,
    /// Releases in it.
    pub releases: usize,
}

/// Which releases are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseQuery {
    /// The view's name.
    pub view: String,
    /// Words that the name has to hold, all of them, in any case; or an info-hash.
    pub text: String,
    /// The newest first; by name otherwise.
    pub newest_first: bool,
    /// How many to pass over.
    pub skip: usize,
    /// How many at most.
    pub limit: usize,
}

/// A part of a view.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseList {
    /// How many there are in all.
    pub total: usize,
    /// Those asked for.
    pub lines: Vec<ReleaseLine>,
}

/// A release in a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseLine {
    /// Its name there.
    pub name: String,
    /// Its info-hash.
    pub hash: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Its files; absent while the provider has not told them.
    pub files: Option<usize>,
    /// When it was added.
    pub added: Timestamp,
    /// Providers that hold it.
    pub providers: Vec<String>,
    /// Why it cannot be served: the word of `user.debridfs.reason`.
    pub bad: Option<String>,
}

impl RunningEngine {
    /// The views in the order of the root.
    pub fn views(&self) -> Vec<ViewLine> {
        let library = self.catalogue().library().borrow().clone();
        let views = library.views.iter().map(|view| ViewLine {
            name: view.name.clone(),
            releases: view.entries.len(),
        });
        views.collect()
    }

    /// A part of a view; `None` when there is no such view. May look at every release, so it is to be
    /// called on the blocking pool.
    pub fn releases(&self, query: &ReleaseQuery) -> Option<ReleaseList> {
        let library = self.catalogue().library().borrow().clone();
        let view = library.views.iter().find(|view| view.name == query.view)?;
        Some(select(&view.entries, query))
    }
}

/// The entries that `query` asks for.
fn select(entries: &[Entry], query: &ReleaseQuery) -> ReleaseList {
    let hash = query.text.trim().parse::<InfoHash>().ok();
    let words: Vec<String> = query
        .text
        .split_whitespace()
        .map(str::to_lowercase)
        .collect();
    let mut found: Vec<&Entry> = entries
        .iter()
        .filter(|entry| {
            if let Some(hash) = hash {
                return entry.release.id == hash.into();
            }
            if words.is_empty() {
                return true;
            }
            let name = entry.name.to_lowercase();
            words.iter().all(|word| name.contains(word))
        })
        .collect();
    if query.newest_first {
        // Of the same moment by name, as they came.
        found.sort_by_key(|entry| std::cmp::Reverse(entry.release.added));
    }
    let shown = found.iter().skip(query.skip).take(query.limit);
    let lines = shown.map(|entry| {
        let release = &entry.release;
        ReleaseLine {
            name: entry.name.to_string(),
            hash: release.id.to_string(),
            bytes: release.bytes,
            files: match &release.contents {
                Contents::Unknown => None,
                Contents::Known(tree) => Some(tree.files.len()),
            },
            added: release.added,
            providers: release.providers().map(str::to_owned).collect(),
            bad: release.bad.map(|reason| reason.as_str().to_owned()),
        }
    });
    ReleaseList {
        total: found.len(),
        lines: lines.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use debridfs_base::NodeId;

    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        let entry = |(number, name): (usize, &&str)| Entry {
            name: (*name).into(),
            dir_ids: [NodeId(number as u64 + 2)].into(),
            release: Arc::new(debridfs_catalogue::Release {
                id: format!("{number:040x}").parse().unwrap(),
                added: Timestamp::from_second(number as i64).unwrap(),
                copies: [].into(),
                holders: 0,
                bytes: 1,
                bad: None,
                contents: Contents::Unknown,
            }),
        };
        names.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn words_order_and_parts() {
        let entries = entries(&["Äpfel.S01", "Birnen.S01", "Birnen.S02", "Zimt"]);
        let names = |query: ReleaseQuery| -> (usize, Vec<String>) {
            let list = select(&entries, &query);
            let names = list.lines.into_iter().map(|line| line.name).collect();
            (list.total, names)
        };
        let all = ReleaseQuery {
            limit: 10,
            ..ReleaseQuery::default()
        };
        let found = names(ReleaseQuery {
            text: " s01  BIRNEN ".into(),
            ..all.clone()
        });
        assert_eq!(found, (1, vec!["Birnen.S01".to_owned()]));
        let found = names(ReleaseQuery {
            text: "äPFEL".into(),
            ..all.clone()
        });
        assert_eq!(found.0, 1, "in any case, whatever the letter");
        let found = names(ReleaseQuery {
            newest_first: true,
            skip: 1,
            limit: 2,
            ..all.clone()
        });
        let middle = vec!["Birnen.S02".to_owned(), "Birnen.S01".to_owned()];
        assert_eq!(found, (4, middle));
        let by_hash = names(ReleaseQuery {
            text: format!(" {:040X} ", 2),
            ..all.clone()
        });
        assert_eq!(by_hash, (1, vec!["Birnen.S02".to_owned()]));
        let beyond = names(ReleaseQuery { skip: 9, ..all });
        assert_eq!(beyond, (4, Vec::new()));
    }
}
