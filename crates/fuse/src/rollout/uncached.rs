//! What a reply makes the kernel remember, taken out of it or noted: the new backend's word holds for
//! one request only, until all of it is promoted.
//!
//! Listings, and the bytes of files while they are open, are kept by the kernel whatever a reply
//! says. They are invalidated when the rollout is rolled back.

use debridfs_handover::{InHeader, OUT_HEADER_LEN};
use debridfs_vfs::{Change, NodeId};

use crate::policy::KEEP_CACHE;
use crate::wire::{DIRENT_LEN, ENTRY_LEN, Opcode, Reply};

/// Times in `struct fuse_entry_out`: entry and attributes, seconds and nanoseconds.
const ENTRY_TIMES: std::ops::Range<usize> = 16..40;
/// The same in `struct fuse_attr_out`, attributes only.
const ATTR_TIMES: std::ops::Range<usize> = 0..12;
/// `open_flags` in `struct fuse_open_out`.
const OPEN_FLAGS: std::ops::Range<usize> = 8..12;
/// `namelen` in `struct fuse_dirent`.
const NAME_LENGTH: std::ops::Range<usize> = 16..20;

/// What of a request has to be known when its reply comes.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    opcode: Option<Opcode>,
    node: NodeId,
    /// Of a LOOKUP.
    name: Option<String>,
}

impl Asked {
    pub(crate) fn of(header: &InHeader, request: &[u8]) -> Self {
        let opcode = Opcode::from_number(header.opcode);
        let name = matches!(opcode, Some(Opcode::Lookup)).then(|| {
            let name = request.get(InHeader::LEN..).unwrap_or_default();
            text(name.split(|byte| *byte == 0).next().unwrap_or_default())
        });
        Self {
            opcode,
            node: NodeId(header.node),
            name: name.flatten(),
        }
    }

    /// Takes the permission to remember out of the reply. Gives what the kernel knows by it all the
    /// same, while it is in use.
    pub(crate) fn uncache(&self, reply: &mut Reply) -> Vec<Change> {
        if reply.errno() != 0 {
            // The kernel remembers no failure but ENOSYS, which is not a backend's.
            return Vec::new();
        }
        let body = reply.body().get_mut(OUT_HEADER_LEN..).unwrap_or_default();
        match self.opcode {
            Some(Opcode::Lookup) => {
                let mut changes = Vec::new();
                clear(body, ENTRY_TIMES);
                changes.extend(self.name.clone().map(|name| entry(self.node, name)));
                changes.extend(node_at(body).map(Change::Node));
                changes
            }
            Some(Opcode::GetAttr) => {
                clear(body, ATTR_TIMES);
                vec![Change::Node(self.node)]
            }
            Some(Opcode::Open) => {
                if let Some(flags) = body.get_mut(OPEN_FLAGS) {
                    let kept = u32_of(flags) & !KEEP_CACHE;
                    flags.copy_from_slice(&kept.to_ne_bytes());
                }
                vec![Change::Node(self.node)]
            }
            Some(Opcode::ReadDirPlus) => {
                let mut changes = vec![Change::Node(self.node)];
                lines(self.node, body, &mut changes);
                changes
            }
            Some(Opcode::Read | Opcode::ReadDir) => vec![Change::Node(self.node)],
            _ => Vec::new(),
        }
    }
}

/// Does the same to each line of a READDIRPLUS.
fn lines(parent: NodeId, mut body: &mut [u8], changes: &mut Vec<Change>) {
    while let Some(name_length) = body.get(ENTRY_LEN..).and_then(|line| line.get(NAME_LENGTH)) {
        let fixed = ENTRY_LEN + DIRENT_LEN;
        let end = fixed.saturating_add(u32_of(name_length) as usize);
        let Some(name) = body.get(fixed..end) else {
            return;
        };
        let name = text(name);
        // Of `.` and `..` the kernel learns nothing: their node is 0.
        if let Some(node) = node_at(body) {
            changes.extend(name.map(|name| entry(parent, name)));
            changes.push(Change::Node(node));
        }
        clear(body, ENTRY_TIMES);
        let next = end.next_multiple_of(8).min(body.len());
        body = &mut body[next..];
    }
}

fn entry(parent: NodeId, name: String) -> Change {
    Change::Entry { parent, name }
}

/// Names that are shown are UTF-8.
fn text(name: &[u8]) -> Option<String> {
    std::str::from_utf8(name).ok().map(str::to_owned)
}

/// The node that `struct fuse_entry_out` begins with.
fn node_at(body: &[u8]) -> Option<NodeId> {
    let number = u64::from_ne_bytes(*body.first_chunk()?);
    (number != 0).then_some(NodeId(number))
}

fn clear(body: &mut [u8], range: std::ops::Range<usize>) {
    if let Some(times) = body.get_mut(range) {
        times.fill(0);
    }
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |four| u32::from_ne_bytes(*four))
}

#[cfg(test)]
mod tests {
    use debridfs_vfs::{Attr, DirEntry, Kind};
    use jiff::Timestamp;

    use super::*;
    use crate::wire::{DirectoryFormat, DirectoryWriter, attr_out, entry_out, open_out};

    fn attr(id: u64) -> Attr {
        Attr {
            id: NodeId(id),
            kind: Kind::File,
            mode: 0o444,
            nlink: 1,
            uid: 0,
            gid: 0,
            size: 9,
            mtime: Timestamp::UNIX_EPOCH,
        }
    }

    fn asked(opcode: Opcode, name: Option<&str>) -> Asked {
        Asked {
            opcode: Some(opcode),
            node: NodeId(5),
            name: name.map(str::to_owned),
        }
    }

    fn name_of(parent: u64, name: &str) -> Change {
        entry(NodeId(parent), name.to_owned())
    }

    #[test]
    fn an_entry_keeps_its_node_and_loses_its_times() {
        let mut reply = Reply::new();
        entry_out(reply.body(), &attr(9));
        let whole = reply.body().clone();
        let changes = asked(Opcode::Lookup, Some("film")).uncache(&mut reply);
        assert_eq!(changes, [name_of(5, "film"), Change::Node(NodeId(9))]);
        let body = reply.body();
        assert_eq!(body[16..32], whole[16..32]);
        assert_eq!(body[32..56], [0; 24]);
        assert_eq!(body[56..], whole[56..]);
    }

    #[test]
    fn attributes_lose_their_time_and_open_files_their_cache() {
        let mut reply = Reply::new();
        attr_out(reply.body(), &attr(5));
        let whole = reply.body().clone();
        let changes = asked(Opcode::GetAttr, None).uncache(&mut reply);
        assert_eq!(changes, [Change::Node(NodeId(5))]);
        assert_eq!(reply.body()[16..28], [0; 12]);
        assert_eq!(reply.body()[28..], whole[28..]);

        reply.clear();
        open_out(reply.body(), 7, crate::policy::OPEN_FLAGS);
        asked(Opcode::Open, None).uncache(&mut reply);
        let mut expected = Vec::new();
        open_out(&mut expected, 7, crate::policy::OPEN_FLAGS & !2);
        assert_eq!(reply.body()[16..], expected);
    }

    #[test]
    fn each_line_of_a_listing_loses_its_times() {
        let mut reply = Reply::new();
        let mut writer = DirectoryWriter::new(DirectoryFormat::Plus, 4096);
        for (name, id) in [(".", 5), ("film", 9), ("other.mkv", 10)] {
            let line = DirEntry {
                name: name.to_owned(),
                attr: attr(id),
                cookie: id,
            };
            assert!(writer.push(reply.body(), &line));
        }
        let whole = reply.body().clone();
        let changes = asked(Opcode::ReadDirPlus, None).uncache(&mut reply);
        let expected = [
            Change::Node(NodeId(5)),
            name_of(5, "film"),
            Change::Node(NodeId(9)),
            name_of(5, "other.mkv"),
            Change::Node(NodeId(10)),
        ];
        assert_eq!(changes, expected);
        let lines = [16 + 160, 16 + 160 + 160];
        let mut cleared = whole;
        for at in lines {
            cleared[at + 16..at + 40].fill(0);
        }
        assert_eq!(*reply.body(), cleared);
    }

    #[test]
    fn replies_that_make_no_sense_are_left_as_they_are() {
        for length in 0..200 {
            for opcode in [
                Opcode::Lookup,
                Opcode::ReadDirPlus,
                Opcode::Open,
                Opcode::GetAttr,
            ] {
                let mut reply = Reply::new();
                reply.body().resize(16 + length, 0xff);
                asked(opcode, Some("x")).uncache(&mut reply);
                assert_eq!(reply.body().len(), 16 + length);
            }
        }
        let mut failed = Reply::new();
        failed.fail(libc::ENOENT);
        assert_eq!(asked(Opcode::Lookup, Some("x")).uncache(&mut failed), []);
    }
}
