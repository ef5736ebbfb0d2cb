//! Direct links over a restart, which copies differ, and which files were compared: held in memory, written behind.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use debridfs_provider::{
    DifferingCopy, DirectLink, HosterLink, KeyId, LinkStore, LinkStoreError, Source,
};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

use super::{Compared, Store};
use crate::verdicts::Verdicts;
use crate::{ComparedFiles, Error};

/// How soon it is tried again to write what could not be written.
const RETRY: Duration = Duration::from_secs(10);

/// By provider and hoster link, one of each key.
type Links = HashMap<String, HashMap<HosterLink, Vec<DirectLink>>>;

/// By provider, hoster link and key: a link, or that there is none any more.
pub(super) type LinkChanges = HashMap<(String, HosterLink, KeyId), Option<DirectLink>>;

/// The [`LinkStore`] of the catalogue. Neither looking a link up nor changing one waits for the disk; a link that cannot be written is kept in memory, and
/// written once that is possible.
pub(crate) struct StoredLinks {
    links: RwLock<Links>,
    differing: Mutex<Vec<DifferingCopy>>,
    compared: Mutex<Vec<Compared>>,
    file: Arc<File>,
    verdicts: Arc<Verdicts>,
    runtime: Handle,
}

/// What is on the disk, and what has yet to get there.
struct File {
    behind: Mutex<Behind>,
    store: Arc<Store>,
}

#[derive(Default)]
struct Behind {
    /// What the file lacks.
    changes: LinkChanges,
    /// Copies whose marks the file lacks.
    marks: Vec<DifferingCopy>,
    /// Comparisons that the file lacks.
    compared: Vec<Compared>,
    /// There is a task that ends when the file lacks nothing: by one task alone changes get there in their order.
    writing: bool,
}

impl StoredLinks {
    /// Begins with the stored links, and writes changes on `runtime`.
    pub(crate) fn new(
        store: Arc<Store>,
        rows: Vec<(String, HosterLink, DirectLink)>,
        (differing, compared): (Vec<DifferingCopy>, Vec<Compared>),
        verdicts: Arc<Verdicts>,
        runtime: Handle,
    ) -> Self {
        let mut links = Links::new();
        for (provider, hoster, link) in rows {
            let of_provider = links.entry(provider).or_default();
            of_provider.entry(hoster).or_default().push(link);
        }
        let behind = Mutex::default();
        Self {
            links: RwLock::new(links),
            differing: Mutex::new(differing),
            compared: Mutex::new(compared),
            file: Arc::new(File { behind, store }),
            verdicts,
            runtime,
        }
    }

    /// Files that were compared.
    pub(crate) fn compared(&self) -> Vec<ComparedFiles> {
        let compared = self.compared.lock();
        compared.iter().map(|pair| pair.files.clone()).collect()
    }

    /// Takes note of a comparison.
    pub(crate) fn note_compared(&self, pair: Compared) {
        self.compared.lock().push(pair.clone());
        self.begin(|behind| behind.compared.push(pair));
    }

    /// Begins to bring the file up to date.
    fn write(&self, key: (String, HosterLink, KeyId), change: Option<DirectLink>) {
        self.begin(|behind| drop(behind.changes.insert(key, change)));
    }

    fn begin(&self, note: impl FnOnce(&mut Behind)) {
        let mut behind = self.file.behind.lock();
        note(&mut behind);
        if !std::mem::replace(&mut behind.writing, true) {
            self.runtime.spawn(catch_up(self.file.clone()));
        }
    }
}

/// Writes until the file lacks nothing, or until nobody uses the catalogue any more and it cannot be written.
async fn catch_up(mut file: Arc<File>) {
    let mut failed = false;
    loop {
        match file.write().await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    tracing::warn!(%error, "links could not be stored; trying again");
                }
                let left = Arc::downgrade(&file);
                drop(file);
                tokio::time::sleep(RETRY).await;
                match left.upgrade() {
                    Some(still_used) => file = still_used,
                    None => return,
                }
            }
        }
    }
}

impl File {
    /// Writes what it lacks; whether that was all, which ends the writing.
    async fn write(&self) -> Result<bool, Error> {
        let (changes, marks, compared) = {
            let behind = self.behind.lock();
            let Behind {
                changes,
                marks,
                compared,
                ..
            } = &*behind;
            (changes.clone(), marks.clone(), compared.clone())
        };
        let written = (marks.len(), compared.len());
        let links = changes.clone();
        self.store.change_links(links, marks, compared).await?;
        let mut behind = self.behind.lock();
        // What changed meanwhile has yet to be written.
        (behind.changes).retain(|key, change| changes.get(key) != Some(change));
        behind.marks.drain(..written.0);
        behind.compared.drain(..written.1);
        behind.writing =
            !behind.changes.is_empty() || !behind.marks.is_empty() || !behind.compared.is_empty();
        Ok(!behind.writing)
    }
}

#[async_trait]
impl LinkStore for StoredLinks {
    async fn load(
        &self,
        provider: &str,
        hoster: &HosterLink,
    ) -> Result<Vec<DirectLink>, LinkStoreError> {
        let links = self.links.read();
        Ok(links
            .get(provider)
            .and_then(|links| links.get(hoster))
            .cloned()
            .unwrap_or_default())
    }

    fn save(&self, provider: &str, hoster: &HosterLink, link: &DirectLink) {
        let mut links = self.links.write();
        let of_provider = links.entry(provider.to_owned()).or_default();
        let known = of_provider.entry(hoster.clone()).or_default();
        known.retain(|known| known.key != link.key);
        known.push(link.clone());
        // While the links are locked, so that memory and file see changes in one order.
        let key = (provider.to_owned(), hoster.clone(), link.key.clone());
        self.write(key, Some(link.clone()));
    }

    fn forget(&self, provider: &str, hoster: &HosterLink, key: &KeyId) {
        let mut links = self.links.write();
        if let Some(links) = links.get_mut(provider)
            && let Some(known) = links.get_mut(hoster)
        {
            known.retain(|known| known.key != *key);
            if known.is_empty() {
                links.remove(hoster);
            }
        }
        // While the links are locked, as above.
        let key = (provider.to_owned(), hoster.clone(), key.clone());
        self.write(key, None);
    }

    fn differing(&self) -> Vec<DifferingCopy> {
        self.differing.lock().clone()
    }

    fn differs(&self, copy: DifferingCopy) {
        let mut differing = self.differing.lock();
        if !differing.contains(&copy) {
            differing.push(copy.clone());
            self.begin(|behind| behind.marks.push(copy));
        }
    }

    fn asked(&self, source: &Source, answer: Result<(), &debridfs_provider::Error>) {
        self.verdicts
            .note(&source.provider, &source.torrent, answer);
    }
}
