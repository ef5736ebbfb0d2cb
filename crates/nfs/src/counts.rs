//! Calls by procedure and by how they ended, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use debridfs_base::{Latencies, LatencyCounts};
use nfs3_types::nfs3;

/// The procedures of NFSv3 by their number (RFC 1813, section 3).
const PROCEDURES: [&str; 22] = [
    "NULL",
    "GETATTR",
    "SETATTR",
    "LOOKUP",
    "ACCESS",
    "READLINK",
    "READ",
    "WRITE",
    "CREATE",
    "MKDIR",
    "SYMLINK",
    "MKNOD",
    "REMOVE",
    "RMDIR",
    "RENAME",
    "LINK",
    "READDIR",
    "READDIRPLUS",
    "FSSTAT",
    "FSINFO",
    "PATHCONF",
    "COMMIT",
];
/// All procedures of MOUNT, and what is neither.
const OTHERS: [&str; 2] = ["MOUNT", "unknown"];
const MOUNT: usize = PROCEDURES.len();
const UNKNOWN: usize = MOUNT + 1;

/// Statuses that are told apart, by their numbers in RFC 1813; those of MOUNT have the same.
const STATUSES: [(u32, &str); 10] = [
    (0, "ok"),
    (2, "NOENT"),
    (5, "IO"),
    (13, "ACCES"),
    (20, "NOTDIR"),
    (22, "INVAL"),
    (30, "ROFS"),
    (70, "STALE"),
    (10_001, "BADHANDLE"),
    (10_008, "JUKEBOX"),
];

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// With this number as the status of its results.
    Of(u32),
    /// Refused by the rules of RPC: no such procedure or version, or arguments that are none.
    Refused,
}

#[derive(Debug, Default)]
struct Procedure {
    statuses: [AtomicU64; STATUSES.len()],
    other: AtomicU64,
    refused: AtomicU64,
    latencies: Latencies,
}

/// Counters of all procedures since the start.
#[derive(Debug)]
pub(crate) struct Counts {
    procedures: [Procedure; PROCEDURES.len() + OTHERS.len()],
    bytes: AtomicU64,
}

/// Calls of one procedure since the start.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationReport {
    /// The procedure's name in RFC 1813, such as `READ`; `MOUNT` for all of that program.
    pub operation: &'static str,
    /// `ok`, the name of the status, `other`, or `refused`; and how many. What never came is left out.
    pub statuses: Vec<(&'static str, u64)>,
    /// Times from a call to its reply, which is still to be sent.
    pub latencies: LatencyCounts,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            procedures: std::array::from_fn(|_| Procedure::default()),
            bytes: AtomicU64::new(0),
        }
    }
}

impl Counts {
    /// Counts a call that was answered after `time`, with `bytes` of a file.
    pub(crate) fn answered(
        &self,
        (program, number): (u32, u32),
        status: Status,
        time: Duration,
        bytes: u64,
    ) {
        let at = match usize::try_from(number) {
            Ok(at) if program == nfs3::PROGRAM && at < PROCEDURES.len() => at,
            _ if program == nfs3_types::mount::PROGRAM => MOUNT,
            _ => UNKNOWN,
        };
        let procedure = &self.procedures[at];
        let counter = match status {
            Status::Refused => &procedure.refused,
            Status::Of(number) => STATUSES
                .iter()
                .position(|(known, _)| *known == number)
                .map_or(&procedure.other, |at| &procedure.statuses[at]),
        };
        counter.fetch_add(1, Relaxed);
        procedure.latencies.count(time);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Bytes of files that were sent to all clients.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The procedures that were called.
    pub(crate) fn report(&self) -> Vec<OperationReport> {
        let names = PROCEDURES.iter().chain(&OTHERS);
        let all = names.zip(&self.procedures);
        all.filter_map(|(operation, procedure)| {
            let listed = STATUSES.iter().map(|(_, name)| *name);
            let counters = procedure.statuses.iter();
            let others = [("other", &procedure.other), ("refused", &procedure.refused)];
            let statuses: Vec<_> = listed
                .zip(counters)
                .chain(others)
                .map(|(name, count)| (name, count.load(Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect();
            (!statuses.is_empty()).then(|| OperationReport {
                operation,
                statuses,
                latencies: procedure.latencies.counts(),
            })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use nfs3_types::mount;

    use super::*;

    #[test]
    fn calls_are_counted_by_procedure_and_status() {
        let counts = Counts::default();
        let soon = Duration::from_micros(40);
        counts.answered((nfs3::PROGRAM, 6), Status::Of(0), soon, 4096);
        counts.answered((nfs3::PROGRAM, 6), Status::Of(10_008), soon, 0);
        counts.answered((nfs3::PROGRAM, 6), Status::Of(71), soon, 0);
        counts.answered((nfs3::PROGRAM, 22), Status::Refused, soon, 0);
        counts.answered((mount::PROGRAM, 1), Status::Of(13), soon, 0);
        counts.answered((4711, 6), Status::Refused, soon, 0);
        let report = counts.report();
        let seen: Vec<_> = report
            .iter()
            .map(|one| (one.operation, one.statuses.as_slice()))
            .collect();
        assert_eq!(
            seen,
            [
                ("READ", &[("ok", 1), ("JUKEBOX", 1), ("other", 1)][..]),
                ("MOUNT", &[("ACCES", 1)]),
                ("unknown", &[("refused", 2)]),
            ]
        );
        assert_eq!(report[0].latencies.count(), 3);
        assert_eq!(counts.bytes(), 4096);
    }
}
