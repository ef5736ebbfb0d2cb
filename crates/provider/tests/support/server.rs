//! A server that counts calls as the vendor does: at most so many in any 60 seconds, refused ones included.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// The vendor's window.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts calls.
pub struct Server {
    limit: usize,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    recent: VecDeque<Instant>,
    calls: usize,
    refused: usize,
    most: usize,
}

impl Server {
    /// A server that refuses more than `limit` calls in a minute.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            seen: Mutex::default(),
        }
    }

    /// A call arrives; tells whether it is answered.
    pub fn arrive(&self) -> bool {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap();
        while seen.recent.front().is_some_and(|at| *at + WINDOW <= now) {
            seen.recent.pop_front();
        }
        seen.recent.push_back(now);
        seen.calls += 1;
        seen.most = seen.most.max(seen.recent.len());
        let refused = seen.recent.len() > self.limit;
        seen.refused += usize::from(refused);
        !refused
    }

    /// Calls so far.
    pub fn calls(&self) -> usize {
        self.seen.lock().unwrap().calls
    }

    /// Refused calls so far.
    pub fn refused(&self) -> usize {
        self.seen.lock().unwrap().refused
    }

    /// The most calls that any 60 seconds held.
    pub fn most(&self) -> usize {
        self.seen.lock().unwrap().most
    }
}
