//! Tables of what callers did lately: bounded, and whoever was there longest ago makes room.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Network;

/// Values by key, each with when it was last put there; at most so many.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    entries: HashMap<K, (V, Instant)>,
    most: usize,
}

impl<K: Hash + Eq + Copy, V> Recent<K, V> {
    /// None yet, and never more than `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            entries: HashMap::new(),
            most,
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Puts `value` there, as of now. Without room for it the oldest one goes.
    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.entries.len() >= self.most
            && !self.entries.contains_key(&key)
            && let Some((oldest, _)) = self.entries.iter().min_by_key(|(_, (_, at))| *at)
        {
            let oldest = *oldest;
            self.entries.remove(&oldest);
        }
        self.entries.insert(key, (value, Instant::now()));
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Forgets what was put there longer ago than `age`.
    pub(crate) fn forget(&mut self, age: Duration) {
        let now = Instant::now();
        self.entries.retain(|_, (_, at)| now - *at < age);
    }
}

/// How often one caller's refusals are told in the log.
const EVERY: Duration = Duration::from_secs(60);
/// Callers that are told of in that time: whoever has many addresses must not wash out the log.
const CALLERS: usize = 100;

/// Lines of the log about callers: one a minute for each.
#[derive(Debug)]
pub(crate) struct Lines(Mutex<Recent<Option<Network>, ()>>);

impl Default for Lines {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(CALLERS)))
    }
}

impl Lines {
    /// Whether there may be a line about `network` now; it counts as written.
    pub(crate) fn may_tell(&self, network: Option<Network>) -> bool {
        let mut told = self.0.lock();
        told.forget(EVERY);
        let may = told.get(&network).is_none() && told.entries.len() < CALLERS;
        if may {
            told.put(network, ());
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_caller_is_told_of_once_a_minute_and_a_crowd_of_them_is_cut_short() {
        let caller = |number: u32| Some(Network::of(Ipv4Addr::from_bits(number).into()));
        let lines = Lines::default();
        assert!(lines.may_tell(caller(1)) && lines.may_tell(None));
        assert!(!lines.may_tell(caller(1)) && !lines.may_tell(None));
        let told = (2..10_000).filter(|number| lines.may_tell(caller(*number)));
        assert_eq!(told.count(), CALLERS - 2);
        tokio::time::advance(EVERY).await;
        assert!(lines.may_tell(caller(1)));
    }
}
