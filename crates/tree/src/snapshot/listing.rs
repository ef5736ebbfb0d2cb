//! Lines of directories.
//!
//! A cookie is made of what the line is, never of its place: `.` is 1, `..` is 2, `version.txt` is 3, everything else has its id. Lines come in the order of their
//! cookies, so a listing goes on behind any cookie, however much came or went in between: what stayed is neither skipped nor told twice.

use debridfs_base::NodeId;
use debridfs_catalogue::Layout;

use super::{Dir, Missing, Node, Snapshot, VERSION_ID};
use debridfs_vfs::{DirEntry, ErrorKind};

const DOT: u64 = 1;
const DOT_DOT: u64 = 2;
const VERSION: u64 = 3;

impl Snapshot {
    /// Lines of directory `id` behind `cookie`, at most `max`.
    pub(crate) fn list(
        &self,
        id: NodeId,
        cookie: u64,
        max: usize,
    ) -> Result<Vec<DirEntry>, Missing> {
        let node = self.node(id)?;
        match node {
            Node::View(view) if !self.library.answers(view.name()) => {
                return Err(ErrorKind::NotYet.into());
            }
            Node::Dir(dir) if dir.index.is_none() => {
                return Err(Missing::Contents(dir.release().id));
            }
            Node::Dir(dir) if dir.view.is_strm && self.strm_texts.is_none() => {
                return Err(Missing::Strm);
            }
            Node::Version | Node::File { .. } | Node::Strm { .. } => {
                return Err(ErrorKind::NotDirectory.into());
            }
            _ => {}
        }
        let mut lines = Vec::new();
        let mut add = |name: &str, node: Node<'_>, cookie: u64| {
            lines.push(DirEntry {
                name: name.to_owned(),
                attr: self.attr(node),
                cookie,
            });
            lines.len() < max
        };
        if max > 0
            && (cookie >= DOT || add(".", node, DOT))
            && (cookie >= DOT_DOT || add("..", self.parent(node), DOT_DOT))
        {
            match node {
                Node::Root => self.list_root(cookie, &mut add),
                Node::View(view) => {
                    let entry = |number: &u32| view.dir(*number as usize);
                    let start = view
                        .by_id
                        .partition_point(|number| entry(number).id().0 <= cookie);
                    for number in &view.by_id[start..] {
                        let dir = entry(number);
                        if !add(&dir.entry.name, Node::Dir(dir), dir.id().0) {
                            break;
                        }
                    }
                }
                Node::Dir(dir) => self.list_release(dir, cookie, &mut add),
                Node::Version | Node::File { .. } | Node::Strm { .. } => {}
            }
        }
        Ok(lines)
    }

    fn list_root(&self, cookie: u64, add: &mut dyn FnMut(&str, Node<'_>, u64) -> bool) {
        if cookie < VERSION && !add(debridfs_catalogue::VERSION_FILE, Node::Version, VERSION) {
            return;
        }
        let mut views: Vec<_> = self.views.iter().collect();
        views.sort_unstable_by_key(|view| view.view.id);
        for view in views.into_iter().filter(|view| view.view.id.0 > cookie) {
            if !add(&view.view.name, Node::View(view), view.view.id.0) {
                return;
            }
        }
    }

    pub(super) fn list_release(
        &self,
        dir: Dir<'_>,
        cookie: u64,
        add: &mut dyn FnMut(&str, Node<'_>, u64) -> bool,
    ) {
        let Some(index) = dir.index else { return };
        // Ids of directories are smaller than those of files.
        let mut subdirs: Vec<Dir<'_>> = self
            .listed_subdirs(dir)
            .iter()
            .map(|number| dir.sibling(*number))
            .filter(|subdir| subdir.id().0 > cookie)
            .collect();
        subdirs.sort_unstable_by_key(Dir::id);
        for subdir in subdirs {
            if !add(
                index.dir_name(subdir.number),
                Node::Dir(subdir),
                subdir.id().0,
            ) {
                return;
            }
        }
        let flat = self.style.layout == Layout::Flat && dir.number == 0;
        let files = if flat {
            index.all_by_id()
        } else {
            index.files_by_id(dir.number)
        };
        if dir.view.is_strm {
            for (name, node, id) in self.strm_lines(dir, files, cookie) {
                if !add(name, node, id) {
                    return;
                }
            }
            return;
        }
        let start =
            files.partition_point(|number| index.tree.files[*number as usize].id.0 <= cookie);
        for number in &files[start..] {
            let file = &index.tree.files[*number as usize];
            let name = if flat { file.flat() } else { &file.name };
            let node = Node::File {
                dir: dir.sibling(file.dir),
                file,
            };
            if !add(name, node, file.id.0) {
                return;
            }
        }
    }
}

/// Cookies of fixed lines are below every derived id, and the version file's id is not one.
const _: () = assert!(VERSION < debridfs_catalogue::FIRST_ID && VERSION_ID.0 < VERSION);
