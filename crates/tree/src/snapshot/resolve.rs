//! Names to nodes.

use debridfs_base::NodeId;
use debridfs_catalogue::Layout;
use debridfs_provider::ContentId;

use super::release::BaseName;
use super::{Dir, Node, Snapshot, is_version_file};
use debridfs_vfs::{Error, ErrorKind};

/// Why there is no answer in this snapshot.
#[derive(Debug)]
pub(crate) enum Missing {
    /// It will be the same in any.
    Failed(Error),
    /// The release's files have to be known first.
    Contents(ContentId),
    /// What `.strm` files hold has to be known first.
    Strm,
    /// The id is not shown, but may belong to a release whose files are unknown.
    Node(NodeId),
}

impl From<ErrorKind> for Missing {
    fn from(kind: ErrorKind) -> Self {
        Self::Failed(kind.into())
    }
}

impl Snapshot {
    /// The node of an id.
    pub(crate) fn node(&self, id: NodeId) -> Result<Node<'_>, Missing> {
        match self.find(id) {
            Some(Node::Strm { .. }) if self.strm_texts.is_none() => Err(Missing::Strm),
            Some(node) => Ok(node),
            // It may be of an account whose list is still to come.
            None if !self.library.listed || !self.library.waiting.is_empty() => {
                Err(ErrorKind::NotYet.into())
            }
            None if self.unknown > 0 => Err(Missing::Node(id)),
            None => Err(ErrorKind::Stale.into()),
        }
    }

    /// What `name` stands for in `parent`. `.` and `..` are answered for files as well, as NFS servers ask by id alone.
    pub(crate) fn lookup(&self, parent: NodeId, name: &[u8]) -> Result<Node<'_>, Missing> {
        let parent = self.node(parent)?;
        match name {
            b"." => return Ok(parent),
            b".." => return Ok(self.parent(parent)),
            _ if name.len() > debridfs_catalogue::LONGEST_NAME => {
                return Err(ErrorKind::NameTooLong.into());
            }
            _ => {}
        }
        let name = std::str::from_utf8(name).map_err(|_| ErrorKind::NotFound)?;
        let found = match parent {
            Node::Root if is_version_file(name) => Some(Node::Version),
            Node::Root => self.view_named(name).map(Node::View),
            Node::View(view) if !self.library.answers(view.name()) => {
                return Err(ErrorKind::NotYet.into());
            }
            Node::View(view) => view.dir_named(name).map(Node::Dir),
            Node::Dir(dir) if dir.index.is_none() => {
                return Err(Missing::Contents(dir.release().id));
            }
            Node::Dir(dir) if dir.view.is_strm && self.strm_texts.is_none() => {
                return Err(Missing::Strm);
            }
            Node::Dir(dir) => self.in_release(dir, name),
            Node::Version | Node::File { .. } | Node::Strm { .. } => {
                return Err(ErrorKind::NotDirectory.into());
            }
        };
        found.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// What `name` stands for in a directory of a release whose files are known. In the release itself names of both layouts are found, so that links
    /// made for either keep working.
    pub(super) fn in_release<'a>(&'a self, dir: Dir<'a>, name: &str) -> Option<Node<'a>> {
        let index = dir.index?;
        let file = |number: u32| {
            let file = &index.tree.files[number as usize];
            Node::File {
                dir: dir.sibling(file.dir),
                file,
            }
        };
        let subdir = || {
            index
                .subdir(dir.number, name)
                .map(|dir_| Node::Dir(dir.sibling(dir_)))
        };
        if dir.view.is_strm {
            // One layout is enough: nobody has links to what an older version did not show.
            return self.in_strm(dir, name).or_else(subdir);
        }
        let here = || index.file(dir.number, name).map(file);
        if dir.number > 0 {
            return subdir().or_else(here);
        }
        match self.style.layout {
            Layout::Flat => index.flat(name).map(file).or_else(subdir),
            Layout::Tree => subdir()
                .or_else(here)
                .or_else(|| match index.base_name(name) {
                    BaseName::File(number) => Some(file(number)),
                    BaseName::Nobody | BaseName::Ambiguous => None,
                }),
        }
    }
}
