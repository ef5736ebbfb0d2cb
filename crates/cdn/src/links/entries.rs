//! A map that does not grow for ever: what is not in use goes, the longest unused first.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

/// At most about `most` values, and those somebody holds.
pub(super) struct Entries<K, V> {
    most: usize,
    may_go: fn(&V) -> bool,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    /// With when it was used last, in uses.
    map: HashMap<K, (u64, Arc<V>)>,
    uses: u64,
}

impl<K: Eq + Hash + Clone, V: Default> Entries<K, V> {
    /// An empty map. Values for which `may_go` is false stay.
    pub(super) fn new(most: usize, may_go: fn(&V) -> bool) -> Self {
        Self {
            most,
            may_go,
            state: Mutex::new(State {
                map: HashMap::new(),
                uses: 0,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock()
    }

    /// The value of `key`, made if it is not there.
    pub(super) fn get(&self, key: &K) -> Arc<V> {
        let mut state = self.lock();
        state.uses += 1;
        let now = state.uses;
        if let Some((used, value)) = state.map.get_mut(key) {
            *used = now;
            return value.clone();
        }
        if state.map.len() >= self.most {
            self.prune(&mut state.map);
        }
        let value = Arc::<V>::default();
        state.map.insert(key.clone(), (now, value.clone()));
        value
    }

    /// The value of `key`, if there is one.
    pub(super) fn known(&self, key: &K) -> Option<Arc<V>> {
        self.lock().map.get(key).map(|(_, value)| value.clone())
    }

    /// Makes room for a quarter, so that not every new value has to look for some.
    fn prune(&self, map: &mut HashMap<K, (u64, Arc<V>)>) {
        let mut idle: Vec<u64> = map
            .values()
            .filter(|(_, value)| Arc::strong_count(value) == 1 && (self.may_go)(value))
            .map(|(used, _)| *used)
            .collect();
        let excess = (map.len() - self.most * 3 / 4).min(idle.len());
        if excess == 0 {
            return;
        }
        let (_, last, _) = idle.select_nth_unstable(excess - 1);
        let last = *last;
        map.retain(|_, (used, value)| {
            *used > last || Arc::strong_count(value) > 1 || !(self.may_go)(value)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn what_is_unused_goes_and_what_is_held_or_busy_stays() {
        let entries = Entries::<u32, AtomicBool>::new(100, |busy| !busy.load(Ordering::Relaxed));
        let held = entries.get(&0);
        entries.get(&1).store(true, Ordering::Relaxed);
        for key in 2..10_000 {
            entries.get(&key);
            assert!(entries.lock().map.len() <= 100, "{key}");
        }
        assert!(Arc::ptr_eq(&held, &entries.get(&0)));
        assert!(entries.get(&1).load(Ordering::Relaxed));
        assert!(entries.known(&2).is_none());
        // The newest were not dropped for older ones.
        assert!((9_990..10_000).all(|key| entries.known(&key).is_some()));
    }

    #[test]
    fn nobody_who_is_held_has_to_go() {
        let entries = Entries::<u32, u8>::new(4, |_| true);
        let all: Vec<_> = (0..20).map(|key| entries.get(&key)).collect();
        for (key, value) in (0..20).zip(&all) {
            assert!(Arc::ptr_eq(value, &entries.get(&key)));
        }
    }
}
