//! What all fetches share, and what the rest of the program calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::{LinkStore, Priority, Provider, Source};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::check::{self, Checkup, Ends};
use crate::copies::{Copies, Proven};
use crate::events::EventLog;
use crate::hosts::{Host, Hosts};
use crate::links::Links;
use crate::stats::{CdnStats, Counters};
use crate::tuning::copies::STANDING_BY;

/// Settings of fetching.
#[derive(Debug, Clone)]
pub struct CdnConfig {
    /// How long an answer may take to begin; doubled for the next attempt and the one after, so that a slow CDN is not given up for ever.
    pub first_byte_timeout: Duration,
    /// A body without progress for this long is given up.
    pub stall_timeout: Duration,
    /// Where the histories of files are kept; in memory alone without it.
    pub event_log: Option<PathBuf>,
}

/// Fetches bytes of files that are held by debrid accounts.
pub struct Cdn {
    pub(crate) config: CdnConfig,
    pub(crate) links: Arc<Links>,
    pub(crate) hosts: Hosts,
    pub(crate) counters: Arc<Counters>,
    pub(crate) events: EventLog,
    pub(crate) copies: Copies,
    /// Room for links of second copies that are made ahead of their need.
    pub(crate) standing_by: Arc<Semaphore>,
}

impl CdnConfig {
    /// Time for the first byte at the `attempt`-th attempt in a row, from 0.
    pub(crate) fn first_byte(&self, attempt: u32) -> Duration {
        self.first_byte_timeout.saturating_mul(1 << attempt.min(2))
    }
}

impl Cdn {
    /// Fetches what `providers` hold, with their links kept in `store`; what outlives a fetch runs on `runtime`.
    pub fn new(
        config: CdnConfig,
        providers: Vec<Arc<dyn Provider>>,
        store: Arc<dyn LinkStore>,
        runtime: Handle,
    ) -> Arc<Self> {
        let counters = Arc::new(Counters::default());
        let hosts = Hosts::default();
        Arc::new(Self {
            copies: Copies::knowing(store.differing()),
            events: EventLog::open(config.event_log.as_deref(), runtime.clone()),
            links: Links::new(providers, store, &hosts, runtime, counters.clone()),
            hosts,
            counters,
            standing_by: Arc::new(Semaphore::new(STANDING_BY)),
            config,
        })
    }

    /// The host that served last: the one to expect before a link is known.
    pub fn latest_host(&self) -> Option<Arc<Host>> {
        self.hosts.latest()
    }

    /// The histories of files.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// Counters, and connections in use and waited for.
    pub fn stats(&self) -> CdnStats {
        self.counters.snapshot(self.hosts.count())
    }

    /// Whether requests wait for a connection.
    pub fn is_short_of_connections(&self) -> bool {
        self.hosts.count().1 > 0
    }

    /// Looks whether the file `file` of `size` bytes can be read at all: makes a new link for each of `sources` in turn until bytes come, behind
    /// all other calls to the provider. A link that works is kept for readers.
    pub async fn check(&self, file: u64, size: u64, sources: &[Source]) -> Checkup {
        check::check(self, file, size, sources).await
    }

    /// The first and the last bytes of a file of `size` bytes, by a link of `source` made anew and behind all other calls: to compare copies.
    pub async fn ends(&self, size: u64, source: &Source) -> Ends {
        check::ends(self, size, source).await
    }

    /// What the copies of the file `file` proved.
    pub fn proven(&self, file: u64) -> Proven {
        self.copies.proven(file)
    }

    /// A direct link of `source` for somebody who plays it without us: the one there is, or a new one.
    ///
    /// # Errors
    /// Why there is none now, for logs.
    pub async fn link(&self, source: &Source) -> Result<String, String> {
        let lease = self.links.get(source, Priority::Playback).await;
        let lease = lease.map_err(|none| none.cause.to_string())?;
        Ok(lease.link.url.clone())
    }

    /// How old the direct link of `source` is, if it was needed since the start.
    pub fn link_age(&self, source: &Source) -> Option<Duration> {
        self.links.age(source)
    }
}
