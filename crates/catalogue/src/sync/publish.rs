//! Building the views and handing them out: at once when it is quiet, less often the more is going on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use debridfs_provider::ContentId;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shared::{Counts, Line, Shared};
use super::state::State;
use crate::library::BAD;
use crate::store::{Batch, KEPT, RetiredRow};
use crate::{Entry, Library};

/// At most this share of the time goes into building: one part in five.
const REST_PER_BUILD: u32 = 4;
/// Least time between publications that somebody waits for.
const URGENT_EVERY: Duration = Duration::from_millis(20);
/// A store in trouble is tried this often although nothing changes.
const STORE_CHECK: Duration = Duration::from_secs(60);

/// Publishes until `shutdown`.
pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut next_change = publish(&shared).await;
    // Until something was published, nothing is waited for.
    let mut rest = Instant::now();
    let mut soon = rest;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = shared.changed.notified() => {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep_until(rest) => {}
                    () = shared.urgent.notified() => tokio::time::sleep_until(soon).await,
                }
            }
            () = shared.urgent.notified() => tokio::time::sleep_until(soon).await,
            () = shared.verdicts.noted.notified() => {
                shared.save_verdicts().await;
                continue;
            }
            () = tokio::time::sleep(until(next_change, shared.now())) => {
                // Nothing of the account changed, but time passed.
                shared.state.lock().await.dirty |= next_change.is_some_and(|at| at <= shared.now());
            }
        }
        let started = Instant::now();
        if shared.writer.is_behind().await {
            let state = shared.state.lock().await;
            shared.save(&state, Batch::default()).await;
        }
        next_change = publish(&shared).await.or(next_change);
        let now = Instant::now();
        let cost = now - started;
        rest = now + shared.config.publish_every.max(cost * REST_PER_BUILD);
        soon = now + URGENT_EVERY.max(cost);
    }
}

fn until(next_change: Option<Timestamp>, now: Timestamp) -> Duration {
    next_change
        .and_then(|at| Duration::try_from(at.duration_since(now)).ok())
        .map_or(STORE_CHECK, |wait| {
            wait.clamp(Duration::from_secs(1), STORE_CHECK)
        })
}

/// Builds and publishes, if anything changed. Returns when to build again although nothing changes.
pub(crate) async fn publish(shared: &Shared) -> Option<Timestamp> {
    let mut state = shared.state.clone().lock_owned().await;
    let awaited = shared.waiters.awaited();
    if !state.dirty {
        answer(shared, &shared.library.borrow().clone(), awaited);
        return None;
    }
    state.dirty = false;
    let now = shared.now();
    let mut settled = Batch::default();
    let given_up = |name: &str| shared.line(name).is_some_and(Line::is_given_up);
    let (naming, guard) = (shared.config.naming, &shared.config.guard);
    state.settle(naming, guard, given_up, &mut settled);
    let hidden = state.hidden();
    let builder = shared.builder.clone();
    // Tens of thousands of files take longer than a runtime thread may be kept.
    let built = tokio::task::spawn_blocking(move || {
        let records = state.records.iter();
        let shown = records.filter(|copy| !hidden.contains(&copy.provider));
        let mut builder = builder.lock();
        builder.learnt(&state.learnt);
        let built = builder.build(shown, now);
        drop(builder);
        (state, built, hidden)
    })
    .await;
    let Ok((state, built, hidden)) = built else {
        tracing::error!("building the library failed by a defect; the last one stays");
        return None;
    };
    let before = shared.library.borrow().clone();
    let generation = before.generation + 1;
    let mut library = Library::new(generation, state.is_shown(), built.views);
    library
        .waiting
        .retain(|view| !state.providers.contains_key(view));
    library.waiting.extend(hidden);
    library.first_until = state.first_until();
    let learnt = state.learnt.iter();
    library.learnt = learnt
        .map(|(shown, learnt)| (*shown, learnt.hash))
        .collect();
    let library = Arc::new(library);
    let retired: Vec<RetiredRow> = built
        .retired
        .into_iter()
        .map(|(parent, name)| RetiredRow {
            at: now,
            parent,
            name,
        })
        .collect();
    shared.retired.lock().extend(retired.iter().cloned());
    let batch = Batch {
        shown: built.newly_shown,
        ids: built.new_ids,
        views: built.view_changes,
        retired,
        generation: Some(generation),
        forget_before: Some(now - KEPT),
        ..settled
    };
    // Names and ids first: a path that was shown once has to be the same after a kill.
    shared.save(&state, batch).await;
    let counts = count(&library, &state);
    shared.pace.lock().note(counts.done, Instant::now());
    for line in &shared.lines {
        shared.tell(&state, line);
    }
    drop(state);
    let complete = library.listed && counts.done + counts.left_out >= counts.total;
    *shared.counts.lock() = counts;
    shared.library.send_replace(library.clone());
    tracing::debug!(generation, "published");
    if complete && shared.first_sync.swap(false, Ordering::AcqRel) {
        tracing::info!("the first sync is complete");
    }
    answer(shared, &library, awaited);
    built.next_change
}

/// Tells those who wait for releases of which they can be told now.
fn answer(shared: &Shared, library: &Library, awaited: Vec<ContentId>) {
    for content in awaited {
        if shared.is_told(library, content) {
            shared.waiters.answer(content, || Ok(()));
        }
    }
}

fn count(library: &Library, state: &State) -> Counts {
    let (done, total, left_out) = state.progress();
    let files = |entry: &Entry| entry.release.tree().map_or(0, |tree| tree.files.len());
    let serving = |entry: &&Entry| entry.release.tree().map_or(0, |tree| tree.copies.len());
    let copies = |entry: &Entry| entry.release.held().count();
    Counts {
        releases: library.all().len(),
        files: library.all().iter().map(files).sum(),
        copies: library.all().iter().map(copies).sum(),
        spared: library
            .all()
            .iter()
            .filter(|entry| serving(entry) > 1)
            .count(),
        bad: library.view(BAD).map_or(0, |view| view.entries.len()),
        done,
        total,
        left_out,
    }
}
