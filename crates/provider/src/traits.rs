//! What a library needs of a provider.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use debridfs_base::http::StreamingClient;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Addition, CacheCheck, DirectLink, HosterLink, InfoHash, KeyId, KeyStatus, KeyTraffic, Result,
    TorrentId, TorrentInfo, TorrentPage,
};

/// Who asks, the most urgent first: a call waits behind calls of a smaller value only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Somebody is reading.
    Playback,
    /// An arr is importing.
    Import,
    /// Somebody looked into a directory, or asked by hand.
    User,
    /// Keeping the library true.
    Refresh,
    /// Filling caches ahead.
    Probe,
    /// Healing.
    Repair,
}

/// The account as the provider tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// User name.
    pub username: String,
    /// Whether it may download.
    pub premium: bool,
    /// The vendor's name of the subscription, where there are several.
    pub plan: Option<String>,
    /// When the subscription ends, if known.
    pub expires: Option<Timestamp>,
    /// The share of a fair-use allowance that is used, from 0 to 1, where the vendor tells it.
    pub fair_use: Option<f64>,
}

/// What an account told of itself when it was last asked.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountFacts {
    /// Plan and its end.
    pub account: Account,
    /// Downloads that are on their way to it; `None` where the vendor does not tell.
    pub slots_used: Option<u64>,
    /// How many may be; `None` where the vendor tells or declares no number.
    pub slots: Option<u64>,
    /// When it was asked.
    pub read: Timestamp,
}

/// How a provider does, for `status` and metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProviderHealth {
    /// Configured name.
    pub name: String,
    /// Kind, such as `real-debrid`.
    pub kind: &'static str,
    /// Whether the last call that could tell was answered.
    pub healthy: bool,
    /// Calls that may still be made at once.
    pub budget_left: u32,
    /// Calls allowed per minute.
    pub budget_per_minute: u32,
    /// Calls made since the start, by outcome: answered, failed.
    pub calls: u64,
    /// Calls that failed since the start.
    pub failures: u64,
    /// Calls waiting now.
    pub waiting: usize,
    /// The rest of a cool-down that all callers share.
    pub cooldown: Option<Duration>,
    /// The last error, in words for people, with its time.
    pub last_error: Option<(Timestamp, String)>,
}

/// How bytes are fetched from a provider's CDN.
#[derive(Debug, Clone)]
pub struct CdnAccess {
    /// With the account's proxy, IP version and CA.
    pub client: StreamingClient,
    /// How many connections may be open.
    pub limits: CdnLimits,
    /// The age at which a direct link is not used any more; `None`: it is until it is refused.
    pub link_life: Option<Duration>,
}

/// Connections to its CDN that a provider allows an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CdnLimits {
    /// To one host, at least 1.
    pub per_host: usize,
    /// To all hosts together, at least 1.
    pub total: usize,
}

/// How often calls ended in one way since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CallCount {
    /// `answered`, or the [`crate::Verdict::label`] of the failure.
    pub outcome: &'static str,
    /// Calls.
    pub calls: u64,
}

/// A debrid provider. Every call waits for its turn in the provider's scheduler first.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Configured name: the `NAME` of `[provider.NAME]`, and the name of its view.
    fn name(&self) -> &str;
    /// Health, budget and last error; never blocks.
    fn health(&self) -> ProviderHealth;
    /// Calls since the start by outcome, for metrics; never blocks.
    fn call_counts(&self) -> Vec<CallCount> {
        Vec::new()
    }
    /// The keys that links are made with, in the order of the configuration; never blocks. Empty: the provider knows of no keys.
    fn keys(&self) -> Vec<KeyStatus> {
        Vec::new()
    }
    /// The traffic of `key`; `None` when it is not counted, or the key is no longer configured.
    fn key_traffic(&self, key: &KeyId) -> Option<KeyTraffic> {
        let _ = key;
        None
    }
    /// Whether a caller of this urgency may fetch bytes at all now; asks nobody.
    ///
    /// # Errors
    /// [`crate::Verdict::OutOfTraffic`]: no key has traffic, or what is left is kept for playback.
    fn room_for(&self, priority: Priority) -> Result<()> {
        let _ = priority;
        Ok(())
    }
    /// Compares our count of the day's traffic with the provider's, where it offers one and there is reason to; to be called every few
    /// minutes.
    async fn read_traffic(&self) -> Result<()> {
        Ok(())
    }
    /// What the account told when [`Self::read_facts`] was last answered; never blocks.
    fn facts(&self) -> Option<AccountFacts> {
        None
    }
    /// Asks the account for its plan and its slots: two calls at most.
    ///
    /// # Errors
    /// The general ones: the plan could not be asked for. Slots that could not be are left out.
    async fn read_facts(&self, priority: Priority) -> Result<AccountFacts> {
        Ok(AccountFacts {
            account: self.account(priority).await?,
            slots_used: None,
            slots: None,
            read: Timestamp::now(),
        })
    }
    /// Ends the pauses that its refusals asked for ("too many calls", a refused key): the next call is made at once. Whether there was one.
    fn end_pauses(&self) -> bool {
        false
    }
    /// Whether repair may add what the account had before: not every vendor's terms allow it.
    fn may_add_again(&self) -> bool {
        true
    }
    /// How it is learnt whether the provider has a release already.
    fn cache_check(&self) -> CacheCheck {
        CacheCheck::Added
    }
    /// Whether the vendor is known to refuse any content called `name`: a release's name, or a path in it. With it a
    /// refusal of content ([`crate::Verdict::Infringing`]) says something of the name alone.
    fn refuses_name(&self, name: &str) -> bool {
        let _ = name;
        false
    }
    /// How far apart looks at an idle account's list are, where they are `every` apart for others.
    fn looks_apart(&self, every: Duration) -> Duration {
        every
    }
    /// How bytes behind direct links are fetched.
    fn cdn(&self) -> CdnAccess;

    /// Who we are.
    async fn account(&self, priority: Priority) -> Result<Account>;
    /// Part of the list of torrents, newest first: up to `limit` of them, or as many as the provider
    /// gives in one page.
    async fn torrents(&self, priority: Priority, offset: u64, limit: u32) -> Result<TorrentPage>;
    /// One torrent with its files.
    async fn torrent(&self, priority: Priority, id: &TorrentId) -> Result<TorrentInfo>;
    /// Makes a direct link, with the fittest of the provider's keys.
    async fn unrestrict(&self, priority: Priority, link: &HosterLink) -> Result<DirectLink>;
    /// Adds a magnet; the same hash twice may make two torrents.
    async fn add_magnet(&self, priority: Priority, magnet: &str) -> Result<TorrentId>;
    /// Adds the bytes of a `.torrent` file, likewise.
    async fn add_torrent(&self, priority: Priority, torrent: Bytes) -> Result<TorrentId>;
    /// Adds a magnet or the bytes of a `.torrent` file, as the two above, for a caller who wants it only if
    /// the provider has it already. Where a vendor cannot be asked so, it is added whatever happens: the
    /// caller looks whether it is ready soon, and deletes it if not.
    ///
    /// # Errors
    /// [`crate::Verdict::NotCached`]: the provider does not have it, and nothing was added.
    async fn add_cached(&self, priority: Priority, what: Addition) -> Result<TorrentId> {
        match what {
            Addition::Magnet(magnet) => self.add_magnet(priority, &magnet).await,
            Addition::Torrent(torrent) => self.add_torrent(priority, torrent).await,
        }
    }
    /// Whether the provider has a release already, where the vendor can be asked ([`CacheCheck::Asked`]). It may be
    /// wrong in either direction: what becomes of an addition is the truth.
    ///
    /// # Errors
    /// [`crate::Verdict::Disabled`]: the vendor cannot be asked.
    async fn is_cached(&self, priority: Priority, hash: InfoHash) -> Result<bool> {
        let _ = (priority, hash);
        Err(crate::Error {
            provider: self.name().to_owned(),
            verdict: crate::Verdict::Disabled,
            http_status: None,
            code: None,
            retry_after: None,
            message: "asking what is cached: the vendor has no call for it".to_owned(),
        })
    }
    /// Selects files of a torrent that waits for it ([`crate::TorrentStatus::WaitingFilesSelection`]); an empty
    /// `files` selects all.
    async fn select_files(&self, priority: Priority, id: &TorrentId, files: &[u32]) -> Result<()>;
    /// Deletes a torrent from the account.
    async fn delete(&self, priority: Priority, id: &TorrentId) -> Result<()>;
}
