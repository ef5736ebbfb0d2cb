//! One at a time for each release: two requests of it would add its torrent twice.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use debridfs_provider::InfoHash;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Who is at it.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<InfoHash, Weak<Turn<()>>>>);

impl Turns {
    /// Waits for the turn of `hash`, which lasts until the answer is dropped.
    pub(crate) async fn take(&self, hash: InfoHash) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock();
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(&hash).and_then(Weak::upgrade);
            let turn = known.unwrap_or_default();
            turns.insert(hash, Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}
