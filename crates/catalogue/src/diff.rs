//! What a library shows that the one before it did not, and the other way round: release by
//! release, and by the files in each.
//!
//! The kernel's caches, hooks and the cache's filling all compare two libraries. Hooks compare with
//! an [`Outline`] after a restart: it is what they keep on disk (decision 0021).

use std::collections::BTreeMap;
use std::sync::Arc;

use itertools::{EitherOrBoth, Itertools};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::library::BAD;
use crate::{Entry, File, Library, ReleaseTree, View};

impl View {
    /// Entries that are not what they were in `before`, by name: what went on the left, what came on
    /// the right. Both are there when a name stands for another release or directory now, or when
    /// anything of its release changed.
    pub fn differences<'a>(
        &'a self,
        before: Option<&'a Self>,
    ) -> impl Iterator<Item = EitherOrBoth<&'a Entry, &'a Entry>> {
        let (before, after) = match before {
            Some(before) if Arc::ptr_eq(&before.entries, &self.entries) => (&[][..], &[][..]),
            Some(before) => (&before.entries[..], &self.entries[..]),
            None => (&[][..], &self.entries[..]),
        };
        let joined = before
            .iter()
            .merge_join_by(after, |was, is| was.name.cmp(&is.name));
        joined.filter(|difference| match difference {
            EitherOrBoth::Both(was, is) => {
                was.dir_ids[0] != is.dir_ids[0] || !Arc::ptr_eq(&was.release, &is.release)
            }
            EitherOrBoth::Left(_) | EitherOrBoth::Right(_) => true,
        })
    }
}

/// What a publication changed for those who look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPath {
    /// The release's directory, relative to the mount.
    pub path: String,
    /// Whether it went.
    pub gone: bool,
}

/// Paths, relative to the mount, of releases that went, and of those with files that came or
/// changed. A release whose files are not known yet is told once they are.
pub fn changed_paths(before: &Library, after: &Library) -> Vec<ChangedPath> {
    let mut paths = Vec::new();
    for view in after.views.iter().filter(|view| view.name != BAD) {
        let differences = view
            .differences(before.view(&view.name))
            .map(|difference| difference.map_left(|was| (&*was.name, was.release.tree())));
        let same = |was: &Option<&Arc<ReleaseTree>>, is: &Arc<ReleaseTree>| {
            was.is_some_and(|was| Arc::ptr_eq(was, is) || same_files(was, is))
        };
        paths.extend(told(view, differences, same));
    }
    paths
}

/// Names of all releases whose files are known, by view, with a number that is another one when
/// those files are. Small enough to be kept on disk: some 100 bytes for each release in each view.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outline(BTreeMap<String, BTreeMap<String, u64>>);

impl Outline {
    /// Of `library`.
    pub fn of(library: &Library) -> Self {
        let views = library.views.iter().filter(|view| view.name != BAD);
        let outlined = views.map(|view| {
            let known = view.entries.iter().filter_map(|entry| {
                let tree = entry.release.tree()?;
                Some((entry.name.to_string(), fingerprint(tree)))
            });
            (view.name.clone(), known.collect())
        });
        Self(outlined.collect())
    }

    /// As [`changed_paths`], from this to `after`. In a view that was not there everything would be
    /// new, and is not told.
    pub fn changes_to(&self, after: &Library) -> Vec<ChangedPath> {
        let mut paths = Vec::new();
        for view in &after.views {
            let Some(before) = self.0.get(&view.name) else {
                continue;
            };
            let before = before.iter().map(|(name, files)| (&**name, *files));
            let joined = before.merge_join_by(&*view.entries, |was, is| was.0.cmp(&*is.name));
            let same = |was: &u64, is: &Arc<ReleaseTree>| *was == fingerprint(is);
            paths.extend(told(view, joined, same));
        }
        paths
    }
}

/// The paths of those `differences` whose files are not the `same`.
fn told<'a, B: 'a>(
    view: &'a View,
    differences: impl Iterator<Item = EitherOrBoth<(&'a str, B), &'a Entry>>,
    same: impl Fn(&B, &Arc<ReleaseTree>) -> bool,
) -> impl Iterator<Item = ChangedPath> {
    differences.filter_map(move |difference| {
        let (name, gone) = match difference {
            EitherOrBoth::Left((name, _)) => (name, true),
            EitherOrBoth::Right(is) => is.release.tree().map(|_| (&*is.name, false))?,
            EitherOrBoth::Both((_, was), is) if same(&was, is.release.tree()?) => return None,
            EitherOrBoth::Both((name, _), _) => (name, false),
        };
        let path = format!("{}/{name}", view.name);
        Some(ChangedPath { path, gone })
    })
}

/// Whether two trees show the same files.
fn same_files(was: &ReleaseTree, is: &ReleaseTree) -> bool {
    let same = |was: &File, is: &File| {
        (was.id, was.dir, &was.name, was.size) == (is.id, is.dir, &is.name, is.size)
    };
    was.dirs == is.dirs
        && was.files.len() == is.files.len()
        && was
            .files
            .iter()
            .zip(&is.files)
            .all(|(was, is)| same(was, is))
}

/// Of the files of a release as those see them who look. It is stored, so it has to be the same in
/// every version of the program.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{known, now, record};
    use crate::{Copy, FolderNaming, Memory, ViewBuilder, ViewRules};

    fn builder() -> ViewBuilder {
        let providers = vec!["rd".to_owned()];
        let rules = ViewRules::new(FolderNaming::default(), providers, &BTreeMap::new());
        ViewBuilder::new(rules.unwrap(), Memory::default())
    }

    fn library(builder: &mut ViewBuilder, copies: &[Copy]) -> Library {
        let copies: Vec<_> = copies.iter().cloned().map(Arc::new).collect();
        Library::new(1, true, builder.build(&copies, now()).views)
    }

    fn shown(changes: Vec<ChangedPath>) -> Vec<String> {
        let sign = |gone| if gone { '-' } else { '+' };
        let lines = changes.into_iter();
        lines
            .map(|change| format!("{}{}", sign(change.gone), change.path))
            .collect()
    }

    #[test]
    fn a_library_and_its_outline_tell_the_same_changes() {
        let mut builder = builder();
        let other = known(3, "Other", &["/o.mkv"]);
        let before = [
            known(1, "Film", &["/Film.mkv"]),
            record(2, "Later"),
            other.clone(),
            known(4, "Went", &["/w.mkv"]),
        ];
        let after = [
            known(1, "Film", &["/Film.mkv", "/Film.srt"]),
            known(2, "Later", &["/l.mkv"]),
            other,
            known(5, "Came", &["/c.mkv"]),
            record(6, "Unknown"),
        ];
        let before = library(&mut builder, &before);
        let after = library(&mut builder, &after);
        let expected: Vec<_> = ["__all__", "rd"]
            .iter()
            .flat_map(|view| {
                ["+/Came", "+/Film", "+/Later", "-/Went"]
                    .map(|line| format!("{}{view}{}", &line[..1], &line[1..]))
            })
            .collect();
        assert_eq!(shown(changed_paths(&before, &after)), expected);
        assert_eq!(shown(Outline::of(&before).changes_to(&after)), expected);
        assert!(changed_paths(&after, &after).is_empty());
        assert!(Outline::of(&after).changes_to(&after).is_empty());
        // Everything is new after nothing, and nothing in views that an outline does not know.
        assert_eq!(changed_paths(&Library::default(), &after).len(), 8);
        assert!(Outline::default().changes_to(&after).is_empty());
    }

    #[test]
    fn an_outline_that_was_stored_is_read_by_later_versions() {
        let paths = ["/Film.mkv", "/Subs/en.srt"];
        let library = library(&mut builder(), &[known(1, "Film", &paths)]);
        let stored = r#"{"__all__":{"Film":799681705913100752},"rd":{"Film":799681705913100752}}"#;
        let outline = Outline::of(&library);
        assert_eq!(serde_json::to_string(&outline).unwrap(), stored);
        let read: Outline = serde_json::from_str(stored).unwrap();
        assert_eq!(read, outline);
    }
}
