//! What the pages show of a running engine: library, queue, cache and log.

use std::sync::Arc;

use debridfs_control::{
    CachedLine, QueuedJob, Refused, ReleaseList, ReleaseQuery, RunningEngine, ViewLine,
};

use super::{Changing, PageSource, QueueChange};

/// Answers the pages from an engine's memory.
pub struct EngineSource {
    /// The engine.
    pub engine: Arc<RunningEngine>,
    /// The last lines of its log, the oldest first.
    pub log: fn() -> Vec<String>,
}

impl PageSource for EngineSource {
    fn views(&self) -> Vec<ViewLine> {
        self.engine.views()
    }

    fn releases(&self, query: &ReleaseQuery) -> Option<ReleaseList> {
        self.engine.releases(query)
    }

    fn queue(&self) -> Option<Vec<QueuedJob>> {
        let mut jobs = self.engine.queued().ok()?;
        jobs.reverse();
        Some(jobs)
    }

    fn categories(&self) -> Vec<String> {
        self.engine.categories()
    }

    fn change_queue(&self, change: QueueChange) -> Changing {
        let engine = self.engine.clone();
        Box::pin(async move {
            let changed = carry_out(&engine, change).await;
            changed.map_err(|refused| refused.to_string())
        })
    }

    fn cached(&self) -> Result<Vec<CachedLine>, String> {
        self.engine.cached().map_err(|refused| refused.to_string())
    }

    fn log(&self) -> Vec<String> {
        (self.log)()
    }
}

async fn carry_out(engine: &RunningEngine, change: QueueChange) -> Result<(), Refused> {
    match change {
        QueueChange::Add { link, category } => {
            engine.add_link(&link, category).await?;
        }
        QueueChange::Upload { torrent, category } => {
            engine.add_torrent(torrent, category).await?;
        }
        QueueChange::Stop(hash) => engine.stop_job(&hash, true).await?,
        QueueChange::Start(hash) => engine.stop_job(&hash, false).await?,
        QueueChange::Again(hash) => engine.retry_job(&hash).await?,
        QueueChange::Remove { hash, files } => {
            engine.remove_job(&hash, files).await?;
        }
    }
    Ok(())
}
