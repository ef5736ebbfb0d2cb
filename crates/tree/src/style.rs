//! How nodes look: owner, modes, times, layout.

use std::collections::{HashMap, HashSet};

use debridfs_base::NodeId;
use debridfs_catalogue::Layout;
use jiff::Timestamp;

use debridfs_vfs::{Attr, Kind};

/// What the tree looks like.
#[derive(Debug, Clone)]
pub struct TreeConfig {
    /// Owner of every node.
    pub uid: u32,
    /// Group of every node.
    pub gid: u32,
    /// Permission bits that are taken away, such as `0o022`.
    pub umask: u16,
    /// Sub-directories or not.
    pub layout: Layout,
    /// What `version.txt` tells; a line feed is added.
    pub version: String,
    /// By the names of views: providers whose copies are read first there.
    pub orders: HashMap<String, Vec<String>>,
    /// Names of views that show films as `.strm` files.
    pub strm: HashSet<String>,
}

/// [`TreeConfig`] made ready.
#[derive(Debug)]
pub(crate) struct Style {
    uid: u32,
    gid: u32,
    dir_mode: u16,
    file_mode: u16,
    pub(crate) layout: Layout,
    pub(crate) version: String,
    orders: HashMap<String, Vec<String>>,
    strm: HashSet<String>,
}

/// Size of every directory.
const DIRECTORY_SIZE: u64 = 4096;
/// Nothing can be written.
const READ_ONLY: u16 = 0o555;

impl From<TreeConfig> for Style {
    fn from(config: TreeConfig) -> Self {
        Self {
            uid: config.uid,
            gid: config.gid,
            dir_mode: 0o777 & !config.umask & READ_ONLY,
            file_mode: 0o666 & !config.umask & READ_ONLY,
            layout: config.layout,
            version: config.version + "\n",
            orders: config.orders,
            strm: config.strm,
        }
    }
}

impl Style {
    /// Providers whose copies are read first in the view of that name.
    pub(crate) fn order(&self, view: &str) -> &[String] {
        self.orders.get(view).map_or(&[], Vec::as_slice)
    }

    /// Whether the view of that name shows films as `.strm` files.
    pub(crate) fn is_strm(&self, view: &str) -> bool {
        self.strm.contains(view)
    }

    pub(crate) fn directory(&self, id: NodeId, subdirs: usize, mtime: Timestamp) -> Attr {
        Attr {
            id,
            kind: Kind::Directory,
            mode: self.dir_mode,
            nlink: u32::try_from(subdirs).unwrap_or(u32::MAX).saturating_add(2),
            uid: self.uid,
            gid: self.gid,
            size: DIRECTORY_SIZE,
            mtime,
        }
    }

    pub(crate) fn file(&self, id: NodeId, size: u64, mtime: Timestamp) -> Attr {
        Attr {
            id,
            kind: Kind::File,
            mode: self.file_mode,
            nlink: 1,
            uid: self.uid,
            gid: self.gid,
            size,
            mtime,
        }
    }
}
