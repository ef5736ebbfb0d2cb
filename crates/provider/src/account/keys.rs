//! The keys of one account set: which one makes the next link, and what a refusal of one means for
//! the others.

use std::time::Duration;

use debridfs_base::Backoff;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::caller::Caller;
use crate::vendors::Vendor;
use crate::{
    DirectLink, Error, HosterLink, KeyId, KeyStatus, KeyTraffic, Priority, Result, Verdict,
};

/// A key that was refused is left alone for this long while there is another.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(300));

/// One token with its calls and its traffic.
pub(crate) struct Key {
    pub(crate) caller: Caller,
    pub(crate) traffic: KeyTraffic,
    refusal: Mutex<Option<Refusal>>,
}

#[derive(Debug, Clone)]
struct Refusal {
    words: String,
    until: Instant,
    in_a_row: u32,
}

/// How fit a key is for the next link, the fittest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    Ready,
    /// Its calls have to wait, with so many others.
    Busy(usize),
    /// The provider refused it a short while ago.
    Refused,
    /// It has no traffic left, as far as is known.
    Out,
}

/// What a failed call says about the key it was made with.
enum Meaning {
    OutOfTraffic,
    Refused,
    TooManyCalls,
    /// Nothing: it is about the link, or about all keys.
    NotTheKey,
}

impl Meaning {
    fn of(error: &Error) -> Self {
        match error.verdict {
            Verdict::OutOfTraffic => Self::OutOfTraffic,
            Verdict::AccountRefused => Self::Refused,
            Verdict::BackOff => Self::TooManyCalls,
            Verdict::Retry
            | Verdict::NotFound
            | Verdict::LinkBroken
            | Verdict::FileUnavailable
            | Verdict::SlotsFull
            | Verdict::AlreadyDone
            | Verdict::Infringing
            | Verdict::Rejected
            | Verdict::NotCached
            | Verdict::BadRequest
            | Verdict::Disabled
            | Verdict::Malformed => Self::NotTheKey,
        }
    }
}

impl Key {
    pub(crate) fn new(caller: Caller, traffic: KeyTraffic) -> Self {
        Self {
            caller,
            traffic,
            refusal: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> &KeyId {
        self.traffic.key()
    }

    fn refusal(&self) -> Option<Refusal> {
        let refusal = self.refusal.lock();
        refusal.clone()
    }

    fn set_refusal(&self, words: Option<&str>) {
        let mut refusal = self.refusal.lock();
        *refusal = words.map(|words| {
            let before = refusal.as_ref().map_or(0, |before| before.in_a_row);
            let in_a_row = before.saturating_add(1);
            Refusal {
                words: words.to_owned(),
                until: Instant::now() + PAUSES.after(in_a_row),
                in_a_row,
            }
        });
    }

    /// Ends the pauses after refusals of its calls, of its token, and of links with it. Whether there was one.
    pub(crate) fn end_pauses(&self) -> bool {
        let now = Instant::now();
        let refused = self.refusal.lock().as_mut().is_some_and(|refusal| {
            let stands = refusal.until > now;
            refusal.until = now;
            stands
        });
        let token = self.caller.health.standing_refusal().is_some();
        self.caller.health.end_pause();
        self.caller.scheduler.end_pauses() || token || refused
    }

    fn fitness(&self, priority: Priority) -> Fitness {
        let scheduler = self.caller.scheduler.status();
        if self.traffic.check(priority).is_err() {
            Fitness::Out
        } else if self.refusal().is_some_and(|it| it.until > Instant::now()) {
            Fitness::Refused
        } else if scheduler.budget_left as usize <= scheduler.waiting || self.links_wait(priority) {
            Fitness::Busy(scheduler.waiting)
        } else {
            Fitness::Ready
        }
    }

    /// Whether a link has to wait for the budget of links.
    fn links_wait(&self, priority: Priority) -> bool {
        let word = self.caller.config.kind.limits.link_word;
        self.caller.scheduler.would_wait(priority, word)
    }

    pub(crate) fn status(&self, number: usize) -> KeyStatus {
        KeyStatus {
            id: self.id().clone(),
            number,
            refused: self.refusal().map(|refusal| refusal.words),
            budgets: self.caller.scheduler.budgets(),
            budget_left: self.caller.scheduler.status().budget_left,
            calls: self.caller.health.report().calls,
            traffic: self.traffic.status(),
        }
    }
}

/// Makes a direct link of `link` with the fittest key, and with the next one when the key itself is
/// refused.
pub(crate) async fn make_link(
    keys: &[Key],
    vendor: &dyn Vendor,
    priority: Priority,
    link: &HosterLink,
) -> Result<DirectLink> {
    let mut order: Vec<_> = keys
        .iter()
        .map(|key| (key.fitness(priority), key))
        .collect();
    // Stable: equals stay in the order of the configuration.
    order.sort_by_key(|(fitness, _)| *fitness);
    let mut failed: Option<Error> = None;
    for (fitness, key) in order {
        match fitness {
            Fitness::Ready | Fitness::Busy(_) => {}
            // With nothing better it is as good a try as any, but a single one.
            Fitness::Refused if failed.is_none() => {}
            // An empty key is tried now and then, and only for a reader.
            Fitness::Out if failed.is_none() && priority == Priority::Playback => {
                if !key.traffic.take_trial() {
                    continue;
                }
            }
            Fitness::Refused | Fitness::Out => continue,
        }
        let made = vendor.direct_link(&key.caller.api(priority), link).await;
        let error = match made {
            Ok(link) => {
                key.set_refusal(None);
                key.traffic.accepted();
                return Ok(DirectLink {
                    key: key.id().clone(),
                    ..link
                });
            }
            Err(error) => error,
        };
        match Meaning::of(&error) {
            Meaning::NotTheKey => return Err(error),
            Meaning::OutOfTraffic => key.traffic.refused(),
            Meaning::Refused => key.set_refusal(Some(&error.message)),
            Meaning::TooManyCalls => {}
        }
        tracing::info!(key = %key.id(), %error, "a key makes no links");
        // What is said in the end is what the first key was told.
        failed.get_or_insert(error);
    }
    Err(failed.unwrap_or_else(|| nothing_left(keys, priority)))
}

/// The error when no key has traffic for a caller of `priority`, said without asking the provider.
pub(crate) fn nothing_left(keys: &[Key], priority: Priority) -> Error {
    let words: Vec<_> = keys
        .iter()
        .filter_map(|key| key.traffic.check(priority).err())
        .map(|shortage| shortage.to_string())
        .collect();
    Error {
        provider: keys
            .first()
            .map_or_else(String::new, |key| key.caller.config.name.clone()),
        verdict: Verdict::OutOfTraffic,
        http_status: None,
        code: None,
        retry_after: None,
        message: words.join("; "),
    }
}
