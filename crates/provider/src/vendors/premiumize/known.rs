//! What is known of an account: its releases, kept true by one or two small calls a look.
//!
//! The account tells how much its cloud holds, the transfers which of them have ended. While both stay as they were,
//! the list of files, which has some hundred bytes for each, is not asked for again. What has come to the cloud shows
//! by its size; so transfers are asked for at each look only while one is on its way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::cloud::{self, PARENT, Place};
use super::decode::Transfer;
use super::{info, is_on_its_way, list, transfers};
use crate::account::caller::Api;
use crate::{HosterLink, InfoHash, Result, TorrentId, TorrentStatus, TorrentSummary};

/// The files of a transfer may show so long after it has ended.
const FILES_LATE: Duration = Duration::from_secs(120);

/// Transfers are asked for this much apart while none is on its way: with a look every 10 s that makes
/// 7.5 calls a minute.
const TRANSFERS_APART: Duration = Duration::from_secs(40);

/// What the vendor told so far.
#[derive(Default)]
pub(super) struct Known {
    /// Bytes in the cloud when its files were listed; `None`: they are to be listed.
    space: Option<String>,
    /// Transfers that had ended then, and when that was seen; `None`: they had when the account was listed first.
    ended: BTreeMap<String, Option<Instant>>,
    /// The files were listed before.
    listed: bool,
    /// Newest first.
    releases: Vec<TorrentSummary>,
    /// Transfers that made no release yet, or have failed.
    underway: Vec<TorrentSummary>,
    unreadable: [Vec<String>; 2],
    /// Info-hashes by the folders that are called by them.
    folders: HashMap<String, InfoHash>,
    /// Info-hashes of transfers that go to such a folder; `None`: to another one.
    hashes: HashMap<String, Option<InfoHash>>,
    /// When a transfer was seen first.
    seen: HashMap<String, Timestamp>,
    /// When a look asked for the transfers last.
    asked: Option<Instant>,
}

impl Known {
    /// Asks for what may have changed, or with `whole` for everything.
    pub(super) async fn refresh(&mut self, api: &Api<'_>, whole: bool) -> Result<()> {
        let account = info(api).await?;
        let changed = self.space.as_ref() != Some(&account.space);
        if !whole && !changed && !self.may_move() {
            return Ok(());
        }
        let asked = Instant::now();
        let (listed, unreadable) = transfers(api).await?;
        self.asked = Some(asked);
        let ended = self.ended_of(&listed);
        let late = ended.keys().any(|id| is_late(&ended, id));
        if whole || changed || late || ended != self.ended {
            let (releases, unreadable) = super::cloud(api, &account.customer).await?;
            self.releases = releases;
            self.releases.sort_by(|one, other| {
                (Reverse(one.added), &one.id).cmp(&(Reverse(other.added), &other.id))
            });
            self.unreadable[0] = unreadable;
            self.space = Some(account.space);
            self.ended = ended;
            self.listed = true;
        }
        self.unreadable[1] = unreadable;
        self.take(api, &listed).await
    }

    /// Whether transfers may tell something new that the size of the cloud does not.
    fn may_move(&self) -> bool {
        let mut lines = self.underway.iter();
        lines.any(|line| is_on_its_way(&line.status))
            || self.ended.keys().any(|id| is_late(&self.ended, id))
            || self.asked.is_none_or(|at| at.elapsed() >= TRANSFERS_APART)
    }

    /// The transfers of a list that have ended.
    fn ended_of(&self, listed: &[Transfer]) -> BTreeMap<String, Option<Instant>> {
        let ended = listed
            .iter()
            .filter(|transfer| !is_on_its_way(&transfer.status));
        let seen = |transfer: &Transfer| {
            // One that was seen on its way has ended since.
            let new = self.listed || self.hashes.contains_key(&transfer.id);
            let known = self.ended.get(&transfer.id).copied();
            let at = known.unwrap_or_else(|| new.then(Instant::now));
            (transfer.id.clone(), at)
        };
        ended.map(seen).collect()
    }

    /// Makes lines of the transfers that made no release yet.
    async fn take(&mut self, api: &Api<'_>, listed: &[Transfer]) -> Result<()> {
        self.learn(api, listed).await?;
        let ids: BTreeSet<&String> = listed.iter().map(|transfer| &transfer.id).collect();
        self.hashes.retain(|id, _| ids.contains(id));
        self.seen.retain(|id, _| ids.contains(id));
        let mut lines: HashMap<TorrentId, TorrentSummary> = HashMap::new();
        for transfer in listed {
            if transfer.status == TorrentStatus::Downloaded {
                continue;
            }
            let seen = *self
                .seen
                .entry(transfer.id.clone())
                .or_insert_with(|| api.now());
            let hash = self.hashes.get(&transfer.id).copied().flatten();
            let line = cloud::underway(transfer, hash, seen);
            // Of several to one place, one that may still become something.
            let kept = lines.get(&line.id);
            if kept.is_none_or(|kept| !is_on_its_way(&kept.status)) {
                lines.insert(line.id.clone(), line);
            }
        }
        for release in &self.releases {
            lines.remove(&release.id);
        }
        self.underway = lines.into_values().collect();
        self.underway.sort_by(|one, other| {
            (Reverse(one.added), &one.id).cmp(&(Reverse(other.added), &other.id))
        });
        Ok(())
    }

    /// Learns to which folders transfers go. Folders are asked for when there is a transfer that was not seen before.
    async fn learn(&mut self, api: &Api<'_>, listed: &[Transfer]) -> Result<()> {
        let unknown = |transfer: &&Transfer| {
            transfer.status != TorrentStatus::Downloaded && !self.hashes.contains_key(&transfer.id)
        };
        let unknown: Vec<&Transfer> = listed.iter().filter(unknown).collect();
        let of_other_folder = |transfer: &&Transfer| {
            let folder = transfer.folder.as_ref();
            folder.is_some_and(|folder| !self.folders.contains_key(folder))
        };
        if unknown.iter().any(of_other_folder) {
            self.read_folders(api).await?;
        }
        for transfer in unknown {
            let folder = transfer.folder.as_ref();
            let hash = folder.and_then(|folder| self.folders.get(folder)).copied();
            self.hashes.insert(transfer.id.clone(), hash);
        }
        Ok(())
    }

    async fn read_folders(&mut self, api: &Api<'_>) -> Result<()> {
        let top = list(api, None).await?;
        let parent = top
            .iter()
            .find(|entry| entry.is_folder && entry.name == PARENT);
        let Some(parent) = parent else {
            self.folders.clear();
            return Ok(());
        };
        let entries = list(api, Some(&parent.id)).await?;
        let folders = entries.into_iter().filter(|entry| entry.is_folder);
        let hashes = folders.filter_map(|entry| Some((entry.id, entry.name.parse().ok()?)));
        self.folders = hashes.collect();
        Ok(())
    }

    /// Transfers that made no release yet, and then the releases, newest first.
    pub(super) fn items(&self) -> impl Iterator<Item = &TorrentSummary> {
        self.underway.iter().chain(&self.releases)
    }

    /// Entries, those that could not be read included.
    pub(super) fn total(&self) -> u64 {
        let unreadable: usize = self.unreadable.iter().map(Vec::len).sum();
        (self.underway.len() + self.releases.len() + unreadable) as u64
    }

    pub(super) fn unreadable(&self) -> Vec<String> {
        self.unreadable.concat()
    }

    /// The release or transfer `id` as it is now.
    pub(super) async fn find(
        &mut self,
        api: &Api<'_>,
        id: &TorrentId,
    ) -> Result<Option<TorrentSummary>> {
        let (listed, unreadable) = transfers(api).await?;
        self.unreadable[1] = unreadable;
        self.take(api, &listed).await?;
        let line = self.underway.iter().find(|line| line.id == *id);
        if let Some(line) = line.filter(|line| is_on_its_way(&line.status)) {
            return Ok(Some(line.clone()));
        }
        self.space = None;
        self.refresh(api, false).await?;
        if let Some(found) = self.items().find(|line| line.id == *id) {
            return Ok(Some(found.clone()));
        }
        // It has ended, and its files do not show yet.
        let ours = |transfer: &&Transfer| {
            let hash = self.hashes.get(&transfer.id).copied().flatten();
            hash.is_some_and(|hash| Place::of(hash).id() == *id)
        };
        let ended = listed.iter().rfind(ours);
        Ok(ended.map(|transfer| {
            let hash = self.hashes.get(&transfer.id).copied().flatten();
            cloud::underway(transfer, hash, api.now())
        }))
    }

    /// Whether a transfer of `hash` to its folder may still become something, or just has.
    pub(super) async fn is_underway(&mut self, api: &Api<'_>, hash: InfoHash) -> Result<bool> {
        let (listed, _) = transfers(api).await?;
        self.take(api, &listed).await?;
        let id = Place::of(hash).id();
        let ended = self.ended_of(&listed);
        let late = listed.iter().any(|transfer| {
            transfer.status == TorrentStatus::Downloaded
                && self.hashes.get(&transfer.id) == Some(&Some(hash))
                && is_late(&ended, &transfer.id)
        });
        let mut lines = self.underway.iter();
        Ok(late || lines.any(|line| line.id == id && is_on_its_way(&line.status)))
    }

    /// Transfers to the place `id`.
    pub(super) async fn transfers_to(
        &mut self,
        api: &Api<'_>,
        id: &TorrentId,
    ) -> Result<Vec<String>> {
        let (listed, _) = transfers(api).await?;
        self.take(api, &listed).await?;
        let to = |transfer: &&Transfer| {
            let hash = self.hashes.get(&transfer.id).copied().flatten();
            hash.is_some_and(|hash| Place::of(hash).id() == *id)
        };
        let found = listed.iter().filter(to);
        Ok(found.map(|transfer| transfer.id.clone()).collect())
    }

    /// Info-hash, path and size of the file that a link of a listed release is made of.
    pub(super) fn file(&self, link: &HosterLink) -> Option<(InfoHash, String, u64)> {
        self.releases.iter().find_map(|release| {
            let hash = release.content.info_hash()?;
            let at = release.links.iter().position(|known| known == link)?;
            let file = release.files.as_ref()?.get(at)?;
            Some((hash, file.path.clone(), file.bytes))
        })
    }

    /// `folder` is called by `hash`.
    pub(super) fn is_folder_of(&mut self, folder: &str, hash: InfoHash) {
        self.folders.insert(folder.to_owned(), hash);
    }

    /// `transfer` was made to `folder`, which is called by `hash`.
    pub(super) fn was_added(&mut self, folder: &str, transfer: &str, hash: InfoHash) {
        self.is_folder_of(folder, hash);
        self.hashes.insert(transfer.to_owned(), Some(hash));
        self.space = None;
    }

    /// The cloud was changed.
    pub(super) fn forget(&mut self) {
        self.space = None;
    }
}

/// Whether the files of an ended transfer may not show yet.
fn is_late(ended: &BTreeMap<String, Option<Instant>>, id: &str) -> bool {
    let seen = ended.get(id).copied().flatten();
    seen.is_some_and(|seen| seen.elapsed() < FILES_LATE)
}
