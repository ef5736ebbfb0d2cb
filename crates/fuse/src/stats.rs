//! Counters of the connection, for metrics. Counting a request is five additions to atomics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use debridfs_base::{Latencies, LatencyCounts};

use crate::wire::{Answerer, Opcode};

/// Number of kinds, and one for those that are not known.
const KINDS: usize = Opcode::ALL.len() + 1;

/// How requests end, by the errno of the reply; what is not listed is `other`. A fixed list, as each
/// is a series of its own for each kind of request.
const STATUSES: [(i32, &str); 16] = [
    (0, "ok"),
    (libc::EIO, "EIO"),
    (libc::EINVAL, "EINVAL"),
    (libc::EINTR, "EINTR"),
    (libc::ENOENT, "ENOENT"),
    (libc::ENODATA, "ENODATA"),
    (libc::ENOSYS, "ENOSYS"),
    (libc::EROFS, "EROFS"),
    (libc::ESTALE, "ESTALE"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::EISDIR, "EISDIR"),
    (libc::ENAMETOOLONG, "ENAMETOOLONG"),
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    (libc::ERANGE, "ERANGE"),
    (libc::ENOTTY, "ENOTTY"),
    (libc::EACCES, "EACCES"),
];
/// Label of an errno that is not listed.
const OTHER: &str = "other";
/// Label of a reply that the kernel did not take.
const REFUSED: &str = "refused";

/// Counters since this engine's start. They only grow.
#[derive(Debug)]
pub struct Stats {
    requests: [AtomicU64; KINDS],
    answered: Box<[[Answered; KINDS]; Answerer::ALL.len()]>,
    read_bytes: AtomicU64,
    replayed: AtomicU64,
    interrupted: AtomicU64,
    unwanted: AtomicU64,
}

/// Replies to one kind of request by one answerer.
#[derive(Debug, Default)]
struct Answered {
    statuses: [AtomicU64; STATUSES.len()],
    other: AtomicU64,
    refused: AtomicU64,
    latencies: Latencies,
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

/// Replies to one kind of request by one backend.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredStats {
    /// The kernel's name, such as `READ`; `unknown` for all others together.
    pub operation: &'static str,
    /// The backend that answered; `loop` where none was asked.
    pub backend: &'static str,
    /// `ok`, the name of the errno, `other`, or `refused` where the kernel did not take the reply;
    /// and how many. What never came is left out.
    pub statuses: Vec<(&'static str, u64)>,
    /// Times from arrival to reply, waits for a CDN included; refused replies are left out.
    pub latencies: LatencyCounts,
}

/// All counters at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The kinds that came at least once.
    pub kinds: Vec<KindStats>,
    /// By kind and backend, where there was a reply.
    pub answered: Vec<AnsweredStats>,
    /// Bytes of files that the kernel took.
    pub read_bytes: u64,
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
        let kinds = |_| std::array::from_fn(|_| Answered::default());
        Self {
            requests: [const { AtomicU64::new(0) }; KINDS],
            answered: Box::new(std::array::from_fn(kinds)),
            read_bytes: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            interrupted: AtomicU64::new(0),
            unwanted: AtomicU64::new(0),
        }
    }
}

impl Stats {
    pub(crate) fn count(&self, opcode: Option<Opcode>) {
        self.requests[position(opcode)].fetch_add(1, Relaxed);
    }

    /// The kernel took a reply with `errno` and `bytes` of a file, `micros` after the request came.
    pub(crate) fn answered(
        &self,
        opcode: u32,
        by: Answerer,
        micros: u64,
        errno: i32,
        bytes: usize,
    ) {
        let answered = self.answers(opcode, by);
        let known = STATUSES.iter().position(|(known, _)| *known == errno);
        let status = known.map_or(&answered.other, |at| &answered.statuses[at]);
        status.fetch_add(1, Relaxed);
        answered.latencies.count_micros(micros);
        if bytes > 0 {
            self.read_bytes.fetch_add(bytes as u64, Relaxed);
        }
    }

    /// The kernel did not take a reply.
    pub(crate) fn refused(&self, opcode: u32, by: Answerer) {
        self.answers(opcode, by).refused.fetch_add(1, Relaxed);
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

    fn answers(&self, opcode: u32, by: Answerer) -> &Answered {
        &self.answered[by as usize][position(Opcode::from_number(opcode))]
    }

    pub(crate) fn snapshot(&self, pending: usize) -> Snapshot {
        let answered: Vec<AnsweredStats> = Answerer::ALL
            .iter()
            .zip(self.answered.iter())
            .flat_map(|(by, kinds)| names().zip(kinds).map(move |kind| (by, kind)))
            .filter_map(|(by, (operation, answered))| answered.stats(operation, by.name()))
            .collect();
        let kinds = names().zip(&self.requests);
        Snapshot {
            kinds: kinds
                .map(|(operation, requests)| (operation, requests.load(Relaxed)))
                .filter(|(_, requests)| *requests > 0)
                .map(|(operation, requests)| KindStats::of(operation, requests, &answered))
                .collect(),
            answered,
            read_bytes: self.read_bytes.load(Relaxed),
            replayed: self.replayed.load(Relaxed),
            interrupted: self.interrupted.load(Relaxed),
            unwanted: self.unwanted.load(Relaxed),
            pending: pending as u64,
        }
    }
}

impl Answered {
    /// `None`: there was no reply.
    fn stats(&self, operation: &'static str, backend: &'static str) -> Option<AnsweredStats> {
        let listed = STATUSES.iter().map(|(_, name)| *name).zip(&self.statuses);
        let others = [(OTHER, &self.other), (REFUSED, &self.refused)];
        let statuses: Vec<_> = listed
            .chain(others)
            .map(|(name, count)| (name, count.load(Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect();
        (!statuses.is_empty()).then(|| AnsweredStats {
            operation,
            backend,
            statuses,
            latencies: self.latencies.counts(),
        })
    }
}

impl KindStats {
    fn of(operation: &'static str, requests: u64, answered: &[AnsweredStats]) -> Self {
        let of_kind = || answered.iter().filter(|one| one.operation == operation);
        let count = |wanted: fn(&str) -> bool| {
            let statuses = of_kind().flat_map(|one| &one.statuses);
            let counted = statuses.filter(|(status, _)| wanted(status));
            counted.map(|(_, count)| count).sum()
        };
        let seconds: f64 = of_kind().map(|one| one.latencies.seconds).sum();
        Self {
            operation,
            requests,
            answered: count(|status| status != REFUSED),
            failed: count(|status| status != REFUSED && status != STATUSES[0].1),
            micros: (seconds * 1e6).round() as u64,
        }
    }
}

fn position(opcode: Option<Opcode>) -> usize {
    opcode.map_or(KINDS - 1, Opcode::index)
}

/// Labels of the kinds, in the order of the counters.
fn names() -> impl Iterator<Item = &'static str> {
    let names = Opcode::ALL.iter().map(|opcode| opcode.name());
    names.chain(["unknown"])
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const READ: u32 = Opcode::Read as u32;

    #[test]
    fn replies_are_counted_by_backend_kind_and_errno() {
        let stats = Stats::default();
        for opcode in [Some(Opcode::Read); 5].into_iter().chain([None]) {
            stats.count(opcode);
        }
        stats.answered(READ, Answerer::Native, 40, 0, 4096);
        stats.answered(READ, Answerer::Native, 60, 0, 4096);
        stats.answered(READ, Answerer::Fbrs, 2_000_000, libc::EIO, 0);
        stats.answered(READ, Answerer::Fbrs, 1, libc::EXDEV, 0);
        stats.refused(READ, Answerer::Fbrs);
        stats.answered(4711, Answerer::Loop, 1, libc::ENOSYS, 0);
        let snapshot = stats.snapshot(0);
        let answered: Vec<_> = snapshot
            .answered
            .iter()
            .map(|one| (one.backend, one.operation, one.statuses.as_slice()))
            .collect();
        assert_eq!(
            answered,
            [
                ("loop", "unknown", &[("ENOSYS", 1)][..]),
                ("native", "READ", &[("ok", 2)]),
                ("fbrs", "READ", &[("EIO", 1), ("other", 1), ("refused", 1)]),
            ]
        );
        assert_eq!(snapshot.answered[1].latencies.count(), 2);
        assert_eq!(snapshot.answered[2].latencies.count(), 2, "none of refused");
        assert_eq!(snapshot.read_bytes, 8192);
        let read = snapshot.kinds[0];
        assert_eq!(
            (read.operation, read.requests, read.answered),
            ("READ", 5, 4)
        );
        assert_eq!((read.failed, read.micros), (2, 2_000_101));
    }

    #[test]
    fn statuses_are_told_apart() {
        for (at, (errno, name)) in STATUSES.iter().enumerate() {
            let before = &STATUSES[..at];
            assert!(
                before.iter().all(|(e, n)| e != errno && n != name),
                "{name}"
            );
        }
    }

    /// The bound is far above what it takes (below 0.1 µs): it fails where counting allocates or locks.
    #[test]
    fn counting_is_cheap() {
        let stats = Stats::default();
        let rounds = 1_000_000;
        let start = Instant::now();
        for micros in 0..rounds {
            stats.count(Some(Opcode::Read));
            stats.answered(READ, Answerer::Native, micros, 0, 4096);
        }
        let nanos = start.elapsed().as_nanos() as u64 / rounds;
        println!("{nanos} ns to count a request");
        assert!(nanos < 2000, "{nanos} ns");
    }
}
