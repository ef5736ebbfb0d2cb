//! The fingerprint of a line of a list: whether anything has to be asked, or stored, anew.

use debridfs_provider::TorrentSummary;
use sha2::{Digest, Sha256};

/// Of what an info call would tell anew, or of the files themselves. It is stored, so it has to be the same in every
/// version of the program.
pub(super) fn fingerprint(line: &TorrentSummary) -> u64 {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(&line.content.id_bytes());
    part(line.filename.as_bytes());
    part(&line.bytes.to_le_bytes());
    part(line.status.word().as_bytes());
    for link in &line.links {
        part(link.0.as_bytes());
    }
    for file in line.files.iter().flatten() {
        part(file.path.as_bytes());
        part(&file.bytes.to_le_bytes());
    }
    let digest = hash.finalize();
    u64::from_le_bytes(std::array::from_fn(|index| digest[index]))
}
