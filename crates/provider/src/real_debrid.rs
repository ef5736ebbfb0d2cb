//! Real-Debrid (`https://api.real-debrid.com`, REST 1.0).
//!
//! | question | decided in |
//! |---|---|
//! | what an HTTP status or error code means | [`verdicts`] |
//! | how an answer is read | [`decode`] |
//! | whether a call is repeated | `call` |
//! | proxy, TLS, IP version | `network` |
//! | when a call may go | [`crate::Scheduler`] |

mod call;
mod config;
pub mod decode;
mod health;
mod json;
mod network;
mod secret;
mod transport;
pub mod verdicts;

use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use jiff::Timestamp;

use self::call::{Call, Caller};
pub use self::config::{API_URL, CALLS_PER_MINUTE, ConfigError, IpChoice, RealDebridConfig};
use self::decode::{ActiveCount, DownloadPage, TrafficDay};
use self::health::Health;
pub use self::secret::{ProxyUrl, Secret};
use self::transport::Network;
pub use self::transport::{Transport, TransportError};
use crate::{
    Account, CallCount, CdnConnections, CdnPermit, DirectLink, HosterLink, Priority, Provider,
    ProviderHealth, Result, Scheduler, SystemClock, TorrentId, TorrentInfo, TorrentPage, Verdict,
    WallClock,
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
    caller: Caller,
    cdn: reqwest::Client,
    connections: CdnConnections,
}

impl RealDebrid {
    /// Sets the account up; makes no call.
    ///
    /// # Errors
    /// A key of the configuration cannot be used.
    pub fn new(config: RealDebridConfig) -> std::result::Result<Self, ConfigError> {
        let network = Network {
            client: network::api_client(&config)?,
            first_byte_timeout: config.first_byte_timeout,
            total_timeout: config.total_timeout,
        };
        Self::with_transport(config, Arc::new(network), Arc::new(SystemClock))
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
        let mut scheduler = Scheduler::new(config.calls_per_minute, Arc::clone(&clock));
        if let Some(path) = &config.call_log {
            scheduler = scheduler.with_call_log(path).map_err(|error| {
                let message = format!("{}: {error}", path.display());
                config.error("call_log", message)
            })?;
        }
        Ok(Self {
            cdn: network::cdn_client(&config)?,
            connections: CdnConnections::new(
                config.cdn_connections_per_host,
                config.cdn_connections_total,
            ),
            caller: Caller {
                base: config.base_url()?,
                token: RwLock::new(config.load_token()?),
                transport,
                scheduler,
                health: Health::default(),
                clock,
                config,
            },
        })
    }

    /// The scheduler that every call of this account passes.
    pub fn scheduler(&self) -> &Scheduler {
        &self.caller.scheduler
    }

    /// The limits of connections to the CDN.
    pub fn cdn_connections(&self) -> &CdnConnections {
        &self.connections
    }

    /// Adds a torrent file.
    ///
    /// # Errors
    /// [`Verdict::SlotsFull`], [`Verdict::Rejected`], [`Verdict::Infringing`] and the general ones.
    pub async fn add_torrent(&self, priority: Priority, torrent: Bytes) -> Result<TorrentId> {
        let call = Call {
            method: Method::PUT,
            body: Some((TORRENT, torrent)),
            ..get("adding a torrent", "/torrents/addTorrent".to_owned())
        };
        self.caller
            .call(priority, &call, |answer| decode::added(&answer.body))
            .await
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
        self.caller
            .call(priority, &call, |answer| decode::active_count(&answer.body))
            .await
    }

    /// Traffic of the last days, the oldest first.
    ///
    /// # Errors
    /// The general ones.
    pub async fn traffic(&self, priority: Priority) -> Result<Vec<TrafficDay>> {
        let call = get("reading the traffic", "/traffic/details".to_owned());
        self.caller
            .call(priority, &call, |answer| decode::traffic(&answer.body))
            .await
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
        self.caller
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
        self.caller
            .call(priority, &call, |answer| decode::server_time(&answer.body))
            .await
    }

    /// `id` as part of a path.
    fn checked<'a>(&self, call: &Call, id: &'a TorrentId) -> Result<&'a str> {
        match is_id(&id.0) {
            true => Ok(&id.0),
            false => Err(self.caller.error(
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
            .field("config", &self.caller.config)
            .field("scheduler", &self.caller.scheduler)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for RealDebrid {
    fn name(&self) -> &str {
        &self.caller.config.name
    }

    fn health(&self) -> ProviderHealth {
        let scheduler = self.caller.scheduler.status();
        let report = self.caller.health.report();
        ProviderHealth {
            name: self.caller.config.name.clone(),
            kind: KIND,
            healthy: report.healthy,
            budget_left: scheduler.budget_left,
            budget_per_minute: self.caller.scheduler.calls_per_minute(),
            calls: report.calls,
            failures: report.failures,
            waiting: scheduler.waiting,
            cooldown: scheduler.cooldown,
            last_error: report.last_error,
        }
    }

    fn call_counts(&self) -> Vec<CallCount> {
        self.caller.health.counts()
    }

    fn cdn(&self) -> &reqwest::Client {
        &self.cdn
    }

    async fn cdn_permit(&self, host: &str, priority: Priority) -> CdnPermit {
        self.connections.permit(host, priority).await
    }

    async fn account(&self, priority: Priority) -> Result<Account> {
        let call = get("reading the account", "/user".to_owned());
        self.caller
            .call(priority, &call, |answer| decode::account(&answer.body))
            .await
    }

    async fn torrents(&self, priority: Priority, offset: u64, limit: u32) -> Result<TorrentPage> {
        let call = list("listing torrents", "/torrents", offset, limit);
        self.caller
            .call(priority, &call, |answer| {
                decode::torrents(answer.list(), answer.total())
            })
            .await
    }

    async fn torrent(&self, priority: Priority, id: &TorrentId) -> Result<TorrentInfo> {
        let mut call = get("reading a torrent", String::new());
        call.path = format!("/torrents/info/{}", self.checked(&call, id)?);
        call.max_body = LARGEST_TORRENT;
        self.caller
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
        let call = Call {
            // Another direct link of the same file does no harm.
            ..form(
                "making a direct link",
                "/unrestrict/link",
                &[("link", &link.0)],
            )
        };
        self.caller
            .call(priority, &call, |answer| {
                decode::direct_link(&answer.body, self.caller.clock.now())
            })
            .await
    }

    async fn add_magnet(&self, priority: Priority, magnet: &str) -> Result<TorrentId> {
        let call = form(
            "adding a magnet",
            "/torrents/addMagnet",
            &[("magnet", magnet)],
        );
        self.caller
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
        match self.caller.call(priority, &call, |_| Ok(())).await {
            Err(error) if error.verdict == Verdict::AlreadyDone => Ok(()),
            result => result,
        }
    }

    async fn delete(&self, priority: Priority, id: &TorrentId) -> Result<()> {
        let mut call = get("deleting a torrent", String::new());
        call.path = format!("/torrents/delete/{}", self.checked(&call, id)?);
        call.method = Method::DELETE;
        self.caller.call(priority, &call, |_| Ok(())).await
    }
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
