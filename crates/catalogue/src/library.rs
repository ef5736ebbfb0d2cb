//! The published library: immutable, shared by `Arc`, replaced as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use debridfs_base::NodeId;
use debridfs_provider::{ContentId, InfoHash, Part, Source};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sync::first::ready_since;
use crate::{BadReason, Copy};

/// The view of everything that is ready.
pub const ALL: &str = "__all__";
/// The view of what cannot be served.
pub const BAD: &str = "__bad__";
/// The file in the root that tells the version.
pub const VERSION_FILE: &str = "version.txt";

/// Everything that is shown, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// Grows by at least one at each publication.
    pub generation: u64,
    /// Whether the first sync is over: `__all__` is shown.
    pub listed: bool,
    /// Names of views that answer EIO, and never "empty": all of them before the first sync is over, but for those of accounts that are
    /// known; later those of accounts that are in their own first sync.
    pub waiting: BTreeSet<String>,
    /// By provider: what was ready by then, by its clock, was there at its first sync.
    pub first_until: BTreeMap<String, Timestamp>,
    /// What releases are shown as whose info-hash was learnt later, and that hash: [`Self::release`] finds them by either.
    pub(crate) learnt: BTreeMap<ContentId, ContentId>,
    /// The views in the order of the root directory: `__all__`, `__bad__`, one per provider, custom ones.
    pub views: Vec<View>,
    index: OnceLock<Index>,
}

/// Where `__all__`, or else `__bad__`, has a release: numbers of the view and of the entry.
type Index = HashMap<ContentId, (usize, usize)>;

impl Library {
    /// A library that shows `views`, if it is `listed`.
    pub fn new(generation: u64, listed: bool, views: Vec<View>) -> Self {
        let waiting = views.iter().filter(|_| !listed);
        Self {
            generation,
            listed,
            waiting: waiting.map(|view| view.name.clone()).collect(),
            first_until: BTreeMap::new(),
            learnt: BTreeMap::new(),
            views,
            index: OnceLock::new(),
        }
    }

    /// Whether what the view of that name shows is all that it should.
    pub fn answers(&self, view: &str) -> bool {
        !self.waiting.contains(view)
    }

    /// Whether the release was there at the first sync of an account, ready: it is never news.
    pub fn was_there_first(&self, release: &Release) -> bool {
        release.copies.iter().any(|copy| {
            let until = self.first_until.get(&copy.provider);
            until.is_some_and(|until| ready_since(copy) <= *until)
        })
    }

    /// Whether files of what was there at the first sync are still to come.
    pub fn is_in_first_sync(&self) -> bool {
        let mut all = self.all().iter().map(|entry| &entry.release);
        !self.listed || all.any(|one| one.tree().is_none() && self.was_there_first(one))
    }

    /// The view of that name.
    pub fn view(&self, name: &str) -> Option<&View> {
        self.views.iter().find(|view| view.name == name)
    }

    /// What `__all__` shows, by name.
    pub fn all(&self) -> &[Entry] {
        self.view(ALL).map_or(&[], |view| &view.entries)
    }

    /// The release as `__all__` shows it, or else `__bad__`: every release that is shown at all is in one of them.
    pub fn release(&self, id: impl Into<ContentId>) -> Option<&Entry> {
        let (view, entry) = *self.index().get(&id.into())?;
        Some(&self.views[view].entries[entry])
    }

    /// The release as `__all__` shows it.
    pub fn release_in_all(&self, id: impl Into<ContentId>) -> Option<&Entry> {
        let (view, entry) = *self.index().get(&id.into())?;
        let view = &self.views[view];
        (view.name == ALL).then(|| &view.entries[entry])
    }

    /// Made when somebody asks for the first time: most libraries are followed by the next one before that.
    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut index = Index::new();
            for name in [ALL, BAD] {
                let Some(view) = self.views.iter().position(|view| view.name == name) else {
                    continue;
                };
                for (number, entry) in self.views[view].entries.iter().enumerate() {
                    index.entry(entry.release.id).or_insert((view, number));
                }
            }
            for (shown, hash) in &self.learnt {
                if let Some(place) = index.get(shown).copied() {
                    index.entry(*hash).or_insert(place);
                }
            }
            index
        })
    }
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
    pub name: Arc<str>,
    /// Directory ids of this view's copy of `ReleaseTree::dirs`, in the same order; holds at least the release's own directory.
    pub dir_ids: Arc<[NodeId]>,
    /// What is in it.
    pub release: Arc<Release>,
}

/// One content as a library entry, with every account's copy of it.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its identity.
    pub id: ContentId,
    /// The earliest `added` of its copies: the modification time of its directories and files.
    pub added: Timestamp,
    /// Every known copy: first those that hold it, or held it last, the preferred one first.
    pub copies: Arc<[Arc<Copy>]>,
    /// How many of the first copies those are.
    pub holders: usize,
    /// Bytes of its selected files as the list tells them.
    pub bytes: u64,
    /// Why it is in `__bad__`, if it is.
    pub bad: Option<BadReason>,
    /// Its files.
    pub contents: Contents,
}

impl Release {
    /// Its info-hash, also if that was told after it had been shown.
    pub fn info_hash(&self) -> Option<InfoHash> {
        let copies = self.copies.iter().map(|copy| copy.content);
        let mut names = std::iter::once(self.id).chain(copies);
        names.find_map(|name| name.info_hash())
    }

    /// Whether the provider holds it, or held it last.
    pub fn is_held_by(&self, provider: &str) -> bool {
        let mut holders = self.copies[..self.holders].iter();
        holders.any(|copy| copy.provider == provider)
    }

    /// Copies that are in an account's list.
    pub fn held(&self) -> impl Iterator<Item = &Arc<Copy>> {
        self.copies.iter().filter(|copy| copy.removed.is_none())
    }

    /// Whether it is in `__bad__` until somebody has looked what the links of a copy give
    /// ([`crate::Catalogue::examined`]): a file without a link may get one by that.
    pub fn awaits_examination(&self) -> bool {
        matches!(
            self.bad,
            Some(BadReason::PackedRar | BadReason::MissingLinks)
        ) && self.held().any(|copy| copy.has_unexamined_links())
    }

    /// Names of the providers that hold it, or held it last, each once, the preferred one first.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        let holders = &self.copies[..self.holders];
        let first = |index: usize| {
            let earlier = &holders[..index];
            let provider = &holders[index].provider;
            !earlier.iter().any(|copy| copy.provider == *provider)
        };
        let numbered = holders.iter().enumerate();
        numbered.filter_map(move |(index, copy)| first(index).then_some(&*copy.provider))
    }

    /// Its files, once they are known.
    pub fn tree(&self) -> Option<&Arc<ReleaseTree>> {
        match &self.contents {
            Contents::Known(tree) => Some(tree),
            Contents::Unknown => None,
        }
    }
}

/// How a release with sub-directories is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// With its sub-directories.
    #[default]
    Tree,
    /// All files in one directory.
    Flat,
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
    /// The copies that [`Place::copy`] points to, the preferred one first.
    pub copies: Vec<Arc<Copy>>,
    /// Places of all files; [`File::places`] names a file's own.
    pub places: Vec<Place>,
}

impl ReleaseTree {
    /// The path of `file` in its release as `layout` shows it.
    pub fn path_of(&self, layout: Layout, file: &File) -> String {
        match (layout, &*self.dirs[file.dir as usize]) {
            (Layout::Flat, _) => file.flat().to_owned(),
            (Layout::Tree, "") => file.name.to_string(),
            (Layout::Tree, dir) => format!("{dir}/{}", file.name),
        }
    }

    /// The file that [`Self::path_of`] gives `path`. Makes no list of the others.
    pub fn file_at(&self, layout: Layout, path: &str) -> Option<&File> {
        if layout == Layout::Flat {
            return self.files.iter().find(|file| file.flat() == path);
        }
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self
            .dirs
            .binary_search_by(|known| (**known).cmp(dir))
            .ok()?;
        let place = |file: &File| (file.dir as usize, &*file.name).cmp(&(dir, name));
        let found = self.files.binary_search_by(place).ok()?;
        self.files.get(found)
    }

    /// Where the bytes of `file` are, the preferred source first; empty when there is no link for it.
    pub fn sources(&self, file: &File) -> impl ExactSizeIterator<Item = Source> + '_ {
        self.places_of(file).iter().map(|place| {
            let copy = &self.copies[place.copy as usize];
            let place = place.link as usize;
            let (link, part) = match copy.members() {
                None => (place, None),
                Some((members, container)) => {
                    let offset = members[place].offset;
                    (0, Some(Part { offset, container }))
                }
            };
            Source {
                provider: copy.provider.clone(),
                torrent: copy.id.clone(),
                link: copy.links[link].clone(),
                part,
            }
        })
    }

    /// The places of `file`, the preferred one first.
    pub fn places_of(&self, file: &File) -> &[Place] {
        let (start, end) = file.places;
        &self.places[start as usize..end as usize]
    }
}

/// A link of a copy: kept as numbers, as there is one for each file of a large library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index in [`ReleaseTree::copies`].
    pub copy: u32,
    /// Index in the copy's `links`; of a packed one, index of a file in its archive.
    pub link: u32,
}

/// A file of a release.
#[derive(Debug, Clone)]
pub struct File {
    /// Inode number: the same in every view, on every node, after every restart.
    pub id: NodeId,
    /// Index of its directory in [`ReleaseTree::dirs`].
    pub dir: u32,
    /// Its name there.
    pub name: Box<str>,
    /// Its name in the flat layout, where that is not `name` because another file of the release has it.
    pub flat_name: Option<Box<str>>,
    /// Size in bytes.
    pub size: u64,
    /// Start and end of its part of [`ReleaseTree::places`].
    pub places: (u32, u32),
}

impl File {
    /// Its name in the flat layout, unique in the release.
    pub fn flat(&self) -> &str {
        self.flat_name.as_deref().unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use debridfs_provider::TorrentStatus;

    use super::*;
    use crate::testing::{hash, known, now, record};
    use crate::{FolderNaming, Memory, ViewBuilder, ViewRules};

    fn library(records: Vec<Copy>) -> Library {
        let providers = vec!["rd".to_owned()];
        let rules = ViewRules::new(FolderNaming::default(), providers, &BTreeMap::new());
        let mut builder = ViewBuilder::new(rules.unwrap(), Memory::default());
        let records: Vec<_> = records.into_iter().map(Arc::new).collect();
        Library::new(1, true, builder.build(&records, now()).views)
    }

    #[test]
    fn a_release_is_found_by_its_hash_in_all_before_bad() {
        let mut dead = record(2, "Dead");
        dead.status = TorrentStatus::Dead;
        let library = library(vec![known(1, "Film", &["/Film.mkv"]), dead, record(3, "B")]);
        let name = |entry: Option<&Entry>| entry.map(|entry| entry.name.to_string());
        for (n, found, in_all) in [
            (1, Some("Film"), true),
            (2, Some("Dead"), false),
            (3, Some("B"), true),
            (4, None, false),
        ] {
            assert_eq!(name(library.release(hash(n))).as_deref(), found, "{n}");
            assert_eq!(library.release_in_all(hash(n)).is_some(), in_all, "{n}");
        }
        assert_eq!(library.all().len(), 2);
        assert!(Library::default().release(hash(1)).is_none());
    }

    #[test]
    fn table_of_paths() {
        let paths = ["/a.mkv", "/Subs/en.srt", "/Subs/more/en.srt", "/en.srt"];
        let library = library(vec![known(1, "Film", &paths)]);
        let tree = library.release(hash(1)).unwrap().release.tree().unwrap();
        let shown = |layout| {
            let paths = tree.files.iter().map(|file| tree.path_of(layout, file));
            paths.collect::<Vec<_>>()
        };
        let tree_paths = ["a.mkv", "en.srt", "Subs/en.srt", "Subs/more/en.srt"];
        assert_eq!(shown(Layout::Tree), tree_paths);
        let flat_paths = ["a.mkv", "en [3].srt", "en.srt", "en [2].srt"];
        assert_eq!(shown(Layout::Flat), flat_paths);
    }
}
