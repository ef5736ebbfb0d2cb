//! What was asked of the simulation: exact, and cheap enough to be always on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::random::Id13;

/// How many of something there are and were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauge {
    /// Now.
    pub open: u64,
    /// Ever since the start or the last reset.
    pub total: u64,
    /// The most at one time since the start or the last reset.
    pub peak: u64,
}

/// All counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Calls of the API, all of them.
    pub calls: u64,
    /// Calls that were above an account's limit: of calls, of additions or of links in a time.
    pub above_limit: u64,
    /// Calls by endpoint and outcome. An outcome is the HTTP status, with the vendor's code behind a slash for errors (`429/34`), or
    /// `hang` or `reset`.
    pub endpoints: BTreeMap<String, BTreeMap<String, u64>>,
    /// Calls by the token that was told and the endpoint, those with an unknown token left out. `seedbox/list?ids` is a list of given ids.
    pub keys: BTreeMap<String, BTreeMap<String, u64>>,
    /// Body bytes of API answers.
    pub api_bytes: u64,
    /// TCP connections of all listeners. `/control/` uses some itself.
    pub connections: Gauge,
    /// The CDN.
    pub cdn: CdnCounters,
    /// By restricted link (13-character id), only those ever used.
    pub links: BTreeMap<String, LinkCounters>,
}

impl Counters {
    /// Calls of one endpoint, whatever came of them.
    pub fn calls_of(&self, endpoint: &str) -> u64 {
        self.endpoints
            .get(endpoint)
            .map_or(0, |outcomes| outcomes.values().sum())
    }

    /// Calls with one token, by endpoint.
    pub fn calls_with(&self, token: &str) -> BTreeMap<String, u64> {
        self.keys.get(token).cloned().unwrap_or_default()
    }

    /// Calls of one endpoint with one outcome.
    pub fn outcome(&self, endpoint: &str, outcome: &str) -> u64 {
        self.endpoints
            .get(endpoint)
            .and_then(|outcomes| outcomes.get(outcome))
            .copied()
            .unwrap_or(0)
    }
}

/// Counters of the CDN.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CdnCounters {
    /// HEAD requests.
    pub heads: u64,
    /// GET requests.
    pub gets: u64,
    /// Requests by HTTP status, or `hang` or `reset`.
    pub outcomes: BTreeMap<String, u64>,
    /// Body bytes handed to connections.
    pub bytes: u64,
    /// Bodies being sent.
    pub transfers: Gauge,
    /// TCP connections that carried a CDN request.
    pub connections: Gauge,
}

/// Counters of one restricted link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounters {
    /// Direct links made of it.
    pub unrestricts: u64,
    /// HEAD requests.
    pub heads: u64,
    /// GET requests.
    pub gets: u64,
    /// Body bytes.
    pub bytes: u64,
    /// Bodies being sent.
    pub transfers: Gauge,
}

#[derive(Debug, Default)]
pub(crate) struct AtomicGauge {
    open: AtomicU64,
    total: AtomicU64,
    peak: AtomicU64,
}

impl AtomicGauge {
    pub(crate) fn enter(&self) {
        self.total.fetch_add(1, Relaxed);
        let open = self.open.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(open, Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    pub(crate) fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    fn get(&self) -> Gauge {
        Gauge {
            open: self.open(),
            total: self.total.load(Relaxed),
            peak: self.peak.load(Relaxed),
        }
    }

    fn reset(&self) {
        self.total.store(0, Relaxed);
        self.peak.store(self.open(), Relaxed);
    }
}

#[derive(Debug, Default)]
pub(crate) struct LinkRegister {
    pub(crate) unrestricts: AtomicU64,
    pub(crate) heads: AtomicU64,
    pub(crate) gets: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) transfers: AtomicGauge,
}

/// Where everything is counted.
#[derive(Debug, Default)]
pub(crate) struct Register {
    calls: AtomicU64,
    above_limit: AtomicU64,
    endpoints: Mutex<BTreeMap<&'static str, BTreeMap<String, u64>>>,
    keys: Mutex<BTreeMap<String, BTreeMap<String, u64>>>,
    pub(crate) api_bytes: AtomicU64,
    pub(crate) connections: AtomicGauge,
    pub(crate) cdn_connections: AtomicGauge,
    pub(crate) cdn_transfers: AtomicGauge,
    pub(crate) cdn_heads: AtomicU64,
    pub(crate) cdn_gets: AtomicU64,
    pub(crate) cdn_bytes: AtomicU64,
    cdn_outcomes: Mutex<BTreeMap<String, u64>>,
    links: Mutex<HashMap<Id13, Arc<LinkRegister>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> parking_lot::MutexGuard<'_, T> {
    mutex.lock()
}

impl Register {
    pub(crate) fn call(&self, endpoint: &'static str, outcome: String) {
        self.calls.fetch_add(1, Relaxed);
        *lock(&self.endpoints)
            .entry(endpoint)
            .or_default()
            .entry(outcome)
            .or_default() += 1;
    }

    /// Counts a call with a known token.
    pub(crate) fn call_with(&self, token: &str, endpoint: &str) {
        let mut keys = lock(&self.keys);
        let calls = keys.entry(token.to_owned()).or_default();
        *calls.entry(endpoint.to_owned()).or_default() += 1;
    }

    pub(crate) fn above_limit(&self) {
        self.above_limit.fetch_add(1, Relaxed);
    }

    pub(crate) fn cdn_outcome(&self, outcome: String) {
        *lock(&self.cdn_outcomes).entry(outcome).or_default() += 1;
    }

    pub(crate) fn link(&self, link: Id13) -> Arc<LinkRegister> {
        lock(&self.links).entry(link).or_default().clone()
    }

    pub(crate) fn snapshot(&self) -> Counters {
        let links = lock(&self.links)
            .iter()
            .map(|(id, link)| {
                let counters = LinkCounters {
                    unrestricts: link.unrestricts.load(Relaxed),
                    heads: link.heads.load(Relaxed),
                    gets: link.gets.load(Relaxed),
                    bytes: link.bytes.load(Relaxed),
                    transfers: link.transfers.get(),
                };
                (id.to_string(), counters)
            })
            .collect();
        Counters {
            calls: self.calls.load(Relaxed),
            above_limit: self.above_limit.load(Relaxed),
            endpoints: lock(&self.endpoints)
                .iter()
                .map(|(endpoint, outcomes)| ((*endpoint).to_owned(), outcomes.clone()))
                .collect(),
            keys: lock(&self.keys).clone(),
            api_bytes: self.api_bytes.load(Relaxed),
            connections: self.connections.get(),
            cdn: CdnCounters {
                heads: self.cdn_heads.load(Relaxed),
                gets: self.cdn_gets.load(Relaxed),
                outcomes: lock(&self.cdn_outcomes).clone(),
                bytes: self.cdn_bytes.load(Relaxed),
                transfers: self.cdn_transfers.get(),
                connections: self.cdn_connections.get(),
            },
            links,
        }
    }

    /// Sets every count to nothing; what is open stays open.
    pub(crate) fn reset(&self) {
        for counter in [
            &self.calls,
            &self.above_limit,
            &self.api_bytes,
            &self.cdn_heads,
            &self.cdn_gets,
            &self.cdn_bytes,
        ] {
            counter.store(0, Relaxed);
        }
        lock(&self.endpoints).clear();
        lock(&self.keys).clear();
        lock(&self.cdn_outcomes).clear();
        lock(&self.links).retain(|_, link| {
            for counter in [&link.unrestricts, &link.heads, &link.gets, &link.bytes] {
                counter.store(0, Relaxed);
            }
            link.transfers.reset();
            link.transfers.open() > 0
        });
        self.connections.reset();
        self.cdn_connections.reset();
        self.cdn_transfers.reset();
    }
}
