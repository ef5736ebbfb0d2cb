//! Debrid-Link (`https://debrid-link.com`, API version 2). Protocol facts: <https://debrid-link.com/api_doc/v2>, the
//! public clients of it, and measurements of their authors.
//!
//! | question | decided in |
//! |---|---|
//! | what an HTTP status or error word means | [`verdicts`] |
//! | how an answer is read, and what a state means | [`decode`] |
//! | which direct links came along | `urls` |
//!
//! The seedbox alone is shown: links of hosters are no torrents. The list has the files of a torrent, but for one of
//! many files, which shows as a ZIP until it is asked for by its id. Direct links come with the files.

pub mod decode;
mod urls;
pub mod verdicts;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;

use super::{Kind, Vendor};
use crate::account::call::{Call, Meaning};
use crate::account::caller::Api;
use crate::{
    Account, ActiveCount, Addition, Budget, CacheCheck, DirectLink, HosterLink, Limits, Refusals,
    Result, TorrentId, TorrentInfo, TorrentPage, TorrentSummary, Verdict,
};
use decode::{Page, Torrent};
use urls::Urls;

/// The vendor refuses calls of one endpoint for this long.
const FLOOD: Duration = Duration::from_secs(3600);

/// What each endpoint allows: it pauses alone, and the vendor says for how long but not after how many calls. So these are
/// fewer than any client was seen to be refused for.
const fn endpoint(word: &'static str, calls_per_minute: u32) -> Budget {
    Budget {
        word: Some(word),
        in_flight: 2,
        pauses_alone: true,
        refusals: Refusals {
            longest_pause: FLOOD,
            first_pause: FLOOD,
            harmless: false,
        },
        ..Budget::per_minute(calls_per_minute)
    }
}

/// The list, and links.
const LIST: &str = "list";
const ADD: &str = "add";
const REMOVE: &str = "remove";
const CONFIG: &str = "config";
const INFOS: &str = "infos";
const LIMITS: &str = "limits";

/// Debrid-Link.
pub static KIND: Kind = Kind {
    word: "debrid-link",
    api_url: "https://debrid-link.com/api/v2",
    token_page: "https://debrid-link.com/webapp/apikey",
    limits: Limits {
        calls_per_minute: 100,
        budgets: &[
            endpoint(LIST, 60),
            endpoint(ADD, 20),
            endpoint(REMOVE, 20),
            endpoint(CONFIG, 20),
            endpoint(INFOS, 10),
            endpoint(LIMITS, 10),
        ],
        link_word: Some(LIST),
        connections_per_host: 8,
        most_connections_per_host: 16,
        connections_total: 32,
        // A list has no total: it is read to its end.
        page: 100_000,
        may_add_again: true,
        cache_check: CacheCheck::AddedIfCached,
        ..Limits::CAUTIOUS
    },
    vendor: || Arc::new(DebridLink::default()),
};

/// Lines of the largest page.
const PAGE: u64 = 100;
/// More pages than the longest list has, also with the fewest lines that a page may have (20).
const MOST_PAGES: u64 = 5000;
/// 100 torrents of 500 files stay below this.
const LARGEST_PAGE: usize = 32 << 20;
/// Torrents that are asked for by their ids in one call.
const BATCH: usize = 50;
/// So many torrents that are missing from a list are looked for once more: it may have moved while it was read. More than
/// that is left to the library's shrink guard.
const MOST_MISSING: usize = 200;

/// The vendor.
#[derive(Default)]
struct DebridLink {
    /// The torrents of the last complete list.
    listed: parking_lot::Mutex<HashSet<TorrentId>>,
    urls: Urls,
}

#[async_trait]
impl Vendor for DebridLink {
    fn meaning(&self, _: &Call, status: StatusCode, body: &[u8]) -> Option<Meaning> {
        verdicts::meaning(status, body)
    }

    async fn account(&self, api: &Api<'_>) -> Result<Account> {
        let call = of(INFOS, Call::get("reading the account", "/account/infos"));
        api.call(&call, |answer| decode::account(&answer.body, api.now()))
            .await
    }

    /// Pages, the newest first. It has a total when all of it was read.
    async fn torrents(&self, api: &Api<'_>, offset: u64, limit: u32) -> Result<TorrentPage> {
        let wanted = offset.saturating_add(u64::from(limit));
        let mut found = Found::default();
        let mut next = Some(0);
        while let Some(page) = next.filter(|_| found.lines() < wanted) {
            if page >= MOST_PAGES {
                let words = "the list does not end";
                return Err(api.error("listing torrents", Verdict::Malformed, words));
            }
            let read = read_page(api, page).await?;
            next = read.next;
            found.take(read);
        }
        let ended = next.is_none();
        if ended {
            self.find_passed_over(api, &mut found).await?;
            *self.listed.lock() = found.seen.clone();
        }
        let total = ended.then_some(found.lines());
        let items = found.items.into_iter().skip(offset as usize);
        Ok(TorrentPage {
            items: items.take(limit as usize).collect(),
            total,
            goes_on: !ended,
            unreadable: found.unreadable,
        })
    }

    async fn torrent(&self, api: &Api<'_>, id: &TorrentId) -> Result<TorrentInfo> {
        let what = "reading a torrent";
        let summary = one(api, what, id).await?.summary;
        let Some(files) = summary.files.clone() else {
            let words = "the provider tells a ZIP in place of the files";
            return Err(api.error(what, Verdict::Malformed, words));
        };
        Ok(TorrentInfo {
            original_filename: summary.filename.clone(),
            original_bytes: files.iter().map(|file| file.bytes).sum(),
            files,
            summary,
        })
    }

    /// The direct links of all files of a torrent come at once: what else is asked of it soon costs no call. Each is handed
    /// out once, as a caller that asks again was refused with it.
    async fn direct_link(&self, api: &Api<'_>, link: &HosterLink) -> Result<DirectLink> {
        let what = "making a direct link";
        let (id, file) = decode::parts_of(link).ok_or_else(|| no_id(api, what))?;
        let told = match self.urls.take(&id, file) {
            Some(told) => Some(told),
            None => {
                let read = one(api, what, &id).await?;
                self.urls.put(&id, read.files);
                self.urls.take(&id, file)
            }
        };
        let told = told.ok_or_else(|| {
            let words = "the provider has no link for the file";
            api.error(what, Verdict::LinkBroken, words)
        })?;
        told.direct_link(api.now()).map_err(|why| {
            let words = format!("the answer cannot be read: {why}");
            api.error(what, Verdict::Malformed, &words)
        })
    }

    /// The same hash twice is the same torrent.
    async fn add_magnet(&self, api: &Api<'_>, magnet: &str) -> Result<TorrentId> {
        add(api, Addition::Magnet(magnet.to_owned())).await
    }

    /// The same hash twice is the same torrent.
    async fn add_torrent(&self, api: &Api<'_>, torrent: Bytes) -> Result<TorrentId> {
        add(api, Addition::Torrent(torrent)).await
    }

    /// A hash without a magnet around it is added if it is cached, and refused otherwise.
    async fn add_cached(&self, api: &Api<'_>, what: Addition) -> Result<TorrentId> {
        let hash = what.info_hash().ok_or_else(|| {
            let words = "it names no info-hash";
            api.error("adding a torrent", Verdict::Rejected, words)
        })?;
        let added = add(api, Addition::Magnet(hash.to_string())).await;
        added.map_err(|mut error| {
            if error.verdict == Verdict::Rejected && error.code == verdicts::not_added() {
                error.verdict = Verdict::NotCached;
                error.message.push_str("; the provider does not have it");
            }
            error
        })
    }

    /// What was selected is told by what is left out.
    async fn select_files(&self, api: &Api<'_>, id: &TorrentId, files: &[u32]) -> Result<()> {
        let what = "selecting files";
        let mut unwanted = Vec::new();
        if !files.is_empty() {
            let read = one(api, what, id).await?;
            let numbered = read.files.into_iter().zip(1u32..);
            let others = numbered.filter(|(_, number)| !files.contains(number));
            unwanted.extend(others.map(|(file, _)| file.id));
        }
        let id = checked(api, what, id)?;
        let asked = json!({ "files-unwanted": unwanted });
        let call = of(
            CONFIG,
            Call::json(what, format!("/seedbox/{id}/config"), &asked),
        );
        api.call(&call, |_| Ok(())).await
    }

    /// Of what is not there the vendor says that it was removed.
    async fn delete(&self, api: &Api<'_>, id: &TorrentId) -> Result<()> {
        let what = "deleting a torrent";
        let id = checked(api, what, id)?;
        let call = Call {
            method: Method::DELETE,
            ..Call::get(what, format!("/seedbox/{id}/remove"))
        };
        api.call(&of(REMOVE, call), |_| Ok(())).await
    }

    async fn active_count(&self, api: &Api<'_>) -> Result<ActiveCount> {
        let call = of(LIMITS, Call::get("reading the limits", "/seedbox/limits"));
        api.call(&call, |answer| decode::active_count(&answer.body))
            .await
    }
}

/// The newest lines of the list, each torrent once.
#[derive(Default)]
struct Found {
    items: Vec<TorrentSummary>,
    seen: HashSet<TorrentId>,
    unreadable: Vec<String>,
}

impl Found {
    /// What moved down while the list was read is in two pages.
    fn take(&mut self, page: Page) {
        let items = page.items.into_iter();
        let items = items.map(|torrent| torrent.summary);
        self.items
            .extend(items.filter(|item| self.seen.insert(item.id.clone())));
        self.unreadable.extend(page.unreadable);
    }

    fn lines(&self) -> u64 {
        (self.items.len() + self.unreadable.len()) as u64
    }
}

impl DebridLink {
    /// A torrent that was deleted while the list was read moves the others up, over the edge of a page: those that were there
    /// before are asked for by their ids.
    async fn find_passed_over(&self, api: &Api<'_>, found: &mut Found) -> Result<()> {
        let missing: Vec<TorrentId> = {
            let listed = self.listed.lock();
            listed.difference(&found.seen).cloned().collect()
        };
        if missing.is_empty() || missing.len() > MOST_MISSING {
            return Ok(());
        }
        for batch in missing.chunks(BATCH) {
            let read = by_ids(api, "listing torrents", batch).await?;
            // Where no id is known, all torrents come.
            let wanted = read.items.into_iter();
            let items = wanted.filter(|torrent| batch.contains(&torrent.summary.id));
            found.take(Page {
                items: items.collect(),
                unreadable: Vec::new(),
                next: None,
            });
        }
        found
            .items
            .sort_by_key(|item| std::cmp::Reverse(item.added));
        Ok(())
    }
}

async fn read_page(api: &Api<'_>, page: u64) -> Result<Page> {
    let path = format!("/seedbox/list?structureType=list&page={page}&perPage={PAGE}");
    let call = Call {
        max_body: LARGEST_PAGE,
        ..Call::get("listing torrents", path)
    };
    api.call(&of(LIST, call), |answer| {
        decode::page(&answer.body, Some(page))
    })
    .await
}

async fn by_ids(api: &Api<'_>, what: &'static str, ids: &[TorrentId]) -> Result<Page> {
    let ids: Vec<_> = ids.iter().map(|id| &*id.0).collect();
    let path = format!(
        "/seedbox/list?structureType=list&perPage={PAGE}&ids={}",
        ids.join(",")
    );
    let call = Call {
        max_body: LARGEST_PAGE,
        ..Call::get(what, path)
    };
    api.call(&of(LIST, call), |answer| decode::page(&answer.body, None))
        .await
}

/// A torrent with all its files. Instead of one that it does not know, the vendor tells all others.
async fn one(api: &Api<'_>, what: &'static str, id: &TorrentId) -> Result<Torrent> {
    checked(api, what, id)?;
    let read = by_ids(api, what, std::slice::from_ref(id)).await?;
    let mut items = read.items.into_iter();
    let found = items.find(|torrent| torrent.summary.id == *id);
    found.ok_or_else(|| {
        let words = "the provider does not know it";
        api.error(what, Verdict::NotFound, words)
    })
}

async fn add(api: &Api<'_>, what: Addition) -> Result<TorrentId> {
    const PATH: &str = "/seedbox/add";
    let call = match &what {
        Addition::Magnet(url) => {
            // A magnet is answered before it is resolved; a hash alone is known or not.
            let asked = json!({
                "url": url, "async": url.starts_with("magnet:"), "wait": false,
                "structureType": "list",
            });
            Call::json("adding a magnet", PATH, &asked)
        }
        Addition::Torrent(torrent) => {
            let media_type = "application/x-bittorrent";
            let file = ("file", "release.torrent", media_type, &torrent[..]);
            let fields = [("wait", "false"), ("structureType", "list")];
            Call::multipart("adding a torrent", PATH, &fields, file)
        }
    };
    api.call(&of(ADD, call), |answer| decode::added(&answer.body))
        .await
}

fn of(word: &'static str, call: Call) -> Call {
    Call {
        word: Some(word),
        ..call
    }
}

/// The id, which goes into a path: one that is none of this vendor's could lead to another call.
fn checked<'a>(api: &Api<'_>, what: &str, id: &'a TorrentId) -> Result<&'a str> {
    match decode::is_id(&id.0) {
        true => Ok(&id.0),
        false => Err(no_id(api, what)),
    }
}

fn no_id(api: &Api<'_>, what: &str) -> crate::Error {
    let words = "not an id of this provider";
    api.error(what, Verdict::BadRequest, words)
}
