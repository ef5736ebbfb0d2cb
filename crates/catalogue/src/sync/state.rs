//! What the account holds, as far as it was told: the truth that views are built from, and what each answer changes in it.

mod learn;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use debridfs_provider::{ContentId, TorrentId, TorrentInfo, TorrentStatus, TorrentSummary};
use jiff::{SignedDuration, Timestamp};

use super::fingerprint::fingerprint;
use super::first::FirstSync;
use crate::guard::{GuardRules, Held, HeldTorrent, Loss, judge};
use crate::learnt::LearntHashes;
use crate::store::{Batch, HeldRow, HistoryEntry, Mark, SyncRow, TorrentRow};
use crate::{Archive, Copy, CopyDetail, Findings, Unexamined};

/// Links of a torrent may come up to a minute after it is ready (field reports); twice that is given.
const LINKS_MAY_BE_LATE: SignedDuration = SignedDuration::from_secs(120);

/// Removed torrents are shown for 30 days as removed, and forgotten some time after.
const FORGET_REMOVED: SignedDuration = SignedDuration::from_hours(24 * 40);

/// All torrents of all configured providers.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) records: Vec<Arc<Copy>>,
    marks: Vec<Mark>,
    index: HashMap<String, HashMap<TorrentId, usize>>,
    by_content: HashMap<ContentId, Vec<usize>>,
    /// Info-hashes that were told of releases which were shown without one.
    pub(crate) learnt: LearntHashes,
    pub(crate) providers: HashMap<String, ProviderState>,
    /// Something changed since the last publication.
    pub(crate) dirty: bool,
}

/// How far the sync of a provider is.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProviderState {
    /// A complete list has been stored.
    pub(crate) listed: bool,
    /// When the last complete list was stored.
    pub(crate) last_full: Option<Timestamp>,
    /// A loss that is not believed yet.
    pub(crate) held: Held,
    /// The number of torrents that the provider told with the last full list, plus those folded in since.
    pub(crate) baseline: Option<u64>,
    pub(crate) first: FirstSync,
}

/// What the info call changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InfoOutcome {
    /// The files are known.
    Stored,
    /// The torrent changed while the call was on its way: ask once more.
    Outdated,
    /// Ready for less than two minutes and with fewer links than files: ask again soon.
    Late,
    /// The answer does not fit the list (not ready, or another hash): ask again later.
    Odd,
    /// Nobody wants it any more.
    Gone,
}

/// What a complete list changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) added: usize,
    pub(crate) changed: usize,
    pub(crate) removed: usize,
    pub(crate) held: usize,
}

impl State {
    /// The stored torrents of the configured providers.
    pub(crate) fn load(
        torrents: Vec<TorrentRow>,
        sync: Vec<SyncRow>,
        configured: &[String],
    ) -> Self {
        let mut state = Self::default();
        for name in configured {
            state
                .providers
                .insert(name.clone(), ProviderState::default());
        }
        for row in torrents {
            if state.providers.contains_key(&row.record.provider) {
                state.records.push(row.record);
                state.marks.push(row.mark);
            }
        }
        state.reindex();
        let firsts = state.stored_first_syncs(&sync);
        for (row, first) in sync.into_iter().zip(firsts) {
            let live = state.live(&row.provider).count();
            let Some(provider) = state.providers.get_mut(&row.provider) else {
                continue;
            };
            provider.listed = row.listed;
            provider.first = first;
            provider.last_full = row.last_full;
            provider.held = Held {
                counted: row.held_counted,
                entries: row
                    .held
                    .into_iter()
                    .map(|held| {
                        let entry = HeldTorrent {
                            since: held.since,
                            confirmations: held.confirmations,
                        };
                        (held.torrent, entry)
                    })
                    .collect(),
            };
            provider.baseline = Some((live - provider.held.entries.len().min(live)) as u64);
        }
        state.dirty = true;
        state
    }

    fn reindex(&mut self) {
        self.index.clear();
        self.by_content.clear();
        for (place, record) in self.records.iter().enumerate() {
            self.index
                .entry(record.provider.clone())
                .or_default()
                .insert(record.id.clone(), place);
            self.by_content
                .entry(record.content)
                .or_default()
                .push(place);
        }
    }

    fn place(&self, provider: &str, id: &TorrentId) -> Option<usize> {
        self.index.get(provider)?.get(id).copied()
    }

    /// Torrents that the provider holds, as far as is known.
    pub(crate) fn live<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a Arc<Copy>> {
        self.records
            .iter()
            .filter(move |record| record.provider == provider && record.removed.is_none())
    }

    /// Whether the torrent is known and not removed.
    pub(crate) fn is_live(&self, provider: &str, id: &TorrentId) -> bool {
        self.place(provider, id)
            .is_some_and(|place| self.records[place].removed.is_none())
    }

    /// What a torrent is a copy of.
    pub(crate) fn content_of(&self, provider: &str, id: &TorrentId) -> Option<ContentId> {
        self.place(provider, id)
            .map(|place| self.records[place].content)
    }

    /// Ready torrents with an info call owed.
    pub(crate) fn info_due<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a Arc<Copy>> {
        self.records
            .iter()
            .zip(&self.marks)
            .filter(move |(record, mark)| record.provider == provider && owes_info(record, mark))
            .map(|(record, _)| record)
    }

    /// Torrents of `content` that are in a list.
    pub(crate) fn held(&self, content: ContentId) -> impl Iterator<Item = &Arc<Copy>> {
        let places = self
            .by_content
            .get(&self.learnt.named(content))
            .into_iter()
            .flatten();
        let records = places.map(|&place| &self.records[place]);
        records.filter(|record| record.removed.is_none())
    }

    /// Whether the files of the release are known from any of its torrents, and the torrents that could tell them.
    pub(crate) fn contents_of(&self, content: ContentId) -> Option<(bool, Vec<&Arc<Copy>>)> {
        let places = self.by_content.get(&self.learnt.named(content))?;
        let known = places
            .iter()
            .any(|&place| self.records[place].detail.is_some());
        let askable = places
            .iter()
            .filter(|&&place| owes_info(&self.records[place], &self.marks[place]))
            .map(|&place| &self.records[place])
            .collect();
        Some((known, askable))
    }

    /// The fingerprint of the torrent's last line, to be handed to [`State::apply_info`] with the answer.
    pub(crate) fn print_of(&self, provider: &str, id: &TorrentId) -> Option<u64> {
        self.place(provider, id)
            .map(|place| self.marks[place].list_print)
    }

    /// Takes one line of a list. Returns whether it was new, or changed.
    pub(crate) fn apply_line(
        &mut self,
        provider: &str,
        line: &TorrentSummary,
        now: Timestamp,
        batch: &mut Batch,
        applied: &mut Applied,
    ) {
        let print = fingerprint(line);
        let ready = line.status == TorrentStatus::Downloaded;
        let Some(place) = self.place(provider, &line.id) else {
            let record = Copy {
                provider: provider.to_owned(),
                id: line.id.clone(),
                content: self.learnt.named(line.content),
                filename: line.filename.clone(),
                bytes: line.bytes,
                status: line.status.clone(),
                added: line.added,
                ended: line.ended,
                links: line.links.clone(),
                detail: detail_of(line),
                archive: None,
                removed: None,
            };
            let mark = Mark {
                list_print: print,
                info_due: record.detail.is_none(),
                ready_seen: ready.then_some(now),
            };
            let place = self.records.len();
            self.index
                .entry(provider.to_owned())
                .or_default()
                .insert(line.id.clone(), place);
            self.by_content
                .entry(record.content)
                .or_default()
                .push(place);
            self.records.push(Arc::new(record));
            self.marks.push(mark);
            self.note(place, "added", now, batch);
            applied.added += 1;
            return;
        };
        // A hash that was told once is not lost when it is told no more.
        let content = self.learnt.named(line.content);
        self.learn(place, content, now, batch);
        let before = &self.records[place];
        let returned = before.removed.is_some();
        let line_changed = self.marks[place].list_print != print;
        if !returned && !line_changed && before.ended == line.ended && before.added == line.added {
            return;
        }
        let renamed = before.content != content;
        let mut record = Copy::clone(before);
        record.removed = None;
        record.added = line.added;
        record.ended = line.ended;
        let mark = &mut self.marks[place];
        if line_changed {
            record.content = content;
            record.filename.clone_from(&line.filename);
            record.bytes = line.bytes;
            record.status = line.status.clone();
            record.links.clone_from(&line.links);
            if renamed {
                record.detail = None;
                record.archive = None;
            }
            let detail = detail_of(line);
            mark.list_print = print;
            mark.info_due = detail.is_none();
            record.detail = detail.or(record.detail);
        }
        if ready && mark.ready_seen.is_none() {
            mark.ready_seen = Some(now);
        }
        self.records[place] = Arc::new(record);
        if renamed {
            self.reindex();
        }
        applied.changed += 1;
        self.note(
            place,
            if returned { "returned" } else { "changed" },
            now,
            batch,
        );
    }

    /// As [`Self::apply_line`], for a line that came in no list.
    pub(crate) fn apply_told(
        &mut self,
        provider: &str,
        line: &TorrentSummary,
        now: Timestamp,
        batch: &mut Batch,
        applied: &mut Applied,
    ) {
        let known = self.is_live(provider, &line.id);
        self.apply_line(provider, line, now, batch, applied);
        // It counts as listed, so that the next list with it is no surprise.
        if let (Some(state), false) = (self.providers.get_mut(provider), known) {
            state.baseline = state.baseline.map(|told| told + 1);
        }
    }

    /// Takes a complete list: every line, and then what is missing, as far as the guard lets it.
    pub(crate) fn apply_list(
        &mut self,
        provider: &str,
        lines: &[TorrentSummary],
        rules: &GuardRules,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Applied {
        let mut applied = Applied::default();
        for line in lines {
            self.apply_line(provider, line, now, batch, &mut applied);
        }
        let listed: HashSet<&TorrentId> = lines.iter().map(|line| &line.id).collect();
        let still: HashSet<ContentId> = lines
            .iter()
            .map(|line| self.learnt.named(line.content))
            .collect();
        let ready: HashSet<ContentId> = self
            .live(provider)
            .filter(|record| record.status == TorrentStatus::Downloaded)
            .map(|record| record.content)
            .collect();
        let mut gone = Vec::new();
        let mut missing = Vec::new();
        for record in self.live(provider) {
            if listed.contains(&record.id) {
                continue;
            }
            // What was never shown, or is still there under another id, is no loss.
            if !ready.contains(&record.content) || still.contains(&record.content) {
                gone.push(record.id.clone());
            } else {
                missing.push((record.id.clone(), record.content));
            }
        }
        let held_before = self
            .providers
            .get(provider)
            .map(|provider| provider.held.clone())
            .unwrap_or_default();
        let loss = Loss {
            missing: &missing,
            releases: ready.len(),
            emptied: lines.is_empty(),
        };
        let (believed, held) = judge(rules, &held_before, &loss, now);
        gone.extend(believed);
        applied.removed = gone.len();
        applied.held = held.entries.len();
        for id in &gone {
            self.remove(provider, id, now, "removed", batch);
        }
        for id in held.entries.keys() {
            if !held_before.entries.contains_key(id)
                && let Some(place) = self.place(provider, id)
            {
                self.history(place, "held", now, batch);
            }
        }
        if let Some(state) = self.providers.get_mut(provider) {
            state.held = held;
            state.listed = true;
            state.first.begins(lines);
            state.last_full = Some(now);
            state.baseline = Some(lines.len() as u64);
        }
        self.purge(provider, now, batch);
        self.dirty = true;
        batch.sync.push(self.sync_row(provider));
        applied
    }

    /// Believes the held loss of `provider` at once. Returns the number of torrents.
    pub(crate) fn accept(&mut self, provider: &str, now: Timestamp, batch: &mut Batch) -> usize {
        let Some(state) = self.providers.get_mut(provider) else {
            return 0;
        };
        let held = std::mem::take(&mut state.held);
        for id in held.entries.keys() {
            self.remove(provider, id, now, "accepted", batch);
        }
        batch.sync.push(self.sync_row(provider));
        held.entries.len()
    }

    /// Takes the answer of an info call that was asked when the torrent's fingerprint was `print`.
    pub(crate) fn apply_info(
        &mut self,
        provider: &str,
        id: &TorrentId,
        print: u64,
        info: TorrentInfo,
        now: Timestamp,
        batch: &mut Batch,
    ) -> InfoOutcome {
        let Some(place) = self.place(provider, id) else {
            return InfoOutcome::Gone;
        };
        let record = &self.records[place];
        if record.removed.is_some() || record.status != TorrentStatus::Downloaded {
            return InfoOutcome::Gone;
        }
        if self.learnt.named(info.summary.content) != record.content
            || info.summary.status != TorrentStatus::Downloaded
        {
            return InfoOutcome::Odd;
        }
        let selected = info.files.iter().filter(|file| file.selected).count();
        if info.summary.links.len() < selected && self.freshly_ready(place, now) {
            return InfoOutcome::Late;
        }
        let mut record = Copy::clone(record);
        record.bytes = info.summary.bytes;
        record.links = info.summary.links;
        record.detail = Some(CopyDetail {
            original_filename: info.original_filename,
            files: info.files,
        });
        let outdated = self.marks[place].list_print != print;
        self.marks[place].info_due = outdated;
        if let Some(provider) = self.providers.get_mut(provider) {
            provider.first.left_out.remove(id);
        }
        if *self.records[place] != record {
            self.records[place] = Arc::new(record.compact());
            self.dirty = true;
        }
        batch.torrents.push(self.row(place));
        if outdated {
            InfoOutcome::Outdated
        } else {
            InfoOutcome::Stored
        }
    }

    /// Torrents of which somebody has to look what their links give, those of the releases `first` first.
    pub(crate) fn unexamined(&self, now: Timestamp, first: &[ContentId]) -> Vec<Unexamined> {
        let records = self.records.iter();
        let mut owed: Vec<_> = records
            .filter(|record| record.owes_examination(now))
            .collect();
        owed.sort_by_key(|record| !first.contains(&record.content));
        owed.into_iter()
            .map(|record| Unexamined::of(record))
            .collect()
    }

    /// Takes what was found of a torrent's links. Returns whether these are still its links.
    pub(crate) fn apply_findings(
        &mut self,
        of: &Unexamined,
        findings: Findings,
        batch: &mut Batch,
    ) -> bool {
        let Some(place) = self.place(&of.provider, &of.torrent) else {
            return false;
        };
        let mut record = Copy::clone(&self.records[place]);
        if record.links != of.links {
            return false;
        }
        record.archive = Some(Arc::new(Archive {
            link: of.links[0].clone(),
            findings,
        }));
        self.records[place] = Arc::new(record);
        self.dirty = true;
        batch.torrents.push(self.row(place));
        true
    }

    /// The older of both times counts: the provider's clock may be ahead, and old torrents are seen for the first time too.
    fn freshly_ready(&self, place: usize, now: Timestamp) -> bool {
        let limit = now - LINKS_MAY_BE_LATE;
        let ended = self.records[place].ended;
        let seen = self.marks[place].ready_seen;
        match (ended, seen) {
            (None, None) => false,
            _ => [ended, seen].into_iter().flatten().all(|at| at > limit),
        }
    }

    fn remove(
        &mut self,
        provider: &str,
        id: &TorrentId,
        now: Timestamp,
        what: &str,
        batch: &mut Batch,
    ) {
        let Some(place) = self.place(provider, id) else {
            return;
        };
        let mut record = Copy::clone(&self.records[place]);
        if record.removed.is_some() {
            return;
        }
        record.removed = Some(now);
        self.records[place] = Arc::new(record);
        self.note(place, what, now, batch);
    }

    fn purge(&mut self, provider: &str, now: Timestamp, batch: &mut Batch) {
        let limit = now - FORGET_REMOVED;
        let old = |record: &Copy| {
            record.provider == provider && record.removed.is_some_and(|removed| removed < limit)
        };
        for place in 0..self.records.len() {
            if old(&self.records[place]) {
                self.history(place, "purged", now, batch);
                let record = &self.records[place];
                batch
                    .purged
                    .push((record.provider.clone(), record.id.clone()));
            }
        }
        if batch.purged.is_empty() {
            return;
        }
        let mut marks = std::mem::take(&mut self.marks).into_iter();
        let mut kept = Vec::new();
        self.records.retain(|record| {
            let keep = !old(record);
            if let (Some(mark), true) = (marks.next(), keep) {
                kept.push(mark);
            }
            keep
        });
        self.marks = kept;
        self.reindex();
    }

    fn note(&mut self, place: usize, what: &str, now: Timestamp, batch: &mut Batch) {
        self.dirty = true;
        batch.torrents.push(self.row(place));
        self.history(place, what, now, batch);
    }

    fn history(&self, place: usize, what: &str, now: Timestamp, batch: &mut Batch) {
        let record = &self.records[place];
        batch.history.push(HistoryEntry {
            at: now,
            provider: record.provider.clone(),
            torrent: record.id.clone(),
            hash: record.content.to_string(),
            what: what.to_owned(),
            name: record.filename.clone(),
        });
    }

    fn row(&self, place: usize) -> TorrentRow {
        TorrentRow {
            record: self.records[place].clone(),
            mark: self.marks[place],
        }
    }

    /// The state of `provider` as it is stored.
    pub(crate) fn sync_row(&self, provider: &str) -> SyncRow {
        let state = self.providers.get(provider).cloned().unwrap_or_default();
        SyncRow {
            provider: provider.to_owned(),
            listed: state.listed,
            last_full: state.last_full,
            held_counted: state.held.counted,
            first: Some((state.first.stage, state.first.until)),
            held: state
                .held
                .entries
                .into_iter()
                .map(|(torrent, held)| HeldRow {
                    torrent,
                    since: held.since,
                    confirmations: held.confirmations,
                })
                .collect(),
        }
    }

    /// Everything, and `missed`, to be written after the store could not be for a while.
    pub(crate) fn snapshot(&self, missed: Batch) -> Batch {
        let learnt = self.learnt.iter();
        Batch {
            torrents: (0..self.records.len())
                .map(|place| self.row(place))
                .collect(),
            learnt: learnt
                .map(|(shown, learnt)| (*shown, learnt.clone()))
                .collect(),
            sync: self
                .providers
                .keys()
                .map(|provider| self.sync_row(provider))
                .collect(),
            ..missed
        }
    }

    /// Ready torrents whose files are known, all ready torrents, and those that were asked for in vain.
    pub(crate) fn progress(&self) -> (usize, usize, usize) {
        let mut done = 0;
        let mut left_out = 0;
        let mut total = 0;
        for record in &self.records {
            if record.removed.is_none() && record.status == TorrentStatus::Downloaded {
                total += 1;
                if record.detail.is_some() {
                    done += 1;
                } else if self.is_left_out(record) {
                    left_out += 1;
                }
            }
        }
        (done, total, left_out)
    }
}

/// The files of a ready torrent, if its line has them.
fn detail_of(line: &TorrentSummary) -> Option<CopyDetail> {
    let files = line.files.as_ref();
    let files = files.filter(|_| line.status == TorrentStatus::Downloaded)?;
    Some(CopyDetail {
        original_filename: line.filename.clone(),
        files: files.clone(),
    })
}

fn owes_info(record: &Copy, mark: &Mark) -> bool {
    mark.info_due && record.removed.is_none() && record.status == TorrentStatus::Downloaded
}
