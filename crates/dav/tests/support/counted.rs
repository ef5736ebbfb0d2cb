//! Bytes of a film of which a test knows how many are in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are taken off `held` when they go.
pub struct Counted {
    pub bytes: Vec<u8>,
    pub held: Arc<AtomicU64>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let bytes = self.bytes.len() as u64;
        self.held.fetch_sub(bytes, Ordering::SeqCst);
    }
}
