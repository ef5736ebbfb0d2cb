//! Direct links over a restart: held in memory, written through.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use debridfs_provider::{DirectLink, HosterLink, KeyId, LinkStore, LinkStoreError};

use super::Store;

/// By provider and hoster link, one of each key.
type Links = HashMap<String, HashMap<HosterLink, Vec<DirectLink>>>;

/// The [`LinkStore`] of the catalogue. Looking a link up never waits for the disk; a link that cannot be written is kept in
/// memory.
pub(crate) struct StoredLinks {
    links: RwLock<Links>,
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
            links: RwLock::new(links),
            store,
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
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
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
            let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
            let of_provider = links.entry(provider.to_owned()).or_default();
            let known = of_provider.entry(hoster.clone()).or_default();
            known.retain(|known| known.key != link.key);
            known.push(link.clone());
        }
        self.store
            .save_link((provider.to_owned(), hoster.clone(), link.clone()))
            .await
            .map_err(|error| LinkStoreError(error.to_string()))
    }

    async fn forget(
        &self,
        provider: &str,
        hoster: &HosterLink,
        key: &KeyId,
    ) -> Result<(), LinkStoreError> {
        if let Some(links) = self
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
        self.store
            .forget_link(provider.to_owned(), hoster.clone(), key.clone())
            .await
            .map_err(|error| LinkStoreError(error.to_string()))
    }
}
