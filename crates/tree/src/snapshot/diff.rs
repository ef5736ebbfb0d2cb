//! What a kernel that knows one snapshot has to be told to know the next.
//!
//! Names that are new need no word: fronts do not let the kernel remember that a name is missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use debridfs_base::NodeId;
use debridfs_catalogue::{Contents, strm_of};
use itertools::EitherOrBoth;

use super::strm::strm_ids;
use super::{Dir, Node, Snapshot, ViewIndex, node_id};
use debridfs_vfs::Change;

impl Snapshot {
    /// What changed from `self` to `new`: names that are gone or stand for another node, and nodes whose listing or attributes differ. In a fixed order,
    /// nothing twice.
    pub(crate) fn changes_to(&self, new: &Self) -> Vec<Change> {
        let mut changes = Collector {
            old: self,
            new,
            names: Vec::new(),
            nodes: BTreeSet::new(),
        };
        let mut root_changed = self.attr(Node::Root) != new.attr(Node::Root);
        for view in &self.views {
            match new.view_named(&view.view.name) {
                Some(now) if now.view.id == view.view.id => changes.view(view, now),
                _ => {
                    changes.gone(NodeId::ROOT, &view.view.name);
                    root_changed = true;
                }
            }
        }
        root_changed |= new
            .views
            .iter()
            .any(|view| self.view_named(&view.view.name).is_none());
        if root_changed {
            changes.nodes.insert(NodeId::ROOT);
        }
        let texts = [self, new].map(|at| at.strm_texts.as_ref().map(Arc::as_ptr));
        if texts[0] != texts[1] {
            changes.nodes.extend(new.strm_nodes());
        }
        let names = changes.names.into_iter();
        let names = names.map(|(parent, name)| Change::Entry { parent, name });
        names
            .chain(changes.nodes.into_iter().map(Change::Node))
            .collect()
    }

    /// Every `.strm` file.
    pub(crate) fn strm_nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        let views = self.views.iter().filter(|view| view.is_strm);
        let releases = views.flat_map(|view| view.releases.iter().flatten());
        releases
            .flat_map(|release| strm_ids(release, self.style.layout))
            .map(|(_, id)| NodeId(id))
    }
}

struct Collector<'a> {
    old: &'a Snapshot,
    new: &'a Snapshot,
    names: Vec<(NodeId, String)>,
    nodes: BTreeSet<NodeId>,
}

impl Collector<'_> {
    fn gone(&mut self, parent: NodeId, name: &str) {
        self.names.push((parent, name.to_owned()));
    }

    fn view(&mut self, old: &ViewIndex, new: &ViewIndex) {
        let answers = |snapshot: &Snapshot| snapshot.library.answers(old.name());
        let mut changed = answers(self.old) != answers(self.new)
            || self.old.attr(Node::View(old)) != self.new.attr(Node::View(new));
        for difference in new.view.differences(Some(&old.view)) {
            if let EitherOrBoth::Both(was, is) = difference
                && was.dir_ids[0] == is.dir_ids[0]
            {
                if let (Some(was), Some(is)) = (old.dir_named(&was.name), new.dir_named(&is.name)) {
                    self.release(was, is);
                }
                continue;
            }
            changed = true;
            if let Some(was) = difference.left() {
                self.gone(old.view.id, &was.name);
            }
        }
        if changed {
            self.nodes.insert(new.view.id);
        }
    }

    /// The directories and files of one release in one view.
    fn release(&mut self, old: Dir<'_>, new: Dir<'_>) {
        let same_tree = match (&old.release().contents, &new.release().contents) {
            (Contents::Known(old), Contents::Known(new)) => Arc::ptr_eq(old, new),
            (Contents::Unknown, Contents::Unknown) => true,
            _ => false,
        };
        if same_tree && old.release().added == new.release().added {
            return;
        }
        for number in 0..old.entry.dir_ids.len() as u32 {
            let old = old.sibling(number);
            let Some(Node::Dir(new)) = self.new.find(old.id()) else {
                continue;
            };
            let attributes = self.old.attr(Node::Dir(old)) != self.new.attr(Node::Dir(new));
            if self.names_in(old, new) || attributes {
                self.nodes.insert(old.id());
            }
        }
        for file in old.tree().iter().flat_map(|tree| &tree.files) {
            for id in [file.id, strm_of(file.id)] {
                if let (Some(was), Some(is)) = (self.old.find(id), self.new.find(id))
                    && self.old.attr(was) != self.new.attr(is)
                {
                    self.nodes.insert(id);
                }
            }
        }
    }

    /// Names of one directory, hidden ones as well. Returns whether its listing changed; of unknown files there was none.
    fn names_in(&mut self, old: Dir<'_>, new: Dir<'_>) -> bool {
        let Some(was) = old.index else { return false };
        if new.index.is_none() {
            return true;
        }
        let file_name = |number: &u32| &*was.tree.files[*number as usize].name;
        let mut names: BTreeSet<&str> = was.files_by_id(old.number).iter().map(file_name).collect();
        names.extend(was.subdirs(old.number).iter().map(|dir| was.dir_name(*dir)));
        if old.number == 0 {
            names.extend(was.base_names());
        }
        if old.view.is_strm {
            let files = 0..was.tree.files.len() as u32;
            let lines = files.filter_map(|number| self.old.strm_line(old, number));
            names.extend(lines.map(|(name, _)| name));
        }
        for name in names {
            let before = self.old.in_release(old, name).map(node_id);
            if before.is_some() && before != self.new.in_release(new, name).map(node_id) {
                self.gone(old.id(), name);
            }
        }
        lines(self.old, old) != lines(self.new, new)
    }
}

/// What a listing of the directory shows.
fn lines(snapshot: &Snapshot, dir: Dir<'_>) -> Vec<(String, u64)> {
    let mut lines = Vec::new();
    snapshot.list_release(dir, 0, &mut |name, _, cookie| {
        lines.push((name.to_owned(), cookie));
        true
    });
    lines
}
