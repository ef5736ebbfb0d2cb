//! What providers said last of copies: for people, and for those who choose between copies. No read
//! is ever refused for it; a link is tried again when somebody reads.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use debridfs_base::WallClock;
use debridfs_provider::{TorrentId, Verdict};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;

use crate::Copy;
use crate::stored_time::stored_time;

/// What a provider said when it was asked about a copy, or for a link of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyVerdict {
    /// When it said so first, of all times in a row that it said the same.
    pub at: Timestamp,
    /// The [`Verdict::label`] of its refusal; `None`: it answered, after it had refused before.
    pub verdict: Option<String>,
    /// The refusal in words, for people.
    pub words: String,
}

/// A verdict as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerdictRow {
    pub(crate) provider: String,
    pub(crate) id: TorrentId,
    pub(crate) said: CopyVerdict,
}

type Key = (String, TorrentId);

/// The last verdicts of all copies that were ever refused.
pub(crate) struct Verdicts {
    inner: Mutex<Inner>,
    clock: Arc<dyn WallClock>,
    /// Some have to be stored.
    pub(crate) noted: Notify,
}

struct Inner {
    said: HashMap<Key, CopyVerdict>,
    /// Those that the store has not got.
    unstored: HashSet<Key>,
}

impl Verdicts {
    /// Begins with the stored ones.
    pub(crate) fn new(rows: Vec<VerdictRow>, clock: Arc<dyn WallClock>) -> Self {
        let rows = rows.into_iter();
        let said = rows.map(|row| ((row.provider, row.id), row.said)).collect();
        let unstored = HashSet::new();
        Self {
            inner: Mutex::new(Inner { said, unstored }),
            clock,
            noted: Notify::new(),
        }
    }

    /// Notes how a question about a copy ended. What speaks of account, network or ourselves says
    /// nothing of the copy.
    pub(crate) fn note(
        &self,
        provider: &str,
        id: &TorrentId,
        answer: Result<(), &debridfs_provider::Error>,
    ) {
        if answer.is_err_and(|error| !is_of_copy(error.verdict)) {
            return;
        }
        let mut inner = self.inner.lock();
        let key = (provider.to_owned(), id.clone());
        let verdict = answer.err().map(|error| error.verdict.label().to_owned());
        let before = inner.said.get(&key);
        if before.map_or(verdict.is_none(), |before| before.verdict == verdict) {
            return;
        }
        let words = answer.err().map(|error| error.message.clone());
        let said = CopyVerdict {
            at: stored_time(self.clock.now()),
            verdict,
            words: words.unwrap_or_default(),
        };
        inner.said.insert(key.clone(), said);
        inner.unstored.insert(key);
        drop(inner);
        self.noted.notify_one();
    }

    /// The last one of `copy`; `None` if it was never refused.
    pub(crate) fn of(&self, copy: &Copy) -> Option<CopyVerdict> {
        let key = (copy.provider.clone(), copy.id.clone());
        self.inner.lock().said.get(&key).cloned()
    }

    /// Copies that are refused, with the verdict.
    pub(crate) fn refused(&self) -> Vec<VerdictRow> {
        let inner = self.inner.lock();
        let refused = inner.said.iter().filter(|(_, said)| said.verdict.is_some());
        refused.map(|(key, said)| row(key, said)).collect()
    }

    /// Those that have to be stored.
    pub(crate) fn take_unstored(&self) -> Vec<VerdictRow> {
        let mut inner = self.inner.lock();
        let keys = std::mem::take(&mut inner.unstored);
        let rows = keys.iter().filter_map(|key| {
            let said = inner.said.get(key)?;
            Some(row(key, said))
        });
        rows.collect()
    }

    /// Forgets copies that are gone for good.
    pub(crate) fn forget(&self, gone: &[Key]) {
        let mut inner = self.inner.lock();
        for key in gone {
            inner.said.remove(key);
            inner.unstored.remove(key);
        }
    }
}

fn row((provider, id): &Key, said: &CopyVerdict) -> VerdictRow {
    VerdictRow {
        provider: provider.clone(),
        id: id.clone(),
        said: said.clone(),
    }
}

/// Whether the refusal speaks of the copy that was asked for.
fn is_of_copy(verdict: Verdict) -> bool {
    match verdict {
        Verdict::NotFound
        | Verdict::LinkBroken
        | Verdict::FileUnavailable
        | Verdict::Infringing
        | Verdict::Rejected
        | Verdict::BadRequest
        | Verdict::Malformed => true,
        Verdict::Retry
        | Verdict::BackOff
        | Verdict::AccountRefused
        | Verdict::OutOfTraffic
        | Verdict::SlotsFull
        | Verdict::AlreadyDone
        | Verdict::NotCached
        | Verdict::Disabled => false,
    }
}

#[cfg(test)]
mod tests {
    use debridfs_provider::Error;

    use super::*;
    use crate::testing::{at, record};

    /// Says what the test set last.
    struct Hand(Mutex<Timestamp>);

    impl WallClock for Hand {
        fn now(&self) -> Timestamp {
            *self.0.lock()
        }
    }

    fn error(verdict: Verdict) -> Error {
        Error {
            provider: "rd".into(),
            verdict,
            http_status: None,
            code: None,
            retry_after: None,
            message: format!("said {}", verdict.label()),
        }
    }

    #[test]
    fn a_verdict_is_noted_when_it_changes_and_only_of_copies_that_were_refused() {
        let copy = record(1, "Film");
        let hand = Arc::new(Hand(Mutex::new(at(0))));
        let verdicts = Verdicts::new(Vec::new(), hand.clone());
        let note = |answer: Result<(), Verdict>, second| {
            let answer = answer.map_err(error);
            *hand.0.lock() = at(second);
            verdicts.note("rd", &copy.id, answer.as_ref().map(drop));
            verdicts.take_unstored().len()
        };
        assert_eq!(note(Ok(()), 1), 0, "never refused");
        assert_eq!(note(Err(Verdict::AccountRefused), 2), 0);
        assert_eq!(verdicts.of(&copy), None);
        assert_eq!(note(Err(Verdict::LinkBroken), 3), 1);
        assert_eq!(note(Err(Verdict::LinkBroken), 4), 0, "no news");
        assert_eq!(note(Err(Verdict::Retry), 5), 0, "a hiccup");
        let said = verdicts.of(&copy).unwrap();
        assert_eq!(said.verdict.as_deref(), Some("link_broken"));
        assert_eq!((said.at, &*said.words), (at(3), "said link_broken"));
        assert_eq!(verdicts.refused().len(), 1);
        assert_eq!(note(Ok(()), 6), 1);
        assert_eq!(verdicts.of(&copy).unwrap().verdict, None);
        assert!(verdicts.refused().is_empty());
        verdicts.forget(&[("rd".into(), copy.id.clone())]);
        assert_eq!(verdicts.of(&copy), None);
    }
}
