//! Shows the keeper that this engine lives, and what its stand-in is to answer in its place: the root's attributes and statfs, as last given here.

use std::sync::Arc;
use std::time::Duration;

use debridfs_handover::journal::Journal;
use debridfs_vfs::{Attr, StatFs, Vfs};

use crate::wire::{attr_out, statfs_out};

/// How often the keeper sees that this engine lives.
const BEAT: Duration = Duration::from_millis(250);

/// What was published last.
pub(crate) struct Published {
    journal: Arc<Journal>,
    vfs: Arc<dyn Vfs>,
    last: Option<(Attr, StatFs)>,
}

impl Published {
    pub(crate) fn new(journal: Arc<Journal>, vfs: Arc<dyn Vfs>) -> Self {
        Self {
            journal,
            vfs,
            last: None,
        }
    }

    /// Publishes what changed.
    pub(crate) fn refresh(&mut self) {
        let now = (self.vfs.root(), self.vfs.statfs());
        if self.last == Some(now) {
            return;
        }
        let mut bytes = Vec::new();
        attr_out(&mut bytes, &now.0);
        if let Ok(bytes) = bytes.as_slice().try_into() {
            self.journal.publish_root(bytes);
        }
        bytes.clear();
        statfs_out(&mut bytes, &now.1);
        if let Ok(bytes) = bytes.as_slice().try_into() {
            self.journal.publish_statfs(bytes);
        }
        self.last = Some(now);
    }

    /// Beats until dropped. On the runtime, so that a runtime which is stuck counts as dead.
    pub(crate) async fn beat(mut self) {
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.journal.beat();
            self.refresh();
        }
    }
}
