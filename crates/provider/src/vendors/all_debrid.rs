//! AllDebrid (`https://api.alldebrid.com`, versions 4 and 4.1). Protocol facts: <https://docs.alldebrid.com>, the public
//! clients of it, and measurements of their authors.
//!
//! | question | decided in |
//! |---|---|
//! | what an HTTP status or error word means | [`verdicts`] |
//! | how an answer is read, and what a state means | [`decode`] |
//! | what the account holds | `live` |
//!
//! Files cannot be selected. The list has no files: they are asked for once, many torrents in one call, as they do not
//! change once a torrent is ready.

pub mod decode;
mod live;
pub mod verdicts;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Kind, Vendor};
use crate::account::call::{Call, Meaning};
use crate::account::caller::Api;
use crate::account::decode::DecodeError;
use crate::{
    Account, Addition, Budget, CacheCheck, DirectLink, HosterLink, Limits, Result, TorrentId,
    TorrentInfo, TorrentPage, TorrentStatus, TorrentSummary, Verdict,
};
use decode::{Added, Delayed, Tree, Unlocked};
use live::Live;

/// AllDebrid.
pub static KIND: Kind = Kind {
    word: "alldebrid",
    api_url: "https://api.alldebrid.com",
    token_page: "https://alldebrid.com/apikeys",
    limits: Limits {
        calls_per_minute: 600,
        calls_in_flight: 12,
        budgets: &[Budget {
            per: Duration::from_secs(1),
            ..Budget::per_minute(12)
        }],
        // More than 32 to one server are refused; the rest is for other programs.
        connections_per_host: 28,
        most_connections_per_host: 32,
        connections_total: 64,
        // The list comes as a whole.
        page: 100_000,
        // 3.75 calls a minute by default.
        look_percent: 160,
        may_add_again: true,
        cache_check: CacheCheck::AddedIfCached,
        ..Limits::CAUTIOUS
    },
    vendor: || Arc::new(AllDebrid::default()),
};

/// The list.
const STATUS: &str = "/v4.1/magnet/status";
/// 100 000 torrents stay below this.
const LARGEST_LIST: usize = 64 << 20;
/// [`BATCH`] torrents of 2000 files stay below this.
const LARGEST_TREES: usize = 32 << 20;
/// Torrents whose files are asked for in one call.
const BATCH: usize = 50;
/// A torrent that is ready and tells no files is asked again after this.
const NO_FILES_WAIT: Duration = Duration::from_secs(300);
/// A link that is being made is asked for this often…
const DELAYED_ASKS: u32 = 12;
/// …with this between.
const DELAYED_WAIT: Duration = Duration::from_secs(5);

/// The vendor.
#[derive(Default)]
struct AllDebrid {
    live: tokio::sync::Mutex<Live>,
    /// Files of torrents that are ready, by their numbers.
    trees: Mutex<HashMap<u64, Known>>,
    /// Torrents that had failed when the list was read.
    failed: Mutex<HashSet<u64>>,
    /// Torrents that the vendor would not start again: it says so for ever.
    lost: Mutex<HashSet<u64>>,
}

/// What is known of a torrent's files.
enum Known {
    Tree(Arc<Tree>),
    /// There were none then.
    None(Instant),
}

#[async_trait]
impl Vendor for AllDebrid {
    fn meaning(&self, _: &Call, status: StatusCode, body: &[u8]) -> Option<Meaning> {
        verdicts::meaning(status, body)
    }

    async fn account(&self, api: &Api<'_>) -> Result<Account> {
        let call = Call::get("reading the account", "/v4/user");
        api.call(&call, |answer| decode::account(&answer.body))
            .await
    }

    async fn torrents(&self, api: &Api<'_>, offset: u64, limit: u32) -> Result<TorrentPage> {
        let whole = offset == 0 && limit >= KIND.limits.page;
        let mut items = Vec::new();
        let mut unreadable;
        {
            let mut live = self.live.lock().await;
            live.refresh(api, whole).await?;
            unreadable = live.unreadable.clone();
            for (number, fields) in &live.magnets {
                match decode::summary(*number, fields) {
                    Ok(item) => items.push((*number, item)),
                    Err(why) => unreadable.push(format!("torrent {number}: {why}")),
                }
            }
            let known = |number: &u64, _: &mut Known| live.magnets.contains_key(number);
            self.trees.lock().retain(known);
            let failed = live
                .magnets
                .iter()
                .filter(|(_, fields)| decode::has_failed(fields));
            *self.failed.lock() = failed.map(|(number, _)| *number).collect();
        }
        let total = (items.len() + unreadable.len()) as u64;
        items.sort_by_key(|(number, item)| Reverse((item.added, *number)));
        let items = items.into_iter().skip(offset as usize);
        let mut items: Vec<_> = items.take(limit as usize).collect();
        self.add_files(api, &mut items).await?;
        Ok(TorrentPage {
            items: items.into_iter().map(|(_, item)| item).collect(),
            total: Some(total),
            goes_on: false,
            unreadable,
        })
    }

    async fn torrent(&self, api: &Api<'_>, id: &TorrentId) -> Result<TorrentInfo> {
        let what = "reading a torrent";
        let number = checked(api, what, id)?;
        let call = Call {
            max_body: LARGEST_TREES,
            ..asking(what, STATUS, &[("id", &id.0)])
        };
        let read = api.call(&call, |answer| {
            let summary = decode::torrent(&answer.body)?;
            match summary.id == *id {
                true => Ok(summary),
                false => Err(DecodeError("it is about another torrent".to_owned())),
            }
        });
        let mut summary = read.await?;
        if summary.status == TorrentStatus::Downloaded && summary.files.is_none() {
            let call = files_of(&[number]);
            let read = api.call(&call, |answer| decode::trees(&answer.body));
            if let Some(tree) = read.await?.remove(&number) {
                let tree = self.remember(number, tree);
                put(&mut summary, &tree);
            }
        }
        Ok(TorrentInfo {
            original_filename: summary.filename.clone(),
            original_bytes: summary.bytes,
            files: summary.files.clone().unwrap_or_default(),
            summary,
        })
    }

    /// Each call makes another link, which may be on another server.
    async fn direct_link(&self, api: &Api<'_>, link: &HosterLink) -> Result<DirectLink> {
        let what = "making a direct link";
        let call = Call::form(what, "/v4/link/unlock", &[("link", &link.0)]);
        let unlock = api.call(&call, |answer| decode::unlocked(&answer.body, api.now()));
        let number = match unlock.await? {
            Unlocked::Ready(link) => return Ok(link),
            Unlocked::Delayed(number) => number.to_string(),
        };
        let call = asking(what, "/v4/link/delayed", &[("id", &number)]);
        for _ in 0..DELAYED_ASKS {
            let ask = api.call(&call, |answer| {
                Ok(match decode::delayed(&answer.body)? {
                    Delayed::Ready(url) => Some(Some(decode::direct(url, api.now())?)),
                    Delayed::Failed => Some(None),
                    Delayed::Processing => None,
                })
            });
            match ask.await? {
                Some(Some(link)) => return Ok(link),
                Some(None) => {
                    let words = "the provider could not make it";
                    return Err(api.error(what, Verdict::LinkBroken, words));
                }
                None => tokio::time::sleep(DELAYED_WAIT).await,
            }
        }
        let words = "the provider has been making it for a minute";
        Err(api.error(what, Verdict::Retry, words))
    }

    /// The same hash twice is the same torrent.
    async fn add_magnet(&self, api: &Api<'_>, magnet: &str) -> Result<TorrentId> {
        let added = self.add(api, Addition::Magnet(magnet.to_owned())).await?;
        Ok(id(added.number))
    }

    /// The same hash twice is the same torrent.
    async fn add_torrent(&self, api: &Api<'_>, torrent: Bytes) -> Result<TorrentId> {
        let added = self.add(api, Addition::Torrent(torrent)).await?;
        Ok(id(added.number))
    }

    /// Nothing tells what is cached but an addition: one that is not ready is taken back, unless it was there before.
    async fn add_cached(&self, api: &Api<'_>, what: Addition) -> Result<TorrentId> {
        let held: HashSet<u64> = {
            let mut live = self.live.lock().await;
            live.refresh(api, false).await?;
            live.magnets.keys().copied().collect()
        };
        let added = self.add(api, what).await?;
        let id = id(added.number);
        if added.ready || held.contains(&added.number) {
            return Ok(id);
        }
        match self.delete(api, &id).await {
            Ok(()) => {
                let words = "the provider does not have it; it was taken back";
                Err(api.error("adding a torrent", Verdict::NotCached, words))
            }
            // Whoever asked looks after it.
            Err(_) => Ok(id),
        }
    }

    async fn delete(&self, api: &Api<'_>, id: &TorrentId) -> Result<()> {
        let what = "deleting a torrent";
        checked(api, what, id)?;
        let call = Call::form(what, "/v4/magnet/delete", &[("id", &id.0)]);
        api.call(&call, |_| Ok(())).await
    }
}

impl AllDebrid {
    /// Puts files and links into those of `items` that are ready.
    async fn add_files(&self, api: &Api<'_>, items: &mut [(u64, TorrentSummary)]) -> Result<()> {
        let mut missing = Vec::new();
        {
            let mut trees = self.trees.lock();
            for (number, item) in items.iter().filter(|(_, item)| item.files.is_none()) {
                if item.status != TorrentStatus::Downloaded {
                    trees.remove(number);
                    continue;
                }
                match trees.get(number) {
                    Some(Known::Tree(_)) => {}
                    Some(Known::None(at)) if at.elapsed() < NO_FILES_WAIT => {}
                    _ => missing.push(*number),
                }
            }
        }
        for batch in missing.chunks(BATCH) {
            let call = files_of(batch);
            let read = api.call(&call, |answer| decode::trees(&answer.body)).await;
            let mut read = match read {
                // The only one is gone: the next list tells.
                Err(error) if error.verdict == Verdict::NotFound => Default::default(),
                read => read?,
            };
            for number in batch {
                match read.remove(number) {
                    Some(tree) => drop(self.remember(*number, tree)),
                    None => drop(
                        self.trees
                            .lock()
                            .insert(*number, Known::None(Instant::now())),
                    ),
                }
            }
        }
        let trees = self.trees.lock();
        for (number, item) in items {
            if let Some(Known::Tree(tree)) = trees.get(number) {
                put(item, tree);
            }
        }
        Ok(())
    }

    fn remember(&self, number: u64, tree: Tree) -> Arc<Tree> {
        let tree = Arc::new(tree);
        let known = Known::Tree(tree.clone());
        self.trees.lock().insert(number, known);
        tree
    }

    /// Adds `what`, and starts it again if it is here already and has failed.
    async fn add(&self, api: &Api<'_>, what: Addition) -> Result<Added> {
        let call = match &what {
            Addition::Magnet(magnet) => {
                let fields = [("magnets[]", &**magnet)];
                Call::form("adding a magnet", "/v4/magnet/upload", &fields)
            }
            Addition::Torrent(torrent) => {
                let media_type = "application/x-bittorrent";
                let file = ("files[]", "release.torrent", media_type, &torrent[..]);
                Call::multipart("adding a torrent", "/v4/magnet/upload/file", &[], file)
            }
        };
        let added = api
            .call(&call, |answer| decode::added(&answer.body))
            .await?;
        let failed = self.failed.lock().contains(&added.number);
        if failed && !added.ready {
            self.restart(api, added.number).await?;
        }
        Ok(added)
    }

    async fn restart(&self, api: &Api<'_>, number: u64) -> Result<()> {
        let what = "starting a torrent again";
        if self.lost.lock().contains(&number) {
            let words = "the provider refused that before";
            return Err(api.error(what, Verdict::Rejected, words));
        }
        let call = Call::form(what, "/v4/magnet/restart", &[("id", &number.to_string())]);
        match api.call(&call, |_| Ok(())).await {
            Ok(()) => {}
            Err(error) if error.verdict == Verdict::AlreadyDone => {}
            Err(error) => {
                if error.is_final() {
                    self.lost.lock().insert(number);
                }
                return Err(error);
            }
        }
        self.failed.lock().remove(&number);
        Ok(())
    }
}

/// `POST`, which the vendor documents for reading too: it may be sent again.
fn asking(what: &'static str, path: &str, fields: &[(&str, &str)]) -> Call {
    Call {
        only_reads: true,
        ..Call::form(what, path, fields)
    }
}

fn files_of(numbers: &[u64]) -> Call {
    let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
    let fields: Vec<_> = numbers.iter().map(|number| ("id[]", &**number)).collect();
    Call {
        max_body: LARGEST_TREES,
        ..asking("reading files of torrents", "/v4/magnet/files", &fields)
    }
}

fn put(item: &mut TorrentSummary, tree: &Tree) {
    item.files = Some(tree.files.clone());
    item.links = tree.links.clone();
}

fn id(number: u64) -> TorrentId {
    TorrentId(number.to_string())
}

/// The number that `id` is.
fn checked(api: &Api<'_>, what: &str, id: &TorrentId) -> Result<u64> {
    let number = id.0.parse::<u64>().ok();
    let number = number.filter(|number| number.to_string() == id.0);
    number.ok_or_else(|| {
        let words = "not a torrent id of this provider";
        api.error(what, Verdict::BadRequest, words)
    })
}
