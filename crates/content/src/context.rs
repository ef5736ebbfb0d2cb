//! What all readers share.

use std::sync::Arc;

use debridfs_cache::Cache;
use debridfs_cdn::Cdn;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::budget::Budget;
use crate::config::ContentConfig;
use crate::stats::Counters;

pub(crate) struct Context {
    pub(crate) config: ContentConfig,
    pub(crate) cdn: Arc<Cdn>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counters: Counters,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) runtime: Handle,
    /// Asks for memory of readers that do nothing.
    pub(crate) memory_wanted: Arc<Notify>,
}
