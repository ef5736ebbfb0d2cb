//! Orders of a release's files and directories, shared by all views that show it.

use std::sync::{Arc, OnceLock};

use debridfs_catalogue::{Layout, ReleaseTree};

use super::strm::StrmIndex;

/// A release's tree with the orders that lookups and listings need. Numbers are indices in the tree's `dirs` and `files`.
#[derive(Debug)]
pub(super) struct ReleaseIndex {
    pub(super) tree: Arc<ReleaseTree>,
    /// Bytes of all files.
    pub(super) bytes: u64,
    dirs: Box<[Span]>,
    /// Sub-directories, those of one parent together and by name.
    subdirs: Box<[u32]>,
    /// Files, those of one directory together and by id: the order of listings.
    by_id: Box<[u32]>,
    /// All files by id, for the flat layout's listing; `None` when that is `by_id`.
    all_by_id: Option<Box<[u32]>>,
    /// All files by name whatever their directory; `None` when that is the tree's order.
    by_name: Option<Box<[u32]>>,
    /// Files that have another name in the flat layout, by that.
    renamed: Box<[u32]>,
    /// Names in views that show films as `.strm` files, once there is such a view.
    strm: OnceLock<Box<StrmIndex>>,
}

/// What belongs to a directory.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    parent: u32,
    /// In the tree's `files`, and in `by_id`.
    files: (u32, u32),
    /// In `subdirs`.
    subdirs: (u32, u32),
}

/// What a name stands for among all files of a release.
pub(super) enum BaseName {
    /// No file has it.
    Nobody,
    /// This one.
    File(u32),
    /// Several have it.
    Ambiguous,
}

impl ReleaseIndex {
    pub(super) fn new(tree: Arc<ReleaseTree>, layout: Layout) -> Self {
        let mut dirs = vec![Span::default(); tree.dirs.len()].into_boxed_slice();
        for (number, path) in tree.dirs.iter().enumerate().skip(1) {
            let parent = path.rfind('/').map_or("", |at| &path[..at]);
            dirs[number].parent = position(&tree.dirs, parent).unwrap_or(0);
        }
        let mut subdirs: Box<[u32]> = (1..tree.dirs.len() as u32).collect();
        // Paths of one parent sort as their names do.
        subdirs.sort_by_key(|dir| dirs[*dir as usize].parent);
        for (at, dir) in subdirs.iter().enumerate() {
            let parent = dirs[*dir as usize].parent;
            extend(&mut dirs[parent as usize].subdirs, at as u32);
        }
        for (at, file) in tree.files.iter().enumerate() {
            extend(&mut dirs[file.dir as usize].files, at as u32);
        }

        let file = |number: &u32| &tree.files[*number as usize];
        let all: Box<[u32]> = (0..tree.files.len() as u32).collect();
        let mut by_id = all.clone();
        by_id.sort_unstable_by_key(|number| (file(number).dir, file(number).id));
        let several = tree.dirs.len() > 1;
        let all_by_id = (several && layout == Layout::Flat).then(|| {
            let mut order = all.clone();
            order.sort_unstable_by_key(|number| file(number).id);
            order
        });
        let by_name = several.then(|| {
            let mut order = all.clone();
            order.sort_by(|a, b| file(a).name.cmp(&file(b).name));
            order
        });
        let mut renamed: Vec<u32> = all
            .iter()
            .copied()
            .filter(|number| file(number).flat_name.is_some())
            .collect();
        renamed.sort_by(|a, b| file(a).flat().cmp(file(b).flat()));
        Self {
            bytes: tree
                .files
                .iter()
                .map(|file| file.size)
                .fold(0, u64::saturating_add),
            dirs,
            subdirs,
            by_id,
            all_by_id,
            by_name,
            renamed: renamed.into(),
            strm: OnceLock::new(),
            tree,
        }
    }

    /// Names where films are shown as `.strm` files.
    pub(super) fn strm(&self, layout: Layout) -> &StrmIndex {
        self.strm
            .get_or_init(|| Box::new(StrmIndex::new(&self.tree, layout)))
    }

    pub(super) fn parent(&self, dir: u32) -> u32 {
        self.dirs[dir as usize].parent
    }

    /// The last part of a directory's path.
    pub(super) fn dir_name(&self, dir: u32) -> &str {
        let path = self.tree.dirs[dir as usize].as_str();
        path.rfind('/').map_or(path, |at| &path[at + 1..])
    }

    /// Sub-directories by name.
    pub(super) fn subdirs(&self, dir: u32) -> &[u32] {
        let (start, end) = self.dirs[dir as usize].subdirs;
        &self.subdirs[start as usize..end as usize]
    }

    /// Files of `dir` by id.
    pub(super) fn files_by_id(&self, dir: u32) -> &[u32] {
        let (start, end) = self.dirs[dir as usize].files;
        &self.by_id[start as usize..end as usize]
    }

    /// All files by id.
    pub(super) fn all_by_id(&self) -> &[u32] {
        self.all_by_id.as_deref().unwrap_or(&self.by_id)
    }

    /// The sub-directory of that name.
    pub(super) fn subdir(&self, dir: u32, name: &str) -> Option<u32> {
        let subdirs = self.subdirs(dir);
        let at = subdirs
            .binary_search_by(|dir| self.dir_name(*dir).cmp(name))
            .ok()?;
        Some(subdirs[at])
    }

    /// The file of that name in `dir`.
    pub(super) fn file(&self, dir: u32, name: &str) -> Option<u32> {
        let (start, end) = self.dirs[dir as usize].files;
        let files = &self.tree.files[start as usize..end as usize];
        let at = files.binary_search_by(|file| (*file.name).cmp(name)).ok()?;
        Some(start + at as u32)
    }

    /// The file that the flat layout calls so.
    pub(super) fn flat(&self, name: &str) -> Option<u32> {
        self.named(name)
            .find(|number| self.tree.files[*number as usize].flat_name.is_none())
            .or_else(|| self.renamed(name))
    }

    /// The one file of that name, whatever its directory.
    pub(super) fn base_name(&self, name: &str) -> BaseName {
        let mut files = self.named(name);
        match (files.next(), files.next()) {
            (Some(_), Some(_)) => BaseName::Ambiguous,
            (Some(file), None) => BaseName::File(file),
            (None, _) => self.renamed(name).map_or(BaseName::Nobody, BaseName::File),
        }
    }

    /// Names that [`Self::flat`] or [`Self::base_name`] may find.
    pub(super) fn base_names(&self) -> impl Iterator<Item = &str> {
        let renamed = self
            .renamed
            .iter()
            .map(|number| self.tree.files[*number as usize].flat());
        self.tree
            .files
            .iter()
            .map(|file| &*file.name)
            .chain(renamed)
    }

    /// Files of that name in any directory.
    fn named(&self, name: &str) -> impl Iterator<Item = u32> {
        let at = |place: usize| {
            self.by_name
                .as_ref()
                .map_or(place as u32, |order| order[place])
        };
        let name_at = move |place: usize| &*self.tree.files[at(place) as usize].name;
        let (mut low, mut high) = (0, self.tree.files.len());
        while low < high {
            let middle = (low + high) / 2;
            if name_at(middle) < name {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let end = self.tree.files.len();
        (low..end)
            .take_while(move |place| name_at(*place) == name)
            .map(at)
    }

    fn renamed(&self, name: &str) -> Option<u32> {
        let flat = |number: &u32| self.tree.files[*number as usize].flat();
        let at = self
            .renamed
            .binary_search_by(|number| flat(number).cmp(name))
            .ok()?;
        Some(self.renamed[at])
    }
}

/// Adds `at` to a span of consecutive places.
fn extend(span: &mut (u32, u32), at: u32) {
    if span.0 == span.1 {
        span.0 = at;
    }
    span.1 = at + 1;
}

fn position(dirs: &[String], path: &str) -> Option<u32> {
    dirs.binary_search_by(|dir| dir.as_str().cmp(path))
        .ok()
        .map(|at| at as u32)
}
