//! Figures for `/metrics` that a status leaves out, as they are too many for people.

use debridfs_fuse::{AnsweredStats, BackendKind, Backends, ComparedKind};
use debridfs_listen::HttpReport;
use debridfs_nfs::OperationReport;

use crate::RunningEngine;

/// Figures since the engine's start, by what can be told apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measures {
    /// Replies to the kernel, by backend and operation.
    pub answered: Vec<AnsweredStats>,
    /// The backends; absent while no engine is there to tell.
    pub backends: Option<BackendMeasures>,
    /// Requests over HTTP, by front.
    pub http: Vec<HttpReport>,
    /// Calls over NFS, by procedure.
    pub nfs: Vec<OperationReport>,
    /// Bytes handed out, by front: of files by `fuse` and `nfs`, of answers by fronts of HTTP.
    pub sent: Vec<(&'static str, u64)>,
}

/// The FUSE backends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BackendMeasures {
    /// Each, and whether it answers.
    pub active: Vec<(&'static str, bool)>,
    /// Each, and whether it passed its trial.
    pub available: Vec<(&'static str, bool)>,
    /// Switches.
    pub switches: u64,
    /// The share of the requests that are compared, 0 to 1.
    pub shadow_ratio: f64,
    /// What was compared.
    pub compared: Vec<ComparedKind>,
    /// Requests that were to be compared and were let go.
    pub let_go: u64,
}

impl Measures {
    pub(crate) fn of(engine: &RunningEngine) -> Self {
        let serving = engine.parts.serving.get();
        let fuse = serving.map(|serving| serving.stats());
        let http = engine.parts.listeners.http();
        let nfs = engine.parts.nfs.get().map(|server| server.report());
        let mut sent = Vec::from_iter(fuse.iter().map(|fuse| ("fuse", fuse.read_bytes)));
        sent.extend(nfs.iter().map(|nfs| ("nfs", nfs.bytes)));
        sent.extend(http.iter().map(|front| (front.front, front.bytes)));
        Self {
            answered: fuse.map(|fuse| fuse.answered).unwrap_or_default(),
            backends: Some(BackendMeasures::of(&engine.parts.backends)),
            http,
            nfs: nfs.map(|nfs| nfs.operations).unwrap_or_default(),
            sent,
        }
    }
}

impl BackendMeasures {
    fn of(backends: &Backends) -> Self {
        let active = backends.active();
        let kinds = BackendKind::ALL.iter();
        let tried = backends.tried().iter();
        let compared = backends.compared();
        Self {
            active: kinds.map(|kind| (kind.name(), *kind == active)).collect(),
            available: tried
                .map(|one| (one.backend.name(), one.reason.is_none()))
                .collect(),
            switches: backends.switches(),
            shadow_ratio: compared.percent / 100.0,
            let_go: compared.let_go,
            compared: compared.kinds,
        }
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Measures {
    /// Made-up ones, with something in each field.
    pub fn sample() -> Self {
        let mut latencies = debridfs_base::LatencyCounts {
            buckets: vec![(0.001, 3), (0.005, 1), (f64::INFINITY, 1)],
            seconds: 9.5,
        };
        let answered = AnsweredStats {
            operation: "READ",
            backend: "native",
            statuses: vec![("ok", 4), ("EIO", 1)],
            latencies: latencies.clone(),
        };
        let compared = ComparedKind {
            operation: "LOOKUP".into(),
            primary: BackendKind::Native,
            secondary: BackendKind::Fbrs,
            compared: 100,
            diverged: 2,
        };
        latencies.seconds = 0.5;
        Self {
            answered: vec![answered],
            backends: Some(BackendMeasures {
                active: vec![("native", true), ("fbrs", false)],
                available: vec![("native", true), ("fbrs", true)],
                switches: 3,
                shadow_ratio: 0.01,
                compared: vec![compared],
                let_go: 5,
            }),
            http: vec![HttpReport {
                front: "webdav",
                codes: vec![(206, 7), (404, 1)],
                latencies: latencies.clone(),
                bytes: 4096,
            }],
            nfs: vec![OperationReport {
                operation: "READ",
                statuses: vec![("ok", 6), ("JUKEBOX", 1)],
                latencies,
            }],
            sent: vec![("fuse", 8192), ("webdav", 4096)],
        }
    }
}
