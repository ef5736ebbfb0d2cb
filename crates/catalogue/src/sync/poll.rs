//! Asking for the list, as seldom and as little as keeps the library true.
//!
//! The first page with the count of torrents tells whether anything came or went. New torrents at the top that explain the
//! count are taken from it; anything else leads to a full list. Whatever fails leaves the library as it was.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use debridfs_base::Backoff;
use debridfs_provider::{Priority, TorrentPage, TorrentStatus, TorrentSummary, Verdict};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::listing::{self, Listing};
use super::shared::{Line, Shared};
use super::state::{Applied, State};
use crate::store::Batch;

/// Longest wait between polls that fail.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Wait after the provider refused the account: asking on looks like brute force, and blocks the account.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// How deep in the list torrents on their way are watched by a larger first page.
const WATCHED: usize = 1000;
/// Full lists while torrents on their way lie deeper than that.
const DEEP_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// Wait until an account with unreadable lines is listed as a whole again.
const DOUBTFUL_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// What is asked next.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Full,
    Peek(u32),
}

/// What the first page told.
#[derive(Debug, PartialEq, Eq)]
enum Peek {
    /// Everything is accounted for.
    Settled,
    /// The page is the whole list.
    Whole,
    /// Something went, or came in an unexpected place.
    Unexplained,
}

/// Polls the provider number `index` until `shutdown`.
pub(super) async fn run(shared: Arc<Shared>, index: usize, shutdown: CancellationToken) {
    let line = &shared.lines[index];
    let mut poll = Poll {
        shared: &shared,
        line,
        doubtful_since: None,
    };
    let mut failures = 0u32;
    loop {
        let before = line.report().last_answer;
        let outcome = tokio::select! {
            () = shutdown.cancelled() => return,
            outcome = poll.once() => outcome,
        };
        line.heard(outcome.is_ok() || line.report().last_answer != before);
        let every = line.provider.looks_apart(shared.config.poll_every);
        let wait = match outcome {
            Ok(()) => {
                failures = 0;
                line.refusals.store(0, Ordering::Release);
                every
            }
            Err(Trouble::Refused) => {
                line.refusals.fetch_add(1, Ordering::AcqRel);
                REFUSED_WAIT.max(every)
            }
            Err(Trouble::Failed) => {
                failures = failures.saturating_add(1);
                // Longer than after a success.
                let waits = Backoff::new(every.saturating_mul(2), LONGEST_WAIT.max(every));
                waits.after(failures)
            }
        };
        if line.is_given_up() {
            poll.given_up().await;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = line.poll_now.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Why a round came to nothing; the message is in the line's report.
enum Trouble {
    Refused,
    Failed,
}

struct Poll<'a> {
    shared: &'a Shared,
    line: &'a Line,
    /// When a list was last accounted for except for unreadable lines.
    doubtful_since: Option<Timestamp>,
}

impl Poll<'_> {
    async fn once(&mut self) -> Result<(), Trouble> {
        let wanted = self.line.full_wanted.swap(false, Ordering::AcqRel);
        let doubtful = self
            .doubtful_since
            .is_some_and(|since| self.shared.now().duration_since(since).abs() >= DOUBTFUL_WAIT);
        let plan = if wanted || doubtful {
            Plan::Full
        } else {
            let state = self.shared.state.lock().await;
            plan(&state, self.shared, self.line.name())
        };
        let outcome = self.follow(plan).await;
        if let Err(error) = &outcome {
            self.line.trouble(error.message.clone(), self.shared.now());
            if wanted {
                self.line.full_wanted.store(true, Ordering::Release);
            }
        }
        outcome.map_err(|error| {
            if error.refused {
                Trouble::Refused
            } else {
                Trouble::Failed
            }
        })
    }

    async fn follow(&mut self, plan: Plan) -> Result<(), Failed> {
        self.line.told.list_begins();
        if let Plan::Peek(limit) = plan {
            let page = self
                .line
                .provider
                .torrents(Priority::Refresh, 0, limit)
                .await?;
            let now = self.shared.now();
            self.line.report().last_answer = Some(now);
            let mut state = self.shared.state.lock().await;
            match judge_page(&state, self.line.name(), &page) {
                Peek::Settled => {
                    self.fold(&mut state, &page, now).await;
                    drop(state);
                    if self.line.report().unreadable == 0 {
                        self.line.well();
                    }
                    return Ok(());
                }
                Peek::Whole => {
                    drop(state);
                    let listing = Listing::of(page.items, page.total, 0);
                    return self.take(listing).await;
                }
                Peek::Unexplained => {
                    drop(state);
                    if self.doubtful_since.is_some() {
                        // It was listed as a whole just now, and no better than this.
                        let mut state = self.shared.state.lock().await;
                        self.fold(&mut state, &page, now).await;
                        return Ok(());
                    }
                }
            }
        }
        self.line.told.list_begins();
        let mut listing = listing::full(&*self.line.provider).await?;
        self.line.report().last_answer = Some(self.shared.now());
        if listing.doubt.is_none() && listing.lines.is_empty() && !self.listed().await {
            // A young account is empty; a failing provider says so too.
            listing = listing::full(&*self.line.provider).await?;
        }
        self.take(listing).await
    }

    /// Nobody waits for the account's first sync any more: what the others hold is shown, unless it is already.
    async fn given_up(&self) {
        let mut state = self.shared.state.lock().await;
        if !state.is_shown() {
            state.dirty = true;
            self.shared.changed.notify_one();
        }
    }

    async fn listed(&self) -> bool {
        let state = self.shared.state.lock().await;
        state
            .providers
            .get(self.line.name())
            .is_some_and(|provider| provider.listed)
    }

    /// Takes new and changed lines of a page; nothing is concluded from what is missing.
    async fn fold(&self, state: &mut State, page: &TorrentPage, now: Timestamp) {
        let name = self.line.name();
        let mut batch = Batch::default();
        let mut applied = Applied::default();
        for line in &page.items {
            state.apply_line(name, line, now, &mut batch, &mut applied);
        }
        if let (Some(provider), Some(total)) = (state.providers.get_mut(name), page.total) {
            provider.baseline = Some(total);
        }
        if !batch.torrents.is_empty() {
            tracing::info!(
                provider = name,
                applied.added,
                applied.changed,
                "the account changed"
            );
            self.shared.save(state, batch).await;
            self.publish(state);
        }
        self.shared.tell(state, self.line);
    }

    /// Takes a full list, as far as it can be believed.
    async fn take(&mut self, mut listing: Listing) -> Result<(), Failed> {
        let now = self.shared.now();
        let name = self.line.name();
        let mut guard = self.shared.state.lock().await;
        let state = &mut *guard;
        self.line.report().unreadable = listing.unreadable;
        let mut batch = Batch::default();
        let Some(doubt) = listing.doubt else {
            self.line.told.complete(&mut listing.lines);
            let applied = state.apply_list(
                name,
                &listing.lines,
                &self.shared.config.guard,
                now,
                &mut batch,
            );
            if applied != Applied::default() {
                tracing::info!(
                    provider = name,
                    torrents = listing.lines.len(),
                    applied.added,
                    applied.changed,
                    applied.removed,
                    applied.held,
                    "listed"
                );
            }
            self.shared.save(state, batch).await;
            self.publish(state);
            self.shared.tell(state, self.line);
            self.doubtful_since = None;
            self.line.well();
            return Ok(());
        };
        let mut applied = Applied::default();
        for line in &listing.lines {
            state.apply_line(name, line, now, &mut batch, &mut applied);
        }
        if let Some(provider) = state.providers.get_mut(name) {
            if listing.accounted {
                // Some lines will never be readable: what is readable is shown, and nothing is ever concluded to be gone.
                provider.listed |= !listing.lines.is_empty();
                provider.first.begins(&listing.lines);
                provider.baseline = Some(listing.total);
                state.dirty = true;
                self.doubtful_since = Some(now);
            } else {
                // What came is known now, what went is not: no count explains anything before a list that holds together.
                provider.baseline = None;
            }
        }
        batch.sync.push(state.sync_row(name));
        self.shared.save(state, batch).await;
        self.publish(state);
        self.shared.tell(state, self.line);
        if listing.accounted {
            self.line.trouble(doubt, now);
            return Ok(());
        }
        Err(Failed {
            message: doubt,
            refused: false,
        })
    }

    fn publish(&self, state: &State) {
        self.shared.queue_infos(state, self.line);
        if state.dirty {
            self.shared.changed.notify_one();
        }
    }
}

struct Failed {
    message: String,
    refused: bool,
}

impl From<debridfs_provider::Error> for Failed {
    fn from(error: debridfs_provider::Error) -> Self {
        Self {
            message: error.to_string(),
            refused: matches!(error.verdict, Verdict::AccountRefused | Verdict::Disabled),
        }
    }
}

fn plan(state: &State, shared: &Shared, name: &str) -> Plan {
    let now = shared.now();
    let Some(provider) = state.providers.get(name) else {
        return Plan::Full;
    };
    let Some(last) = provider.last_full.filter(|_| provider.listed) else {
        // A list with unreadable lines is never complete; it is asked for again by what the first page tells.
        return match provider.baseline {
            Some(_) if provider.listed => Plan::Peek(shared.config.first_page),
            _ => Plan::Full,
        };
    };
    let age = now.duration_since(last);
    let every =
        SignedDuration::try_from(shared.config.full_list_every).unwrap_or(SignedDuration::MAX);
    let depth = watched_depth(state, name);
    if age >= every
        || age.is_negative()
        || provider.held.due(&shared.config.guard, now)
        || (depth > WATCHED && age >= DEEP_EVERY)
    {
        return Plan::Full;
    }
    let depth = u32::try_from(depth.min(WATCHED)).unwrap_or(u32::MAX);
    Plan::Peek(shared.config.first_page.max(depth))
}

/// How many lines from the top hold every torrent that is on its way; a change of those is to be seen.
fn watched_depth(state: &State, name: &str) -> usize {
    let oldest = state
        .live(name)
        .filter(|record| {
            !matches!(
                record.status,
                TorrentStatus::Downloaded
                    | TorrentStatus::MagnetError
                    | TorrentStatus::Error
                    | TorrentStatus::Virus
                    | TorrentStatus::Dead
            )
        })
        .map(|record| record.added)
        .min();
    match oldest {
        None => 0,
        Some(oldest) => state
            .live(name)
            .filter(|record| record.added >= oldest)
            .count(),
    }
}

/// Compares the first page with what is known.
fn judge_page(state: &State, name: &str, page: &TorrentPage) -> Peek {
    let Some(provider) = state.providers.get(name) else {
        return Peek::Unexplained;
    };
    let ids: HashSet<_> = page.items.iter().map(|line| &line.id).collect();
    if ids.len() < page.items.len() {
        return Peek::Unexplained;
    }
    if page
        .items
        .iter()
        .any(|line| provider.held.entries.contains_key(&line.id))
    {
        // Something of a held loss is back.
        return Peek::Unexplained;
    }
    let known = |line: &TorrentSummary| state.is_live(name, &line.id);
    let new = page.items.iter().filter(|line| !known(line)).count();
    let on_top = page.items.iter().take_while(|line| !known(line)).count();
    let Some(total) = page.total else {
        // Without a total, what went is seen by the next full list.
        let anchored = new == on_top && new < page.items.len();
        return match page.goes_on && anchored {
            true => Peek::Settled,
            false => Peek::Unexplained,
        };
    };
    let explained = provider.baseline == Some(total.saturating_sub(new as u64)) && new == on_top;
    if page.unreadable.is_empty() && ids.len() as u64 == total && !page.items.is_empty() {
        // Small accounts are listed as a whole by every poll; it need not be taken while it tells nothing new.
        return if explained && new == 0 {
            Peek::Settled
        } else {
            Peek::Whole
        };
    }
    // Without a known line below the new ones, there may be more of them on the next page.
    let anchored = new < page.items.len() || (page.items.is_empty() && total == 0);
    if explained && anchored {
        Peek::Settled
    } else {
        Peek::Unexplained
    }
}
