//! Direct links over a restart: held in memory, written through.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use debridfs_provider::{DirectLink, HosterLink, LinkStore, LinkStoreError};

use super::Store;

type Links = HashMap<String, HashMap<HosterLink, DirectLink>>;

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
            links.entry(provider).or_default().insert(hoster, link);
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
    ) -> Result<Option<DirectLink>, LinkStoreError> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        Ok(links
            .get(provider)
            .and_then(|links| links.get(hoster))
            .cloned())
    }

    async fn save(
        &self,
        provider: &str,
        hoster: &HosterLink,
        link: &DirectLink,
    ) -> Result<(), LinkStoreError> {
        self.links
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(provider.to_owned())
            .or_default()
            .insert(hoster.clone(), link.clone());
        self.store
            .save_link((provider.to_owned(), hoster.clone(), link.clone()))
            .await
            .map_err(|error| LinkStoreError(error.to_string()))
    }

    async fn forget(&self, provider: &str, hoster: &HosterLink) -> Result<(), LinkStoreError> {
        if let Some(links) = self
            .links
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(provider)
        {
            links.remove(hoster);
        }
        self.store
            .forget_link(provider.to_owned(), hoster.clone())
            .await
            .map_err(|error| LinkStoreError(error.to_string()))
    }
}
