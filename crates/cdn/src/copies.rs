//! What the copies of a file proved: which of them repeat the bytes that were read before, and which differ and are never used again.
//!
//! Copies of one info-hash, path and size ought to be the same bytes. The first one that gives any is believed; each other one has to
//! repeat what is known before its bytes are used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use debridfs_provider::{DifferingCopy, Source, TorrentId};
use parking_lot::Mutex;

use crate::tuning::copies::{LEAST_SAMPLE, MOST_FILES, SAMPLE};

/// The copies of the files that were read lately.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    state: Mutex<State>,
    /// How many were found to differ.
    marks: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    proofs: HashMap<u64, Proof>,
    /// Also those that an earlier process found.
    differing: HashMap<u64, Vec<CopyId>>,
    uses: u64,
}

#[derive(Debug)]
struct Proof {
    /// Who gave bytes last.
    serving: CopyId,
    agreed: Vec<CopyId>,
    sample: Sample,
    used: u64,
}

/// Bytes of a file, and where they begin.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) at: u64,
    pub(crate) bytes: Bytes,
}

/// A copy of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyId {
    /// Provider's configured name.
    pub provider: String,
    /// The torrent there.
    pub torrent: TorrentId,
}

/// What the copies of a file proved since the start; empty of one that has a single copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proven {
    /// Which gave bytes last, if any did lately.
    pub serving: Option<CopyId>,
    /// Those that gave other bytes, and are not used any more.
    pub differing: Vec<CopyId>,
}

impl CopyId {
    fn of(source: &Source) -> Self {
        Self {
            provider: source.provider.clone(),
            torrent: source.torrent.clone(),
        }
    }

    fn is(&self, source: &Source) -> bool {
        self.provider == source.provider && self.torrent == source.torrent
    }
}

/// What is known of a copy.
#[derive(Debug)]
pub(crate) enum Trust {
    /// No copy of the file gave anything yet.
    First,
    /// It gave the bytes, or repeated them.
    Agreed,
    /// Another one gave these bytes, which it has to repeat.
    Unproved(Sample),
}

impl Copies {
    /// Begins with what earlier processes found.
    pub(crate) fn knowing(differing: Vec<DifferingCopy>) -> Self {
        let copies = Self::default();
        copies
            .marks
            .store(differing.len() as u64, Ordering::Release);
        let mut state = copies.state.lock();
        for copy in differing {
            let (provider, torrent) = (copy.provider, copy.torrent);
            let of_file = state.differing.entry(copy.file).or_default();
            of_file.push(CopyId { provider, torrent });
        }
        drop(state);
        copies
    }

    /// What is known of `source` as a copy of `file`.
    pub(crate) fn trust(&self, file: u64, source: &Source) -> Trust {
        let mut state = self.state.lock();
        state.uses += 1;
        let now = state.uses;
        let Some(proof) = state.proofs.get_mut(&file) else {
            return Trust::First;
        };
        proof.used = now;
        match proof.agreed.iter().any(|copy| copy.is(source)) {
            true => Trust::Agreed,
            false => Trust::Unproved(proof.sample.clone()),
        }
    }

    /// `source` gave `bytes` of `file` from `at` on, the first that anybody gave. Returns whether that is settled.
    pub(crate) fn gave(&self, file: u64, source: &Source, at: u64, bytes: &Bytes) -> bool {
        if bytes.len() < LEAST_SAMPLE {
            return false;
        }
        let mut state = self.state.lock();
        if state.proofs.contains_key(&file) {
            return true;
        }
        if state.proofs.len() >= MOST_FILES {
            let oldest = state.proofs.iter().min_by_key(|(_, proof)| proof.used);
            if let Some(oldest) = oldest.map(|(file, _)| *file) {
                state.proofs.remove(&oldest);
            }
        }
        let proof = Proof {
            serving: CopyId::of(source),
            agreed: vec![CopyId::of(source)],
            sample: Sample {
                at,
                // Of its own, or it would hold all of the answer.
                bytes: Bytes::copy_from_slice(&bytes[..bytes.len().min(SAMPLE)]),
            },
            used: state.uses,
        };
        state.proofs.insert(file, proof);
        true
    }

    /// `source` gives bytes of `file`, and repeated what is known of it.
    pub(crate) fn agrees(&self, file: u64, source: &Source) {
        let mut state = self.state.lock();
        let Some(proof) = state.proofs.get_mut(&file) else {
            return;
        };
        if !proof.serving.is(source) {
            proof.serving = CopyId::of(source);
        }
        if !proof.agreed.iter().any(|copy| copy.is(source)) {
            proof.agreed.push(CopyId::of(source));
        }
    }

    /// What is known of the copies of `file`.
    pub(crate) fn proven(&self, file: u64) -> Proven {
        let state = self.state.lock();
        Proven {
            serving: state.proofs.get(&file).map(|proof| proof.serving.clone()),
            differing: state.differing.get(&file).cloned().unwrap_or_default(),
        }
    }

    /// `source` gives other bytes of `file` than were read before. Returns whether that is news.
    pub(crate) fn mark(&self, file: u64, source: &Source) -> bool {
        let mut state = self.state.lock();
        if let Some(proof) = state.proofs.get_mut(&file) {
            proof.agreed.retain(|copy| !copy.is(source));
        }
        let differing = state.differing.entry(file).or_default();
        if differing.iter().any(|copy| copy.is(source)) {
            return false;
        }
        differing.push(CopyId::of(source));
        self.marks.fetch_add(1, Ordering::Release);
        true
    }

    /// Whether `source` was found to differ.
    pub(crate) fn differs(&self, file: u64, source: &Source) -> bool {
        self.marks() > 0
            && (self.state.lock().differing.get(&file))
                .is_some_and(|copies| copies.iter().any(|copy| copy.is(source)))
    }

    /// How many are known to differ.
    pub(crate) fn marks(&self) -> u64 {
        self.marks.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use debridfs_provider::HosterLink;

    use super::*;

    fn source(provider: &str) -> Source {
        Source {
            provider: provider.to_owned(),
            torrent: TorrentId("T".to_owned()),
            link: HosterLink("l".to_owned()),
            part: None,
        }
    }

    #[test]
    fn the_first_is_believed_and_the_others_prove_themselves() {
        let copies = Copies::default();
        let (a, b) = (source("a"), source("b"));
        let bytes = Bytes::from(vec![7; 2 * SAMPLE]);
        assert!(matches!(copies.trust(1, &a), Trust::First));
        assert!(!copies.gave(1, &a, 9, &bytes.slice(..1)));
        assert!(copies.gave(1, &a, 9, &bytes));
        assert!(matches!(copies.trust(1, &a), Trust::Agreed));
        let Trust::Unproved(sample) = copies.trust(1, &b) else {
            panic!("it gave nothing yet");
        };
        assert_eq!((sample.at, sample.bytes.len()), (9, SAMPLE));
        copies.agrees(1, &b);
        assert!(matches!(copies.trust(1, &b), Trust::Agreed));
        assert_eq!(copies.proven(1).serving, Some(CopyId::of(&b)));
        assert!(copies.mark(1, &b) && !copies.mark(1, &b));
        assert!(copies.differs(1, &b) && !copies.differs(2, &b) && !copies.differs(1, &a));
        assert!(matches!(copies.trust(1, &b), Trust::Unproved(_)));
        assert_eq!(copies.proven(1).differing, [CopyId::of(&b)]);
    }

    #[test]
    fn what_was_found_before_is_known() {
        let before = DifferingCopy {
            file: 1,
            provider: "b".to_owned(),
            torrent: TorrentId("T".to_owned()),
        };
        let copies = Copies::knowing(vec![before]);
        assert!(copies.differs(1, &source("b")) && !copies.differs(1, &source("a")));
        assert!(!copies.mark(1, &source("b")), "no news");
        assert_eq!(copies.proven(1).differing, [CopyId::of(&source("b"))]);
    }

    #[test]
    fn files_without_end_are_no_memory_without_end() {
        let copies = Copies::default();
        let bytes = Bytes::from(vec![7; LEAST_SAMPLE]);
        for file in 0..10 * MOST_FILES as u64 {
            copies.gave(file, &source("a"), 0, &bytes);
            copies.trust(0, &source("a"));
        }
        assert_eq!(copies.state.lock().proofs.len(), MOST_FILES);
        assert!(matches!(copies.trust(0, &source("a")), Trust::Agreed));
    }
}
