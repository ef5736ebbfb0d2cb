//! The steps of a move. Each may be cut off anywhere and made again.

use std::collections::BTreeSet;

use debridfs_provider::{Priority, Provider, TorrentId, TorrentStatus, Verdict};

use crate::again::{has_failed, is_refusal};

use super::{Compared, Move, MoveStep, Moves};

/// A comparison for which the other side gives no bytes is tried so often, unless something is to be deleted.
const COMPARISONS: u32 = 5;

impl Moves {
    /// Makes the next step of a move: as it is afterwards.
    pub(super) async fn step(&self, one: Move) -> Move {
        match one.step.clone() {
            MoveStep::Planned => self.look(one).await,
            MoveStep::Adding { before } => self.add(one, &before).await,
            MoveStep::Waiting { id, ours } => self.follow(one, &id, ours).await,
            MoveStep::Comparing { id, after } => self.compare(one, id, after).await,
            MoveStep::Removing { id } => self.remove(one, &id).await,
            MoveStep::Done | MoveStep::Failed => one,
        }
    }

    /// What is there of it already?
    async fn look(&self, one: Move) -> Move {
        let Some(again) = self.ward.addition(one.hash, &one.to).await else {
            let words = format!("{} is not configured any more", one.to);
            return one.reach(MoveStep::Failed, words, self.now());
        };
        let before = match again.before(one.hash).await {
            Ok(before) => before,
            Err(error) => return one.wait(error.to_string(), self.now()),
        };
        for id in &before {
            match again.provider.torrent(Priority::Repair, id).await {
                Ok(info) if !has_failed(&info.summary.status) => {
                    let step = MoveStep::Waiting {
                        id: id.clone(),
                        ours: false,
                    };
                    return one.reach(step, "the target has it already", self.now());
                }
                Ok(_) => {}
                Err(error) if error.verdict == Verdict::NotFound => {}
                Err(error) => return one.wait(error.to_string(), self.now()),
            }
        }
        one.reach(MoveStep::Adding { before }, "adding", self.now())
    }

    async fn add(&self, one: Move, before: &BTreeSet<TorrentId>) -> Move {
        let Some(mut again) = self.ward.addition(one.hash, &one.to).await else {
            let words = format!("{} is not configured any more", one.to);
            return one.reach(MoveStep::Failed, words, self.now());
        };
        again.cached = one.cached;
        // On the disk before anything is added: after a kill, what is new there is ours.
        if !self.note(&one).await {
            return one;
        }
        match again.place(one.hash, before).await {
            Ok(id) => {
                let ours = !before.contains(&id);
                let words = format!("added as {id}");
                one.reach(MoveStep::Waiting { id, ours }, words, self.now())
            }
            Err(error) if again.is_for_name(&error) => {
                let words = format!("{} refuses it for its name: {error}", one.to);
                one.reach(MoveStep::Failed, words, self.now())
            }
            Err(error) if is_refusal(&error) => {
                one.reach(MoveStep::Failed, error.to_string(), self.now())
            }
            Err(error) => one.wait(error.to_string(), self.now()),
        }
    }

    /// Waits until the target has all of it, however long that takes.
    async fn follow(&self, mut one: Move, id: &TorrentId, ours: bool) -> Move {
        let Some(again) = self.ward.addition(one.hash, &one.to).await else {
            let words = format!("{} is not configured any more", one.to);
            return one.reach(MoveStep::Failed, words, self.now());
        };
        let info = match again.provider.torrent(Priority::Repair, id).await {
            Ok(info) => info,
            Err(error) if error.verdict == Verdict::NotFound => {
                let words = "somebody deleted it at the target";
                return one.reach(MoveStep::Failed, words, self.now());
            }
            Err(error) => return one.wait(error.to_string(), self.now()),
        };
        let status = &info.summary.status;
        if has_failed(status) {
            let words = format!("at {} it is {:?}", one.to, status.word());
            return self.take_back(one, &*again.provider, id, ours, words).await;
        }
        match status {
            TorrentStatus::Downloaded => {
                self.ward.told(&one.to, info).await;
                one.progress = 1.0;
                let step = MoveStep::Comparing {
                    id: id.clone(),
                    after: None,
                };
                one.reach(step, "comparing", self.now())
            }
            TorrentStatus::WaitingFilesSelection => match again.select(id, &info).await {
                Ok(true) => {
                    one.tries = 0;
                    one.wait("files are selected", self.now())
                }
                Ok(false) => {
                    let words = "its files at the target are others".to_owned();
                    self.take_back(one, &*again.provider, id, ours, words).await
                }
                Err(error) if is_refusal(&error) => {
                    let words = error.to_string();
                    self.take_back(one, &*again.provider, id, ours, words).await
                }
                Err(error) => one.wait(error.to_string(), self.now()),
            },
            status => {
                let share = info.summary.progress / 100.0;
                if share > one.progress {
                    one.tries = 0;
                }
                one.progress = share;
                let words = format!("at {} it is {:?}", one.to, status.word());
                one.wait(words, self.now())
            }
        }
    }

    /// Deletes what this move added and the target never had.
    async fn take_back(
        &self,
        one: Move,
        target: &dyn Provider,
        id: &TorrentId,
        ours: bool,
        words: String,
    ) -> Move {
        if ours {
            match target.delete(Priority::Repair, id).await {
                Err(error) if error.verdict != Verdict::NotFound => {
                    return one.wait(error.to_string(), self.now());
                }
                _ => {}
            }
        }
        one.reach(MoveStep::Failed, words, self.now())
    }

    async fn compare(&self, mut one: Move, id: TorrentId, after: Option<String>) -> Move {
        let (from, now) = (&one.sources, self.clock.now());
        let compared = (self.ward)
            .compare(one.hash, from, &one.to, after.as_deref())
            .await;
        match compared {
            Compared::Same(path) => {
                one.compared += 1;
                let words = format!("{} files are the same so far", one.compared);
                let after = Some(path);
                one.reach(MoveStep::Comparing { id, after }, words, now)
            }
            Compared::Over if one.remove_source => {
                one.reach(MoveStep::Removing { id }, "deleting the source", now)
            }
            Compared::Over => {
                let words = format!("{} files were compared", one.compared);
                one.reach(MoveStep::Done, words, now)
            }
            Compared::Differs(words) => {
                let words = format!("{words}; nothing was deleted");
                one.reach(MoveStep::Failed, words, now)
            }
            Compared::NoSource(words) => {
                let words = format!("not compared, and not deleted at the source: {words}");
                one.reach(MoveStep::Done, words, now)
            }
            Compared::NotNow(words) if one.tries < COMPARISONS || one.remove_source => {
                one.wait(words, now)
            }
            Compared::NotNow(words) => {
                let words = format!("not compared: {words}");
                one.reach(MoveStep::Done, words, now)
            }
        }
    }

    /// Deletes the sources, one after the other, if the target still has it.
    async fn remove(&self, mut one: Move, id: &TorrentId) -> Move {
        let target = self.ward.provider(&one.to);
        let has = match &target {
            Some(target) => target.torrent(Priority::Repair, id).await,
            None => {
                let words = format!("{} is not configured", one.to);
                return one.wait(words, self.now());
            }
        };
        match has {
            Ok(info) if info.summary.status == TorrentStatus::Downloaded => {}
            Ok(_) => {
                let words = "the target does not have it any more; nothing was deleted";
                return one.reach(MoveStep::Failed, words, self.now());
            }
            Err(error) if error.verdict == Verdict::NotFound => {
                let words = "somebody deleted it at the target; nothing was deleted at the source";
                return one.reach(MoveStep::Failed, words, self.now());
            }
            Err(error) => return one.wait(error.to_string(), self.now()),
        }
        let Some(source) = one.sources.first().cloned() else {
            let words = format!(
                "{} files were compared, the source is deleted",
                one.compared
            );
            return one.reach(MoveStep::Done, words, self.now());
        };
        let Some(account) = self.ward.provider(&source.provider) else {
            return one.wait(format!("{} is not configured", source.provider), self.now());
        };
        match account.delete(Priority::Repair, &source.id).await {
            Err(error) if error.verdict != Verdict::NotFound => {
                one.wait(error.to_string(), self.now())
            }
            _ => {
                one.sources.remove(0);
                let words = format!("deleted {} at {}", source.id, source.provider);
                let step = MoveStep::Removing { id: id.clone() };
                one.reach(step, words, self.now())
            }
        }
    }
}
