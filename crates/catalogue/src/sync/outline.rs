//! What a library shows, small enough to be kept on disk by those who are told of changes: so that they hear of what changed while nobody watched.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ChangedPath;
use crate::views::BAD;
use crate::{Contents, Library, ReleaseTree};

/// Names of all releases whose files are known, by view, with a number that is another one when those files are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outline(BTreeMap<String, BTreeMap<String, u64>>);

impl Outline {
    /// Of `library`; some 100 bytes for each release in each view.
    pub fn of(library: &Library) -> Self {
        let views = library.views.iter().filter(|view| view.name != BAD);
        let outlined = views.map(|view| {
            let entries = view.entries.iter();
            let known = entries.filter_map(|entry| match &entry.release.contents {
                Contents::Known(tree) => Some((entry.name.clone(), fingerprint(tree))),
                Contents::Unknown => None,
            });
            (view.name.clone(), known.collect())
        });
        Self(outlined.collect())
    }

    /// As [`super::changed_paths`], from this to `after`. In a view that was not there everything would be new, and is not told.
    pub fn changes_to(&self, after: &Library) -> Vec<ChangedPath> {
        let mut paths = Vec::new();
        for view in &after.views {
            let Some(before) = self.0.get(&view.name) else {
                continue;
            };
            let mut gone: BTreeMap<&str, u64> = before
                .iter()
                .map(|(name, files)| (name.as_str(), *files))
                .collect();
            let path = |name: &str| format!("{}/{name}", view.name);
            for entry in view.entries.iter() {
                let was = gone.remove(entry.name.as_str());
                if let Contents::Known(tree) = &entry.release.contents
                    && was != Some(fingerprint(tree))
                {
                    paths.push(ChangedPath {
                        path: path(&entry.name),
                        gone: false,
                    });
                }
            }
            paths.extend(gone.keys().map(|name| ChangedPath {
                path: path(name),
                gone: true,
            }));
        }
        paths
    }
}

/// Of the files of a release as those see them who look. It is stored, so it has to be the same in every version of the program.
fn fingerprint(tree: &ReleaseTree) -> u64 {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for dir in &tree.dirs {
        part(dir.as_bytes());
    }
    for file in &tree.files {
        part(&file.id.0.to_le_bytes());
        part(&file.dir.to_le_bytes());
        part(file.name.as_bytes());
        part(&file.size.to_le_bytes());
    }
    let digest = hash.finalize();
    u64::from_le_bytes(std::array::from_fn(|index| digest[index]))
}
