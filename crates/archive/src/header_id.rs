//! What names a range of an archive's headers. The event log and the cache keep it, so it must stay
//! the same.

use std::ops::Range;

use debridfs_provider::HosterLink;
use sha2::{Digest, Sha256};

/// Set in numbers of headers: those of files and directories are smaller.
const HEADER_BIT: u64 = 1 << 63;
/// Changes with the meaning of the numbers.
const VERSION_TAG: &[u8] = b"debridfs-archive-1";

/// Whether a number is that of an archive's headers, not of a file that is shown.
pub fn is_archive(id: u64) -> bool {
    id & HEADER_BIT != 0
}

/// The number of the bytes `range` of the archive that `link` of `provider` gives.
pub(crate) fn header_id(provider: &str, link: &HosterLink, range: &Range<u64>) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(VERSION_TAG);
    for part in [provider.as_bytes(), link.0.as_bytes()] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.update(range.start.to_be_bytes());
    hasher.update(range.end.to_be_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    let (first, _) = digest.split_first_chunk().expect("32 bytes");
    u64::from_be_bytes(*first) | HEADER_BIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_they_always_were() {
        let link = HosterLink("https://real-debrid.com/d/ABCDEF".into());
        let ids = [
            header_id("rd", &link, &(0..4096)),
            header_id("rd", &link, &(4096..8192)),
            header_id("other", &link, &(0..4096)),
        ];
        assert_eq!(ids, GOLDEN);
        assert!(ids.into_iter().all(is_archive));
    }

    /// A change of one of these has the headers of every archive fetched again.
    const GOLDEN: [u64; 3] = [
        13_745_795_393_901_273_431,
        16_280_551_395_220_286_066,
        17_464_753_227_192_475_897,
    ];
}
