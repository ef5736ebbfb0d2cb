//! Real-Debrid (`https://api.real-debrid.com`, REST 1.0).
//!
//! | question | decided in |
//! |---|---|
//! | what an HTTP status or error code means | [`verdicts`] |
//! | how an answer is read | [`decode`] |

pub mod decode;
pub mod verdicts;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use debridfs_base::http::{Network, Transport};
use debridfs_base::{SystemClock, WallClock};
use http::Method;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::RwLock;

use self::decode::{ActiveCount, DownloadPage, TrafficDay};
use crate::account::call::{Call, Caller};
pub use crate::account::config::{API_URL, CALLS_PER_MINUTE, ConfigError, RealDebridConfig};
use crate::account::health::Health;
use crate::account::keys::{self, Key};
use crate::account::network;
use crate::{
    Account, CallCount, CdnConnections, CdnPermit, DirectLink, HosterLink, KeyId, KeyStatus,
    KeyTraffic, Priority, Provider, ProviderHealth, Result, Scheduler, TorrentId, TorrentInfo,
    TorrentPage, TrafficLedger, TrafficLimits, Verdict,
};

/// The word for this provider in configuration and `status`.
pub const KIND: &str = "real-debrid";

/// Most entries of one page of a list.
pub const LARGEST_PAGE: u32 = 5000;

/// 5000 torrents of a hundred links each stay below this.
const LARGEST_LIST: usize = 64 << 20;
/// A torrent of 100 000 files stays below this.
const LARGEST_TORRENT: usize = 32 << 20;
/// Anything else.
const LARGEST_ANSWER: usize = 1 << 20;
/// The longest id that is put into a path; the vendor's have 13 characters.
const LONGEST_ID: usize = 64;

const FORM: &str = "application/x-www-form-urlencoded";
const TORRENT: &str = "application/x-bittorrent";

/// A Real-Debrid account.
pub struct RealDebrid {
    /// The first one lists the library; all of them make links. Never empty.
    keys: Vec<Key>,
    cdn: reqwest::Client,
    connections: CdnConnections,
}

/// Where the vendor's days begin at midnight: France. By its rule, as not every machine has a database of time zones.
pub fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap_or(TimeZone::UTC)
}

impl RealDebrid {
    /// Sets the account up; makes no call.
    ///
    /// # Errors
    /// A key of the configuration cannot be used.
    pub fn new(config: RealDebridConfig) -> std::result::Result<Self, ConfigError> {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// As [`Self::new`], with another calendar: for tests with a simulated provider whose days pass quickly.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_clock(
        config: RealDebridConfig,
        clock: Arc<dyn WallClock>,
    ) -> std::result::Result<Self, ConfigError> {
        let network = Network::new(
            network::api_client(&config)?,
            config.first_byte_timeout,
            config.total_timeout,
        );
        Self::with_transport(config, Arc::new(network), clock)
    }

    /// As [`Self::new`], with another way to the API and another calendar: for tests and simulations.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_transport(
        config: RealDebridConfig,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn WallClock>,
    ) -> std::result::Result<Self, ConfigError> {
        config.validate()?;
        let ledger = config.traffic_log.as_deref().map(TrafficLedger::open);
        let limits = TrafficLimits {
            daily: config.daily_traffic.map(|size| size.0),
            reserve_percent: config.traffic_reserve_percent,
        };
        let mut keys = Vec::new();
        for config in config.of_each_key() {
            let token = config.load_token()?;
            let mut scheduler = Scheduler::new(config.calls_per_minute, Arc::clone(&clock));
            let id = KeyId::of_token(token.expose());
            if let Some(path) = config.call_log_of(keys.is_empty(), &id) {
                scheduler = scheduler.with_call_log(&path).map_err(|error| {
                    let message = format!("{}: {error}", path.display());
                    config.error("call_log", message)
                })?;
            }
            let caller = Caller {
                base: config.base_url()?,
                token: RwLock::new(token),
                transport: Arc::clone(&transport),
                scheduler,
                health: Health::default(),
                clock: Arc::clone(&clock),
                config,
            };
            let traffic = KeyTraffic::new(id, limits, clock.clone(), zone(), ledger.clone());
            keys.push(Key::new(caller, traffic));
        }
        Ok(Self {
            cdn: network::cdn_client(&config)?,
            connections: CdnConnections::new(
                config.cdn_connections_per_host,
                config.cdn_connections_total,
            ),
            keys,
        })
    }

    /// The key that lists the library.
    fn main(&self) -> &Caller {
        &self.keys[0].caller
    }

    /// The scheduler that every call with the first key passes.
    pub fn scheduler(&self) -> &Scheduler {
        &self.main().scheduler
    }

    /// The limits of connections to the CDN.
    pub fn cdn_connections(&self) -> &CdnConnections {
        &self.connections
    }

    /// How many torrents are on their way, and how many may be.
    ///
    /// # Errors
    /// The general ones.
    pub async fn active_count(&self, priority: Priority) -> Result<ActiveCount> {
        let call = get(
            "counting active torrents",
            "/torrents/activeCount".to_owned(),
        );
        self.main()
            .call(priority, &call, |answer| decode::active_count(&answer.body))
            .await
    }

    /// Traffic of the last days, the oldest first.
    ///
    /// # Errors
    /// The general ones.
    pub async fn traffic(&self, priority: Priority) -> Result<Vec<TrafficDay>> {
        traffic_of(self.main(), priority).await
    }

    /// Part of the list of direct links that were made, newest first. `limit` 1 to 5000.
    ///
    /// # Errors
    /// The general ones.
    pub async fn downloads(
        &self,
        priority: Priority,
        offset: u64,
        limit: u32,
    ) -> Result<DownloadPage> {
        let call = list("listing downloads", "/downloads", offset, limit);
        self.main()
            .call(priority, &call, |answer| {
                decode::downloads(answer.list(), answer.total())
            })
            .await
    }

    /// The provider's clock.
    ///
    /// # Errors
    /// The general ones.
    pub async fn server_time(&self, priority: Priority) -> Result<Timestamp> {
        let call = get("reading the provider's clock", "/time/iso".to_owned());
        self.main()
            .call(priority, &call, |answer| decode::server_time(&answer.body))
            .await
    }

    /// `id` as part of a path.
    fn checked<'a>(&self, call: &Call, id: &'a TorrentId) -> Result<&'a str> {
        match is_id(&id.0) {
            true => Ok(&id.0),
            false => Err(self.main().error(
                call,
                Verdict::BadRequest,
                "not a torrent id of this provider",
            )),
        }
    }
}

impl std::fmt::Debug for RealDebrid {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RealDebrid")
            .field("config", &self.main().config)
            .field("scheduler", &self.main().scheduler)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for RealDebrid {
    fn name(&self) -> &str {
        &self.main().config.name
    }

    fn health(&self) -> ProviderHealth {
        let scheduler = self.main().scheduler.status();
        let report = self.main().health.report();
        let reports = self.keys.iter().map(|key| key.caller.health.report());
        ProviderHealth {
            name: self.main().config.name.clone(),
            kind: KIND,
            healthy: report.healthy,
            budget_left: scheduler.budget_left,
            budget_per_minute: self.main().scheduler.calls_per_minute(),
            calls: reports.clone().map(|report| report.calls).sum(),
            failures: reports.map(|report| report.failures).sum(),
            waiting: scheduler.waiting,
            cooldown: scheduler.cooldown,
            last_error: report.last_error,
        }
    }

    fn call_counts(&self) -> Vec<CallCount> {
        let mut sums = self.main().health.counts();
        for key in self.keys.iter().skip(1) {
            for (sum, count) in sums.iter_mut().zip(key.caller.health.counts()) {
                sum.calls += count.calls;
            }
        }
        sums
    }

    fn keys(&self) -> Vec<KeyStatus> {
        let numbered = self.keys.iter().zip(1..);
        numbered.map(|(key, number)| key.status(number)).collect()
    }

    fn key_traffic(&self, key: &KeyId) -> Option<KeyTraffic> {
        let found = match key.is_first() {
            true => self.keys.first(),
            false => self.keys.iter().find(|known| known.id() == key),
        };
        found.map(|key| key.traffic.clone())
    }

    fn room_for(&self, priority: Priority) -> Result<()> {
        let mut keys = self.keys.iter();
        match keys.any(|key| key.traffic.check(priority).is_ok()) {
            true => Ok(()),
            false => Err(keys::nothing_left(&self.keys, priority)),
        }
    }

    async fn read_traffic(&self) -> Result<()> {
        for key in &self.keys {
            if !key.traffic.wants_reading() {
                continue;
            }
            let days = traffic_of(&key.caller, Priority::Refresh).await?;
            let today = key.traffic.date();
            let said = days
                .iter()
                .find(|day| day.date == today.to_string())
                .map_or(0, |day| day.bytes);
            key.traffic.provider_said(today, said);
        }
        Ok(())
    }

    fn cdn(&self) -> &reqwest::Client {
        &self.cdn
    }

    async fn cdn_permit(&self, host: &str, priority: Priority) -> CdnPermit {
        self.connections.permit(host, priority).await
    }

    async fn account(&self, priority: Priority) -> Result<Account> {
        let call = get("reading the account", "/user".to_owned());
        self.main()
            .call(priority, &call, |answer| decode::account(&answer.body))
            .await
    }

    async fn torrents(&self, priority: Priority, offset: u64, limit: u32) -> Result<TorrentPage> {
        let call = list("listing torrents", "/torrents", offset, limit);
        self.main()
            .call(priority, &call, |answer| {
                decode::torrents(answer.list(), answer.total())
            })
            .await
    }

    async fn torrent(&self, priority: Priority, id: &TorrentId) -> Result<TorrentInfo> {
        let mut call = get("reading a torrent", String::new());
        call.path = format!("/torrents/info/{}", self.checked(&call, id)?);
        call.max_body = LARGEST_TORRENT;
        self.main()
            .call(priority, &call, |answer| {
                let info = decode::torrent(&answer.body)?;
                match info.summary.id == *id {
                    true => Ok(info),
                    false => Err(decode::DecodeError(
                        "it is about another torrent".to_owned(),
                    )),
                }
            })
            .await
    }

    async fn unrestrict(&self, priority: Priority, link: &HosterLink) -> Result<DirectLink> {
        let call = form(
            "making a direct link",
            "/unrestrict/link",
            &[("link", &link.0)],
        );
        keys::make_link(&self.keys, priority, &call).await
    }

    async fn add_magnet(&self, priority: Priority, magnet: &str) -> Result<TorrentId> {
        let call = form(
            "adding a magnet",
            "/torrents/addMagnet",
            &[("magnet", magnet)],
        );
        self.main()
            .call(priority, &call, |answer| decode::added(&answer.body))
            .await
    }

    async fn add_torrent(&self, priority: Priority, torrent: Bytes) -> Result<TorrentId> {
        let call = Call {
            method: Method::PUT,
            body: Some((TORRENT, torrent)),
            ..get("adding a torrent", "/torrents/addTorrent".to_owned())
        };
        self.main()
            .call(priority, &call, |answer| decode::added(&answer.body))
            .await
    }

    async fn select_files(&self, priority: Priority, id: &TorrentId, files: &[u32]) -> Result<()> {
        let chosen = match files {
            [] => "all".to_owned(),
            some => some
                .iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(","),
        };
        let mut call = form("selecting files", "", &[("files", &chosen)]);
        call.path = format!("/torrents/selectFiles/{}", self.checked(&call, id)?);
        match self.main().call(priority, &call, |_| Ok(())).await {
            Err(error) if error.verdict == Verdict::AlreadyDone => Ok(()),
            result => result,
        }
    }

    async fn delete(&self, priority: Priority, id: &TorrentId) -> Result<()> {
        let mut call = get("deleting a torrent", String::new());
        call.path = format!("/torrents/delete/{}", self.checked(&call, id)?);
        call.method = Method::DELETE;
        self.main().call(priority, &call, |_| Ok(())).await
    }
}

async fn traffic_of(caller: &Caller, priority: Priority) -> Result<Vec<TrafficDay>> {
    let call = get("reading the traffic", "/traffic/details".to_owned());
    caller
        .call(priority, &call, |answer| decode::traffic(&answer.body))
        .await
}

/// Whether `id` is safe in a path.
fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn get(what: &'static str, path: String) -> Call {
    Call {
        what,
        method: Method::GET,
        path,
        body: None,
        max_body: LARGEST_ANSWER,
    }
}

fn list(what: &'static str, path: &str, offset: u64, limit: u32) -> Call {
    let limit = limit.clamp(1, LARGEST_PAGE);
    Call {
        max_body: LARGEST_LIST,
        ..get(what, format!("{path}?offset={offset}&limit={limit}"))
    }
}

fn form(what: &'static str, path: &str, fields: &[(&str, &str)]) -> Call {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    Call {
        method: Method::POST,
        body: Some((FORM, Bytes::from(body))),
        ..get(what, path.to_owned())
    }
}
