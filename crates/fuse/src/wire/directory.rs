//! Lines of a directory: `struct fuse_dirent` and `struct fuse_direntplus`.

use debridfs_vfs::{DirEntry, Kind};

use super::reply::entry_out;

/// `FUSE_NAME_OFFSET`
pub(crate) const DIRENT_LEN: usize = 24;
/// `sizeof(struct fuse_entry_out)`
pub(crate) const ENTRY_LEN: usize = 128;
/// What a name is guessed to be long, to ask the file system for about as many lines as fit.
const TYPICAL_NAME: usize = 40;

/// What each line is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryFormat {
    /// READDIR: number, kind and name.
    Plain,
    /// READDIRPLUS: the answer to a lookup as well.
    Plus,
}

impl DirectoryFormat {
    fn fixed(self) -> usize {
        match self {
            Self::Plain => DIRENT_LEN,
            Self::Plus => ENTRY_LEN + DIRENT_LEN,
        }
    }
}

/// How many lines to ask the file system for when `left` bytes of a reply are free.
pub(crate) fn wanted(format: DirectoryFormat, left: usize) -> usize {
    left / (format.fixed() + TYPICAL_NAME) + 1
}

/// Appends lines to a reply for as long as they fit.
#[derive(Debug)]
pub struct DirectoryWriter {
    format: DirectoryFormat,
    left: usize,
}

impl DirectoryWriter {
    /// For a reply of at most `size` bytes.
    pub fn new(format: DirectoryFormat, size: u32) -> Self {
        Self {
            format,
            left: size as usize,
        }
    }

    /// How many lines to ask for next: about what fits into what is left, at least one.
    pub fn wanted(&self) -> usize {
        wanted(self.format, self.left)
    }

    /// Appends a line to `out` if it fits; `false` if not.
    pub fn push(&mut self, out: &mut Vec<u8>, entry: &DirEntry) -> bool {
        let name = entry.name.as_bytes();
        let unpadded = self.format.fixed() + name.len();
        // FUSE_DIRENT_ALIGN
        let padded = unpadded.next_multiple_of(8);
        let Ok(name_len) = u32::try_from(name.len()) else {
            return false;
        };
        if padded > self.left {
            return false;
        }
        if self.format == DirectoryFormat::Plus {
            // The kernel counts no lookup for `.` and `..`, and takes node 0 as "not looked up".
            if matches!(name, b"." | b"..") {
                out.extend_from_slice(&[0; ENTRY_LEN]);
            } else {
                entry_out(out, &entry.attr);
            }
        }
        out.extend_from_slice(&entry.attr.id.0.to_ne_bytes());
        out.extend_from_slice(&entry.cookie.to_ne_bytes());
        out.extend_from_slice(&name_len.to_ne_bytes());
        let kind = match entry.attr.kind {
            Kind::Directory => libc::DT_DIR,
            Kind::File => libc::DT_REG,
        };
        out.extend_from_slice(&u32::from(kind).to_ne_bytes());
        out.extend_from_slice(name);
        out.resize(out.len() + (padded - unpadded), 0);
        self.left -= padded;
        true
    }
}
