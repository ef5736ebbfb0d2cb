//! Whether a provider is well enough to be asked first where another one has the same bytes, and when somebody looks whether it is well
//! again. No reader waits for that look.

use debridfs_base::Backoff;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::tuning::standing::{FORGOTTEN, LONGEST, SHORTEST};

/// One provider's standing.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Set while it is away: when somebody looks for it.
    look: Option<Instant>,
    /// Falls and vain looks, not long ago.
    falls: u32,
    fell: Option<Instant>,
}

impl State {
    fn fall(&mut self, now: Instant) {
        if self.fell.is_none_or(|fell| now > fell + FORGOTTEN) {
            self.falls = 0;
        }
        self.falls += 1;
        self.fell = Some(now);
        self.look = Some(now + Backoff::new(SHORTEST, LONGEST).after(self.falls));
    }
}

impl Standing {
    /// A reader left it. Returns whether that is news.
    pub(crate) fn fell(&self) -> bool {
        let mut state = self.state.lock();
        let is_news = state.look.is_none();
        if is_news {
            state.fall(Instant::now());
        }
        is_news
    }

    /// Bytes came from it. Returns whether that is news.
    pub(crate) fn came(&self) -> bool {
        self.state.lock().look.take().is_some()
    }

    /// Whether it is left alone.
    pub(crate) fn is_away(&self) -> bool {
        self.state.lock().look.is_some()
    }

    /// Whether the caller is to look if it is well again; [`Self::came`] tells that it is.
    pub(crate) fn is_due(&self) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        if state.look.is_some_and(|look| now < look) {
            return false;
        }
        state.fall(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_looks_at_a_time_and_less_often_the_longer_it_is_away() {
        let standing = Standing::default();
        assert!(!standing.is_away());
        standing.fell();
        let mut looks = 0;
        let begun = Instant::now();
        while begun.elapsed() < LONGEST * 10 {
            looks += u32::from(standing.is_due());
            assert!(standing.is_away());
            tokio::time::advance(SHORTEST / 4).await;
        }
        assert!((10..=16).contains(&looks), "{looks}");
        standing.came();
        assert!(!standing.is_away());
    }
}
