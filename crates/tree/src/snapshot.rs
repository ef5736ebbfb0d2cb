//! One moment of the tree, immutable and compact: what is known of a [`Library`] plus the orders and indices that answers need.
//!
//! Names, sizes and links stay where the catalogue put them; a snapshot adds one line of 16 bytes per node and 4 to 8 bytes per file. Indices of releases and
//! views that did not change are shared with the snapshot before.

mod diff;
mod listing;
mod release;
mod resolve;
mod strm;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use debridfs_base::NodeId;
use debridfs_catalogue::{
    ALL, Contents, Entry, File, Layout, Library, Release, ReleaseTree, VERSION_FILE, View, strm_of,
};
use jiff::Timestamp;

use crate::strm::StrmTexts;
use crate::style::Style;
use debridfs_vfs::{Attr, Kind, StatFs};
use release::ReleaseIndex;
pub(crate) use resolve::Missing;
use strm::strm_ids;

/// The id of `version.txt`: below [`debridfs_catalogue::is_file`]'s range, as it is no file of a release.
pub(crate) const VERSION_ID: NodeId = NodeId(2);
/// In [`Line::inner`]: the line is a view.
const VIEW: u32 = u32::MAX;

/// One moment of the tree.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) library: Arc<Library>,
    pub(crate) style: Arc<Style>,
    /// What `.strm` files hold; until it is known, releases in their views are waited for.
    pub(crate) strm_texts: Option<Arc<StrmTexts>>,
    views: Vec<Arc<ViewIndex>>,
    /// Number of the first entry of each view when all entries are counted through.
    first_entries: Vec<u32>,
    /// Every node but root and `version.txt`, by id.
    nodes: Vec<Line>,
    /// Releases whose files are unknown.
    pub(crate) unknown: usize,
    stat: StatFs,
    root_changed: Timestamp,
}

/// Where a node is.
#[derive(Debug, Clone, Copy)]
struct Line {
    id: u64,
    /// Number of the entry, all views counted through; of a view its index.
    outer: u32,
    /// Index of the directory or file in its release; [`VIEW`] for a view.
    inner: u32,
}

/// A view and what is needed to answer for it.
#[derive(Debug)]
pub(crate) struct ViewIndex {
    view: View,
    /// Entries by directory id: the order of listings.
    by_id: Box<[u32]>,
    /// Whether films are shown as `.strm` files.
    is_strm: bool,
    /// Of each entry; `None` while its files are unknown.
    releases: Box<[Option<Arc<ReleaseIndex>>]>,
}

/// A node, found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node<'a> {
    Root,
    Version,
    View(&'a ViewIndex),
    Dir(Dir<'a>),
    File {
        dir: Dir<'a>,
        file: &'a File,
    },
    /// The `.strm` of a film.
    Strm {
        dir: Dir<'a>,
        file: &'a File,
    },
}

/// A directory of a release in a view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dir<'a> {
    pub(crate) view: &'a ViewIndex,
    pub(crate) entry: &'a Entry,
    /// `None` while the release's files are unknown.
    index: Option<&'a ReleaseIndex>,
    /// Which of the release's directories; 0 is the release itself.
    number: u32,
}

impl<'a> Dir<'a> {
    pub(crate) fn release(&self) -> &'a Release {
        &self.entry.release
    }

    pub(crate) fn tree(&self) -> Option<&'a ReleaseTree> {
        self.index.map(|index| &*index.tree)
    }

    fn id(&self) -> NodeId {
        self.entry.dir_ids[self.number as usize]
    }

    /// Which of the release's directories it is; 0 is the release itself.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The same release's directory `number`.
    fn sibling(&self, number: u32) -> Self {
        Self { number, ..*self }
    }
}

impl Snapshot {
    /// The snapshot of `library`; takes over what did not change since `before`.
    pub(crate) fn new(library: Arc<Library>, style: Arc<Style>, before: Option<&Self>) -> Self {
        let mut indices = IndexCache::new(before);
        let views: Vec<Arc<ViewIndex>> = library
            .views
            .iter()
            .map(|view| indices.view(view, &style))
            .collect();

        let mut nodes = Vec::with_capacity(before.map_or(0, |before| before.nodes.len()));
        let mut first_entries = Vec::with_capacity(views.len());
        let mut listed: HashSet<*const ReleaseTree> = HashSet::new();
        let mut number = 0u32;
        for (index, view) in views.iter().enumerate() {
            first_entries.push(number);
            nodes.push(Line {
                id: view.view.id.0,
                outer: index as u32,
                inner: VIEW,
            });
            for (entry, release) in view.view.entries.iter().zip(&view.releases) {
                for (inner, id) in entry.dir_ids.iter().enumerate() {
                    nodes.push(Line {
                        id: id.0,
                        outer: number,
                        inner: inner as u32,
                    });
                }
                if let Some(release) = release.as_ref().filter(|_| view.is_strm) {
                    let strm = strm_ids(release, style.layout);
                    nodes.extend(strm.map(|(inner, id)| Line {
                        id,
                        outer: number,
                        inner,
                    }));
                }
                if let Some(release) = release
                    && listed.insert(Arc::as_ptr(&release.tree))
                {
                    nodes.extend(
                        release
                            .tree
                            .files
                            .iter()
                            .zip(0u32..)
                            .map(|(file, inner)| Line {
                                id: file.id.0,
                                outer: number,
                                inner,
                            }),
                    );
                }
                number += 1;
            }
        }
        nodes.sort_unstable_by_key(|line| (line.id, line.outer));
        nodes.dedup_by_key(|line| line.id);
        nodes.shrink_to_fit();

        let all = views.iter().find(|view| view.view.name == ALL);
        let bytes = all.map_or(0, |view| view.bytes());
        let unknown = views.iter().map(|view| view.unknown()).max().unwrap_or(0);
        let root_changed = views.iter().map(|view| view.view.changed).max();
        Self {
            stat: StatFs {
                bytes,
                files: nodes.len() as u64 + 2,
            },
            root_changed: root_changed.unwrap_or(Timestamp::UNIX_EPOCH),
            library,
            style,
            strm_texts: before.and_then(|before| before.strm_texts.clone()),
            views,
            first_entries,
            nodes,
            unknown,
        }
    }

    pub(crate) fn statfs(&self) -> StatFs {
        self.stat
    }

    /// Finds a node by its id.
    pub(crate) fn find(&self, id: NodeId) -> Option<Node<'_>> {
        match id {
            NodeId::ROOT => return Some(Node::Root),
            VERSION_ID => return Some(Node::Version),
            _ => {}
        }
        let at = self
            .nodes
            .binary_search_by_key(&id.0, |line| line.id)
            .ok()?;
        let Line { outer, inner, .. } = self.nodes[at];
        if inner == VIEW {
            return Some(Node::View(&self.views[outer as usize]));
        }
        let view = self.first_entries.partition_point(|first| *first <= outer) - 1;
        let dir = self.views[view].dir((outer - self.first_entries[view]) as usize);
        if !debridfs_catalogue::is_file(id) {
            return Some(Node::Dir(dir.sibling(inner)));
        }
        let file = &dir.tree()?.files[inner as usize];
        let dir = dir.sibling(file.dir);
        Some(match id == strm_of(file.id) {
            true => Node::Strm { dir, file },
            false => Node::File { dir, file },
        })
    }

    /// Attributes of a node.
    pub(crate) fn attr(&self, node: Node<'_>) -> Attr {
        let style = &self.style;
        match node {
            Node::Root => style.directory(NodeId::ROOT, self.views.len(), self.root_changed),
            Node::Version => style.file(
                VERSION_ID,
                style.version.len() as u64,
                Timestamp::UNIX_EPOCH,
            ),
            Node::View(view) => {
                style.directory(view.view.id, view.view.entries.len(), view.view.changed)
            }
            Node::Dir(dir) => style.directory(
                dir.id(),
                self.listed_subdirs(dir).len(),
                dir.release().added,
            ),
            Node::File { dir, file } => style.file(file.id, file.size, dir.release().added),
            Node::Strm { dir, file } => {
                let since = self.strm_texts.as_ref().map(|texts| texts.since());
                let changed = dir.release().added.max(since.unwrap_or_default());
                let text = self.strm_text(file).unwrap_or_default();
                style.file(strm_of(file.id), text.len() as u64, changed)
            }
        }
    }

    /// The directory that holds the node.
    pub(crate) fn parent<'a>(&'a self, node: Node<'a>) -> Node<'a> {
        match node {
            Node::Root | Node::Version | Node::View(_) => Node::Root,
            Node::Dir(dir) if dir.number == 0 => Node::View(dir.view),
            Node::Dir(dir) => {
                let parent = dir.index.map_or(0, |index| index.parent(dir.number));
                Node::Dir(dir.sibling(parent))
            }
            Node::File { dir, .. } | Node::Strm { dir, .. }
                if self.style.layout == Layout::Flat =>
            {
                Node::Dir(dir.sibling(0))
            }
            Node::File { dir, .. } | Node::Strm { dir, .. } => Node::Dir(dir),
        }
    }

    /// Sub-directories that a listing of `dir` shows: none in the flat layout.
    fn listed_subdirs<'a>(&self, dir: Dir<'a>) -> &'a [u32] {
        match dir.index {
            Some(index) if self.style.layout == Layout::Tree || dir.number > 0 => {
                index.subdirs(dir.number)
            }
            _ => &[],
        }
    }

    fn view_named(&self, name: &str) -> Option<&ViewIndex> {
        self.views
            .iter()
            .map(|view| &**view)
            .find(|view| view.view.name == name)
    }
}

impl ViewIndex {
    /// Its name in the root.
    pub(crate) fn name(&self) -> &str {
        &self.view.name
    }

    /// The directory of entry number `entry`.
    fn dir(&self, entry: usize) -> Dir<'_> {
        Dir {
            view: self,
            entry: &self.view.entries[entry],
            index: self.releases[entry].as_deref(),
            number: 0,
        }
    }

    fn dir_named(&self, name: &str) -> Option<Dir<'_>> {
        let entries = &self.view.entries;
        let at = entries
            .binary_search_by(|entry| (*entry.name).cmp(name))
            .ok()?;
        Some(self.dir(at))
    }

    fn unknown(&self) -> usize {
        self.releases
            .iter()
            .filter(|release| release.is_none())
            .count()
    }

    fn bytes(&self) -> u64 {
        self.view
            .entries
            .iter()
            .zip(&self.releases)
            .map(|(entry, index)| {
                index
                    .as_ref()
                    .map_or(entry.release.bytes, |index| index.bytes)
            })
            .fold(0, u64::saturating_add)
    }
}

/// Indices to be shared with the snapshot before, and within this one.
struct IndexCache<'a> {
    before: Option<&'a Snapshot>,
    releases: HashMap<*const ReleaseTree, Arc<ReleaseIndex>>,
}

impl<'a> IndexCache<'a> {
    fn new(before: Option<&'a Snapshot>) -> Self {
        let releases = before
            .iter()
            .flat_map(|before| &before.views)
            .flat_map(|view| view.releases.iter().flatten())
            .map(|index| (Arc::as_ptr(&index.tree), index.clone()))
            .collect();
        Self { before, releases }
    }

    fn view(&mut self, view: &View, style: &Style) -> Arc<ViewIndex> {
        let before = self
            .before
            .and_then(|before| before.views.iter().find(|known| known.view.id == view.id));
        if let Some(known) = before
            && Arc::ptr_eq(&known.view.entries, &view.entries)
            && known.view.changed == view.changed
            && known.view.name == view.name
        {
            return known.clone();
        }
        let entries = &view.entries;
        let mut by_id: Box<[u32]> = (0..entries.len() as u32).collect();
        by_id.sort_unstable_by_key(|entry| entries[*entry as usize].dir_ids[0]);
        let releases = entries
            .iter()
            .map(|entry| self.release(&entry.release.contents, style))
            .collect();
        Arc::new(ViewIndex {
            view: view.clone(),
            by_id,
            is_strm: style.is_strm(&view.name),
            releases,
        })
    }

    fn release(&mut self, contents: &Contents, style: &Style) -> Option<Arc<ReleaseIndex>> {
        let Contents::Known(tree) = contents else {
            return None;
        };
        let index = self
            .releases
            .entry(Arc::as_ptr(tree))
            .or_insert_with(|| Arc::new(ReleaseIndex::new(tree.clone(), style.layout)));
        Some(index.clone())
    }
}

/// Whether the name in the root is that of the version file.
fn is_version_file(name: &str) -> bool {
    name == VERSION_FILE
}

/// Whether a node is listed as a directory.
pub(crate) fn kind(node: Node<'_>) -> Kind {
    match node {
        Node::Root | Node::View(_) | Node::Dir(_) => Kind::Directory,
        Node::Version | Node::File { .. } | Node::Strm { .. } => Kind::File,
    }
}

/// The id of a node of a release; of others that of the root.
fn node_id(node: Node<'_>) -> NodeId {
    match node {
        Node::Dir(dir) => dir.id(),
        Node::File { file, .. } => file.id,
        Node::Strm { file, .. } => strm_of(file.id),
        Node::Root | Node::Version | Node::View(_) => NodeId::ROOT,
    }
}
