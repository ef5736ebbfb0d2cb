//! A catalogue over a [`Fake`], in a directory of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::WallClock;
use debridfs_catalogue::{Catalogue, CatalogueConfig, Contents, FolderNaming, Library, ViewRules};
use debridfs_provider::{ContentId, Provider};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fake::{Fake, clock};

/// The store's place and the clock, over any number of runs.
pub struct Bench {
    pub dir: TempDir,
    pub clock: Arc<dyn WallClock>,
    pub fake: Arc<Fake>,
    /// Other accounts, preferred less.
    pub others: Vec<Arc<Fake>>,
}

/// One run.
pub struct Run {
    pub catalogue: Arc<Catalogue>,
    pub shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Bench {
    pub fn new(fake: Arc<Fake>) -> Self {
        Self {
            dir: tempfile::Builder::new()
                .prefix("debridfs-sync-")
                .tempdir()
                .unwrap(),
            clock: clock(),
            fake,
            others: Vec::new(),
        }
    }

    fn providers(&self) -> Vec<Arc<dyn Provider>> {
        let fakes = std::iter::once(&self.fake).chain(&self.others);
        fakes.map(|fake| fake.clone() as _).collect()
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("catalogue.db")
    }

    pub fn config(&self) -> CatalogueConfig {
        let providers = self.providers();
        let names = providers.iter().map(|provider| provider.name().to_owned());
        let rules = ViewRules::new(FolderNaming::default(), names.collect(), &BTreeMap::new());
        let rules = rules.unwrap();
        let mut config = CatalogueConfig::new(self.path(), rules);
        config.clock = self.clock.clone();
        config
    }

    pub async fn open(&self) -> Arc<Catalogue> {
        Catalogue::open(self.config(), self.providers())
            .await
            .unwrap()
    }

    pub async fn start(&self) -> Run {
        self.start_with(self.config()).await
    }

    pub async fn start_with(&self, config: CatalogueConfig) -> Run {
        let catalogue = Catalogue::open(config, self.providers()).await.unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(catalogue.clone().run(shutdown.clone()));
        Run {
            catalogue,
            shutdown,
            task,
        }
    }
}

impl Run {
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    /// Ends all tasks where they are, as a kill does.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    pub fn library(&self) -> Arc<Library> {
        self.catalogue.library().borrow().clone()
    }

    /// Waits until the published library satisfies `wanted`.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Library) -> bool) {
        let mut library = self.catalogue.library();
        let reached = library.wait_for(|library| wanted(library));
        if tokio::time::timeout(Duration::from_secs(36 * 3600), reached)
            .await
            .is_err()
        {
            panic!("never {what}: {:#?}", self.catalogue.status());
        }
    }

    pub async fn until_complete(&self) {
        let total = || self.catalogue.status().complete;
        self.until("complete", |_| total()).await;
    }
}

/// Names in `__all__`.
pub fn all(library: &Library) -> BTreeSet<String> {
    view(library, "__all__")
}

/// Names in a view.
pub fn view(library: &Library, name: &str) -> BTreeSet<String> {
    library
        .views
        .iter()
        .filter(|view| view.name == name)
        .flat_map(|view| view.entries.iter())
        .map(|entry| entry.name.to_string())
        .collect()
}

/// Whether the files of the release are shown.
pub fn known(library: &Library, hash: ContentId) -> bool {
    library
        .views
        .iter()
        .flat_map(|view| view.entries.iter())
        .any(|entry| {
            entry.release.id == hash && matches!(entry.release.contents, Contents::Known(_))
        })
}

pub async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
