//! What files hold: a pure function of (key, offset), so that an 80 GB film needs no disk and any byte can be checked.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::clip::Clip;
use crate::random::{STEP, hash_parts, mix};
use crate::rar::Archive;

/// The key of a generated file: from the info-hash (lower-case hexadecimal) and the path in the release as the provider tells it
/// (with the leading `/`), so that two torrents of one hash hold the same bytes.
pub fn key(hash: &str, path: &str) -> u64 {
    hash_parts(&[hash.as_bytes(), path.as_bytes()])
}

#[inline(always)]
fn word(key: u64, index: u64) -> [u8; 8] {
    mix(key.wrapping_add(index.wrapping_mul(STEP))).to_le_bytes()
}

/// Writes the bytes of the generated file `key` from `offset` on into `out`. The eight bytes from offset `8 * i` are a word made of
/// `key` and `i` alone.
pub fn fill(key: u64, offset: u64, out: &mut [u8]) {
    let mut index = offset / 8;
    let skip = (offset % 8) as usize;
    let mut rest = out;
    if skip != 0 {
        let bytes = word(key, index);
        let take = rest.len().min(8 - skip);
        let (head, tail) = rest.split_at_mut(take);
        head.copy_from_slice(&bytes[skip..skip + take]);
        rest = tail;
        index = index.wrapping_add(1);
    }
    let mut chunks = rest.chunks_exact_mut(32);
    for chunk in &mut chunks {
        chunk[..8].copy_from_slice(&word(key, index));
        chunk[8..16].copy_from_slice(&word(key, index.wrapping_add(1)));
        chunk[16..24].copy_from_slice(&word(key, index.wrapping_add(2)));
        chunk[24..].copy_from_slice(&word(key, index.wrapping_add(3)));
        index = index.wrapping_add(4);
    }
    for chunk in chunks.into_remainder().chunks_mut(8) {
        let length = chunk.len();
        chunk.copy_from_slice(&word(key, index)[..length]);
        index = index.wrapping_add(1);
    }
}

/// Where the bytes of one served file come from.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Generated { key: u64, size: u64 },
    Clip(Clip),
    Local { path: Arc<Path>, size: u64 },
    Packed(Arc<Archive>),
}

impl Content {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Generated { size, .. } | Self::Local { size, .. } => *size,
            Self::Clip(clip) => clip.bytes().len() as u64,
            Self::Packed(archive) => archive.size(),
        }
    }

    /// A number that changes with the bytes.
    pub(crate) fn version(&self) -> u64 {
        match self {
            Self::Generated { key, size } => mix(key ^ mix(*size)),
            Self::Clip(clip) => hash_parts(&[clip.bytes()]),
            Self::Local { path, size } => {
                hash_parts(&[path.as_os_str().as_bytes(), &size.to_le_bytes()])
            }
            Self::Packed(archive) => archive.version(),
        }
    }

    /// Fills `out` from `offset` on; the range must lie in the file.
    ///
    /// # Panics
    /// If a local file is gone or shorter than it was: the connection ends, as with a broken server.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) {
        match self {
            Self::Generated { key, .. } => fill(*key, offset, out),
            Self::Clip(clip) => {
                let start = offset as usize;
                out.copy_from_slice(&clip.bytes()[start..start + out.len()]);
            }
            Self::Local { path, .. } => std::fs::File::open(path)
                .and_then(|file| file.read_exact_at(out, offset))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            Self::Packed(archive) => archive.read(offset, out),
        }
    }
}

/// Makes the blocks of one body, and uses the memory of blocks again that the connection has given back.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    lent: std::collections::VecDeque<Bytes>,
}

/// Blocks kept for another use: one being written, one waiting, one being made.
const POOL: usize = 3;

impl Blocks {
    pub(crate) fn make(&mut self, content: &Content, offset: u64, length: usize) -> Bytes {
        let mut block = self.take(length);
        content.read(offset, &mut block);
        let block = block.freeze();
        self.lent.push_back(block.clone());
        block
    }

    fn take(&mut self, length: usize) -> BytesMut {
        if self.lent.len() >= POOL
            && let Some(oldest) = self.lent.pop_front()
            && let Ok(mut block) = oldest.try_into_mut()
            && block.len() >= length
        {
            block.truncate(length);
            return block;
        }
        BytesMut::zeroed(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_a_part_of_the_whole() {
        let mut whole = vec![0; 500];
        fill(7, 0, &mut whole);
        for start in 0..100usize {
            for length in [0usize, 1, 3, 7, 8, 9, 31, 32, 33, 64, 100, 257] {
                let mut part = vec![0; length];
                fill(7, start as u64, &mut part);
                assert_eq!(part, whole[start..start + length], "{start}+{length}");
            }
        }
    }

    #[test]
    fn keys_and_far_offsets_differ() {
        let mut a = [0; 64];
        let mut b = [0; 64];
        fill(1, 80 << 30, &mut a);
        fill(2, 80 << 30, &mut b);
        assert_ne!(a, b);
        fill(1, (80 << 30) + 64, &mut b);
        assert_ne!(a, b);
        assert_ne!(key("ab", "c"), key("a", "bc"));
    }

    #[test]
    fn lent_memory_is_not_written_while_somebody_holds_it() {
        let content = Content::Generated {
            key: 3,
            size: 1 << 20,
        };
        let mut blocks = Blocks::default();
        let held: Vec<Bytes> = (0..10).map(|i| blocks.make(&content, i * 64, 64)).collect();
        for (i, block) in held.iter().enumerate() {
            let mut expected = [0; 64];
            fill(3, i as u64 * 64, &mut expected);
            assert_eq!(block[..], expected);
        }
    }
}
