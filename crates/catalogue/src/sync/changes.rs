//! What a new library shows that the one before did not: the paths for `on_library_update`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::views::BAD;
use crate::{Contents, Entry, Library};

/// What a publication changed for those who look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPath {
    /// The release's directory, relative to the mount.
    pub path: String,
    /// Whether it went.
    pub gone: bool,
}

/// Paths, relative to the mount, of releases that went, and of those with files that came or changed. A release whose files
/// are not known yet is told once they are.
pub fn changed_paths(before: &Library, after: &Library) -> Vec<ChangedPath> {
    let old_views: HashMap<&str, &Arc<Vec<Entry>>> = before
        .views
        .iter()
        .map(|view| (view.name.as_str(), &view.entries))
        .collect();
    let mut paths = Vec::new();
    for view in &after.views {
        let old = old_views.get(view.name.as_str()).copied();
        if view.name == BAD || old.is_some_and(|old| Arc::ptr_eq(old, &view.entries)) {
            continue;
        }
        let mut old: HashMap<&str, &Entry> = old
            .into_iter()
            .flat_map(|entries| entries.iter())
            .map(|entry| (entry.name.as_str(), entry))
            .collect();
        for entry in view.entries.iter() {
            let was = old.remove(entry.name.as_str());
            if shows_more(was, entry) {
                paths.push(ChangedPath {
                    path: format!("{}/{}", view.name, entry.name),
                    gone: false,
                });
            }
        }
        paths.extend(old.keys().map(|name| ChangedPath {
            path: format!("{}/{name}", view.name),
            gone: true,
        }));
    }
    paths
}

fn shows_more(before: Option<&Entry>, after: &Entry) -> bool {
    let Contents::Known(now) = &after.release.contents else {
        return false;
    };
    match before.map(|entry| &entry.release.contents) {
        None | Some(Contents::Unknown) => true,
        Some(Contents::Known(then)) => {
            !Arc::ptr_eq(then, now)
                && (then.dirs != now.dirs
                    || then.files.len() != now.files.len()
                    || then.files.iter().zip(&now.files).any(|(old, new)| {
                        old.id != new.id
                            || old.dir != new.dir
                            || old.name != new.name
                            || old.size != new.size
                    }))
        }
    }
}
