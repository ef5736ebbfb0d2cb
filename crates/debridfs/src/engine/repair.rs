//! Repair, as it is configured.

use std::sync::Arc;

use debridfs_acquire::{Acquire, DeletePolicy};
use debridfs_base::SystemClock;
use debridfs_repair::{LibraryWard, Repair};

use super::parts::Parts;
use crate::config::Config;
use crate::failure::{Doing, Failure};

/// Opens repair, unless it is turned off.
pub fn open(
    config: &Config,
    parts: &Parts,
    queue: Option<Arc<Acquire>>,
) -> Result<Option<Arc<Repair>>, Failure> {
    let Some(mut rules) = config.repair.rules() else {
        return Ok(None);
    };
    rules.let_go = queue.is_some() && config.acquire.delete != DeletePolicy::Ignore;
    let ward = LibraryWard::new(
        parts.catalogue.clone(),
        parts.content.clone(),
        parts.providers.clone(),
        config.arrs()?,
        queue,
    );
    let path = config.state_dir.join("repair.json");
    let repair = Repair::open(rules, &path, Arc::new(ward), Arc::new(SystemClock));
    repair.doing(|| "repair".into()).map(Some)
}
