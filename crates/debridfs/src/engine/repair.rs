//! Repair, as it is configured.

use std::sync::Arc;

use debridfs_acquire::{Acquire, DeletePolicy};
use debridfs_base::volume::Volume;
use debridfs_base::{Late, SystemClock, Trouble};
use debridfs_repair::{LibraryWard, Repair, Rules};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use super::trouble::{of_setting, of_state};
use debridfs_config::Config;

/// Repair, and what it is made of.
#[derive(Clone)]
pub struct Repairing {
    /// Settings.
    pub config: Arc<Config>,
    /// The library that is repaired.
    pub parts: Arc<Parts>,
    /// Downloads, which know what was added from here.
    pub queue: Late<Acquire>,
    /// Repair, once it is open.
    pub repair: Late<Repair>,
}

impl Repairing {
    /// Opens it unless it is open, and goes on until `shutdown`.
    ///
    /// # Errors
    /// Why it cannot be opened, or that it ended.
    pub async fn run(self, rules: Rules, shutdown: CancellationToken) -> Result<(), Trouble> {
        let repair = match self.repair.get() {
            Some(repair) => repair.clone(),
            None => {
                let repair = self.open(rules).await?;
                self.repair.set(repair.clone());
                repair
            }
        };
        repair.run(shutdown).await;
        Err(Trouble::of_end())
    }

    async fn open(&self, mut rules: Rules) -> Result<Arc<Repair>, Trouble> {
        let (config, parts) = (self.config.clone(), &self.parts);
        rules.let_go = self.queue.is_expected() && config.acquire.delete != DeletePolicy::Ignore;
        let arrs = config.arrs().map_err(|error| of_setting(&error))?;
        let order = config.providers_in_order();
        let mut providers = parts.providers.clone();
        providers.sort_by_key(|one| order.iter().position(|name| name == one.name()));
        let ward = LibraryWard::new(
            parts.catalogue.clone(),
            parts.content.clone(),
            providers,
            arrs,
            self.queue.clone(),
        );
        let path = config.state_dir.join("repair.json");
        let place = path.clone();
        let open = move || Repair::open(rules, &place, Arc::new(ward), Arc::new(SystemClock));
        match Volume::state().run(&path, open).await {
            Ok(opened) => opened.map_err(|error| of_state(&config, error)),
            Err(silent) => Err(of_state(&config, silent)),
        }
    }
}
