use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::fence;

use super::Journal;
use super::layout::header;

/// `sizeof(struct fuse_attr_out)`.
pub const ROOT_ATTR_LEN: usize = 104;

/// `sizeof(struct fuse_statfs_out)`.
pub const STATFS_LEN: usize = 80;

const TRIES: usize = 8;

impl Journal {
    /// Engine: the answer it gives to GETATTR of the root (`struct fuse_attr_out`), for the
    /// stand-in to repeat. One thread publishes.
    pub fn publish_root(&self, attr_out: &[u8; ROOT_ATTR_LEN]) {
        self.publish(header::ROOT_SEQUENCE, header::ROOT_ATTR, attr_out);
    }

    /// Engine: the answer it gives to STATFS (`struct fuse_statfs_out`), for the stand-in to
    /// repeat. One thread publishes.
    pub fn publish_statfs(&self, statfs_out: &[u8; STATFS_LEN]) {
        self.publish(header::STATFS_SEQUENCE, header::STATFS, statfs_out);
    }

    /// What [`Journal::publish_root`] noted last; `None` before the first and while it is being
    /// changed.
    pub fn published_root(&self) -> Option<[u8; ROOT_ATTR_LEN]> {
        self.published(header::ROOT_SEQUENCE, header::ROOT_ATTR)
    }

    /// What [`Journal::publish_statfs`] noted last; `None` before the first and while it is being
    /// changed.
    pub fn published_statfs(&self) -> Option<[u8; STATFS_LEN]> {
        self.published(header::STATFS_SEQUENCE, header::STATFS)
    }

    fn publish(&self, sequence: usize, offset: usize, bytes: &[u8]) {
        let sequence = self.memory.u32(sequence);
        // A predecessor may have died in the middle and left an odd number.
        let odd = sequence.load(Relaxed) | 1;
        sequence.store(odd, Relaxed);
        fence(Release);
        self.memory.store(offset, bytes);
        // Zero means that nothing was ever published.
        let even = odd.wrapping_add(1);
        sequence.store(if even == 0 { 2 } else { even }, Release);
    }

    fn published<const N: usize>(&self, sequence: usize, offset: usize) -> Option<[u8; N]> {
        let sequence = self.memory.u32(sequence);
        (0..TRIES).find_map(|_| {
            let before = sequence.load(Acquire);
            if before == 0 || before % 2 == 1 {
                return None;
            }
            let mut bytes = [0; N];
            self.memory.load(offset, &mut bytes);
            fence(Acquire);
            (sequence.load(Relaxed) == before).then_some(bytes)
        })
    }
}
