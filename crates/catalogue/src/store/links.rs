//! Direct links over a restart: held in memory, written through.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use debridfs_provider::{DirectLink, HosterLink, KeyId, LinkStore, LinkStoreError};

use super::Store;
use crate::Error;
use crate::sync::lock;

/// How soon it is tried again to write what could not be written.
const RETRY: Duration = Duration::from_secs(10);

/// By provider and hoster link, one of each key.
type Links = HashMap<String, HashMap<HosterLink, Vec<DirectLink>>>;

/// By provider, hoster link and key: a link, or that there is none any more.
pub(super) type LinkChanges = HashMap<(String, HosterLink, KeyId), Option<DirectLink>>;

/// The [`LinkStore`] of the catalogue. Looking a link up never waits for the disk; a link that cannot be written is kept in memory, and written once
/// that is possible. Nothing is given up because nobody waits for it any more.
pub(crate) struct StoredLinks {
    kept: Arc<Kept>,
}

struct Kept {
    links: RwLock<Links>,
    /// What the file lacks.
    behind: Mutex<LinkChanges>,
    /// Held while it is written: changes get there in their order.
    writing: tokio::sync::Mutex<()>,
    retrying: AtomicBool,
    store: Arc<Store>,
}

impl StoredLinks {
    /// Begins with the stored links.
    pub(crate) fn new(store: Arc<Store>, rows: Vec<(String, HosterLink, DirectLink)>) -> Self {
        let mut links = Links::new();
        for (provider, hoster, link) in rows {
            let of_provider = links.entry(provider).or_default();
            of_provider.entry(hoster).or_default().push(link);
        }
        Self {
            kept: Arc::new(Kept {
                links: RwLock::new(links),
                behind: Mutex::default(),
                writing: tokio::sync::Mutex::default(),
                retrying: AtomicBool::new(false),
                store,
            }),
        }
    }

    /// Brings the file up to date, by a task of its own that ends when it has.
    async fn write(
        &self,
        key: (String, HosterLink, KeyId),
        change: Option<DirectLink>,
    ) -> Result<(), LinkStoreError> {
        lock(&self.kept.behind).insert(key, change);
        let kept = self.kept.clone();
        let written = tokio::spawn(async move {
            let outcome = kept.catch_up().await;
            if outcome.is_err() && !kept.retrying.swap(true, Ordering::Relaxed) {
                tokio::spawn(retry(Arc::downgrade(&kept)));
            }
            outcome
        });
        let outcome = written.await.map_err(|error| error.to_string());
        outcome
            .and_then(|outcome| outcome.map_err(|error| error.to_string()))
            .map_err(LinkStoreError)
    }
}

impl Kept {
    async fn catch_up(&self) -> Result<(), Error> {
        let _turn = self.writing.lock().await;
        let changes = lock(&self.behind).clone();
        if changes.is_empty() {
            // Whoever wrote before took ours along.
            return Ok(());
        }
        self.store.change_links(changes.clone()).await?;
        // What changed meanwhile has yet to be written.
        lock(&self.behind).retain(|key, change| changes.get(key) != Some(change));
        Ok(())
    }
}

/// Tries again until all is written.
async fn retry(kept: Weak<Kept>) {
    loop {
        tokio::time::sleep(RETRY).await;
        let Some(kept) = kept.upgrade() else {
            return;
        };
        if kept.catch_up().await.is_ok() {
            kept.retrying.store(false, Ordering::Relaxed);
            return;
        }
    }
}

#[async_trait]
impl LinkStore for StoredLinks {
    async fn load(
        &self,
        provider: &str,
        hoster: &HosterLink,
    ) -> Result<Vec<DirectLink>, LinkStoreError> {
        let links = &self.kept.links;
        let links = links.read().unwrap_or_else(PoisonError::into_inner);
        Ok(links
            .get(provider)
            .and_then(|links| links.get(hoster))
            .cloned()
            .unwrap_or_default())
    }

    async fn save(
        &self,
        provider: &str,
        hoster: &HosterLink,
        link: &DirectLink,
    ) -> Result<(), LinkStoreError> {
        {
            let links = &self.kept.links;
            let mut links = links.write().unwrap_or_else(PoisonError::into_inner);
            let of_provider = links.entry(provider.to_owned()).or_default();
            let known = of_provider.entry(hoster.clone()).or_default();
            known.retain(|known| known.key != link.key);
            known.push(link.clone());
        }
        let key = (provider.to_owned(), hoster.clone(), link.key.clone());
        self.write(key, Some(link.clone())).await
    }

    async fn forget(
        &self,
        provider: &str,
        hoster: &HosterLink,
        key: &KeyId,
    ) -> Result<(), LinkStoreError> {
        if let Some(links) = self
            .kept
            .links
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(provider)
            && let Some(known) = links.get_mut(hoster)
        {
            known.retain(|known| known.key != *key);
            if known.is_empty() {
                links.remove(hoster);
            }
        }
        let key = (provider.to_owned(), hoster.clone(), key.clone());
        self.write(key, None).await
    }
}
