//! Torrents that others were told of when they asked the account: taken as if the catalogue had asked
//! itself, so that nothing is asked twice.

use std::collections::HashMap;

use debridfs_provider::{TorrentId, TorrentInfo, TorrentStatus, TorrentSummary};
use parking_lot::Mutex;

use super::shared::{Line, Shared};
use super::state::{Applied, InfoOutcome};
use crate::store::Batch;

/// What was told since the list that is on its way was asked for, which may not have it.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<HashMap<TorrentId, TorrentSummary>>);

impl Told {
    /// A list is asked for: it has what was told before.
    pub(crate) fn list_begins(&self) {
        self.0.lock().clear();
    }

    /// Adds to a complete list what was told after it had been asked for.
    pub(crate) fn complete(&self, lines: &mut Vec<TorrentSummary>) {
        let told = self.0.lock();
        for (id, summary) in told.iter() {
            if !lines.iter().any(|line| line.id == *id) {
                lines.push(summary.clone());
            }
        }
    }
}

/// Takes what the account of `line` was just told to say of a torrent.
pub(crate) async fn take(shared: &Shared, line: &Line, info: TorrentInfo) {
    let (name, id, now) = (line.name(), info.summary.id.clone(), shared.now());
    let (added, ready) = (
        info.summary.added,
        info.summary.status == TorrentStatus::Downloaded,
    );
    line.told.0.lock().insert(id.clone(), info.summary.clone());
    let mut guard = shared.state.lock().await;
    let state = &mut *guard;
    let mut batch = Batch::default();
    state.apply_told(
        name,
        &info.summary,
        now,
        &mut batch,
        &mut Applied::default(),
    );
    let outcome = match state.print_of(name, &id) {
        Some(print) if ready => state.apply_info(name, &id, print, info, now, &mut batch),
        _ => InfoOutcome::Gone,
    };
    if !batch.torrents.is_empty() {
        shared.save(state, batch).await;
    }
    shared.tell(state, line);
    let dirty = state.dirty;
    drop(guard);
    match outcome {
        InfoOutcome::Stored | InfoOutcome::Gone => line.queue.done(&id),
        // The catalogue's own call clears it up.
        InfoOutcome::Outdated | InfoOutcome::Late | InfoOutcome::Odd => line.queue.push(&id, added),
    }
    if dirty {
        shared.changed.notify_one();
    }
}
