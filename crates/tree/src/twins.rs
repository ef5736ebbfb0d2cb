//! Files of releases without a common info-hash that are the same file: each can be read from the other's places.
//!
//! A file that somebody plays is compared with those that may be the same, once: head and tail. What is not equal, or may be one of several, is a source of
//! nothing. Before bytes of another place are used it has to repeat what was read, as any copy does.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use debridfs_base::NodeId;
use debridfs_catalogue::{Catalogue, ComparedFiles, File, Layout, Library, Release, ReleaseTree};
use debridfs_content::{Content, Ends, FileRef};
use debridfs_provider::{PathsBegin, Source, canonical_path};
use parking_lot::RwLock;
use tokio::time::Instant;

use crate::snapshot::{Node, Snapshot};

/// How often it is looked what is played.
pub(crate) const LOOK: Duration = Duration::from_secs(5);
/// The time for the four ends of two files, behind all other calls.
const PATIENCE: Duration = Duration::from_secs(120);
/// When a file that is still played is compared again, for new ones and for those that could not be read.
const AGAIN: Duration = Duration::from_secs(600);
/// Files of one path and size that one file is compared with, at most.
const MOST: usize = 4;
/// Places of a file that are asked for its ends, at most.
const MOST_PLACES: usize = 2;

/// What is kept of comparisons over a restart.
pub trait Comparisons: Send + Sync {
    /// All that are known.
    fn known(&self) -> Vec<ComparedFiles>;
    /// Two files were compared.
    fn note(&self, compared: ComparedFiles);
}

impl Comparisons for Catalogue {
    fn known(&self) -> Vec<ComparedFiles> {
        self.compared_files()
    }

    fn note(&self, compared: ComparedFiles) {
        self.files_compared(compared);
    }
}

/// What is known of files that may be the same.
#[derive(Default)]
pub(crate) struct Twins {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// Whether two files are equal, by both orders of them.
    compared: HashMap<(u64, u64), bool>,
    equal: HashMap<u64, Vec<NodeId>>,
    /// When files that are played were compared last. A walk through a large library takes milliseconds.
    looked: HashMap<u64, Instant>,
}

impl Twins {
    pub(crate) fn note(&self, compared: &ComparedFiles) {
        let mut state = self.state.write();
        let (file, other) = (compared.file, compared.other);
        for (one, another) in [(file, other), (other, file)] {
            state.compared.insert((one.0, another.0), compared.equal);
            let equal = state.equal.entry(one.0).or_default();
            equal.retain(|known| *known != another);
            if compared.equal {
                equal.push(another);
            }
        }
    }

    /// `file` with the places of those that are equal, after its own.
    pub(crate) fn join(&self, snapshot: &Snapshot, mut file: FileRef) -> FileRef {
        let state = self.state.read();
        let Some(twins) = state.equal.get(&file.id) else {
            return file;
        };
        let mut sources = file.sources.to_vec();
        for twin in twins {
            let Some(Node::File { dir, file: twin }) = snapshot.find(*twin) else {
                continue;
            };
            // The path may have become another file's.
            let tree = dir.tree().filter(|_| twin.size == file.size);
            sources.extend(tree.into_iter().flat_map(|tree| tree.sources(twin)));
        }
        file.sources = sources.into();
        file
    }

    /// Whether there is a place of a file that is equal to `file`.
    pub(crate) fn has_places(&self, snapshot: &Snapshot, file: &File) -> bool {
        let alone = self.join(snapshot, placeless(file));
        !alone.sources.is_empty()
    }

    /// Those that `file` may be equal to and has yet to be compared with.
    fn to_compare(&self, library: &Library, release: &Release, file: &File) -> Vec<NodeId> {
        let alike = alike(library, release, file);
        let state = self.state.read();
        let open = |other: &NodeId| !state.compared.contains_key(&(file.id.0, other.0));
        alike.into_iter().filter(open).collect()
    }

    /// Whether `file` was not compared within [`AGAIN`]; from now on it was.
    fn is_due(&self, file: NodeId) -> bool {
        let looked = &mut self.state.write().looked;
        looked.retain(|_, at| at.elapsed() < AGAIN);
        looked.insert(file.0, Instant::now()).is_none()
    }

    /// Compares the file `id` with those that may be the same, one after the other. Returns what came of it.
    pub(crate) async fn compare(
        &self,
        snapshot: &Snapshot,
        content: &Content,
        id: NodeId,
    ) -> Vec<ComparedFiles> {
        if !self.is_due(id) {
            return Vec::new();
        }
        let Some((file, own)) = place(snapshot, id) else {
            return Vec::new();
        };
        let Some(Node::File { dir, .. }) = snapshot.find(id) else {
            return Vec::new();
        };
        let others = self.to_compare(&snapshot.library, dir.release(), file);
        let mut compared = Vec::new();
        for other in others {
            let Some((_, places)) = place(snapshot, other) else {
                continue;
            };
            let equal = async {
                let one = ends(content, file.size, &own).await?;
                Some(one == ends(content, file.size, &places).await?)
            };
            if let Ok(Some(equal)) = tokio::time::timeout(PATIENCE, equal).await {
                let pair = ComparedFiles {
                    file: id,
                    other,
                    equal,
                };
                tracing::info!(file = %file.name, equal, "compared with a file of another release");
                self.note(&pair);
                compared.push(pair);
            }
        }
        compared
    }
}

/// A file without its own places.
pub(crate) fn placeless(file: &File) -> FileRef {
    FileRef {
        id: file.id.0,
        size: file.size,
        sources: Vec::new().into(),
    }
}

/// A file, and its own places.
fn place(snapshot: &Snapshot, id: NodeId) -> Option<(&File, Vec<Source>)> {
    let Some(Node::File { dir, file }) = snapshot.find(id) else {
        return None;
    };
    Some((file, dir.tree()?.sources(file).collect()))
}

/// Head and tail as one of the places gives them.
async fn ends(content: &Content, size: u64, places: &[Source]) -> Option<Ends> {
    for place in places.iter().take(MOST_PLACES) {
        if let given @ Ends::Given { .. } = content.ends(size, place).await {
            return Some(given);
        }
    }
    None
}

/// Files of other releases that may be `file` of `release`, where one of the two tells no info-hash: those of its path and size, or else the one of its base name
/// and size.
fn alike(library: &Library, release: &Release, file: &File) -> Vec<NodeId> {
    let Some(tree) = release.tree() else {
        return Vec::new();
    };
    let has_hash = release.info_hash().is_some();
    let path = path_of(tree, file);
    let (mut same, mut named) = (Vec::new(), Vec::new());
    for other in library.all().iter().map(|entry| &entry.release) {
        if other.id == release.id || (has_hash && other.info_hash().is_some()) {
            continue;
        }
        let Some(tree) = other.tree() else {
            continue;
        };
        for candidate in tree.files.iter().filter(|one| one.size == file.size) {
            let candidate_path = path_of(tree, candidate);
            if candidate_path == path {
                same.push(candidate.id);
            } else if base_name(&candidate_path) == base_name(&path) {
                named.push(candidate.id);
            }
        }
    }
    let own = tree
        .files
        .iter()
        .filter(|one| one.size == file.size && base_name(&path_of(tree, one)) == base_name(&path));
    match (same.is_empty(), own.count(), named.len()) {
        (false, ..) => same.truncate(MOST),
        (true, 1, 1) => same = named,
        _ => {}
    }
    same
}

fn path_of(tree: &ReleaseTree, file: &File) -> String {
    let path = tree.path_of(Layout::Tree, file);
    canonical_path(&path, PathsBegin::BelowTop).into_owned()
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
