//! A provider whose links lead to the test's CDN, and a link store in memory.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use debridfs_base::http::StreamingClient;
use debridfs_provider::{
    Account, CdnAccess, CdnLimits, DifferingCopy, DirectLink, Error, HosterLink, KeyId, LinkStore,
    LinkStoreError, Priority, Provider, ProviderHealth, Result as ProviderResult, TorrentId,
    TorrentInfo, TorrentPage, Verdict,
};

type Refusals = Box<dyn Fn(u64) -> Option<Error> + Send + Sync>;

/// Links are `https://hoster/FILE`; each direct link has the next generation: `/f/FILE/GENERATION`.
pub struct TestProvider {
    name: String,
    cdn: SocketAddr,
    /// Links that end like this are served by another CDN.
    elsewhere: Option<(String, SocketAddr)>,
    client: reqwest::Client,
    permits: usize,
    refusals: Mutex<Refusals>,
    delay: Duration,
    pub unrestricts: AtomicU64,
}

impl TestProvider {
    pub fn new(name: &str, cdn: SocketAddr) -> Self {
        // An error is a second installation, by another test of this process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            name: name.to_owned(),
            cdn,
            elsewhere: None,
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            permits: 32,
            refusals: Mutex::new(Box::new(|_| None)),
            delay: Duration::ZERO,
            unrestricts: AtomicU64::new(0),
        }
    }

    pub fn with_permits(mut self, permits: usize) -> Self {
        self.permits = permits;
        self
    }

    pub fn with_elsewhere(mut self, file: u64, cdn: SocketAddr) -> Self {
        self.elsewhere = Some((format!("/{file}"), cdn));
        self
    }

    /// The files of the hoster links that end like this are served by another CDN.
    pub fn with_links_elsewhere(mut self, end: &str, cdn: SocketAddr) -> Self {
        self.elsewhere = Some((end.to_owned(), cdn));
        self
    }

    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Decides by the number of the call which unrestricts fail.
    pub fn refuse(&self, refusals: impl Fn(u64) -> Option<Error> + Send + Sync + 'static) {
        *self.refusals.lock().unwrap() = Box::new(refusals);
    }

    pub fn calls(&self) -> u64 {
        self.unrestricts.load(Ordering::Relaxed)
    }

    pub fn error(&self, verdict: Verdict) -> Error {
        Error {
            provider: self.name.clone(),
            verdict,
            http_status: None,
            code: None,
            retry_after: None,
            message: "as the test wants it".to_owned(),
        }
    }
}

#[async_trait]
impl Provider for TestProvider {
    fn name(&self) -> &str {
        &self.name
    }
    fn health(&self) -> ProviderHealth {
        unreachable!("not asked for by the reader")
    }
    fn cdn(&self) -> CdnAccess {
        CdnAccess {
            client: StreamingClient::new(self.client.clone()),
            limits: CdnLimits {
                per_host: self.permits,
                total: self.permits,
            },
            link_life: None,
        }
    }
    async fn account(&self, _: Priority) -> ProviderResult<Account> {
        unreachable!("not asked for by the reader")
    }
    async fn torrents(&self, _: Priority, _: u64, _: u32) -> ProviderResult<TorrentPage> {
        unreachable!("not asked for by the reader")
    }
    async fn torrent(&self, _: Priority, _: &TorrentId) -> ProviderResult<TorrentInfo> {
        unreachable!("not asked for by the reader")
    }
    async fn unrestrict(&self, _: Priority, link: &HosterLink) -> ProviderResult<DirectLink> {
        let number = self.unrestricts.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.delay).await;
        if let Some(error) = (self.refusals.lock().unwrap())(number) {
            return Err(error);
        }
        let file = link.0.rsplit('/').next().unwrap();
        let cdn = match &self.elsewhere {
            Some((moved, cdn)) if link.0.ends_with(&**moved) => *cdn,
            _ => self.cdn,
        };
        Ok(DirectLink {
            url: format!("http://{cdn}/f/{file}/{number}"),
            filename: String::new(),
            bytes: None,
            resolved_at: jiff::Timestamp::now(),
            key: KeyId::default(),
        })
    }
    async fn add_magnet(&self, _: Priority, _: &str) -> ProviderResult<TorrentId> {
        unreachable!("not asked for by the reader")
    }
    async fn add_torrent(&self, _: Priority, _: bytes::Bytes) -> ProviderResult<TorrentId> {
        unreachable!("not asked for by the reader")
    }
    async fn select_files(&self, _: Priority, _: &TorrentId, _: &[u32]) -> ProviderResult<()> {
        unreachable!("not asked for by the reader")
    }
    async fn delete(&self, _: Priority, _: &TorrentId) -> ProviderResult<()> {
        unreachable!("not asked for by the reader")
    }
}

/// A store that outlives the reader.
#[derive(Default)]
pub struct MemoryLinks {
    /// By provider and hoster link, one of each key.
    pub links: Mutex<HashMap<(String, HosterLink), Vec<DirectLink>>>,
    pub differing: Mutex<Vec<DifferingCopy>>,
    /// Neither tells nor keeps anything.
    pub broken: bool,
    /// How long looking a link up takes.
    pub slow: Duration,
}

impl MemoryLinks {
    /// Changes the links of `hoster`, before anybody else does.
    fn change(
        &self,
        provider: &str,
        hoster: &HosterLink,
        change: impl FnOnce(&mut Vec<DirectLink>),
    ) {
        if !self.broken {
            let key = (provider.to_owned(), hoster.clone());
            change(self.links.lock().unwrap().entry(key).or_default());
        }
    }
}

#[async_trait]
impl LinkStore for MemoryLinks {
    async fn load(
        &self,
        provider: &str,
        hoster: &HosterLink,
    ) -> Result<Vec<DirectLink>, LinkStoreError> {
        tokio::time::sleep(self.slow).await;
        if self.broken {
            return Err(LinkStoreError("disk broken".to_owned()));
        }
        let key = (provider.to_owned(), hoster.clone());
        Ok(self
            .links
            .lock()
            .unwrap()
            .get(&key)
            .cloned()
            .unwrap_or_default())
    }
    fn save(&self, provider: &str, hoster: &HosterLink, link: &DirectLink) {
        self.change(provider, hoster, |known| {
            known.retain(|known| known.key != link.key);
            known.push(link.clone());
        });
    }
    fn forget(&self, provider: &str, hoster: &HosterLink, key: &KeyId) {
        self.change(provider, hoster, |known| {
            known.retain(|known| known.key != *key)
        });
    }
    fn differing(&self) -> Vec<DifferingCopy> {
        self.differing.lock().unwrap().clone()
    }
    fn differs(&self, copy: DifferingCopy) {
        self.differing.lock().unwrap().push(copy);
    }
}
