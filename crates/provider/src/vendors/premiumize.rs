//! Premiumize (`https://www.premiumize.me/api`). Protocol facts: the vendor's description of its API
//! (<https://app.swaggerhub.com/apis/premiumize.me/api>), the public clients of it, and measurements of their authors.
//!
//! | question | decided in |
//! |---|---|
//! | what an HTTP status, error code or message means | [`verdicts`] |
//! | how an answer is read, and what a state means | [`decode`] |
//! | which files are a release, and what names it | `cloud` |
//! | when the files are asked for again | `known` |
//!
//! Files cannot be selected. The list of transfers and the cloud are apart: what is read is in the cloud.

mod cloud;
pub mod decode;
mod known;
pub mod verdicts;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;

use super::{Kind, Vendor};
use crate::account::call::{Call, Meaning};
use crate::account::caller::Api;
use crate::{
    Account, Addition, CacheCheck, DirectLink, HosterLink, InfoHash, Limits, PathsBegin, Refusals,
    Result, TorrentId, TorrentInfo, TorrentPage, TorrentStatus, TorrentSummary, Verdict,
    canonical_path,
};
use cloud::{PARENT, Place};
use decode::{Entry, Transfer};
use known::Known;

/// Premiumize.
pub static KIND: Kind = Kind {
    word: "premiumize",
    api_url: "https://www.premiumize.me/api",
    token_page: "https://www.premiumize.me/account",
    limits: Limits {
        // None is published.
        calls_per_minute: 120,
        calls_in_flight: 8,
        refusals: Refusals {
            longest_pause: Duration::from_secs(60),
            // What it asks a client to wait.
            first_pause: Duration::from_secs(60),
            harmless: false,
        },
        // None were refused up to 64 to one server; the rest is for other programs.
        connections_per_host: 32,
        most_connections_per_host: 64,
        connections_total: 64,
        // Both lists come as a whole.
        page: 100_000,
        // What the account has lost is not there to be added again: its place is still taken.
        may_add_again: false,
        cache_check: CacheCheck::AddedIfCached,
        // Links were seen to be refused after 24 hours.
        link_life: Some(Duration::from_secs(20 * 3600)),
        ..Limits::CAUTIOUS
    },
    vendor: || Arc::new(Premiumize::default()),
};

/// Downloads on their way at once.
const SLOTS: u64 = 25;
/// 300 000 files, or as many transfers, stay below this.
const LARGEST_LIST: usize = 128 << 20;
/// A torrent of 50 000 files, or a folder of as many, stays below this.
const LARGEST_FOLDER: usize = 32 << 20;

/// The vendor.
#[derive(Default)]
struct Premiumize {
    known: tokio::sync::Mutex<Known>,
    /// Held while something is added, so that no folder is made twice.
    adding: tokio::sync::Mutex<()>,
}

#[async_trait]
impl Vendor for Premiumize {
    fn meaning(&self, _: &Call, status: StatusCode, body: &[u8]) -> Option<Meaning> {
        verdicts::meaning(status, body)
    }

    async fn account(&self, api: &Api<'_>) -> Result<Account> {
        Ok(info(api).await?.account)
    }

    /// It tells no number but in its refusal.
    fn slots(&self, _: &Account) -> Option<u64> {
        Some(SLOTS)
    }

    /// All releases of the cloud, and the transfers that made none yet. The files are asked for when the cloud has changed.
    async fn torrents(&self, api: &Api<'_>, offset: u64, limit: u32) -> Result<TorrentPage> {
        let whole = offset == 0 && limit >= KIND.limits.page;
        let mut known = self.known.lock().await;
        known.refresh(api, whole).await?;
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        let items = known.items().skip(skipped).take(limit as usize);
        Ok(TorrentPage {
            items: items.cloned().collect(),
            total: Some(known.total()),
            goes_on: false,
            unreadable: known.unreadable(),
        })
    }

    async fn torrent(&self, api: &Api<'_>, id: &TorrentId) -> Result<TorrentInfo> {
        let what = "reading a torrent";
        checked(api, what, Place::parse(id))?;
        let mut known = self.known.lock().await;
        let summary = known.find(api, id).await?.ok_or_else(|| {
            let words = "the account has neither files nor a transfer of it";
            api.error(what, Verdict::NotFound, words)
        })?;
        Ok(TorrentInfo {
            original_filename: summary.filename.clone(),
            original_bytes: summary.bytes,
            files: summary.files.clone().unwrap_or_default(),
            summary,
        })
    }

    /// Each call makes the link anew. A file that is no longer in the cloud is asked for by its torrent, which the
    /// provider may have in its cache still.
    async fn direct_link(&self, api: &Api<'_>, link: &HosterLink) -> Result<DirectLink> {
        let what = "making a direct link";
        checked(api, what, decode::is_id(&link.0).then_some(()))?;
        let call = Call {
            about_one: true,
            ..Call::get(what, format!("/item/details?id={}", link.0))
        };
        let made = api.call(&call, |answer| decode::item(&answer.body, api.now()));
        let error = match made.await {
            Err(error) if error.verdict == Verdict::NotFound => error,
            made => return made,
        };
        let known = self.known.lock().await.file(link);
        let Some((hash, path, bytes)) = known else {
            return Err(error);
        };
        match direct(api, hash, &path, bytes).await {
            Ok(Some(link)) => Ok(link),
            // The file is gone, whatever the cache says.
            Ok(None) => Err(error),
            Err(of_cache) if of_cache.verdict == Verdict::NotCached => Err(error),
            Err(of_cache) => Err(of_cache),
        }
    }

    async fn add_magnet(&self, api: &Api<'_>, magnet: &str) -> Result<TorrentId> {
        self.add(api, Addition::Magnet(magnet.to_owned())).await
    }

    async fn add_torrent(&self, api: &Api<'_>, torrent: Bytes) -> Result<TorrentId> {
        self.add(api, Addition::Torrent(torrent)).await
    }

    async fn add_cached(&self, api: &Api<'_>, what: Addition) -> Result<TorrentId> {
        if let Some(hash) = what.info_hash() {
            let fields = [("items[]", &*hash.to_string())];
            let call = asking("looking into the cache", "/cache/check", &fields);
            if !api
                .call(&call, |answer| decode::cached(&answer.body))
                .await?
            {
                let words = "the provider does not have it";
                return Err(api.error("adding a torrent", Verdict::NotCached, words));
            }
        }
        self.add(api, what).await
    }

    async fn delete(&self, api: &Api<'_>, id: &TorrentId) -> Result<()> {
        let what = "deleting a torrent";
        let place = checked(api, what, Place::parse(id))?;
        let deleted = match &place {
            Place::Transfer(transfer) => delete_one(api, "/transfer/delete", transfer).await,
            Place::Path(path) => self.delete_path(api, id, path).await,
        };
        self.known.lock().await.forget();
        deleted
    }
}

impl Premiumize {
    /// Puts `what` into a folder that is called by its info-hash. What is there, or on its way there, is not added again.
    async fn add(&self, api: &Api<'_>, what: Addition) -> Result<TorrentId> {
        let Some(hash) = what.info_hash() else {
            let transfer = create(api, &what, None).await?;
            return Ok(Place::Transfer(transfer).id());
        };
        let _adding = self.adding.lock().await;
        let place = Place::of(hash);
        let parent = make_folder(api, &list(api, None).await?, PARENT, None).await?;
        let name = hash.to_string();
        let siblings = list(api, Some(&parent)).await?;
        let folder = match siblings.iter().find(|entry| entry.name == name) {
            Some(folder) => {
                let mut known = self.known.lock().await;
                known.is_folder_of(&folder.id, hash);
                if known.is_underway(api, hash).await?
                    || !list(api, Some(&folder.id)).await?.is_empty()
                {
                    return Ok(place.id());
                }
                folder.id.clone()
            }
            None => make_folder(api, &[], &name, Some(&parent)).await?,
        };
        match create(api, &what, Some(&folder)).await {
            Ok(transfer) => {
                self.known.lock().await.was_added(&folder, &transfer, hash);
                Ok(place.id())
            }
            Err(error) => {
                // With a lost answer there may be a transfer to it.
                if error.verdict != Verdict::Retry {
                    let _ = delete_one(api, "/folder/delete", &folder).await;
                }
                Err(error)
            }
        }
    }

    /// Deletes what is at `path`: the transfers to it, and what they left.
    async fn delete_path(&self, api: &Api<'_>, id: &TorrentId, path: &str) -> Result<()> {
        let transfers = self.known.lock().await.transfers_to(api, id).await?;
        let mut found = !transfers.is_empty();
        for transfer in &transfers {
            match delete_one(api, "/transfer/delete", transfer).await {
                Err(error) if error.verdict == Verdict::NotFound => {}
                deleted => deleted?,
            }
        }
        if let Some(entry) = walk(api, path).await? {
            found = true;
            let endpoint = match entry.is_folder {
                true => "/folder/delete",
                false => "/item/delete",
            };
            delete_one(api, endpoint, &entry.id).await?;
        }
        match found {
            true => Ok(()),
            false => {
                let words = "the account has neither files nor a transfer of it";
                Err(api.error("deleting a torrent", Verdict::NotFound, words))
            }
        }
    }
}

async fn info(api: &Api<'_>) -> Result<decode::Info> {
    let call = Call::get("reading the account", "/account/info");
    api.call(&call, |answer| decode::info(&answer.body, api.now()))
        .await
}

async fn transfers(api: &Api<'_>) -> Result<(Vec<Transfer>, Vec<String>)> {
    let call = Call {
        max_body: LARGEST_LIST,
        ..Call::get("listing transfers", "/transfer/list")
    };
    api.call(&call, |answer| decode::transfers(&answer.body))
        .await
}

/// All releases of the cloud of `customer`, and files that could not be read.
async fn cloud(api: &Api<'_>, customer: &str) -> Result<(Vec<TorrentSummary>, Vec<String>)> {
    let call = Call {
        max_body: LARGEST_LIST,
        ..Call::get("listing the files of the cloud", "/item/listall")
    };
    let read = api.call(&call, |answer| decode::files(&answer.body));
    let (files, unreadable) = read.await?;
    Ok((cloud::releases(files, customer), unreadable))
}

/// What is in a folder, or at the top of the cloud.
async fn list(api: &Api<'_>, folder: Option<&str>) -> Result<Vec<Entry>> {
    let of = folder.map_or_else(String::new, |folder| format!("?id={folder}"));
    let call = Call {
        max_body: LARGEST_FOLDER,
        about_one: folder.is_some(),
        ..Call::get("listing a folder", format!("/folder/list{of}"))
    };
    api.call(&call, |answer| decode::folder(&answer.body)).await
}

/// The folder called `name` of `siblings`, or a new one in `parent`.
async fn make_folder(
    api: &Api<'_>,
    siblings: &[Entry],
    name: &str,
    parent: Option<&str>,
) -> Result<String> {
    let mut found = siblings.iter().filter(|entry| entry.is_folder);
    if let Some(folder) = found.find(|entry| entry.name == name) {
        return Ok(folder.id.clone());
    }
    let mut fields = vec![("name", name)];
    fields.extend(parent.map(|parent| ("parent_id", parent)));
    let call = Call::form("making a folder", "/folder/create", &fields);
    api.call(&call, |answer| decode::created(&answer.body))
        .await
}

/// Begins a transfer of `what` to `folder`.
async fn create(api: &Api<'_>, what: &Addition, folder: Option<&str>) -> Result<String> {
    const PATH: &str = "/transfer/create";
    let mut fields = Vec::new();
    fields.extend(folder.map(|folder| ("folder_id", folder)));
    let call = match what {
        Addition::Magnet(magnet) => {
            fields.push(("src", magnet));
            Call::form("adding a magnet", PATH, &fields)
        }
        Addition::Torrent(torrent) => {
            let media_type = "application/x-bittorrent";
            let file = ("file", "release.torrent", media_type, &torrent[..]);
            Call::multipart("adding a torrent", PATH, &fields, file)
        }
    };
    api.call(&call, |answer| decode::created(&answer.body))
        .await
}

/// The folder or file at `path`, one folder after the other.
async fn walk(api: &Api<'_>, path: &str) -> Result<Option<Entry>> {
    let mut entries = list(api, None).await?;
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        let canonical = |name: &str| canonical_path(name, PathsBegin::BelowTop) == part;
        let Some(at) = entries.iter().position(|entry| canonical(&entry.name)) else {
            return Ok(None);
        };
        let entry = entries.swap_remove(at);
        if parts.peek().is_none() {
            return Ok(Some(entry));
        }
        entries = list(api, Some(&entry.id)).await?;
    }
    Ok(None)
}

async fn delete_one(api: &Api<'_>, endpoint: &str, id: &str) -> Result<()> {
    let call = Call {
        about_one: true,
        ..Call::form("deleting a torrent", endpoint, &[("id", id)])
    };
    api.call(&call, |_| Ok(())).await
}

/// A link to a file of a torrent that need not be in the account.
async fn direct(
    api: &Api<'_>,
    hash: InfoHash,
    path: &str,
    bytes: u64,
) -> Result<Option<DirectLink>> {
    let magnet = format!("magnet:?xt=urn:btih:{hash}");
    let call = Call {
        max_body: LARGEST_FOLDER,
        ..asking(
            "making a direct link",
            "/transfer/directdl",
            &[("src", &magnet)],
        )
    };
    let files = api
        .call(&call, |answer| decode::direct(&answer.body))
        .await?;
    let same = |found: &str| canonical_path(found, PathsBegin::WithTop) == path;
    let found = files
        .into_iter()
        .find(|file| file.bytes == bytes && same(&file.path));
    let link = found.and_then(|file| decode::link(file.url, Some(bytes), api.now()).ok());
    Ok(link)
}

/// `POST`, which the vendor documents for reading too: it may be sent again.
fn asking(what: &'static str, path: &str, fields: &[(&str, &str)]) -> Call {
    Call {
        only_reads: true,
        ..Call::form(what, path, fields)
    }
}

/// What was read of an id or a link of ours.
fn checked<T>(api: &Api<'_>, what: &str, read: Option<T>) -> Result<T> {
    let words = "not an id of this provider";
    read.ok_or_else(|| api.error(what, Verdict::BadRequest, words))
}

/// Whether it may still become something.
fn is_on_its_way(status: &TorrentStatus) -> bool {
    !matches!(
        status,
        TorrentStatus::Downloaded | TorrentStatus::Dead | TorrentStatus::Error
    )
}
