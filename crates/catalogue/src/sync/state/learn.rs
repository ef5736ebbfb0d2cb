//! An info-hash that is told of what was ready without one.

use std::sync::Arc;

use debridfs_provider::{ContentId, TorrentStatus};
use jiff::Timestamp;

use super::State;
use crate::Copy;
use crate::learnt::LearntHash;
use crate::store::Batch;

impl State {
    /// Takes what a line told its torrent to be. If that is the info-hash of what was ready without one, all copies of it are copies of
    /// the torrent from now on, and what is shown of it stays.
    pub(super) fn learn(
        &mut self,
        place: usize,
        told: ContentId,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let teacher = &self.records[place];
        let shown = teacher.content;
        if shown.info_hash().is_some()
            || told.info_hash().is_none()
            || teacher.status != TorrentStatus::Downloaded
        {
            return;
        }
        let learnt = LearntHash {
            hash: told,
            provider: teacher.provider.clone(),
            torrent: teacher.id.clone(),
        };
        batch.learnt.push((shown, learnt.clone()));
        self.learnt.insert(shown, learnt);
        let copies = self.by_content.remove(&shown).unwrap_or_default();
        for &copy in &copies {
            let mut record = Copy::clone(&self.records[copy]);
            record.content = told;
            self.records[copy] = Arc::new(record);
            self.note(copy, "changed", now, batch);
        }
        self.by_content.entry(told).or_default().extend(copies);
    }
}
