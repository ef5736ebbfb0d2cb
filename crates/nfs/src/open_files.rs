//! NFSv3 knows no open files. One handle for each file that a client reads stands in for them, so that its reads are known as
//! those of one reader.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use debridfs_listen::Network;
use debridfs_vfs::{NodeId, Result, Vfs};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Files that are open at one time.
const MOST: usize = 1024;
/// A file that is not read for so long is closed.
const IDLE: Duration = Duration::from_secs(120);
/// How often it is looked for such files, at most.
const LOOK_EVERY: Duration = Duration::from_secs(10);

type Key = (Network, NodeId);

struct State {
    open: HashMap<Key, (u64, Instant)>,
    looked: Instant,
}

/// The files that clients read.
pub(crate) struct OpenFiles {
    vfs: Arc<dyn Vfs>,
    state: Mutex<State>,
}

impl OpenFiles {
    /// None yet.
    pub(crate) fn new(vfs: Arc<dyn Vfs>) -> Self {
        let state = State {
            open: HashMap::new(),
            looked: Instant::now(),
        };
        Self {
            vfs,
            state: Mutex::new(state),
        }
    }

    /// The handle by which `client` reads `node`; opened if it is not.
    ///
    /// # Errors
    /// Those of opening it.
    pub(crate) async fn handle(&self, client: Network, node: NodeId) -> Result<u64> {
        let key = (client, node);
        if let Some(known) = self.known(key) {
            return Ok(known);
        }
        let fresh = self.vfs.open(node).get().await?;
        let now = Instant::now();
        let mut closed = Vec::new();
        let mut state = self.state.lock();
        if state.open.len() >= MOST {
            let oldest = state.open.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                closed.extend(state.open.remove(&oldest));
            }
        }
        // Another request may have opened it meanwhile.
        closed.extend(state.open.insert(key, (fresh, now)));
        drop(state);
        self.close(closed);
        Ok(fresh)
    }

    fn known(&self, key: Key) -> Option<u64> {
        let now = Instant::now();
        let mut closed = Vec::new();
        let mut state = self.state.lock();
        if now - state.looked > LOOK_EVERY {
            state.looked = now;
            let idle = |used: Instant| now - used > IDLE;
            closed.extend(
                state
                    .open
                    .extract_if(|_, (_, used)| idle(*used))
                    .map(|(_, one)| one),
            );
        }
        let known = state.open.get_mut(&key).map(|(handle, used)| {
            *used = now;
            *handle
        });
        drop(state);
        self.close(closed);
        known
    }

    fn close(&self, handles: Vec<(u64, Instant)>) {
        for (handle, _) in handles {
            self.vfs.release(handle);
        }
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        let open = std::mem::take(&mut self.state.get_mut().open);
        self.close(open.into_values().collect());
    }
}
