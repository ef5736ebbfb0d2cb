//! Requests whose clients were told to ask again (`NFS3ERR_JUKEBOX`), and since when they ask. Linux does so every 5 s without
//! end, and each time as a new request, so the server has to remember when to give up.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use debridfs_listen::Network;
use debridfs_vfs::NodeId;
use futures_util::future::{AbortHandle, BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Requests that are remembered, of one client and of all.
const PER_CLIENT: usize = 64;
const ALL: usize = 1024;
/// A client that did not ask again for so long has given up: Linux asks after 5 s, BSD after up to 60.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// The bytes from this offset on.
    Read(u64),
    /// Attributes, a name, or a listing: a hash of the arguments.
    Told(u64),
}

/// Which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) client: Network,
    pub(crate) fsid: u64,
    pub(crate) node: NodeId,
    pub(crate) what: What,
}

/// Work that goes on while its client waits to ask again.
pub(crate) type Work<T> = Shared<BoxFuture<'static, T>>;

struct Entry<T> {
    first: Instant,
    last: Instant,
    /// Bytes that are read, and the reading of them.
    work: Option<(u32, Work<T>, AbortHandle)>,
}

/// All delayed requests; what is read for them comes as `T`.
pub(crate) struct Delayed<T> {
    entries: Mutex<HashMap<Asked, Entry<T>>>,
}

impl<T> Default for Delayed<T> {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
        }
    }
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        if let Some((.., stop)) = &self.work {
            stop.abort();
        }
    }
}

impl<T> Delayed<T> {
    /// When it was asked for first, and the reading of `size` bytes for it if that goes on.
    pub(crate) fn find(&self, asked: &Asked, size: u32) -> Option<(Instant, Option<Work<T>>)> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(asked)?;
        let now = Instant::now();
        if now - entry.last > FORGOTTEN {
            entries.remove(asked);
            return None;
        }
        entry.last = now;
        let same = entry.work.as_ref().filter(|(of, ..)| *of == size);
        Some((entry.first, same.map(|(_, work, _)| work.clone())))
    }

    /// Remembers that it was asked for first at `first`.
    pub(crate) fn keep(
        &self,
        asked: Asked,
        first: Instant,
        work: Option<(u32, Work<T>, AbortHandle)>,
    ) {
        let last = Instant::now();
        let mut entries = self.entries.lock();
        if !entries.contains_key(&asked) {
            make_room(&mut entries, asked.client, last);
        }
        entries.insert(asked, Entry { first, last, work });
    }

    /// As [`Self::keep`], where what goes on for it may go on.
    pub(crate) fn note(&self, asked: Asked, first: Instant) {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(&asked) {
            entry.last = Instant::now();
            return;
        }
        drop(entries);
        self.keep(asked, first, None);
    }

    /// It was answered.
    pub(crate) fn forget(&self, asked: &Asked) {
        self.entries.lock().remove(asked);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }
}

fn make_room<T>(entries: &mut HashMap<Asked, Entry<T>>, client: Network, now: Instant) {
    let own = entries
        .keys()
        .filter(|asked| asked.client == client)
        .count();
    if own < PER_CLIENT && entries.len() < ALL {
        return;
    }
    entries.retain(|_, entry| now - entry.last <= FORGOTTEN);
    let is_among = |asked: &Asked| own < PER_CLIENT || asked.client == client;
    let among = entries.iter().filter(|(asked, _)| is_among(asked));
    let oldest = among
        .min_by_key(|(_, entry)| entry.last)
        .map(|(asked, _)| *asked);
    if let Some(oldest) = oldest {
        entries.remove(&oldest);
    }
}
