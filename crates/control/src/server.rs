//! The engine's end of the control socket: only its owner can open it, so there is no login.

use std::sync::Arc;

use axum::Router;
use debridfs_acquire::Acquire;
use debridfs_catalogue::Catalogue;
use debridfs_repair::Repair;

use crate::repair::RepairDesk;
use crate::{CacheDesk, Instance, TokenDesk, cached, instance, queue, repair, tokens, traces};

/// What a running engine lets its commands see and change.
pub struct Control {
    /// How it does.
    pub instance: Arc<dyn Instance>,
    /// Its library.
    pub catalogue: Arc<Catalogue>,
    /// Its files, and the cache on disk.
    pub cache: CacheDesk,
    /// Its downloads, if any are configured.
    pub queue: Option<Arc<Acquire>>,
    /// Its repair, unless that is turned off.
    pub repair: Option<Arc<Repair>>,
    /// Its tokens for files over HTTP.
    pub tokens: TokenDesk,
}

impl Control {
    /// All calls.
    pub fn router(self) -> Router {
        let CacheDesk {
            content,
            tree,
            mount,
            ..
        } = self.cache.clone();
        let desk = RepairDesk {
            repair: self.repair,
            tree: tree.clone(),
            catalogue: self.catalogue,
            mount: mount.clone(),
        };
        instance::routes(self.instance)
            .merge(cached::routes(self.cache))
            .merge(queue::routes(self.queue))
            .merge(repair::routes(desk))
            .merge(tokens::routes(self.tokens))
            .merge(traces::routes(content, tree, &mount))
    }
}
