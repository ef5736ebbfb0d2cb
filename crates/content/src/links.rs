//! Where a direct link is refreshed: made at the first read, shared by all readers, kept over a restart, replaced when refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use debridfs_provider::{DirectLink, HosterLink, LinkStore, Priority, Provider, Source, Verdict};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::error::Cause;
use crate::stats::{Counters, add};

/// The store may be slow, but not hold up a read for longer.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);
/// A resolution that hangs is given up, so that the next read may start another.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);
/// Nothing said about a link holds for longer: a hiccup must not become a verdict.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A link that never worked but was not refused either is given so long.
const DISTRUST_AFTER: Duration = Duration::from_secs(60);
/// A link that worked and is refused is replaced at once, but not more often than this.
const LINK_INTERVAL: Duration = Duration::from_secs(1);

/// All links that were needed since the start.
pub(crate) struct Links {
    providers: HashMap<String, Arc<dyn Provider>>,
    store: Arc<dyn LinkStore>,
    runtime: Handle,
    counters: Arc<Counters>,
    entries: Mutex<HashMap<(String, HosterLink), Arc<Entry>>>,
}

/// One hoster link.
#[derive(Default)]
struct Entry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    /// The store was asked; what it held is `current` or was refused.
    store_asked: bool,
    /// Set while a resolution is under way; its end closes the channel.
    flight: Option<watch::Receiver<()>>,
    /// No resolution before this, for this reason.
    pause: Option<(Instant, Cause)>,
    /// Resolutions that failed, and new links that never worked, in a row.
    failures: u32,
}

struct Current {
    link: Arc<DirectLink>,
    /// When it was made, if by this process.
    made: Option<Instant>,
    worked: bool,
}

/// A link lent to one fetch, which says how it went.
pub(crate) struct Lease {
    pub(crate) link: Arc<DirectLink>,
    pub(crate) provider: Arc<dyn Provider>,
    entry: Arc<Entry>,
    counters: Arc<Counters>,
}

/// There is no link now.
#[derive(Debug)]
pub(crate) struct NoLink {
    pub(crate) cause: Cause,
    /// When asking again makes sense.
    pub(crate) until: Instant,
}

impl Links {
    pub(crate) fn new(
        providers: Vec<Arc<dyn Provider>>,
        store: Arc<dyn LinkStore>,
        runtime: Handle,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        let providers = providers
            .into_iter()
            .map(|provider| (provider.name().to_owned(), provider))
            .collect();
        Arc::new(Self {
            providers,
            store,
            runtime,
            counters,
            entries: Mutex::default(),
        })
    }

    /// The direct link of `source`: the known one, else the stored one, else a new one. Everybody who asks meanwhile shares one
    /// resolution, which goes on when those who asked are gone.
    pub(crate) async fn get(self: &Arc<Self>, source: &Source) -> Result<Lease, NoLink> {
        let Some(provider) = self.providers.get(&source.provider) else {
            return Err(NoLink {
                cause: Cause::UnknownProvider(source.provider.clone()),
                until: Instant::now() + LONGEST_PAUSE,
            });
        };
        let entry = self.entry(source);
        loop {
            let mut flight = {
                let mut state = entry.lock();
                if let Some(current) = &state.current {
                    return Ok(Lease {
                        link: current.link.clone(),
                        provider: provider.clone(),
                        entry: entry.clone(),
                        counters: self.counters.clone(),
                    });
                }
                if let Some((until, cause)) = &state.pause
                    && *until > Instant::now()
                {
                    return Err(NoLink {
                        cause: cause.clone(),
                        until: *until,
                    });
                }
                match &state.flight {
                    // A closed channel is what a resolution leaves that ended without a word.
                    Some(flight) if flight.has_changed().is_ok() => flight.clone(),
                    _ => {
                        let (landed, flight) = watch::channel(());
                        state.flight = Some(flight.clone());
                        let (links, entry) = (self.clone(), entry.clone());
                        let (provider, source) = (provider.clone(), source.clone());
                        self.runtime.spawn(async move {
                            links.resolve(&entry, &*provider, &source).await;
                            drop(landed);
                        });
                        flight
                    }
                }
            };
            // An error is the end of the resolution, which is what is waited for.
            let _ = flight.changed().await;
        }
    }

    /// How old the link of `source` is, if it is in memory.
    pub(crate) fn age(&self, source: &Source) -> Option<Duration> {
        let key = (source.provider.clone(), source.link.clone());
        let entry = self.lock().get(&key)?.clone();
        let state = entry.lock();
        let made = state.current.as_ref()?.link.resolved_at;
        Some(
            Duration::try_from(jiff::Timestamp::now().duration_since(made))
                .unwrap_or(Duration::ZERO),
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, HosterLink), Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, source: &Source) -> Arc<Entry> {
        let key = (source.provider.clone(), source.link.clone());
        self.lock().entry(key).or_default().clone()
    }

    async fn resolve(&self, entry: &Entry, provider: &dyn Provider, source: &Source) {
        let name = source.provider.as_str();
        let first = !std::mem::replace(&mut entry.lock().store_asked, true);
        if first {
            if let Some(link) = self.load(name, &source.link).await {
                add(&self.counters.links_loaded, 1);
                entry.landed(link, None);
                return;
            }
        } else if let Ok(Err(error)) =
            timeout(STORE_TIMEOUT, self.store.forget(name, &source.link)).await
        {
            tracing::warn!(provider = name, %error, "a refused link stays in the store");
        }
        add(&self.counters.link_resolutions, 1);
        let asked = timeout(
            RESOLVE_TIMEOUT,
            provider.unrestrict(Priority::Playback, &source.link),
        );
        match asked.await {
            Ok(Ok(link)) => {
                // Before anybody uses it, so that a process killed right after the first byte has not lost it.
                let saved =
                    timeout(STORE_TIMEOUT, self.store.save(name, &source.link, &link)).await;
                if let Ok(Err(error)) = saved {
                    tracing::warn!(provider = name, %error, "a new link was not stored");
                }
                entry.landed(link, Some(Instant::now()));
            }
            Ok(Err(error)) => {
                tracing::debug!(provider = name, %error, "no link");
                entry.failed(
                    pause_for(error.verdict, error.retry_after),
                    Cause::Link {
                        verdict: error.verdict,
                        message: error.message,
                    },
                );
            }
            Err(_) => entry.failed(
                pause_for(Verdict::Retry, None),
                Cause::Link {
                    verdict: Verdict::Retry,
                    message: format!("no answer from {name} within {RESOLVE_TIMEOUT:?}"),
                },
            ),
        }
    }

    async fn load(&self, provider: &str, hoster: &HosterLink) -> Option<DirectLink> {
        match timeout(STORE_TIMEOUT, self.store.load(provider, hoster)).await {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => {
                tracing::warn!(provider, %error, "no link from the store");
                None
            }
            Err(_) => None,
        }
    }
}

/// How long a link is not asked again after the first failure, and whether the pause may double.
fn pause_for(verdict: Verdict, retry_after: Option<Duration>) -> Duration {
    let least = match verdict {
        Verdict::Retry | Verdict::Malformed | Verdict::BadRequest => Duration::from_millis(500),
        Verdict::BackOff
        | Verdict::NotFound
        | Verdict::LinkBroken
        | Verdict::AccountRefused
        | Verdict::OutOfTraffic
        | Verdict::SlotsFull
        | Verdict::AlreadyDone
        | Verdict::Infringing
        | Verdict::Rejected
        | Verdict::Disabled => Duration::from_secs(2),
    };
    least.max(retry_after.unwrap_or_default())
}

/// `first` doubled for every failure after the first, up to [`LONGEST_PAUSE`].
fn doubled(first: Duration, failures: u32) -> Duration {
    (first * (1 << failures.saturating_sub(1).min(8))).min(LONGEST_PAUSE)
}

impl Entry {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn landed(&self, link: DirectLink, made: Option<Instant>) {
        let mut state = self.lock();
        state.current = Some(Current {
            link: Arc::new(link),
            made,
            worked: false,
        });
        state.pause = None;
        state.flight = None;
    }

    fn failed(&self, pause: Duration, cause: Cause) {
        let mut state = self.lock();
        state.failures += 1;
        state.pause = Some((Instant::now() + doubled(pause, state.failures), cause));
        state.flight = None;
    }
}

impl Lease {
    /// The link gave data.
    pub(crate) fn worked(&self) {
        let mut state = self.entry.lock();
        if let Some(current) = &mut state.current
            && Arc::ptr_eq(&current.link, &self.link)
        {
            current.worked = true;
            state.failures = 0;
        }
    }

    /// The link's host cannot be reached, or answers nonsense: another link may lead to another host. A link made just now is kept, as
    /// an outage of the CDN must not become a storm of calls.
    pub(crate) fn distrust(&self) {
        let old = {
            let state = self.entry.lock();
            let current = state.current.as_ref();
            current.is_some_and(|current| {
                current.worked
                    || current
                        .made
                        .is_none_or(|made| made.elapsed() > DISTRUST_AFTER)
            })
        };
        if old {
            self.refused();
        }
    }

    /// The link was refused: the next `get` makes a new one; at once if this one worked before or came from the store, after a
    /// growing pause if it was made now and never worked.
    pub(crate) fn refused(&self) {
        let mut state = self.entry.lock();
        let Some(current) = &state.current else {
            return;
        };
        if !Arc::ptr_eq(&current.link, &self.link) {
            return;
        }
        add(&self.counters.links_refused, 1);
        let until = match current.made {
            None => None,
            Some(made) if current.worked => Some(made + LINK_INTERVAL),
            Some(_) => {
                state.failures += 1;
                Some(Instant::now() + doubled(Duration::from_millis(500), state.failures))
            }
        };
        state.current = None;
        state.pause = until.map(|until| (until, Cause::LinkRefused));
    }
}
