//! The cloud of an account: folders and files, which outlive the transfers that made them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::account::{Account, Download, Torrent};
use crate::random::{Id13, hash_parts};
use crate::settings::Settings;
use crate::status::Status;

/// The folder at the top, by another name than its id.
const TOP: &str = "0";

/// A folder, or a file in one.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The folder that it is in; that at the top is in none.
    pub(super) parent: Option<Id13>,
    pub(super) name: String,
    pub(super) created_ms: i64,
    /// The transfer that made it.
    torrent: Option<Id13>,
    pub(super) is_file: bool,
}

/// What Premiumize remembers of an account: its cloud, and where its transfers go.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    nodes: BTreeMap<Id13, Node>,
    /// Transfers whose files are in the cloud, and the folder or file that they made.
    pub(super) made: HashMap<Id13, Id13>,
    /// Folders that transfers go to.
    pub(super) targets: HashMap<Id13, Id13>,
    /// Transfers that were cleared from the list; their files stay.
    pub(super) cleared: HashSet<Id13>,
    /// The direct link of a file.
    pub(super) links: HashMap<Id13, Arc<Download>>,
    next: u64,
}

impl Memory {
    /// The id of the folder at the top.
    pub(super) fn top() -> Id13 {
        Id13::from_number(hash_parts(&[b"premiumize", b"top"]))
    }

    /// The id that `text` is; that of the top where there is none.
    pub(super) fn id(text: Option<&str>) -> Option<Id13> {
        match text {
            None | Some(TOP) => Some(Self::top()),
            Some(text) => Id13::parse(text).filter(|_| text.len() == 13),
        }
    }

    pub(super) fn node(&self, id: Id13) -> Option<&Node> {
        self.nodes.get(&id)
    }

    pub(super) fn is_folder(&self, id: Id13) -> bool {
        id == Self::top() || self.nodes.get(&id).is_some_and(|node| !node.is_file)
    }

    /// What is in a folder, by name.
    pub(super) fn children(&self, folder: Id13) -> Vec<(Id13, &Node)> {
        let within = self.nodes.iter();
        let within = within.filter(|(_, node)| node.parent == Some(folder));
        let mut found: Vec<_> = within.map(|(id, node)| (*id, node)).collect();
        found.sort_by_key(|(_, node)| &node.name);
        found
    }

    /// Everything in the cloud.
    pub(super) fn all(&self) -> impl Iterator<Item = (Id13, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// Names from the top to the node, `/` before each.
    pub(super) fn path(&self, id: Id13) -> String {
        let mut path = String::new();
        let mut at = Some(id);
        while let Some(node) = at.and_then(|id| self.nodes.get(&id)) {
            path = format!("/{}{path}", node.name);
            at = node.parent;
        }
        path
    }

    /// Makes a folder, or gives the one that is there.
    pub(super) fn folder(
        &mut self,
        parent: Id13,
        name: &str,
        now_ms: i64,
        torrent: Option<Id13>,
    ) -> Id13 {
        let there = self.children(parent).into_iter();
        let mut there = there.filter(|(_, node)| !node.is_file);
        if let Some((id, _)) = there.find(|(_, node)| node.name == name) {
            return id;
        }
        self.next += 1;
        let id = Id13::from_number(hash_parts(&[b"folder", &self.next.to_le_bytes()]));
        self.put(id, parent, name, now_ms, torrent, false);
        id
    }

    fn put(
        &mut self,
        id: Id13,
        parent: Id13,
        name: &str,
        now_ms: i64,
        torrent: Option<Id13>,
        is_file: bool,
    ) {
        let node = Node {
            parent: Some(parent),
            name: name.to_owned(),
            created_ms: now_ms,
            torrent,
            is_file,
        };
        self.nodes.insert(id, node);
    }

    /// Changes a folder or file; whether there is one.
    pub(super) fn alter(&mut self, id: Id13, change: impl FnOnce(&mut Node)) -> bool {
        self.nodes.get_mut(&id).map(change).is_some()
    }

    /// Whether `folder` is `inner` or one of the folders that it is in.
    pub(super) fn holds(&self, folder: Id13, inner: Id13) -> bool {
        let mut at = Some(inner);
        while let Some(id) = at {
            if id == folder {
                return true;
            }
            at = self.nodes.get(&id).and_then(|node| node.parent);
        }
        false
    }

    /// Removes a folder or file with all that is in it; whether there was one.
    pub(super) fn remove(&mut self, id: Id13) -> bool {
        let within: Vec<Id13> = self.children(id).into_iter().map(|(id, _)| id).collect();
        for inner in within {
            self.remove(inner);
        }
        self.links.remove(&id);
        self.nodes.remove(&id).is_some()
    }

    /// Brings the files of finished transfers into the cloud, and removes those of transfers that are gone.
    pub(super) fn settle(account: &mut Account, now_ms: i64, settings: &Settings) {
        let mut memory = std::mem::take(&mut account.premiumize);
        let gone: Vec<Id13> = memory.made.keys().copied().collect();
        for torrent in gone {
            if account.torrent(torrent).is_none() {
                memory.forget(torrent);
            }
        }
        let late_ms = i64::from(settings.premiumize.late_files_ms);
        let ready = account.newest_first().filter(|torrent| {
            torrent.status == Status::Downloaded && !memory.made.contains_key(&torrent.id)
        });
        let ended_ms = |torrent: &Torrent| torrent.ended_ms.unwrap_or(torrent.added_ms);
        let ready: Vec<&Torrent> = ready
            .filter(|torrent| now_ms >= ended_ms(torrent) + late_ms)
            .collect();
        for torrent in ready {
            memory.place(torrent);
        }
        account.premiumize = memory;
    }

    /// What a transfer made is deleted with it.
    fn forget(&mut self, torrent: Id13) {
        self.made.remove(&torrent);
        let of_it = self.nodes.iter();
        let of_it = of_it.filter(|(_, node)| node.torrent == Some(torrent));
        let ids: Vec<Id13> = of_it.map(|(id, _)| *id).collect();
        for id in ids {
            self.remove(id);
        }
    }

    /// A single file comes by itself, several in a folder that is called as the torrent.
    fn place(&mut self, torrent: &Torrent) {
        let target = self.targets.get(&torrent.id).copied();
        let target = target.filter(|target| self.is_folder(*target));
        let target = target.unwrap_or_else(Self::top);
        let (created_ms, of) = (torrent.added_ms, Some(torrent.id));
        let files = &torrent.release.files;
        let top = match files.len() {
            1 => target,
            _ => self.folder(target, &torrent.name, created_ms, of),
        };
        let mut made = top;
        for (file, id) in files.iter().zip(torrent.all_links()) {
            let mut parts: Vec<_> = file
                .path
                .split('/')
                .filter(|part| !part.is_empty())
                .collect();
            let name = parts.pop().unwrap_or("file");
            let mut parent = top;
            if files.len() > 1 {
                for part in parts {
                    parent = self.folder(parent, part, created_ms, of);
                }
            } else {
                made = id;
            }
            self.put(id, parent, name, created_ms, of, true);
        }
        self.made.insert(torrent.id, made);
    }
}
