//! An account at any vendor: the one implementer of [`Provider`], without a word of a vendor.
//!
//! | question | where |
//! |---|---|
//! | when may a call go | `account/scheduler.rs` |
//! | is a call repeated, is a token read again | `account/caller.rs` |
//! | what does a vendor build, and read | `account/{call,decode,json}.rs` |
//! | what does a vendor declare | `account/limits.rs` |
//! | which key makes a link | `account/keys.rs` |
//! | how much did a key fetch, and how much may it | `account/traffic.rs` |
//! | is the account well | `account/health.rs` |
//! | which settings are there, where is the token | `account/config.rs`, `account/token.rs` |
//! | by which proxy, IP version, certificates | `account/network.rs` |

pub(crate) mod call;
pub(crate) mod caller;
pub(crate) mod config;
pub(crate) mod decode;
mod health;
pub(crate) mod json;
pub(crate) mod key;
mod keys;
pub(crate) mod limits;
mod network;
pub(crate) mod refusal;
pub(crate) mod scheduler;
mod token;
pub(crate) mod traffic;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use debridfs_base::http::{Network, Transport};
use debridfs_base::{SystemClock, WallClock};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

use self::caller::{Api, Caller};
use self::config::{AccountConfig, ConfigError};
use self::health::Health;
use self::keys::Key;
use self::limits::{Budget, Limits};
use self::traffic::{TrafficLedger, TrafficLimits};
use crate::vendors::Vendor;
use crate::{
    Account, AccountFacts, ActiveCount, Addition, CacheCheck, CallCount, CdnAccess, CdnLimits,
    DirectLink, DownloadPage, HosterLink, InfoHash, KeyId, KeyStatus, KeyTraffic, Priority,
    Provider, ProviderHealth, Result, Scheduler, TorrentId, TorrentInfo, TorrentPage, TrafficDay,
    Verdict,
};

/// Entries of the longest list that is read, far more than an account holds: a total and pages
/// without end would be read for ever and kept in memory.
const LONGEST_LIST: u64 = 1_000_000;

/// An account at a vendor, with one or more keys.
pub struct DebridAccount {
    vendor: Arc<dyn Vendor>,
    /// The first one lists the library; all of them make links. Never empty.
    keys: Vec<Key>,
    cdn: CdnAccess,
    /// The file of the day's traffic.
    traffic: Option<TrafficLedger>,
    /// What it told of itself last.
    facts: Mutex<Option<AccountFacts>>,
}

impl DebridAccount {
    /// Sets the account up; makes no call.
    ///
    /// # Errors
    /// A key of the configuration cannot be used.
    pub fn new(config: AccountConfig) -> std::result::Result<Self, ConfigError> {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// As [`Self::new`], with another calendar: for tests with a simulated provider whose days pass
    /// quickly.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_clock(
        config: AccountConfig,
        clock: Arc<dyn WallClock>,
    ) -> std::result::Result<Self, ConfigError> {
        let network = Network::new(
            network::api_client(&config)?,
            config.first_byte_timeout,
            config.total_timeout,
        );
        Self::with_transport(config, Arc::new(network), clock)
    }

    /// As [`Self::new`], with another way to the API and another calendar: for tests and
    /// simulations.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_transport(
        config: AccountConfig,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn WallClock>,
    ) -> std::result::Result<Self, ConfigError> {
        config.validate()?;
        let vendor = (config.kind.vendor)();
        let limits = &config.kind.limits;
        let ledger = config.traffic_log.as_deref();
        let ledger = ledger.map(|path| TrafficLedger::open(path, clock.now()));
        let may_fetch = TrafficLimits {
            daily: config.daily_traffic.map(|size| size.0),
            reserve_percent: config.traffic_reserve_percent,
        };
        let mut keys = Vec::new();
        let configs: Vec<_> = config.of_each_key().collect();
        let number = u32::try_from(configs.len()).unwrap_or(u32::MAX);
        for config in configs {
            let token = config.load_token()?;
            let id = KeyId::of_token(token.expose());
            let mut scheduler = scheduler(&config, number, Arc::clone(&clock));
            if let Some(path) = config.call_log_of(keys.is_empty(), &id) {
                scheduler = scheduler.with_call_log(&path);
            }
            let caller = Caller {
                vendor: Arc::clone(&vendor),
                base: config.base_url()?,
                token: RwLock::new(token),
                transport: Arc::clone(&transport),
                scheduler,
                health: Health::default(),
                clock: Arc::clone(&clock),
                config,
            };
            let zone = limits.time_zone();
            let traffic = KeyTraffic::new(id, may_fetch, clock.clone(), zone, ledger.clone());
            keys.push(Key::new(caller, traffic));
        }
        Ok(Self {
            vendor,
            cdn: CdnAccess {
                client: network::cdn_client(&config)?,
                limits: CdnLimits {
                    per_host: config.cdn_connections_per_host,
                    total: config.cdn_connections_total,
                },
                link_life: limits.link_life,
            },
            keys,
            traffic: ledger,
            facts: Mutex::default(),
        })
    }

    /// Opens the files of calls and traffic that could not be opened before. The account works
    /// without them: a restart then may forget calls, and the day's traffic.
    ///
    /// # Errors
    /// Of the file system, with the path: one of them cannot be opened now.
    pub fn open_side_files(&self) -> io::Result<()> {
        for (number, key) in self.keys.iter().enumerate() {
            let caller = &key.caller;
            let path = caller.config.call_log_of(number == 0, key.traffic.key());
            path.map_or(Ok(()), |path| caller.scheduler.open_call_log(&path))?;
        }
        let now = self.main().clock.now();
        let traffic = self.traffic.as_ref();
        traffic.map_or(Ok(()), |ledger| ledger.read(now))
    }

    /// The key that lists the library.
    fn main(&self) -> &Caller {
        &self.keys[0].caller
    }

    /// The way to the API with the key that lists the library.
    fn api(&self, priority: Priority) -> Api<'_> {
        self.main().api(priority)
    }

    fn limits(&self) -> &'static Limits {
        &self.main().config.kind.limits
    }

    /// The scheduler that every call with the first key passes.
    pub fn scheduler(&self) -> &Scheduler {
        &self.main().scheduler
    }

    /// How many torrents are on their way, and how many may be.
    ///
    /// # Errors
    /// The general ones.
    pub async fn active_count(&self, priority: Priority) -> Result<ActiveCount> {
        self.vendor.active_count(&self.api(priority)).await
    }

    /// Traffic of the last days, the oldest first.
    ///
    /// # Errors
    /// The general ones.
    pub async fn traffic(&self, priority: Priority) -> Result<Vec<TrafficDay>> {
        self.vendor.traffic(&self.api(priority)).await
    }

    /// Part of the list of direct links that were made, newest first. `limit` as in
    /// [`Provider::torrents`].
    ///
    /// # Errors
    /// The general ones.
    pub async fn downloads(
        &self,
        priority: Priority,
        offset: u64,
        limit: u32,
    ) -> Result<DownloadPage> {
        let limit = limit.clamp(1, self.limits().page);
        let api = self.api(priority);
        self.vendor.downloads(&api, offset, limit).await
    }

    /// The provider's clock.
    ///
    /// # Errors
    /// The general ones.
    pub async fn server_time(&self, priority: Priority) -> Result<Timestamp> {
        self.vendor.server_time(&self.api(priority)).await
    }
}

/// The scheduler of one of `keys` keys.
fn scheduler(config: &AccountConfig, keys: u32, clock: Arc<dyn WallClock>) -> Scheduler {
    let limits = &config.kind.limits;
    let all = Budget {
        in_flight: limits.calls_in_flight,
        refusals: limits.refusals,
        ..Budget::per_minute(config.calls_per_minute)
    };
    let budgets = limits.budgets.iter();
    let mut budgets: Vec<Budget> = budgets.map(|budget| budget.of_each_of(keys)).collect();
    if !config.add_interval.is_zero() {
        budgets.push(Budget {
            word: Some(limits::ADD),
            calls: 1,
            per: config.add_interval,
            in_flight: 1,
            pauses_alone: false,
            of_account: false,
            refusals: limits.refusals,
        });
    }
    Scheduler::with_budgets(all, &budgets, clock)
}

impl std::fmt::Debug for DebridAccount {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("DebridAccount")
            .field("config", &self.main().config)
            .field("scheduler", &self.main().scheduler)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for DebridAccount {
    fn name(&self) -> &str {
        &self.main().config.name
    }

    fn health(&self) -> ProviderHealth {
        let scheduler = self.main().scheduler.status();
        let report = self.main().health.report();
        let reports = self.keys.iter().map(|key| key.caller.health.report());
        ProviderHealth {
            name: self.main().config.name.clone(),
            kind: self.main().config.kind.word,
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
        if !self.limits().tells_traffic {
            return Ok(());
        }
        for key in &self.keys {
            if !key.traffic.wants_reading() {
                continue;
            }
            let api = key.caller.api(Priority::Refresh);
            let days = self.vendor.traffic(&api).await?;
            let today = key.traffic.date();
            let said = days
                .iter()
                .find(|day| day.date == today.to_string())
                .map_or(0, |day| day.bytes);
            key.traffic.provider_said(today, said);
        }
        Ok(())
    }

    fn facts(&self) -> Option<AccountFacts> {
        self.facts.lock().clone()
    }

    async fn read_facts(&self, priority: Priority) -> Result<AccountFacts> {
        let account = self.account(priority).await?;
        let active = self.active_count(priority).await.ok();
        let declared = self.vendor.slots(&account);
        let facts = AccountFacts {
            slots_used: active.map(|active| active.active),
            slots: active.map(|active| active.limit).or(declared),
            account,
            read: self.main().clock.now(),
        };
        *self.facts.lock() = Some(facts.clone());
        Ok(facts)
    }

    fn end_pauses(&self) -> bool {
        let mut ended = false;
        for key in &self.keys {
            ended |= key.end_pauses();
        }
        ended
    }

    fn may_add_again(&self) -> bool {
        self.limits().may_add_again
    }

    fn cache_check(&self) -> CacheCheck {
        self.limits().cache_check
    }

    fn refuses_name(&self, name: &str) -> bool {
        self.vendor.refuses_name(name)
    }

    fn looks_apart(&self, every: Duration) -> Duration {
        every.saturating_mul(self.limits().look_percent) / 100
    }

    fn cdn(&self) -> CdnAccess {
        self.cdn.clone()
    }

    async fn account(&self, priority: Priority) -> Result<Account> {
        self.vendor.account(&self.api(priority)).await
    }

    async fn torrents(&self, priority: Priority, offset: u64, limit: u32) -> Result<TorrentPage> {
        let limit = limit.clamp(1, self.limits().page);
        let api = self.api(priority);
        let page = self.vendor.torrents(&api, offset, limit).await?;
        let longest = page.total.unwrap_or(0).max(offset);
        if longest > LONGEST_LIST {
            let words = format!("the list is said to have {longest} entries, which no account has");
            return Err(api.error("listing torrents", Verdict::Malformed, &words));
        }
        Ok(page)
    }

    async fn torrent(&self, priority: Priority, id: &TorrentId) -> Result<TorrentInfo> {
        self.vendor.torrent(&self.api(priority), id).await
    }

    async fn unrestrict(&self, priority: Priority, link: &HosterLink) -> Result<DirectLink> {
        keys::make_link(&self.keys, &*self.vendor, priority, link).await
    }

    async fn add_magnet(&self, priority: Priority, magnet: &str) -> Result<TorrentId> {
        self.vendor.add_magnet(&self.api(priority), magnet).await
    }

    async fn add_torrent(&self, priority: Priority, torrent: Bytes) -> Result<TorrentId> {
        self.vendor.add_torrent(&self.api(priority), torrent).await
    }

    async fn add_cached(&self, priority: Priority, what: Addition) -> Result<TorrentId> {
        self.vendor.add_cached(&self.api(priority), what).await
    }

    async fn is_cached(&self, priority: Priority, hash: InfoHash) -> Result<bool> {
        self.vendor.is_cached(&self.api(priority), hash).await
    }

    async fn select_files(&self, priority: Priority, id: &TorrentId, files: &[u32]) -> Result<()> {
        let api = self.api(priority);
        match self.vendor.select_files(&api, id, files).await {
            Err(error) if error.verdict == Verdict::AlreadyDone => Ok(()),
            result => result,
        }
    }

    async fn delete(&self, priority: Priority, id: &TorrentId) -> Result<()> {
        self.vendor.delete(&self.api(priority), id).await
    }
}
