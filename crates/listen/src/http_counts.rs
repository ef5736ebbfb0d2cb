//! Requests over HTTP, counted by front for metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use debridfs_base::{Latencies, LatencyCounts};
use parking_lot::Mutex;

/// Found in the extensions of an answer where one listener has several fronts: which of them gave it.
/// Without it, it is the listener's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrontName(pub &'static str);

impl FrontName {
    /// Notes that it gave `answer`.
    pub fn mark(self, mut answer: Response) -> Response {
        answer.extensions_mut().insert(self);
        answer
    }
}

/// Status codes, from 100 to 599.
const CODES: usize = 500;

/// What is counted of one front.
#[derive(Debug)]
pub(crate) struct HttpCounts {
    codes: [AtomicU64; CODES],
    latencies: Latencies,
    bytes: AtomicU64,
}

/// The fronts that answered, by name. Names are the program's own, so there are few.
#[derive(Debug, Default)]
pub(crate) struct HttpFronts(Mutex<Vec<(&'static str, Arc<HttpCounts>)>>);

/// Requests over HTTP that one front answered since the start.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpReport {
    /// The front.
    pub front: &'static str,
    /// How many got which status code; those that nobody got are left out.
    pub codes: Vec<(u16, u64)>,
    /// Times from a request's head to the head of its answer.
    pub latencies: LatencyCounts,
    /// Bytes of the bodies of answers.
    pub bytes: u64,
}

impl HttpCounts {
    fn new() -> Self {
        Self {
            codes: [const { AtomicU64::new(0) }; CODES],
            latencies: Latencies::default(),
            bytes: AtomicU64::new(0),
        }
    }

    /// Counts an answer whose head was there after `time`.
    pub(crate) fn answered(&self, status: StatusCode, time: Duration) {
        // Codes from 600 on, which the type allows, are in no document of HTTP.
        if let Some(count) = self.codes.get(usize::from(status.as_u16()) - 100) {
            count.fetch_add(1, Relaxed);
        }
        self.latencies.count(time);
    }

    /// Counts bytes of an answer's body.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn report(&self, front: &'static str) -> HttpReport {
        let codes = (100..).zip(&self.codes);
        let codes = codes.map(|(code, count)| (code, count.load(Relaxed)));
        HttpReport {
            front,
            codes: codes.filter(|(_, count)| *count > 0).collect(),
            latencies: self.latencies.counts(),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

impl HttpFronts {
    /// The counters of the front `name`.
    pub(crate) fn of(&self, name: &'static str) -> Arc<HttpCounts> {
        let mut fronts = self.0.lock();
        if let Some((_, known)) = fronts.iter().find(|(known, _)| *known == name) {
            return known.clone();
        }
        let new = Arc::new(HttpCounts::new());
        fronts.push((name, new.clone()));
        new
    }

    pub(crate) fn report(&self) -> Vec<HttpReport> {
        let fronts = self.0.lock();
        let reports = fronts.iter().map(|(name, counts)| counts.report(name));
        reports.collect()
    }
}
