//! Builds the parts of an engine from the configuration, from the provider up to the tree.

use std::path::Path;
use std::sync::Arc;

use debridfs_archive::Examiner;
use debridfs_cache::Cache;
use debridfs_catalogue::{Catalogue, CatalogueConfig, GuardRules, ViewRules};
use debridfs_content::Content;
use debridfs_provider::{AccountConfig, DebridAccount, Provider};
use debridfs_tree::{Tree, TreeConfig};
use tokio::runtime::Handle;

use crate::failure::{Doing, Failure, USAGE};
use debridfs_config::{Config, LibraryConfig};

/// What an engine is made of.
pub struct Parts {
    /// Accounts, with what is a vendor's own.
    pub accounts: Vec<Arc<DebridAccount>>,
    /// Accounts.
    pub providers: Vec<Arc<dyn Provider>>,
    /// The library.
    pub catalogue: Arc<Catalogue>,
    /// Bytes.
    pub content: Arc<Content>,
    /// What is shown.
    pub tree: Arc<Tree>,
}

impl Parts {
    /// Loads the stored library; asks no provider. Without `has_state` nothing that is stored is read or written: its volume does
    /// not answer.
    pub async fn load(
        config: &Config,
        cache: Option<Arc<Cache>>,
        has_state: bool,
    ) -> Result<Self, Failure> {
        let state = has_state.then_some(&*config.state_dir);
        let mut accounts = Vec::new();
        for section in config.provider.values() {
            accounts.push(account(section, state)?);
        }
        let same = accounts.iter().cloned();
        let providers: Vec<Arc<dyn Provider>> = same.map(|one| one as _).collect();
        let names = config.providers_in_order();
        let views = ViewRules::new(config.library.folder_naming, names, &config.folders)
            .map_err(|error| Failure::new(error.to_string(), None).with_code(USAGE))?;
        let catalogue = catalogue_config(&config.library, &config.state_dir, views);
        let catalogue = Catalogue::open(catalogue, providers.clone())
            .await
            .doing(|| "library".into())?;
        let mut reading = config.content.clone();
        reading.event_log = state.map(|dir| dir.join("events.jsonl"));
        reading.fill_log = state.map(|dir| dir.join("unfilled.json"));
        let content = Content::with_cache(
            reading,
            providers.clone(),
            catalogue.links(),
            Handle::current(),
            cache,
        );
        let mount = &config.mount;
        let folders = config.folders.iter();
        let orders = folders.map(|(name, folder)| (name.clone(), folder.order.clone()));
        let style = TreeConfig {
            uid: mount.uid.unwrap_or(rustix::process::geteuid().as_raw()),
            gid: mount.gid.unwrap_or(rustix::process::getegid().as_raw()),
            umask: mount.umask.0,
            layout: config.library.layout,
            version: concat!("debridfs ", env!("CARGO_PKG_VERSION")).into(),
            orders: orders.collect(),
            strm: config.strm_folders().map(str::to_owned).collect(),
        };
        let asked = catalogue.clone();
        let demand = move |release| asked.demand(release);
        let tree = Tree::new(style, catalogue.library(), content.clone(), demand);
        tree.follow_twins(catalogue.clone());
        Ok(Self {
            accounts,
            providers,
            catalogue,
            content,
            tree,
        })
    }

    /// What looks into archives.
    pub fn examiner(&self) -> Examiner {
        Examiner::new(
            self.catalogue.clone(),
            self.content.clone(),
            self.providers.clone(),
        )
    }
}

/// The cache on disk, unless it is turned off or no thread can be had for it.
pub fn cache(config: &Config) -> Option<Arc<Cache>> {
    let cache = &config.content.cache;
    if !cache.enabled {
        return None;
    }
    let opened = Cache::open(config.cache_dir.clone(), cache.clone());
    opened
        .inspect_err(|error| tracing::error!(%error, "no cache"))
        .ok()
}

fn account(config: &AccountConfig, state: Option<&Path>) -> Result<Arc<DebridAccount>, Failure> {
    let mut config = config.clone();
    // Names of providers are names of directories, so they are names of files as well.
    config.call_log = state.map(|dir| dir.join(format!("calls-{}", config.name)));
    config.traffic_log = state.map(|dir| dir.join(format!("traffic-{}", config.name)));
    let account = DebridAccount::new(config)
        .map_err(|error| Failure::new(error.to_string(), None).with_code(USAGE))?;
    Ok(Arc::new(account))
}

fn catalogue_config(
    library: &LibraryConfig,
    state_dir: &Path,
    views: ViewRules,
) -> CatalogueConfig {
    let mut config = CatalogueConfig::new(state_dir.join("catalogue.db"), views);
    config.poll_every = library.refresh_interval.0;
    config.full_list_every = library.full_interval.0;
    config.guard = GuardRules {
        share: f64::from(library.shrink_percent) / 100.0,
        releases: library.shrink_releases as usize,
        apart: library.confirm_interval.0,
        ..GuardRules::default()
    };
    config
}
