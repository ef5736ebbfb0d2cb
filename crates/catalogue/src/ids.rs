//! Inode numbers: made of what a node is, so that every node of a cluster and every restart comes to the same ones.
//!
//! A file is (content id, path in the torrent, occurrence of that path); a directory is (view, content id, shown path), as it has exactly one parent.
//! The number is taken from SHA-256 over that. Bit 63 is clear, so that a number is also a directory cookie and fits a signed column; bit 62 tells files (1)
//! from directories (0), so that directories come before files in a listing. Numbers below [`FIRST`] are left to fixed nodes.
//! The `.strm` of a film has the film's number with bit 61 changed ([`strm_of`]), which no file is given.
//!
//! Two nodes that come to the same number are told apart by the order in which they were first shown: the later one takes the next number of its own
//! series, and this choice is handed out ([`IdTable::take_new`]) to be stored, as the order is not known again after a restart.

use std::collections::HashMap;

use debridfs_provider::ContentId;
use sha2::{Digest, Sha256};

use debridfs_base::NodeId;

/// The smallest number given to anything that is not fixed.
pub const FIRST: u64 = 1 << 16;
/// Set in numbers of files.
const FILE_BIT: u64 = 1 << 62;
/// Changed in the number of a film's `.strm`.
const STRM_BIT: u64 = 1 << 61;
/// Changes with the meaning of the numbers; they are forever, so this is too.
const VERSION_TAG: &[u8] = b"debridfs-id-1";

/// A number that is not the first of its node's series, because that one was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdOverride {
    /// SHA-256 of what the node is.
    pub key: [u8; 32],
    /// Its number.
    pub id: NodeId,
}

/// Gives every node its number, and remembers which are taken.
#[derive(Debug)]
pub struct IdTable {
    /// Number → first bytes of the owner's key.
    owners: HashMap<u64, u64>,
    overrides: HashMap<[u8; 32], NodeId>,
    new: Vec<IdOverride>,
    /// Number `n` of the series of a key; tests put a narrow one here.
    series: fn(&[u8; 32], u32) -> u64,
}

impl IdTable {
    /// A table with the choices stored before.
    pub fn new(overrides: impl IntoIterator<Item = IdOverride>) -> Self {
        Self::with_series(overrides, series)
    }

    fn with_series(
        overrides: impl IntoIterator<Item = IdOverride>,
        series: fn(&[u8; 32], u32) -> u64,
    ) -> Self {
        let overrides: HashMap<_, _> = overrides
            .into_iter()
            .map(|line| (line.key, line.id))
            .collect();
        let owners = overrides.iter().map(|(key, id)| (id.0, tag(key))).collect();
        Self {
            owners,
            overrides,
            new: Vec::new(),
            series,
        }
    }

    /// The number of a file: `path` as the provider writes it, without leading slashes; `occurrence` counts files of the same path from 0.
    pub fn file(&mut self, content: ContentId, path: &str, occurrence: u32) -> NodeId {
        let key = key(
            b'f',
            &[
                &content.id_bytes(),
                path.as_bytes(),
                &occurrence.to_be_bytes(),
            ],
        );
        self.assign(key, FILE_BIT)
    }

    /// The number of a directory of a release in a view: `path` as shown, `""` for the release itself.
    pub fn dir(&mut self, view: &str, content: ContentId, path: &str) -> NodeId {
        let key = key(
            b'd',
            &[view.as_bytes(), &content.id_bytes(), path.as_bytes()],
        );
        self.assign(key, 0)
    }

    /// The number of a view.
    pub fn view(&mut self, view: &str) -> NodeId {
        let key = key(b'v', &[view.as_bytes()]);
        self.assign(key, 0)
    }

    /// Choices made since the last call, to be stored.
    pub fn take_new(&mut self) -> Vec<IdOverride> {
        std::mem::take(&mut self.new)
    }

    /// The node of `id` is gone for good. Should it come back it gets the same number, as after a
    /// restart: a choice that was stored holds on.
    pub fn forget(&mut self, id: NodeId) {
        if !self.overrides.values().any(|chosen| *chosen == id) {
            self.owners.remove(&id.0);
        }
    }

    fn assign(&mut self, key: [u8; 32], kind: u64) -> NodeId {
        if let Some(&id) = self.overrides.get(&key) {
            return id;
        }
        let tag = tag(&key);
        for number in 0u32.. {
            let id = ((self.series)(&key, number) & (FILE_BIT - 1)) | kind;
            if id < FIRST {
                continue;
            }
            let strm = strm_of(NodeId(id));
            if is_file(strm) && self.owners.get(&strm.0).is_some_and(|owner| *owner != tag) {
                continue;
            }
            match self.owners.get(&id) {
                Some(&owner) if owner != tag => continue,
                Some(_) => {}
                None => {
                    self.owners.insert(id, tag);
                }
            }
            if number > 0 {
                self.overrides.insert(key, NodeId(id));
                self.new.push(IdOverride {
                    key,
                    id: NodeId(id),
                });
            }
            return NodeId(id);
        }
        unreachable!("2^32 numbers of one series were taken: more nodes than memory holds")
    }
}

/// Whether the number is one of a file.
pub fn is_file(id: NodeId) -> bool {
    id.0 & FILE_BIT != 0
}

/// The number of the `.strm` of the film `id`; of a `.strm` that of its film.
pub fn strm_of(id: NodeId) -> NodeId {
    NodeId(id.0 ^ STRM_BIT)
}

fn key(kind: u8, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(VERSION_TAG);
    hash.update([kind]);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// What tells the owner of a number from others: bytes of the key that the first number is not made of.
fn tag(key: &[u8; 32]) -> u64 {
    u64::from_be_bytes(key[8..16].try_into().expect("8 bytes of 32"))
}

fn series(key: &[u8; 32], number: u32) -> u64 {
    let first = |bytes: &[u8]| u64::from_be_bytes(bytes[..8].try_into().expect("8 bytes of 32"));
    if number == 0 {
        return first(key);
    }
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update(number.to_be_bytes());
    first(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use debridfs_provider::InfoHash;
    use proptest::prelude::*;

    use super::*;

    const HASH: ContentId = ContentId::Torrent(InfoHash([7; 20]));

    /// 8 possible numbers at first, more with each try: every few nodes collide.
    fn narrow(key: &[u8; 32], number: u32) -> u64 {
        FIRST + series(key, number) % (8 << number.min(16))
    }

    #[test]
    fn numbers_are_what_they_always_were() {
        let mut ids = IdTable::new([]);
        assert_eq!(ids.view("__all__"), NodeId(GOLDEN[0]));
        assert_eq!(ids.dir("__all__", HASH, ""), NodeId(GOLDEN[1]));
        assert_eq!(ids.dir("__all__", HASH, "Subs"), NodeId(GOLDEN[2]));
        assert_eq!(ids.file(HASH, "Subs/en.srt", 0), NodeId(GOLDEN[3]));
        assert_eq!(ids.file(HASH, "Subs/en.srt", 1), NodeId(GOLDEN[4]));
        assert!(ids.take_new().is_empty());
    }

    /// Changing one of these breaks every NFS handle and every media server's memory of its files.
    const GOLDEN: [u64; 5] = [
        3_978_294_625_273_912_368,
        1_012_758_741_924_977_385,
        310_824_255_215_052_265,
        8_110_991_064_275_623_688,
        7_670_118_637_994_532_655,
    ];

    #[test]
    fn parts_do_not_run_into_each_other() {
        let mut ids = IdTable::new([]);
        assert_ne!(ids.dir("a", HASH, "bc"), ids.dir("ab", HASH, "c"));
        assert_ne!(ids.view("x"), ids.dir("x", HASH, ""));
    }

    #[test]
    fn the_strm_of_a_film_is_no_other_file() {
        // Each number is that of another one's `.strm`.
        let twins = |key: &[u8; 32], number: u32| match (key[0] % 2, number) {
            (first, 0) => FIRST + 1 + u64::from(first) * STRM_BIT,
            _ => series(key, number),
        };
        let mut ids = IdTable::with_series([], twins);
        let files: Vec<NodeId> = (0..20).map(|n| ids.file(HASH, &n.to_string(), 0)).collect();
        let mut all: HashSet<NodeId> = files.iter().copied().collect();
        all.extend(files.iter().map(|id| strm_of(*id)));
        assert_eq!(all.len(), 2 * files.len());
        assert!(all.iter().all(|id| is_file(*id) && id.0 < 1 << 63));
        assert_eq!(strm_of(strm_of(files[0])), files[0]);
        // A directory may be called so.
        let view = ids.view("x");
        assert!(!all.contains(&view) && !is_file(strm_of(view)));
    }

    #[test]
    fn what_is_gone_takes_no_memory_and_comes_back_as_it_was() {
        let mut ids = IdTable::with_series([], narrow);
        let names: Vec<String> = (0..40).map(|n| format!("{n}")).collect();
        let before: Vec<NodeId> = names.iter().map(|name| ids.file(HASH, name, 0)).collect();
        let chosen: HashSet<NodeId> = ids.take_new().iter().map(|line| line.id).collect();
        assert!(!chosen.is_empty());
        before.iter().for_each(|id| ids.forget(*id));
        assert_eq!(ids.owners.len(), chosen.len());
        let after: Vec<NodeId> = names.iter().map(|name| ids.file(HASH, name, 0)).collect();
        assert_eq!(before, after);
        assert!(ids.take_new().is_empty());
    }

    proptest! {
        #[test]
        fn numbers_are_in_range_and_tell_the_kind(path in ".*", view in ".*", n in 0u32..3) {
            let mut ids = IdTable::new([]);
            let file = ids.file(HASH, &path, n);
            let dir = ids.dir(&view, HASH, &path);
            prop_assert!(is_file(file) && !is_file(dir));
            for id in [file, dir, ids.view(&view)] {
                prop_assert!(id.0 >= FIRST && id.0 < 1 << 63);
            }
        }

        #[test]
        fn collisions_end_in_distinct_numbers_that_survive_a_restart_in_any_order(
            names in proptest::collection::hash_set("[a-z]{1,4}", 1..60),
            other in proptest::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let names: Vec<String> = names.into_iter().collect();
            let mut ids = IdTable::with_series([], narrow);
            let first: HashMap<&str, NodeId> =
                names.iter().map(|name| (name.as_str(), ids.file(HASH, name, 0))).collect();
            prop_assert_eq!(first.values().collect::<HashSet<_>>().len(), names.len());
            for name in &names {
                prop_assert_eq!(ids.file(HASH, name, 0), first[name.as_str()], "asked again");
            }
            let stored = ids.take_new();
            // Whoever has the first number of its series is not stored; all stored choices hold in any order of asking.
            let mut again = IdTable::with_series(stored.clone(), narrow);
            for pick in &other {
                let name = &names[pick.index(names.len())];
                prop_assert_eq!(again.file(HASH, name, 0), first[name.as_str()]);
            }
            prop_assert!(again.take_new().is_empty());
        }
    }
}
