//! Adds a torrent once more: the same content, with new links.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::{
    Addition, Error, InfoHash, Priority, Provider, Result, TorrentId, TorrentInfo, TorrentStatus,
    Verdict,
};
use tokio::time::{Instant, sleep};

/// The newest torrents of the account, among which one is looked for that was added and whose answer was lost.
const NEWEST: u32 = 250;
/// What is not ready after this time is not in the provider's cache; healing is not worth a download slot for hours.
const READY_WITHIN: Duration = Duration::from_secs(10 * 60);
/// Between looks.
const LOOKS_APART: Duration = Duration::from_secs(5);
/// "Infringing" is believed when it is said twice, so far apart: once may be a penalty for calling too often.
const SECOND_OPINION: Duration = Duration::from_secs(60);

/// A torrent that can be added once more.
#[derive(Clone)]
pub struct Again {
    /// Where.
    pub provider: Arc<dyn Provider>,
    /// What.
    pub magnet: String,
    /// Paths of the files that are to be selected, without a leading `/`; all when empty.
    pub files: BTreeSet<String>,
    /// Torrents of this release that the account is known to hold.
    pub known: BTreeSet<TorrentId>,
    /// Only if the provider has it already: nothing is downloaded anew where the account never had it.
    pub cached: bool,
    /// Whether the provider is known to refuse what is called so. It is offered all the same; a refusal of the content is
    /// one of its name then, and nothing is asked again.
    pub refuses_name: bool,
}

impl std::fmt::Debug for Again {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Again")
            .field("provider", &self.provider.name())
            .finish_non_exhaustive()
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddedAgain {
    /// It is ready there.
    Ready(TorrentId),
    /// The provider does not have it (any more); what was added was taken back. What the account had before stays.
    Refused(String),
    /// The provider refuses what is called so; as `Refused` otherwise.
    Blocked(String),
}

impl Again {
    /// Torrents of the release that are there now: what is found beside them later was added by us.
    ///
    /// # Errors
    /// The provider's.
    pub async fn before(&self, hash: InfoHash) -> Result<BTreeSet<TorrentId>> {
        let mut ids = self.newest(hash).await?;
        ids.extend(self.known.iter().cloned());
        Ok(ids)
    }

    async fn newest(&self, hash: InfoHash) -> Result<BTreeSet<TorrentId>> {
        let page = self.provider.torrents(Priority::Repair, 0, NEWEST).await?;
        let same = page
            .items
            .into_iter()
            .filter(|item| item.content == hash.into());
        Ok(same.map(|item| item.id).collect())
    }

    /// Adds it, unless that was done since there were only the torrents `before`. May be cut off and done again.
    ///
    /// # Errors
    /// The provider's; nothing is known then but for [`is_refusal`].
    pub(crate) async fn place(
        &self,
        hash: InfoHash,
        before: &BTreeSet<TorrentId>,
    ) -> Result<TorrentId> {
        let ours = self.newest(hash).await?;
        match ours.into_iter().find(|id| !before.contains(id)) {
            Some(id) => Ok(id),
            None => self.add_magnet().await,
        }
    }

    /// Selects the wanted files of a torrent that waits for it; `false`: it has none of them.
    ///
    /// # Errors
    /// The provider's.
    pub(crate) async fn select(&self, id: &TorrentId, info: &TorrentInfo) -> Result<bool> {
        let wanted = info.files.iter().filter(|file| {
            let path = file.path.trim_start_matches('/');
            self.files.is_empty() || self.files.contains(path)
        });
        let ids: Vec<u32> = wanted.map(|file| file.id).collect();
        if ids.is_empty() {
            return Ok(false);
        }
        let selected = self.provider.select_files(Priority::Repair, id, &ids);
        match selected.await {
            Err(error) if error.verdict != Verdict::AlreadyDone => Err(error),
            _ => Ok(true),
        }
    }

    /// Adds it as `place` does, and waits until it is ready. May be cut off and done again.
    ///
    /// # Errors
    /// The provider's: nothing is known then, and it is to be done again.
    pub async fn add(&self, hash: InfoHash, before: &BTreeSet<TorrentId>) -> Result<AddedAgain> {
        let id = match self.place(hash, before).await {
            Ok(id) => id,
            Err(error) if self.is_for_name(&error) => {
                return Ok(AddedAgain::Blocked(error.to_string()));
            }
            Err(error) if is_refusal(&error) => return Ok(AddedAgain::Refused(error.to_string())),
            Err(error) => return Err(error),
        };
        // Some vendors answer with the torrent that the account has: that one is not ours.
        let ours = !before.contains(&id);
        let begun = Instant::now();
        loop {
            let info = match self.provider.torrent(Priority::Repair, &id).await {
                Err(error) if error.verdict == Verdict::NotFound => {
                    let words = "what was added again was deleted by somebody".to_owned();
                    return Ok(AddedAgain::Refused(words));
                }
                info => info?,
            };
            let status = &info.summary.status;
            match status {
                TorrentStatus::Downloaded => return Ok(AddedAgain::Ready(id)),
                TorrentStatus::WaitingFilesSelection => match self.select(&id, &info).await {
                    Ok(true) => {}
                    Ok(false) => {
                        return self
                            .take_back(ours, &id, "its files are others by now")
                            .await;
                    }
                    Err(error) if is_refusal(&error) => {
                        return self.take_back(ours, &id, &error.to_string()).await;
                    }
                    Err(error) => return Err(error),
                },
                status if has_failed(status) => {
                    let words = format!("added again, it is {:?}", status.word());
                    return self.take_back(ours, &id, &words).await;
                }
                _ if begun.elapsed() >= READY_WITHIN => {
                    let words = "the provider does not have it in its cache any more";
                    return self.take_back(ours, &id, words).await;
                }
                _ => {}
            }
            sleep(LOOKS_APART).await;
        }
    }

    /// Whether it is the name that is refused.
    pub(crate) fn is_for_name(&self, error: &Error) -> bool {
        self.refuses_name && error.verdict == Verdict::Infringing
    }

    async fn add_magnet(&self) -> Result<TorrentId> {
        let add = async || match self.cached {
            true => {
                let magnet = Addition::Magnet(self.magnet.clone());
                self.provider.add_cached(Priority::Repair, magnet).await
            }
            false => {
                self.provider
                    .add_magnet(Priority::Repair, &self.magnet)
                    .await
            }
        };
        match add().await {
            Err(error) if error.verdict == Verdict::Infringing && !self.refuses_name => {
                sleep(SECOND_OPINION).await;
                add().await
            }
            added => added,
        }
    }

    /// Deletes what was added here a moment ago, if it is `ours`, and never became ready.
    async fn take_back(&self, ours: bool, id: &TorrentId, words: &str) -> Result<AddedAgain> {
        if !ours {
            return Ok(AddedAgain::Refused(words.to_owned()));
        }
        match self.provider.delete(Priority::Repair, id).await {
            Err(error) if error.verdict != Verdict::NotFound => Err(error),
            _ => Ok(AddedAgain::Refused(words.to_owned())),
        }
    }
}

/// Whether a torrent of this status never becomes ready.
pub(crate) fn has_failed(status: &TorrentStatus) -> bool {
    matches!(
        status,
        TorrentStatus::Dead
            | TorrentStatus::Error
            | TorrentStatus::MagnetError
            | TorrentStatus::Virus
    )
}

/// Whether the provider says of the release that it does not take it.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(
        error.verdict,
        Verdict::Infringing | Verdict::Rejected | Verdict::BadRequest | Verdict::NotCached
    )
}
