//! As much of the FUSE protocol as a keeper needs beside headers: the bodies of INIT, GETATTR and
//! STATFS. Numbers and layouts are those of `include/uapi/linux/fuse.h`.

use debridfs_handover::journal::{ROOT_ATTR_LEN, STATFS_LEN};
use debridfs_handover::{InHeader, OUT_HEADER_LEN, out_header};

pub(crate) const FORGET: u32 = 2;
pub(crate) const GETATTR: u32 = 3;
pub(crate) const STATFS: u32 = 17;
pub(crate) const FLUSH: u32 = 25;
pub(crate) const INIT: u32 = 26;
pub(crate) const INTERRUPT: u32 = 36;
pub(crate) const DESTROY: u32 = 38;
pub(crate) const BATCH_FORGET: u32 = 42;

pub(crate) const ROOT_ID: u64 = 1;

/// `FUSE_NOTIFY_RESEND`, sent as the error of a reply with `unique` 0.
pub(crate) const NOTIFY_RESEND: i32 = 7;

/// `FUSE_UNIQUE_RESEND`: a request that was asked for again has it in its number.
pub(crate) const RESENT: u64 = 1 << 63;

/// True for what the kernel waits for an answer of.
pub(crate) fn is_answered(opcode: u32) -> bool {
    !matches!(opcode, FORGET | BATCH_FORGET | INTERRUPT)
}

/// Little helper for fixed layouts; zero beyond the end, as an older kernel's shorter structure.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_ne_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    word.map_or(0, u64::from_ne_bytes)
}

/// The header of a raw request. `None` when it is cut short or tells another length.
pub(crate) fn header(request: &[u8]) -> Option<InHeader> {
    InHeader::decode(request).filter(|header| header.len as usize == request.len())
}

/// A reply with this body; `error` is a positive errno or 0.
pub(crate) fn reply(unique: u64, error: i32, body: &[u8]) -> Vec<u8> {
    let length = OUT_HEADER_LEN + body.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(out_header(length as u32, error, unique));
    bytes.extend(body);
    bytes
}

/// A notification without a body: the code stands in the place of the error, not negated.
pub(crate) fn notification(code: i32) -> Vec<u8> {
    reply(0, -code, &[])
}

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;

/// True when the kernel would accept these bytes as the root's `fuse_attr_out`: for anything else
/// it marks the root inode bad for as long as the mount lives.
pub(crate) fn is_root_attr(attr_out: &[u8; ROOT_ATTR_LEN]) -> bool {
    let inode = u64_at(attr_out, 16);
    let size = u64_at(attr_out, 24);
    let mode = u32_at(attr_out, 16 + 60);
    inode == ROOT_ID && mode & S_IFMT == S_IFDIR && i64::try_from(size).is_ok()
}

/// The root's `fuse_attr_out` before any engine published one: an empty directory that may be
/// entered, to be asked for again after a second.
pub(crate) fn default_root_attr(uid: u32, gid: u32) -> [u8; ROOT_ATTR_LEN] {
    let mut bytes = [0; ROOT_ATTR_LEN];
    let mut put64 = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    put64(0, 1);
    put64(16, ROOT_ID);
    let words = [
        (76, S_IFDIR | 0o555),
        (80, 2),
        (84, uid),
        (88, gid),
        (96, 4096),
    ];
    for (at, value) in words {
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

/// `fuse_statfs_out` before any engine published one: nothing stored, names of 255 bytes.
pub(crate) fn default_statfs() -> [u8; STATFS_LEN] {
    let mut bytes = [0; STATFS_LEN];
    for (at, value) in [(40, 4096_u32), (44, 255), (48, 4096)] {
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use debridfs_handover::interrupt_target;

    use super::*;

    #[test]
    fn the_default_root_is_one_the_kernel_accepts() {
        let attr = default_root_attr(1000, 1001);
        assert!(is_root_attr(&attr));
        assert!(!is_root_attr(&[0; ROOT_ATTR_LEN]));
        assert_eq!((u32_at(&attr, 84), u32_at(&attr, 88)), (1000, 1001));
    }

    #[test]
    fn fuzz_any_request_is_a_header_or_nothing() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Some(header) = header(bytes) {
                assert!(bytes.len() >= InHeader::LEN);
                assert_eq!(reply(header.unique, 5, &[]).len(), 16);
            }
            let _ = interrupt_target(bytes);
        });
    }
}
