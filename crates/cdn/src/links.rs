//! Where a direct link is refreshed: made at the first read, shared by all readers, kept over a restart, replaced when refused.

mod entries;
mod gate;
mod ready;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::Backoff;
use debridfs_provider::{
    DirectLink, Error, HosterLink, KeyId, KeyTraffic, LinkStore, Priority, Provider, Shortage,
    Source, Verdict,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use self::entries::Entries;
use self::gate::{Asked, Gate};
pub(crate) use self::ready::Ready;
use crate::error::Cause;
use crate::hosts::{Connections, Hosts};
use crate::http::HttpSource;
use crate::source::RangeSource;
use crate::standing::Standing;
use crate::stats::{Counters, add};
use crate::tuning::links::{
    DISTRUST_AFTER, LINK_INTERVAL, LONGEST_PAUSE, MOST_ENTRIES, RESOLVE_TIMEOUT, STORE_TIMEOUT,
    VERDICT_KEPT,
};

/// The links that were needed lately; all others are in the store.
pub(crate) struct Links {
    accounts: HashMap<String, Arc<Account>>,
    store: Arc<dyn LinkStore>,
    runtime: Handle,
    counters: Arc<Counters>,
    entries: Entries<(String, HosterLink), Entry>,
    /// Told when a provider falls into trouble or recovers.
    standings: watch::Sender<()>,
}

/// A provider, and what is asked for bytes by its links.
pub(crate) struct Account {
    provider: Arc<dyn Provider>,
    pub(crate) source: Arc<dyn RangeSource>,
    pub(crate) connections: Arc<Connections>,
    gate: Gate,
    pub(crate) standing: Standing,
    /// The age at which a link is not used any more.
    link_life: Option<Duration>,
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
    /// The key of a link that was refused and has to leave the store.
    refused: Option<KeyId>,
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
    /// Made by this process and not lent yet.
    fresh: bool,
}

/// A link lent to one fetch, which says how it went.
pub(crate) struct Lease {
    pub(crate) link: Arc<DirectLink>,
    pub(crate) account: Arc<Account>,
    /// What the bytes of the link count as.
    pub(crate) traffic: Option<KeyTraffic>,
    /// It was made just now, and nobody was lent it before.
    pub(crate) fresh: bool,
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
        hosts: &Hosts,
        runtime: Handle,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        let accounts = providers
            .into_iter()
            .map(|provider| {
                let cdn = provider.cdn();
                let account = Arc::new(Account {
                    source: Arc::new(HttpSource::new(cdn.client)),
                    connections: hosts.connections(cdn.limits),
                    gate: Gate::default(),
                    standing: Standing::default(),
                    link_life: cdn.link_life,
                    provider,
                });
                (account.provider.name().to_owned(), account)
            })
            .collect();
        Arc::new(Self {
            accounts,
            store,
            runtime,
            counters,
            entries: Entries::new(MOST_ENTRIES, Entry::is_at_rest),
            standings: watch::Sender::new(()),
        })
    }

    /// The direct link of `source`: the known one, else a stored one, else a new one; never one whose key may not be used by a caller
    /// of this urgency. Everybody who asks meanwhile shares one resolution, which goes on when those who asked are gone.
    pub(crate) async fn get(
        self: &Arc<Self>,
        source: &Source,
        priority: Priority,
    ) -> Result<Lease, NoLink> {
        let Some(account) = self.accounts.get(&source.provider) else {
            return Err(NoLink {
                cause: Cause::UnknownProvider(source.provider.clone()),
                until: Instant::now() + LONGEST_PAUSE,
            });
        };
        let Account { provider, gate, .. } = &**account;
        // Playback has room wherever there is any; whether there is, is told by who makes links.
        if priority != Priority::Playback {
            provider.room_for(priority).map_err(|error| NoLink {
                cause: Cause::of(error),
                until: Instant::now() + LONGEST_PAUSE,
            })?;
        }
        let key = (source.provider.clone(), source.link.clone());
        let entry = self.entries.get(&key);
        loop {
            // Listened to from before the gate is asked, so that no opening is missed.
            let opening = gate.opening();
            let mut flight = {
                let mut state = entry.lock();
                state.drop_old(account);
                if let Some(current) = &mut state.current {
                    let traffic = provider.key_traffic(&current.link.key);
                    match traffic.as_ref().map(|traffic| traffic.check(priority)) {
                        None | Some(Ok(())) => {
                            return Ok(Lease {
                                link: current.link.clone(),
                                account: account.clone(),
                                traffic,
                                fresh: std::mem::take(&mut current.fresh),
                                entry: entry.clone(),
                                counters: self.counters.clone(),
                            });
                        }
                        Some(Err(shortage @ Shortage::Reserve { .. })) => {
                            return Err(NoLink {
                                cause: Cause::Link {
                                    verdict: Verdict::OutOfTraffic,
                                    message: shortage.to_string(),
                                    is_final: false,
                                },
                                until: Instant::now() + LONGEST_PAUSE,
                            });
                        }
                        // The link stays in the store for when its key has traffic again; there may be another key's.
                        Some(Err(_)) => state.leave_to_store(),
                    }
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
                    Some(flight) if flight.has_changed().is_ok() => Some(flight.clone()),
                    _ => {
                        // The store is there whatever the provider does.
                        let gate = state.store_asked.then_some(gate);
                        match gate.map_or(Asked::Go, Gate::ask) {
                            Asked::Closed { cause, until } => return Err(NoLink { cause, until }),
                            Asked::Trying => None,
                            Asked::Go => {
                                let asks = gate.is_some();
                                Some(self.start(&mut state, &entry, account, asks, source))
                            }
                        }
                    }
                }
            };
            match &mut flight {
                // An error is the end of the resolution, which is what is waited for.
                Some(flight) => drop(flight.changed().await),
                None => opening.await,
            }
        }
    }

    /// A new link of `source`, whatever is known; the next [`Self::get`] gives it to readers. For those who ask whether there is one at all.
    pub(crate) async fn renew(&self, source: &Source, priority: Priority) -> Result<Lease, Cause> {
        let unknown = || Cause::UnknownProvider(source.provider.clone());
        let account = self.accounts.get(&source.provider).ok_or_else(unknown)?;
        let provider = &account.provider;
        provider.room_for(priority).map_err(Cause::of)?;
        let asked = provider.unrestrict(priority, &source.link).await;
        self.store.asked(source, asked.as_ref().map(drop));
        let link = Arc::new(asked.map_err(Cause::of)?);
        self.store.save(&source.provider, &source.link, &link);
        let entry = self
            .entries
            .get(&(source.provider.clone(), source.link.clone()));
        let traffic = provider.key_traffic(&link.key);
        entry.renewed(link.clone());
        Ok(Lease {
            link,
            account: account.clone(),
            traffic,
            fresh: true,
            entry,
            counters: self.counters.clone(),
        })
    }

    /// Begins to look for a link: in the store, or, if it `asks`, at the provider.
    fn start(
        self: &Arc<Self>,
        state: &mut State,
        entry: &Arc<Entry>,
        account: &Arc<Account>,
        asks: bool,
        source: &Source,
    ) -> watch::Receiver<()> {
        let (landed, flight) = watch::channel(());
        state.flight = Some(flight.clone());
        state.store_asked = true;
        let (links, entry, source) = (self.clone(), entry.clone(), source.clone());
        let account = account.clone();
        self.runtime.spawn(async move {
            if asks {
                links.resolve(&entry, &account, &source).await;
            } else {
                links.look_up(&entry, &account, &source).await;
            }
            drop(landed);
        });
        flight
    }

    /// How old the link of `source` is, if it is in memory.
    pub(crate) fn age(&self, source: &Source) -> Option<Duration> {
        let key = (source.provider.clone(), source.link.clone());
        let entry = self.entries.known(&key)?;
        let state = entry.lock();
        let made = state.current.as_ref()?.link.resolved_at;
        Some(age(made))
    }

    async fn look_up(&self, entry: &Entry, account: &Account, source: &Source) {
        let provider = &account.provider;
        let name = source.provider.as_str();
        let found = match timeout(STORE_TIMEOUT, self.store.load(name, &source.link)).await {
            Ok(Ok(links)) => links,
            Ok(Err(error)) => {
                tracing::warn!(provider = name, %error, "no link from the store");
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        // A provider that counts lends no link of a key that is empty, or that it does not have any more.
        let counts = !provider.keys().is_empty();
        let usable = |link: &DirectLink| match provider.key_traffic(&link.key) {
            Some(traffic) => traffic.check(Priority::Playback).is_ok(),
            None => !counts,
        };
        let usable = |link: &DirectLink| !account.is_old(link) && usable(link);
        match found.into_iter().find(usable) {
            Some(link) => {
                add(&self.counters.links_loaded, 1);
                entry.landed(Arc::new(link), None);
            }
            None => entry.landed_nowhere(),
        }
    }

    async fn resolve(&self, entry: &Entry, account: &Account, source: &Source) {
        let Account { provider, gate, .. } = account;
        let name = source.provider.as_str();
        let refused = entry.lock().refused.take();
        if let Some(key) = refused {
            self.store.forget(name, &source.link, &key);
        }
        add(&self.counters.link_resolutions, 1);
        let asked = timeout(
            RESOLVE_TIMEOUT,
            provider.unrestrict(Priority::Playback, &source.link),
        );
        let asked = asked.await;
        if let Ok(answer) = &asked {
            self.store.asked(source, answer.as_ref().map(drop));
        }
        let error = match asked {
            Ok(Ok(link)) => {
                let recovered = gate.open();
                let link = Arc::new(link);
                self.store.save(&source.provider, &source.link, &link);
                entry.landed(link, Some(Instant::now()));
                if recovered {
                    self.standings.send_replace(());
                }
                return;
            }
            Ok(Err(error)) => error,
            Err(_) => Error {
                provider: name.to_owned(),
                verdict: Verdict::Retry,
                http_status: None,
                code: None,
                retry_after: None,
                message: format!("no answer from {name} within {RESOLVE_TIMEOUT:?}"),
            },
        };
        tracing::debug!(provider = name, %error, "no link");
        let troubled = is_trouble(&error);
        let pause = pause_for(error.verdict, error.retry_after);
        let cause = Cause::of(error);
        if troubled {
            // From here on it is the gate that says when to ask again.
            gate.close(cause);
            entry.landed_nowhere();
        } else {
            gate.open();
            entry.failed(pause, cause);
        }
    }
}

/// How long ago `made` was.
fn age(made: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(made)).unwrap_or(Duration::ZERO)
}

impl Account {
    /// Whether `link` has lived as long as the provider lets links live.
    fn is_old(&self, link: &DirectLink) -> bool {
        self.link_life
            .is_some_and(|life| age(link.resolved_at) >= life)
    }
}

/// Whether the provider as a whole is not well, as opposed to one link of it.
fn is_trouble(error: &Error) -> bool {
    // -1 is an internal error, 25 an unavailable service; other codes are about the link or its hoster.
    error.verdict == Verdict::Retry && matches!(error.code, None | Some(-1 | 25))
}

/// How long a link is not asked again after the first failure.
fn pause_for(verdict: Verdict, retry_after: Option<Duration>) -> Duration {
    let least = match verdict {
        Verdict::Retry | Verdict::Malformed | Verdict::BadRequest => Duration::from_millis(500),
        Verdict::BackOff
        | Verdict::NotFound
        | Verdict::LinkBroken
        | Verdict::FileUnavailable
        | Verdict::AccountRefused
        | Verdict::OutOfTraffic
        | Verdict::SlotsFull
        | Verdict::AlreadyDone
        | Verdict::Infringing
        | Verdict::Rejected
        | Verdict::NotCached
        | Verdict::Disabled => Duration::from_secs(2),
    };
    least.max(retry_after.unwrap_or_default())
}

/// `first` doubled for every failure after the first, up to [`LONGEST_PAUSE`].
fn doubled(first: Duration, failures: u32) -> Duration {
    Backoff::new(first, LONGEST_PAUSE).after(failures)
}

impl State {
    /// Lets go of a link that is too old.
    fn drop_old(&mut self, account: &Account) {
        let current = self.current.as_ref();
        if current.is_some_and(|current| account.is_old(&current.link)) {
            self.refused = self.current.take().map(|current| current.link.key.clone());
        }
    }

    /// Lets go of the link without a word against it.
    fn leave_to_store(&mut self) {
        self.current = None;
        self.store_asked = false;
    }
}

impl Entry {
    fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    fn landed(&self, link: Arc<DirectLink>, made: Option<Instant>) {
        let mut state = self.lock();
        state.current = Some(Current {
            link,
            fresh: made.is_some(),
            made,
            worked: false,
        });
        state.pause = None;
        state.flight = None;
    }

    /// There is a new link that nobody waited for; a resolution that is under way brings its own.
    fn renewed(&self, link: Arc<DirectLink>) {
        let mut state = self.lock();
        state.current = Some(Current {
            link,
            made: Some(Instant::now()),
            worked: false,
            fresh: false,
        });
        state.pause = None;
        state.failures = 0;
    }

    /// A resolution ended without a word about this link.
    fn landed_nowhere(&self) {
        self.lock().flight = None;
    }

    /// Whether nothing would be lost with it but what the store knows.
    fn is_at_rest(&self) -> bool {
        let state = self.lock();
        let paused = state
            .pause
            .as_ref()
            // A verdict on a file may be asked for again, so that no number of dead files fills the memory.
            .is_some_and(|(until, cause)| *until > Instant::now() && !cause.is_final());
        state.flight.is_none() && !paused
    }

    fn failed(&self, pause: Duration, cause: Cause) {
        let mut state = self.lock();
        state.failures += 1;
        let pause = match cause.is_final() {
            true => VERDICT_KEPT,
            false => doubled(pause, state.failures),
        };
        state.pause = Some((Instant::now() + pause, cause));
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
        state.refused = state.current.take().map(|current| current.link.key.clone());
        state.pause = until.map(|until| (until, Cause::LinkRefused));
    }

    /// The CDN says that the traffic of the link's key is used up: that is no fault of the link. Where keys are not counted, it cannot be
    /// told from one.
    pub(crate) fn out_of_traffic(&self) {
        match &self.traffic {
            Some(traffic) => traffic.refused(),
            None => self.refused(),
        }
    }
}
