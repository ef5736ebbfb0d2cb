//! Brings a release into an account: whose turn it is to be asked, and what an answer means.

use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::{
    CacheCheck, Error as ProviderError, InfoHash, Priority, Provider, TorrentId, TorrentStatus,
    TorrentSummary, Verdict,
};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::add::{AddError, Addition, add};
use crate::attempt::{Attempt, Go, Outcome, Trouble};
use crate::job::AtProvider;
use crate::plan::{Known, Plan, Skip};
use crate::removal::torrent_left;
use crate::steps::is_dead;
use crate::store::Change;
use crate::{Chosen, Job, Refusal, Release, Source, Step};

/// The newest torrents of the account, among which one is looked for before it is added.
const NEWEST: u32 = 100;
/// "Infringing" is believed when it is said twice, so far apart: once may be a penalty for calling too often.
const SECOND_OPINION: Duration = Duration::from_secs(60);
/// Rounds in which providers in trouble are waited for before one downloads what they may have.
const PATIENT_ROUNDS: u32 = 3;
/// A provider's own spacing of additions is waited for up to this; beyond it the next one is asked.
const LONGEST_SPACING: Duration = Duration::from_secs(300);

/// What a provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// What it has already.
    Cached,
    /// To download it.
    Fetch,
}

/// How asking a provider ended.
enum Asked {
    /// The job was changed, or is to wait.
    Over(Outcome),
    /// It cannot be asked now: the next one is.
    Skipped(OwnedMutexGuard<()>),
}

impl From<Outcome> for Asked {
    fn from(outcome: Outcome) -> Self {
        Self::Over(outcome)
    }
}

impl Attempt<'_> {
    /// Finds the torrent in an account, or asks the providers of the category's order for it.
    pub(crate) async fn place(&mut self, job: &Arc<Job>) -> Outcome {
        let mut turn = self.shared.adding.take(job.hash).await;
        let order = self.shared.order_of(&job.category);
        if let Some((provider, torrent)) = self.held(job, &order).await {
            return self.adopt(job, &provider, torrent, Chosen::Held).await;
        }
        let now = Instant::now();
        self.skipped.retain(|_, skip| skip.until > now);
        loop {
            let known = Known {
                order: &order,
                passed: &job.passed,
                skipped: &self.skipped,
                uncached: job.uncached,
                insists: self.rounds >= PATIENT_ROUNDS,
            };
            let (name, wish) = match known.plan() {
                Plan::Try(name) => (name, Wish::Cached),
                Plan::Fetch(name) => (name, Wish::Fetch),
                Plan::Later => return Err(self.later()),
                Plan::GiveUp => return Err(given_up(job)),
            };
            let Some(provider) = self.shared.provider(&name).cloned() else {
                let words = format!("the provider {name} is not configured any more");
                return Err(Trouble::Hopeless(words));
            };
            match self.ask(job, &provider, wish, order.len(), turn).await {
                Asked::Over(outcome) => return outcome,
                Asked::Skipped(back) => turn = back,
            }
        }
    }

    /// A torrent of the release that an account holds ready, or that another request has.
    async fn held(&self, job: &Job, order: &[String]) -> Option<(Arc<dyn Provider>, TorrentId)> {
        if let Some(at) = self.of_another_request(job)
            && let Some(provider) = self.shared.provider(&at.provider)
        {
            return Some((provider.clone(), at.torrent));
        }
        let known = self.shared.library.torrents(job.hash).await;
        let kept = |provider: &str, torrent: &TorrentId| {
            let kept = job.kept.as_ref();
            kept.is_some_and(|at| at.provider == provider && at.torrent == *torrent)
        };
        // With no other to ask, one that is under way is as good as one that would be added.
        let usable = |provider: &str, status: &TorrentStatus| match status {
            TorrentStatus::Downloaded => true,
            status => matches!(order, [only] if only == provider) && !is_dead(status),
        };
        let mut usable: Vec<_> = known
            .into_iter()
            .filter(|known| usable(&known.provider, &known.status))
            .filter(|known| !self.is_passed_over(&known.provider, &known.torrent))
            .filter(|known| !kept(&known.provider, &known.torrent))
            .filter(|known| !job.refused_by(&known.provider))
            .filter_map(|known| Some((self.shared.provider(&known.provider)?.clone(), known)))
            .collect();
        let place = |name: &str| {
            order
                .iter()
                .position(|one| one == name)
                .unwrap_or(usize::MAX)
        };
        usable.sort_by_key(|(_, known)| {
            let ready = known.status == TorrentStatus::Downloaded;
            (!ready, place(&known.provider))
        });
        let (provider, known) = usable.into_iter().next()?;
        Some((provider, known.torrent))
    }

    /// The torrent that another request of the release has.
    fn of_another_request(&self, job: &Job) -> Option<AtProvider> {
        let memory = self.shared.read();
        let others = memory.of(job.hash).filter(|other| {
            other.nth != job.nth && !matches!(other.step, Step::Placed | Step::Failed)
        });
        let mut torrents = others.filter_map(|other| other.at.clone());
        torrents.find(|at| {
            !self.is_passed_over(&at.provider, &at.torrent) && !job.refused_by(&at.provider)
        })
    }

    /// Asks `provider`, one of `providers`, for the release.
    async fn ask(
        &mut self,
        job: &Arc<Job>,
        provider: &Arc<dyn Provider>,
        wish: Wish,
        providers: usize,
        turn: OwnedMutexGuard<()>,
    ) -> Asked {
        let (name, check) = (provider.name(), provider.cache_check());
        if let (Wish::Fetch, Some(kept)) = (wish, &job.kept)
            && kept.provider == name
        {
            let torrent = kept.torrent.clone();
            return self
                .adopt(job, provider, torrent, Chosen::Waits)
                .await
                .into();
        }
        // What is cached takes no slot, where it is asked for as such.
        if (wish == Wish::Fetch || check == CacheCheck::Added)
            && let Some((left, words)) = self.shared.full.left(name)
        {
            return self.troubled(job, name, wish, words, left, turn).await;
        }
        match self.look(job, provider, wish).await {
            Ok(None) => {}
            Ok(Some(outcome)) => return outcome.into(),
            Err(error) => {
                return self
                    .refused_call(job, provider, wish, None, error, turn)
                    .await;
            }
        }
        let chosen = match (wish, check) {
            (Wish::Cached, CacheCheck::Added) => Chosen::Trial,
            (Wish::Cached, _) => Chosen::Cached,
            (Wish::Fetch, _) if providers == 1 => Chosen::Only,
            (Wish::Fetch, _) => Chosen::Waits,
        };
        let source = match self.intend(job, name).await {
            Ok(source) => source,
            Err(error) => return Err(error.into()).into(),
        };
        let addition = Addition {
            id: job.id(),
            source: source.clone(),
            provider: provider.clone(),
            only_cached: wish == Wish::Cached,
            chosen,
        };
        let shared = self.shared.clone();
        // Not to be cut off between the call and its answer being stored, only because the job is stopped or removed.
        let added = tokio::spawn(async move {
            let added = add(&shared, addition).await;
            (turn, added)
        });
        match added.await {
            Ok((_, Ok(()))) => {
                tracing::info!(hash = %job.hash, name = job.name, provider = name, ?chosen, "added");
                self.settled_at();
                self.shared.full.clear(name);
                self.shared.library.look_now();
                Ok(Go::On).into()
            }
            Ok((turn, Err(AddError::Provider(error)))) => {
                self.refused_call(job, provider, wish, Some(&source), error, turn)
                    .await
            }
            Ok((_, Err(AddError::Store(error)))) => Err(error.into()).into(),
            Err(_) => Err(Trouble::Later("stopping".to_owned(), Duration::ZERO)).into(),
        }
    }

    /// Looks before an addition whether the provider has the release, as far as that can be asked, and whether the account
    /// holds it: the library may be seconds behind, and an answer to an earlier attempt may have been lost. `None`: it may be
    /// added.
    async fn look(
        &mut self,
        job: &Arc<Job>,
        provider: &Arc<dyn Provider>,
        wish: Wish,
    ) -> Result<Option<Outcome>, ProviderError> {
        let name = provider.name();
        if wish == Wish::Cached && provider.cache_check() == CacheCheck::Asked {
            match provider.is_cached(Priority::Import, job.hash).await {
                Ok(true) => {}
                Ok(false) => {
                    let words = format!("{name} does not have it");
                    return Ok(Some(self.pass(job, name, Refusal::Uncached, words).await));
                }
                // What becomes of the addition tells as well.
                Err(error) if error.verdict == Verdict::Disabled => {}
                Err(error) => return Err(error),
            }
        }
        let Some(found) = self.search(job.hash, provider.as_ref()).await? else {
            return Ok(None);
        };
        let ours = job.may_have_added_at(name);
        let chosen = match wish {
            _ if found.status == TorrentStatus::Downloaded && !ours => Chosen::Held,
            Wish::Cached if !ours => {
                let word = found.status.word();
                let words = format!("{name} holds it, and does not have it yet: {word:?}");
                return Ok(Some(self.pass(job, name, Refusal::Uncached, words).await));
            }
            Wish::Cached if provider.cache_check() == CacheCheck::Asked => Chosen::Cached,
            Wish::Cached => Chosen::Trial,
            Wish::Fetch => Chosen::Waits,
        };
        Ok(Some(self.adopt(job, provider, found.id, chosen).await))
    }

    /// The newest torrent of the account with this hash that may still become something.
    async fn search(
        &self,
        hash: InfoHash,
        provider: &dyn Provider,
    ) -> Result<Option<TorrentSummary>, ProviderError> {
        let page = provider.torrents(Priority::Import, 0, NEWEST).await?;
        Ok(page.items.into_iter().find(|item| {
            item.content == hash.into()
                && !is_dead(&item.status)
                && !self.is_passed_over(provider.name(), &item.id)
        }))
    }

    /// Stores that `provider` is about to be asked, and gives what it is handed.
    async fn intend(&self, job: &Arc<Job>, provider: &str) -> Result<Source, crate::Error> {
        let source = self.shared.source(job.hash).await?;
        // A program before this one forgot it with the request that it knew.
        let source = source.unwrap_or_else(|| Source::Magnet(bare_magnet(job.hash)));
        if job.adding.is_none() || job.adding_at.as_deref() != Some(provider) {
            let (now, provider) = (self.shared.now(), provider.to_owned());
            self.shared
                .update(job.id(), move |job| {
                    job.adding = Some(now);
                    job.adding_at = Some(provider);
                })
                .await?;
        }
        self.shared.at("add-intended");
        Ok(source)
    }

    /// What a failed call says of the release, or of the provider.
    async fn refused_call(
        &mut self,
        job: &Arc<Job>,
        provider: &Arc<dyn Provider>,
        wish: Wish,
        source: Option<&Source>,
        error: ProviderError,
        turn: OwnedMutexGuard<()>,
    ) -> Asked {
        let (name, words) = (provider.name(), error.to_string());
        let wait = error.retry_after.unwrap_or_default();
        let why = match error.verdict {
            Verdict::NotCached => Refusal::Uncached,
            Verdict::Rejected => Refusal::Rejected,
            Verdict::BadRequest => Refusal::BadRequest,
            Verdict::Infringing if is_refused_by_name(provider.as_ref(), job, source) => {
                Refusal::Blocked
            }
            Verdict::Infringing => {
                let times = self.infringing.entry(name.to_owned()).or_default();
                *times += 1;
                if *times == 1 {
                    return self
                        .troubled(job, name, wish, words, SECOND_OPINION, turn)
                        .await;
                }
                Refusal::Infringing
            }
            // Nobody was asked: it is our own spacing of additions.
            Verdict::BackOff if error.http_status.is_none() && wait <= LONGEST_SPACING => {
                return Err(Trouble::Later(words, wait)).into();
            }
            Verdict::AccountRefused | Verdict::OutOfTraffic | Verdict::Disabled => {
                self.skip(name, words, wait, true);
                return Asked::Skipped(turn);
            }
            Verdict::SlotsFull => {
                self.shared.full.note(name, &words);
                return self.troubled(job, name, wish, words, wait, turn).await;
            }
            _ => return self.troubled(job, name, wish, words, wait, turn).await,
        };
        let words = match why {
            Refusal::Blocked => format!("{words}; for its name, whatever it holds"),
            _ => words,
        };
        self.pass(job, name, why, words).await.into()
    }

    /// A provider cannot be asked for `wait`: the next one is, unless this one was to download the release.
    async fn troubled(
        &mut self,
        job: &Arc<Job>,
        provider: &str,
        wish: Wish,
        words: String,
        wait: Duration,
        turn: OwnedMutexGuard<()>,
    ) -> Asked {
        if wish == Wish::Cached {
            self.skip(provider, words, wait, false);
            return Asked::Skipped(turn);
        }
        if let crate::Uncached::UpTo(limit) = job.uncached
            && self.elapsed_since(job.adding.unwrap_or(job.added)) >= limit
        {
            let words = format!("{words}; its category waits no longer there");
            return self
                .pass(job, provider, Refusal::TooLong, words)
                .await
                .into();
        }
        Err(Trouble::Later(words, wait)).into()
    }

    fn skip(&mut self, provider: &str, words: String, wait: Duration, refused: bool) {
        tracing::info!(provider, "cannot be asked for a release now: {words}");
        let until = Instant::now() + wait;
        let skip = Skip {
            words,
            until,
            refused,
        };
        self.skipped.insert(provider.to_owned(), skip);
    }

    /// Waits for providers that cannot be asked.
    fn later(&mut self) -> Trouble {
        self.rounds += 1;
        let words = self.skipped.values().map(|skip| &*skip.words);
        let words = words.collect::<Vec<_>>().join("; ");
        let next = self.skipped.values().map(|skip| skip.until).min();
        let wait = next.map_or(Duration::ZERO, |next| {
            next.saturating_duration_since(Instant::now())
        });
        Trouble::Later(words, wait)
    }

    /// Notes that `provider` does not have it, or does not take it.
    async fn pass(&self, job: &Job, provider: &str, why: Refusal, words: String) -> Outcome {
        tracing::info!(hash = %job.hash, name = job.name, provider, ?why, "passed over: {words}");
        let provider = provider.to_owned();
        self.shared
            .update(job.id(), move |job| job.pass(&provider, why, words))
            .await?;
        Ok(Go::On)
    }

    /// The torrent at `at` is of no use, or of none yet: the next provider is asked. What is not cached is kept until all were
    /// asked, if it is the first; all else that this job was given is deleted.
    pub(crate) async fn leave(
        &mut self,
        job: &Arc<Job>,
        at: &AtProvider,
        why: Refusal,
        words: String,
    ) -> Outcome {
        tracing::info!(hash = %job.hash, name = job.name, provider = at.provider, ?why, "passed over: {words}");
        self.pass_over(at);
        let (id, left, now) = (job.id(), at.clone(), self.shared.now());
        self.shared
            .transact(move |memory| {
                let Some(job) = memory.jobs.get(&id) else {
                    return Ok((Vec::new(), ()));
                };
                let mut changes = Vec::new();
                let mut next = Job::clone(job);
                let waits = job.uncached != crate::Uncached::Refuse;
                if why == Refusal::Uncached && left.given && waits && job.kept.is_none() {
                    next.kept = Some(left.clone());
                } else if left.given {
                    let alone = Default::default();
                    let at_once = Some(Duration::ZERO);
                    changes.extend(torrent_left(memory, &alone, job, at_once, now));
                }
                next.step = Step::Placed;
                (next.at, next.adding, next.adding_at, next.selected) = (None, None, None, None);
                next.pass(&left.provider, why, words);
                next.changed = now;
                changes.push(Change::Job(Box::new(next)));
                Ok((changes, ()))
            })
            .await?;
        Ok(Go::On)
    }

    /// Whether another provider of the order may still be asked.
    pub(crate) fn has_another(&self, job: &Job, than: &str) -> bool {
        let order = self.shared.order_of(&job.category);
        let mut others = order.iter().filter(|name| *name != than);
        others.any(|name| !job.refused_by(name))
    }

    async fn adopt(
        &mut self,
        job: &Arc<Job>,
        provider: &Arc<dyn Provider>,
        torrent: TorrentId,
        chosen: Chosen,
    ) -> Outcome {
        let (id, name, now) = (job.id(), provider.name().to_owned(), self.shared.now());
        tracing::info!(hash = %job.hash, name = job.name, provider = name, %torrent, ?chosen, "taken from the account");
        self.settled_at();
        self.shared
            .transact(move |memory| {
                let Some(job) = memory.jobs.get(&id) else {
                    return Ok((Vec::new(), ()));
                };
                let mut job = Job::clone(job);
                let owed = memory
                    .deletions
                    .iter()
                    .any(|owed| (&owed.provider, &owed.torrent) == (&name, &torrent));
                // It was found before, when it was added.
                let is_it = |at: &AtProvider| (&at.provider, &at.torrent) == (&name, &torrent);
                let known = job.at.take().filter(|at| at.ours && is_it(at));
                let known = known.or_else(|| job.kept.take_if(|at| is_it(at)));
                let given = known.as_ref().is_some_and(|at| at.given);
                job.step = Step::Waiting;
                job.at = Some(AtProvider {
                    provider: name.clone(),
                    torrent: torrent.clone(),
                    ours: owed || known.is_some() || job.may_have_added_at(&name),
                    given,
                    chosen: Some(chosen),
                });
                let mut changes: Vec<_> = job.let_kept_go(memory, now).into_iter().collect();
                changes.push(Change::Job(Box::new(job)));
                changes.push(Change::Paid(name, torrent));
                Ok((changes, ()))
            })
            .await?;
        Ok(Go::On)
    }

    /// The job has a torrent: what was counted for it starts over.
    fn settled_at(&mut self) {
        (self.looks, self.missing, self.rounds) = (0, 0, 0);
    }
}

impl Job {
    /// Whether `provider` is not to be asked for it again.
    pub(crate) fn refused_by(&self, provider: &str) -> bool {
        let mut passed = self.passed.iter();
        passed.any(|passed| passed.provider == provider && passed.why.is_final())
    }

    /// Whether an addition was begun at `provider` whose answer may have been lost.
    fn may_have_added_at(&self, provider: &str) -> bool {
        let at = self.adding_at.as_deref();
        self.adding.is_some() && at.is_none_or(|at| at == provider)
    }
}

/// Whether a refusal of content is one of its name: by any name that the release is known by.
pub(crate) fn is_refused_by_name(
    provider: &dyn Provider,
    job: &Job,
    source: Option<&Source>,
) -> bool {
    let of_source = source.and_then(|source| match source {
        Source::Magnet(magnet) => Release::from_link(magnet).ok(),
        Source::Torrent(torrent) => Release::from_torrent(torrent.clone()).ok(),
    });
    let of_source = of_source.map(|release| release.name);
    let files = job.files.iter().map(|file| &*file.path);
    let mut names = files.chain([&*job.name]).chain(of_source.as_deref());
    names.any(|name| provider.refuses_name(name))
}

/// How a job ends that no provider takes.
fn given_up(job: &Job) -> Trouble {
    let words: Vec<&str> = job.passed.iter().map(|passed| &*passed.words).collect();
    let words = words.join("; ");
    let evidence = job.passed.iter().find_map(|passed| passed.why.evidence());
    let blocked = |passed: &crate::Passed| passed.why == Refusal::Blocked;
    match evidence {
        Some(evidence) => Trouble::Condemned(evidence, words),
        None if job.passed.iter().any(blocked) => Trouble::Blocked(words),
        None => Trouble::Hopeless(words),
    }
}

/// What names a release and nothing else.
fn bare_magnet(hash: InfoHash) -> String {
    format!("magnet:?xt=urn:btih:{hash}")
}
