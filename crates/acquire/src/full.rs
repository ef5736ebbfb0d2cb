//! Providers whose slots are taken: one job asks again now and then, the others wait for its answer.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a provider is not asked again after it said that every slot is taken.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// By provider: until when, and what it said.
#[derive(Debug, Default)]
pub(crate) struct Full(Mutex<HashMap<String, (Instant, String)>>);

impl Full {
    /// `provider` has just said so, in these words.
    pub(crate) fn note(&self, provider: &str, words: &str) {
        let said = (Instant::now() + ASKED_AGAIN, words.to_owned());
        self.0.lock().insert(provider.to_owned(), said);
    }

    /// `provider` has taken something.
    pub(crate) fn clear(&self, provider: &str) {
        self.0.lock().remove(provider);
    }

    /// How long `provider` is not to be asked, and why. The first one who may ask again is alone with it: for the others
    /// the time starts over.
    pub(crate) fn left(&self, provider: &str) -> Option<(Duration, String)> {
        let mut all = self.0.lock();
        let (until, words) = all.get_mut(provider)?;
        let now = Instant::now();
        let left = until.saturating_duration_since(now);
        if left.is_zero() {
            *until = now + ASKED_AGAIN;
            return None;
        }
        Some((left, words.clone()))
    }
}
