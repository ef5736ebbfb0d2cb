//! Counters of the connection, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::wire::Opcode;

/// Number of kinds, and one for those that are not known.
const KINDS: usize = Opcode::ALL.len() + 1;

/// Counters since this engine's start. They only grow.
#[derive(Debug)]
pub struct Stats {
    kinds: [KindCounters; KINDS],
    replayed: AtomicU64,
    interrupted: AtomicU64,
    unwanted: AtomicU64,
}

#[derive(Debug, Default)]
struct KindCounters {
    requests: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    micros: AtomicU64,
}

/// Counters of one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindStats {
    /// The kernel's name, such as `READ`; `unknown` for all others together.
    pub operation: &'static str,
    /// Requests taken, replayed ones included.
    pub requests: u64,
    /// Replies that the kernel took.
    pub answered: u64,
    /// Of these, those with an errno; ENOENT and its like count.
    pub failed: u64,
    /// Sum of the times from arrival to reply, in microseconds.
    pub micros: u64,
}

/// All counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The kinds that came at least once.
    pub kinds: Vec<KindStats>,
    /// Requests taken over from an earlier engine or the stand-in.
    pub replayed: u64,
    /// Requests ended because their caller was interrupted.
    pub interrupted: u64,
    /// Replies that nobody waited for: given before by an earlier engine, or the caller was gone.
    pub unwanted: u64,
    /// Requests that wait at this moment.
    pub pending: u64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            kinds: std::array::from_fn(|_| KindCounters::default()),
            replayed: AtomicU64::new(0),
            interrupted: AtomicU64::new(0),
            unwanted: AtomicU64::new(0),
        }
    }
}

impl Stats {
    fn kind(&self, opcode: Option<Opcode>) -> &KindCounters {
        &self.kinds[opcode.map_or(KINDS - 1, Opcode::index)]
    }

    pub(crate) fn count(&self, opcode: Option<Opcode>) {
        self.kind(opcode).requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn answered(&self, opcode: u32, micros: u64, errno: i32) {
        let kind = self.kind(Opcode::from_number(opcode));
        kind.answered.fetch_add(1, Relaxed);
        kind.micros.fetch_add(micros, Relaxed);
        if errno != 0 {
            kind.failed.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn count_replayed(&self) {
        self.replayed.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_interrupted(&self) {
        self.interrupted.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_unwanted(&self) {
        self.unwanted.fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self, pending: usize) -> Snapshot {
        let names = Opcode::ALL.iter().map(|opcode| opcode.name());
        let kinds = names.chain(["unknown"]).zip(&self.kinds);
        Snapshot {
            kinds: kinds
                .map(|(operation, kind)| KindStats {
                    operation,
                    requests: kind.requests.load(Relaxed),
                    answered: kind.answered.load(Relaxed),
                    failed: kind.failed.load(Relaxed),
                    micros: kind.micros.load(Relaxed),
                })
                .filter(|kind| kind.requests > 0)
                .collect(),
            replayed: self.replayed.load(Relaxed),
            interrupted: self.interrupted.load(Relaxed),
            unwanted: self.unwanted.load(Relaxed),
            pending: pending as u64,
        }
    }
}
