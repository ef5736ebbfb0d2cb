//! The side file of a cached file: what is there, and the sums by which it is known again.
//!
//! Page 0 is the header. Each further page speaks for 56 MiB: seven segments of 64 granules, a mask of present blocks and a sum for each
//! granule. Every page ends with a CRC-32 over itself and names its place, so that a torn, stale or foreign page is taken for empty.
//! All numbers are little endian. Nothing in it depends on the machine: a copy of the directory is as good as the original.

use std::ops::Range;

/// What is present or absent: a page of the kernel's, as reads come in these.
pub(crate) const BLOCK: u64 = 4 << 10;
/// What one sum speaks for.
pub(crate) const GRANULE: u64 = 128 << 10;
/// What is evicted at once.
pub(crate) const SEGMENT: u64 = 8 << 20;
pub(crate) const GRANULES: usize = (SEGMENT / GRANULE) as usize;
/// Size of the header and of every page after it.
pub(crate) const PAGE: usize = 4096;
/// Segments that one page speaks for.
pub(crate) const SEGMENTS_PER_PAGE: usize = 7;

const BLOCKS: u64 = GRANULE / BLOCK;
const MAGIC: &[u8; 8] = b"dfscache";
const VERSION: u32 = 1;
const PINNED: u32 = 1;
const CRC_AT: usize = PAGE - 4;
const NAME_AT: usize = CRC_AT - 16;
const ENTRY: usize = 8;

/// The header of a side file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Identity of the media file.
    pub(crate) id: u64,
    /// Its size; together they are the identity of the content.
    pub(crate) size: u64,
    /// When it was used last, in seconds of Unix time.
    pub(crate) used: u64,
    /// Whether it is never evicted.
    pub(crate) pinned: bool,
}

/// Which blocks of a granule are present, the first in the lowest bit, and the sum of their [`block_sum`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Granule {
    pub(crate) mask: u32,
    pub(crate) sum: u32,
}

/// The granules of one page, segment by segment.
pub(crate) type Page = [[Granule; GRANULES]; SEGMENTS_PER_PAGE];

pub(crate) const EMPTY_SEGMENT: [Granule; GRANULES] = [Granule { mask: 0, sum: 0 }; GRANULES];

/// What block `number` of file `id` adds to its granule's sum, from the CRC-32 of its bytes.
///
/// Sums are added, so that a block can join a granule without its other blocks being read; the place goes through a mixer first
/// (splitmix64's), or two blocks in each other's place would have the same sum.
pub(crate) fn block_sum(id: u64, number: u64, crc: u32) -> u32 {
    let mut mixed = id ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (u64::from(crc) << 17);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) as u32
}

/// The sum of those blocks of a granule that `mask` names, in `bytes`, which begin at the granule's start and reach up to its end or the file's.
pub(crate) fn granule_sum(id: u64, granule: u64, mask: u32, bytes: &[u8]) -> u32 {
    bytes
        .chunks(BLOCK as usize)
        .enumerate()
        .filter(|(at, _)| mask & (1 << at) != 0)
        .fold(0u32, |sum, (at, block)| {
            let number = granule * BLOCKS + at as u64;
            sum.wrapping_add(block_sum(id, number, crc32fast::hash(block)))
        })
}

/// The mask of the blocks that `range` touches in `granule`.
pub(crate) fn mask_of(granule: u64, range: &Range<u64>) -> u32 {
    let start = granule * GRANULE;
    let from = range.start.max(start) - start;
    let to = range.end.min(start + GRANULE).saturating_sub(start);
    if from >= to {
        return 0;
    }
    let (first, last) = (from / BLOCK, (to - 1) / BLOCK);
    let upto = |bit: u64| ((1u64 << bit) - 1) as u32;
    upto(last + 1) & !upto(first)
}

/// The granules that `range` touches.
pub(crate) fn granules(range: &Range<u64>) -> Range<u64> {
    range.start / GRANULE..range.end.div_ceil(GRANULE)
}

/// The segment of a granule, and its place there.
pub(crate) fn place(granule: u64) -> (u32, usize) {
    let per = GRANULES as u64;
    ((granule / per) as u32, (granule % per) as usize)
}

/// Number of pages after the header for a file of `size` bytes.
pub(crate) fn pages(size: u64) -> u64 {
    size.div_ceil(SEGMENT).div_ceil(SEGMENTS_PER_PAGE as u64)
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

fn get32(bytes: &[u8], at: usize) -> u32 {
    let four = bytes[at..at + 4].try_into();
    four.map_or(0, u32::from_le_bytes)
}

fn get64(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes[at..at + 8].try_into();
    eight.map_or(0, u64::from_le_bytes)
}

fn seal(mut page: [u8; PAGE]) -> [u8; PAGE] {
    let crc = crc32fast::hash(&page[..CRC_AT]);
    put(&mut page, CRC_AT, &crc.to_le_bytes());
    page
}

fn is_sealed(page: &[u8]) -> bool {
    page.len() == PAGE && crc32fast::hash(&page[..CRC_AT]) == get32(page, CRC_AT)
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        put(&mut page, 0, MAGIC);
        put(&mut page, 8, &VERSION.to_le_bytes());
        put(
            &mut page,
            12,
            &(u32::from(self.pinned) * PINNED).to_le_bytes(),
        );
        put(&mut page, 16, &self.id.to_le_bytes());
        put(&mut page, 24, &self.size.to_le_bytes());
        put(&mut page, 32, &self.used.to_le_bytes());
        seal(page)
    }

    /// The header in `page`, unless it is damaged or of another kind or version.
    pub(crate) fn decode(page: &[u8]) -> Option<Self> {
        let known = is_sealed(page) && page[..8] == *MAGIC && get32(page, 8) == VERSION;
        known.then(|| Self {
            id: get64(page, 16),
            size: get64(page, 24),
            used: get64(page, 32),
            pinned: get32(page, 12) & PINNED != 0,
        })
    }
}

/// Page `index` (0 is the first after the header) of the side file of `id`.
pub(crate) fn encode_page(id: u64, index: u64, page: &Page) -> [u8; PAGE] {
    let mut out = [0; PAGE];
    for (at, granule) in page.iter().flatten().enumerate() {
        put(&mut out, at * ENTRY, &granule.mask.to_le_bytes());
        put(&mut out, at * ENTRY + 4, &granule.sum.to_le_bytes());
    }
    put(&mut out, NAME_AT, &id.to_le_bytes());
    put(&mut out, NAME_AT + 8, &index.to_le_bytes());
    seal(out)
}

/// The reverse of [`encode_page`] for a file of `size` bytes; `None` if the page is damaged, belongs elsewhere, or was never written. A granule
/// that claims blocks behind the end of the file is taken for empty.
pub(crate) fn decode_page(id: u64, size: u64, index: u64, bytes: &[u8]) -> Option<Page> {
    let ours =
        is_sealed(bytes) && get64(bytes, NAME_AT) == id && get64(bytes, NAME_AT + 8) == index;
    if !ours {
        return None;
    }
    let mut page = [EMPTY_SEGMENT; SEGMENTS_PER_PAGE];
    let first = index.checked_mul((GRANULES * SEGMENTS_PER_PAGE) as u64)?;
    for (at, granule) in page.iter_mut().flatten().enumerate() {
        let mask = get32(bytes, at * ENTRY);
        let there = first
            .checked_add(at as u64)
            .filter(|number| {
                number
                    .checked_mul(GRANULE)
                    .is_some_and(|start| start < size)
            })
            .map_or(0, |number| mask_of(number, &(0..size)));
        if mask != 0 && mask & !there == 0 {
            *granule = Granule {
                mask,
                sum: get32(bytes, at * ENTRY + 4),
            };
        }
    }
    Some(page)
}

#[cfg(test)]
mod tests {
    use bolero::check;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mask_names_the_blocks_of_a_range(granule in 0u64..4, start in 0u64..600_000, len in 0u64..300_000) {
            let range = start..start + len;
            let mask = mask_of(granule, &range);
            for bit in 0..BLOCKS {
                let block = granule * GRANULE + bit * BLOCK;
                let touched = len > 0 && range.start < block + BLOCK && block < range.end;
                prop_assert_eq!(mask & (1 << bit) != 0, touched);
            }
        }
    }

    #[test]
    fn blocks_join_in_any_order_and_no_two_change_places_unseen() {
        let bytes: Vec<u8> = (0..GRANULE).map(|at| (at / BLOCK) as u8).collect();
        let whole = granule_sum(7, 3, u32::MAX, &bytes);
        let halves =
            granule_sum(7, 3, 0xffff, &bytes).wrapping_add(granule_sum(7, 3, 0xffff << 16, &bytes));
        assert_eq!(whole, halves);
        let mut swapped = bytes.clone();
        swapped[..BLOCK as usize].fill(1);
        swapped[BLOCK as usize..2 * BLOCK as usize].fill(0);
        assert_ne!(whole, granule_sum(7, 3, u32::MAX, &swapped));
        assert_ne!(
            whole,
            granule_sum(8, 3, u32::MAX, &bytes),
            "of another file"
        );
        assert_ne!(
            whole,
            granule_sum(7, 4, u32::MAX, &bytes),
            "of another place"
        );
        for bit in [0, 12_345 * 8, GRANULE as usize * 8 - 1] {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(whole, granule_sum(7, 3, u32::MAX, &flipped));
        }
    }

    #[test]
    fn pages_are_told_from_those_of_other_places() {
        let size = 100 << 20;
        let mut page = [EMPTY_SEGMENT; SEGMENTS_PER_PAGE];
        page[3][9] = Granule {
            mask: 0xf0,
            sum: 77,
        };
        let bytes = encode_page(5, 1, &page);
        assert_eq!(decode_page(5, size, 1, &bytes), Some(page));
        assert_eq!(decode_page(6, size, 1, &bytes), None, "another file");
        assert_eq!(decode_page(5, size, 0, &bytes), None, "another page");
        assert_eq!(decode_page(5, size, 1, &bytes[..PAGE - 1]), None, "cut off");
        assert_eq!(decode_page(5, size, 1, &[0; PAGE]), None, "never written");
        let short = decode_page(5, 60 << 20, 1, &bytes).unwrap();
        assert_eq!(short, [EMPTY_SEGMENT; SEGMENTS_PER_PAGE], "behind the end");
    }

    #[test]
    fn fuzz_header() {
        check!().for_each(|bytes: &[u8]| {
            let mut page = [0; PAGE];
            let taken = bytes.len().min(CRC_AT);
            page[..taken].copy_from_slice(&bytes[..taken]);
            // Bytes at random are never sealed: what is behind the seal has to be met as well.
            for page in [page, seal(page)] {
                if let Some(header) = Header::decode(&page) {
                    assert_eq!(Header::decode(&header.encode()), Some(header));
                }
            }
        });
    }

    #[test]
    fn fuzz_page() {
        check!()
            .with_type()
            .for_each(|(bytes, id, size, index): &(Vec<u8>, u64, u64, u64)| {
                let mut page = [0; PAGE];
                let taken = bytes.len().min(NAME_AT);
                page[..taken].copy_from_slice(&bytes[..taken]);
                put(&mut page, NAME_AT, &id.to_le_bytes());
                put(&mut page, NAME_AT + 8, &index.to_le_bytes());
                assert_eq!(decode_page(*id, *size, *index, bytes), None);
                let Some(decoded) = decode_page(*id, *size, *index, &seal(page)) else {
                    return;
                };
                let again = encode_page(*id, *index, &decoded);
                assert_eq!(decode_page(*id, *size, *index, &again), Some(decoded));
                let bits = decoded
                    .iter()
                    .flatten()
                    .map(|granule| u64::from(granule.mask.count_ones()));
                assert!(bits.sum::<u64>() <= size.div_ceil(BLOCK));
            });
    }
}
