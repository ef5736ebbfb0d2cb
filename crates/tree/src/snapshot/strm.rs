//! A release in a view that shows films as `.strm` files.

use debridfs_catalogue::{File, Layout, ReleaseTree, strm_names, strm_of};

use super::{Dir, Node, Snapshot};

/// Names of a release's files in such a view.
#[derive(Debug)]
pub(super) struct StrmIndex {
    /// Of each film what its `.strm` is called, without its directory.
    names: Box<[Option<Box<str>>]>,
    /// Files by directory and then by name.
    by_name: Box<[u32]>,
}

impl StrmIndex {
    pub(super) fn new(tree: &ReleaseTree, layout: Layout) -> Self {
        let paths: Vec<String> = tree
            .files
            .iter()
            .map(|file| tree.path_of(layout, file))
            .collect();
        let names = strm_names(paths.iter().map(String::as_str));
        let names = names.into_iter().map(|path| {
            let path = path?;
            Some(path.rsplit('/').next().unwrap_or(&path).into())
        });
        let mut index = Self {
            names: names.collect(),
            by_name: (0..tree.files.len() as u32).collect(),
        };
        let mut by_name = std::mem::take(&mut index.by_name);
        by_name.sort_by(|a, b| {
            index
                .key(tree, layout, *a)
                .cmp(&index.key(tree, layout, *b))
        });
        index.by_name = by_name;
        index
    }

    /// Whether it is a film.
    fn is_film(&self, number: u32) -> bool {
        self.names[number as usize].is_some()
    }

    /// What the file is called.
    fn name<'a>(&'a self, tree: &'a ReleaseTree, layout: Layout, number: u32) -> &'a str {
        let own = || own_name(&tree.files[number as usize], layout);
        self.names[number as usize].as_deref().unwrap_or_else(own)
    }

    fn key<'a>(&'a self, tree: &'a ReleaseTree, layout: Layout, number: u32) -> (u32, &'a str) {
        let dir = match layout {
            Layout::Flat => 0,
            Layout::Tree => tree.files[number as usize].dir,
        };
        (dir, self.name(tree, layout, number))
    }
}

/// What the file is called in other views.
fn own_name(file: &File, layout: Layout) -> &str {
    match layout {
        Layout::Flat => file.flat(),
        Layout::Tree => &file.name,
    }
}

impl Snapshot {
    /// The name and node of file `number` of a release whose files are known, as its view shows it.
    pub(super) fn strm_line<'a>(
        &'a self,
        dir: Dir<'a>,
        number: u32,
    ) -> Option<(&'a str, Node<'a>)> {
        let index = dir.index?;
        let (strm, tree) = (index.strm(self.style.layout), &*index.tree);
        let file = &tree.files[number as usize];
        let dir = dir.sibling(file.dir);
        let node = match strm.is_film(number) {
            true => Node::Strm { dir, file },
            false => Node::File { dir, file },
        };
        Some((strm.name(tree, self.style.layout, number), node))
    }

    /// What `name` stands for in such a directory, if it is a file.
    pub(super) fn in_strm<'a>(&'a self, dir: Dir<'a>, name: &str) -> Option<Node<'a>> {
        let index = dir.index?;
        let layout = self.style.layout;
        let (strm, tree) = (index.strm(layout), &*index.tree);
        let at = strm
            .by_name
            .binary_search_by(|number| strm.key(tree, layout, *number).cmp(&(dir.number, name)));
        self.strm_line(dir, strm.by_name[at.ok()?])
            .map(|(_, node)| node)
    }

    /// Lines of files `numbers` in the order of their cookies, those behind `cookie`.
    pub(super) fn strm_lines<'a>(
        &'a self,
        dir: Dir<'a>,
        numbers: &[u32],
        cookie: u64,
    ) -> Vec<(&'a str, Node<'a>, u64)> {
        let lines = numbers.iter().filter_map(|number| {
            let (name, node) = self.strm_line(dir, *number)?;
            Some((name, node, super::node_id(node).0))
        });
        let mut lines: Vec<_> = lines.filter(|(.., id)| *id > cookie).collect();
        lines.sort_unstable_by_key(|(.., id)| *id);
        lines
    }

    /// The path below its release of the `.strm` of `film`, which is in `dir`.
    pub(crate) fn strm_path(&self, dir: Dir<'_>, film: &File) -> Option<String> {
        let tree = dir.tree()?;
        let number = tree.files.iter().position(|file| file.id == film.id)?;
        let (name, _) = self.strm_line(dir, number as u32)?;
        Some(match (self.style.layout, &*tree.dirs[film.dir as usize]) {
            (Layout::Flat, _) | (_, "") => name.to_owned(),
            (Layout::Tree, dir) => format!("{dir}/{name}"),
        })
    }

    /// The text of a film's `.strm`; nothing while none is known.
    pub(crate) fn strm_text(&self, film: &File) -> Option<String> {
        let texts = self.strm_texts.as_ref()?;
        Some(texts.of(film.id, &film.name))
    }
}

/// Numbers of the films of a release, with the ids of their `.strm`.
pub(super) fn strm_ids<'a>(
    index: &'a super::ReleaseIndex,
    layout: Layout,
) -> impl Iterator<Item = (u32, u64)> + 'a {
    let strm = index.strm(layout);
    let files = (0u32..).zip(&index.tree.files);
    files
        .filter(|(number, _)| strm.is_film(*number))
        .map(|(number, file)| (number, strm_of(file.id).0))
}
