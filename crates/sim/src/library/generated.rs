//! Libraries of any size from a seed.

use jiff::Timestamp;

use super::{FileSpec, LibrarySpec, ReleaseSpec};
use crate::random::{Random, hash_parts};

/// How to generate a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Releases.
    pub releases: u32,
    /// Files in each, at least 1.
    pub files_per_release: u32,
    /// The same seed gives the same library.
    pub seed: u64,
}

impl Default for Generated {
    fn default() -> Self {
        Self {
            releases: 100,
            files_per_release: 1,
            seed: 1,
        }
    }
}

const ADJECTIVES: [&str; 16] = [
    "Amber", "Broken", "Copper", "Distant", "Electric", "Fallen", "Gentle", "Hidden", "Iron",
    "Jade", "Lost", "Midnight", "Northern", "Paper", "Silent", "Winter",
];
const NOUNS: [&str; 16] = [
    "Archive", "Bridge", "Canyon", "Delta", "Ember", "Forest", "Garden", "Harbour", "Island",
    "Journey", "Lantern", "Mirror", "Orbit", "Parade", "River", "Signal",
];
const QUALITIES: [(&str, u64); 4] = [
    ("720p.WEB-DL", 2_000_000_000),
    ("1080p.WEB-DL", 5_000_000_000),
    ("1080p.BluRay", 9_000_000_000),
    ("2160p.REMUX", 60_000_000_000),
];

pub(super) fn library(options: &Generated) -> LibrarySpec {
    let mut random = Random(hash_parts(&[b"generated", &options.seed.to_le_bytes()]));
    // One release every ten minutes up to the end of October 2026, so that dates lie in the past of any test.
    const LAST: i64 = 1_793_404_800;
    let releases = (0..options.releases)
        .map(|index| {
            let mut release = release(&mut random, index, options.files_per_release.max(1));
            let age = i64::from(options.releases - index) * 600;
            release.added = Timestamp::from_second(LAST - age).ok();
            release
        })
        .collect();
    LibrarySpec {
        seed: options.seed,
        releases,
    }
}

fn release(random: &mut Random, index: u32, files: u32) -> ReleaseSpec {
    let title = format!(
        "{}.{}.{index:06}",
        random.pick(&ADJECTIVES),
        random.pick(&NOUNS)
    );
    let (quality, size) = *random.pick(&QUALITIES);
    if files == 1 {
        let year = 1960 + random.below(66);
        let name = format!("{title}.{year}.{quality}-SIM");
        let bytes = size / 2 + random.below(size);
        return ReleaseSpec::new(
            &*name,
            vec![FileSpec::generated(format!("/{name}.mkv"), bytes)],
        );
    }
    let season = 1 + random.below(9);
    let bytes = size / 8 + random.below(size / 8);
    let files = (1..=files)
        .map(|episode| {
            let path = if files > 30 {
                format!(
                    "/Part {:03}/{title}.S{season:02}E{episode:04}.{quality}.mkv",
                    episode / 30 + 1
                )
            } else {
                format!("/{title}.S{season:02}E{episode:02}.{quality}.mkv")
            };
            FileSpec::generated(path, bytes + random.below(1 << 20))
        })
        .collect();
    ReleaseSpec::new(format!("{title}.S{season:02}.{quality}-SIM"), files)
}
