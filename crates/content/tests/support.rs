//! A reader on a simulated CDN.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]
#![allow(
    dead_code,
    missing_docs,
    unused_imports,
    reason = "each test binary uses its own part of the support, by names that speak for themselves"
)]

#[path = "support/cdn.rs"]
pub mod cdn;
#[path = "support/provider.rs"]
pub mod provider;

use std::sync::Arc;
use std::time::Duration;

use debridfs_cache::Cache;
use debridfs_content::{Content, ContentConfig, ContentError, FileRef, ReadRequest};
use debridfs_provider::{HosterLink, Source, TorrentId};
use tokio::runtime::Handle;

pub use cdn::{Answer, Cdn, content};
pub use provider::{MemoryLinks, TestProvider};

/// Long enough that no slow machine meets it.
pub const LONG: Duration = Duration::from_secs(60);
pub const MIB: u64 = 1 << 20;

/// A CDN, a provider, and a reader of both.
pub struct Bench {
    pub cdn: Cdn,
    pub provider: Arc<TestProvider>,
    pub links: Arc<MemoryLinks>,
    pub content: Arc<Content>,
    pub config: ContentConfig,
    sizes: Vec<(u64, u64)>,
}

/// Times short enough for a test, long enough for a busy machine.
pub fn quick() -> ContentConfig {
    ContentConfig {
        first_byte_timeout_ms: 1000,
        stall_timeout_ms: 500,
        ..ContentConfig::default()
    }
}

/// For tests that count what is fetched: no time limit of the reader is met, however long the machine is away.
pub fn patient() -> ContentConfig {
    ContentConfig {
        first_byte_timeout_ms: 60_000,
        stall_timeout_ms: 60_000,
        idle_connection_ms: 600_000,
        idle_memory_ms: 600_000,
        ..ContentConfig::default()
    }
}

pub fn source(provider: &str, id: u64) -> Source {
    Source {
        provider: provider.to_owned(),
        torrent: TorrentId(format!("T{id}")),
        link: HosterLink(format!("https://hoster/{id}")),
        part: None,
    }
}

impl Bench {
    /// One file, number 1, of `size` bytes.
    pub async fn new(size: u64) -> Self {
        Self::with(quick(), [(1, size)], |provider| provider).await
    }

    /// As [`Self::new`], for counting.
    pub async fn patient(size: u64) -> Self {
        Self::with(patient(), [(1, size)], |provider| provider).await
    }

    pub async fn with(
        config: ContentConfig,
        sizes: impl IntoIterator<Item = (u64, u64)>,
        change: impl FnOnce(TestProvider) -> TestProvider,
    ) -> Self {
        let sizes: Vec<_> = sizes.into_iter().collect();
        let cdn = Cdn::start(sizes.clone()).await;
        let provider = Arc::new(change(TestProvider::new("rd", cdn.address)));
        let links = Arc::new(MemoryLinks::default());
        let content = Content::new(
            config.clone(),
            vec![provider.clone()],
            links.clone(),
            Handle::current(),
        );
        Self {
            cdn,
            provider,
            links,
            content,
            config,
            sizes,
        }
    }

    /// The reader anew, with the links that were stored.
    pub fn restart(&mut self) {
        self.content = Content::new(
            self.config.clone(),
            vec![self.provider.clone()],
            self.links.clone(),
            Handle::current(),
        );
    }

    pub fn file(&self, id: u64) -> FileRef {
        let (_, size) = self.sizes.iter().find(|(known, _)| *known == id).unwrap();
        FileRef {
            id,
            size: *size,
            sources: Arc::from([source("rd", id)]),
        }
    }

    /// Reads and checks part of file `id`; by memory first, as a transport thread would.
    pub async fn read(
        &self,
        id: u64,
        handle: u64,
        offset: u64,
        size: u32,
        deadline: Duration,
    ) -> Result<u64, ContentError> {
        checked(
            &self.content,
            &self.file(id),
            handle,
            offset,
            size,
            deadline,
        )
        .await
    }
}

/// A reader of `cdn` with `cache` before it, and links that nobody kept.
pub fn caching(cdn: &Cdn, cache: &Arc<Cache>, config: ContentConfig) -> Arc<Content> {
    Content::with_cache(
        config,
        vec![Arc::new(TestProvider::new("rd", cdn.address))],
        Arc::new(MemoryLinks::default()),
        Handle::current(),
        Some(cache.clone()),
    )
}

/// Reads and checks.
pub async fn checked(
    reader: &Content,
    file: &FileRef,
    handle: u64,
    offset: u64,
    size: u32,
    deadline: Duration,
) -> Result<u64, ContentError> {
    let request = ReadRequest {
        handle,
        offset,
        size,
        deadline,
        client: debridfs_base::Client::Own,
    };
    let out = match reader.try_read(file.file_id(), &request) {
        Some(out) => out,
        None => reader.read(file, &request).await?,
    };
    let out = out.concat();
    let end = offset.saturating_add(size.into()).min(file.size);
    let expected = content(file.id, offset.min(end)..end);
    assert!(
        out == expected,
        "wrong bytes at {offset}, {} instead of {} of them",
        out.len(),
        expected.len()
    );
    Ok(out.len() as u64)
}
