//! A file system of one file, the marker.

use debridfs_vfs::{MemoryVfs, NodeId};

use crate::marker::{MARKER_NAME, Marker};

/// Shows this marker to everybody who may look.
pub(crate) fn marker_tree(marker: &Marker) -> MemoryVfs {
    let tree = MemoryVfs::new(marker.started);
    tree.add_bytes(NodeId::ROOT, MARKER_NAME, NodeId(2), marker.bytes().into());
    tree
}

#[cfg(test)]
mod tests {
    use debridfs_vfs::{Answer, ReadRequest, Result, Vfs};

    use super::*;

    fn now<T>(answer: Answer<T>) -> Result<T> {
        match answer {
            Answer::Now(result) => result,
            Answer::Later(_) => panic!("nothing here has to wait"),
        }
    }

    #[test]
    fn one_file_with_the_marker() {
        let marker = Marker::fresh().unwrap();
        let tree = marker_tree(&marker);
        let file = now(tree.lookup(NodeId::ROOT, MARKER_NAME.as_bytes())).unwrap();
        let read = |offset, size| {
            let request = ReadRequest {
                id: file.id,
                handle: 0,
                offset,
                size,
                deadline: std::time::Duration::from_secs(1),
                client: debridfs_vfs::Client::Own,
            };
            now(tree.read(request)).unwrap().concat()
        };
        assert_eq!(Marker::parse(&read(0, 4096)), Some(marker));
        assert_eq!(read(0, 4096).len() as u64, file.size);
        assert!(read(u64::MAX, u32::MAX).is_empty());
        let names = now(tree.read_dir(NodeId::ROOT, 0, 10)).unwrap();
        assert_eq!(names.last().unwrap().name, MARKER_NAME);
        let rest = now(tree.read_dir(NodeId::ROOT, names[1].cookie, 1)).unwrap();
        assert_eq!(rest.len(), 1);
        assert!(now(tree.lookup(NodeId::ROOT, b"x")).is_err());
        assert!(now(tree.attr(NodeId(9))).is_err());
    }
}
