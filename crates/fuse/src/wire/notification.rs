//! What is told to the kernel without being asked: `enum fuse_notify_code`.

use debridfs_handover::{OUT_HEADER_LEN, out_header};

/// `FUSE_NOTIFY_INVAL_INODE`
const INVAL_INODE: i32 = 2;
/// `FUSE_NOTIFY_INVAL_ENTRY`
const INVAL_ENTRY: i32 = 3;
/// `FUSE_EXPIRE_ONLY` (7.38)
const EXPIRE_ONLY: u32 = 1;

/// A notification's header: `unique` is 0, the code stands in the place of the error, not negated.
fn header(len: usize, code: i32) -> Option<[u8; OUT_HEADER_LEN]> {
    Some(out_header(u32::try_from(len).ok()?, code.wrapping_neg(), 0))
}

/// Appends `FUSE_NOTIFY_INVAL_INODE` (`struct fuse_notify_inval_inode_out`): the kernel forgets the attributes of `node`, and with `pages` its
/// cached bytes or directory lines too.
pub fn invalidate_inode(out: &mut Vec<u8>, node: u64, pages: bool) {
    let offset: i64 = if pages { 0 } else { -1 };
    let Some(header) = header(OUT_HEADER_LEN + 24, INVAL_INODE) else {
        return;
    };
    out.extend_from_slice(&header);
    out.extend_from_slice(&node.to_ne_bytes());
    out.extend_from_slice(&offset.to_ne_bytes());
    // A length of 0 means to the end.
    out.extend_from_slice(&0i64.to_ne_bytes());
}

/// Appends `FUSE_NOTIFY_INVAL_ENTRY` (`struct fuse_notify_inval_entry_out`): the kernel forgets what `name` in `parent` stands for.
///
/// Nothing is appended for a name of more than 255 bytes: the kernel cannot know it (`FUSE_NAME_MAX` is 1024 at least, names shown are shorter).
pub fn invalidate_entry(out: &mut Vec<u8>, parent: u64, name: &[u8]) {
    entry(out, parent, name, 0);
}

/// The same for a name that may well stand for what it did: the kernel asks again before it uses the name, and who has it
/// open or works in it keeps its path. Before Linux 6.2 it is [`invalidate_entry`].
pub fn expire_entry(out: &mut Vec<u8>, parent: u64, name: &[u8]) {
    entry(out, parent, name, EXPIRE_ONLY);
}

fn entry(out: &mut Vec<u8>, parent: u64, name: &[u8], flags: u32) {
    let Ok(name_len @ ..=255) = u32::try_from(name.len()) else {
        return;
    };
    let Some(header) = header(OUT_HEADER_LEN + 16 + name.len() + 1, INVAL_ENTRY) else {
        return;
    };
    out.extend_from_slice(&header);
    out.extend_from_slice(&parent.to_ne_bytes());
    out.extend_from_slice(&name_len.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(name);
    out.push(0);
}

/// Length of the notification that `bytes` begin with, if its header is whole and the length makes sense.
pub fn notification_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    (OUT_HEADER_LEN..=OUT_HEADER_LEN + 16 + 256)
        .contains(&len)
        .then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let mut out = Vec::new();
        invalidate_inode(&mut out, 0x1122, true);
        assert_eq!(notification_len(&out), Some(40));
        assert_eq!(out.len(), 40);
        assert_eq!(out[4..8], 2i32.to_ne_bytes());
        assert_eq!(out[8..16], [0; 8]);
        assert_eq!(out[16..24], 0x1122u64.to_ne_bytes());

        out.clear();
        invalidate_entry(&mut out, 7, b"name");
        assert_eq!(notification_len(&out), Some(37));
        assert_eq!(out.len(), 37);
        assert_eq!(out[4..8], 3i32.to_ne_bytes());
        assert_eq!(out[24..28], 4u32.to_ne_bytes());
        assert_eq!(&out[32..], b"name\0");
        assert_eq!(out[28..32], [0; 4]);
        let invalidated = std::mem::take(&mut out);
        expire_entry(&mut out, 7, b"name");
        assert_eq!(out[28..32], 1u32.to_ne_bytes());
        assert_eq!(
            (&out[..28], &out[32..]),
            (&invalidated[..28], &invalidated[32..])
        );

        out.clear();
        invalidate_entry(&mut out, 7, &[b'x'; 256]);
        assert!(out.is_empty());
    }
}
