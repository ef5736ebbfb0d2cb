//! What is made ready for a file that was opened, before anybody reads from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use debridfs_provider::{Priority, Source};
use tokio::sync::Semaphore;

use crate::links::Links;

/// Links made ahead of a first read at a time, and in all for files that were opened and not read: programs open thousands of files
/// only to close them.
const AT_ONCE: usize = 4;
const UNREAD: usize = 16;

/// Makes links of opened files ready, few enough of them.
#[derive(Debug)]
pub(crate) struct Opening {
    places: Arc<Semaphore>,
    /// What is left of [`UNREAD`].
    left: AtomicUsize,
}

impl Default for Opening {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            left: AtomicUsize::new(UNREAD),
        }
    }
}

impl Opening {
    /// Asks for the link of `source`, the first of an opened file, unless it is known, or too many wait for a read.
    pub(crate) fn opened(&self, links: &Arc<Links>, source: &Source) {
        if links.age(source).is_some() {
            return;
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return;
        };
        if !self.change(|left| left.checked_sub(1)) {
            return;
        }
        let (links, source) = (links.clone(), source.clone());
        links.runtime().clone().spawn(async move {
            // Without a link the read will say why.
            let _ = links.get(&source, Priority::User).await;
            drop(place);
        });
    }

    /// A file was read for the first time: another may be opened.
    pub(crate) fn read(&self) {
        self.change(|left| (left < UNREAD).then_some(left + 1));
    }

    fn change(&self, change: impl Fn(usize) -> Option<usize>) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
            .is_ok()
    }
}
