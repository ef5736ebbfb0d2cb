//! Bytes an account has fetched, by the vendor's days.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Bytes by day (`YYYY-MM-DD` in the vendor's zone).
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<BTreeMap<String, u64>>);

impl Traffic {
    pub(crate) fn add(&self, day: &str, bytes: u64) {
        let mut days = self.0.lock();
        match days.get_mut(day) {
            Some(sum) => *sum += bytes,
            None => {
                days.insert(day.to_owned(), bytes);
            }
        }
    }

    pub(crate) fn on(&self, day: &str) -> u64 {
        let days = self.0.lock();
        days.get(day).copied().unwrap_or(0)
    }

    pub(crate) fn days(&self) -> BTreeMap<String, u64> {
        self.0.lock().clone()
    }
}
