//! TorBox (`https://api.torbox.app`, version 1). Protocol facts: <https://api-docs.torbox.app>, the public
//! clients of it, and measurements of their authors.
//!
//! | question | decided in |
//! |---|---|
//! | what an HTTP status or error word means | [`verdicts`] |
//! | how an answer is read, and what a state means | [`decode`] |
//! | which list, and which call, an id belongs to | [`ItemId`] |
//! | which list is asked for when, and whether it is believed | `lists` |
//!
//! It has a list of torrents, one of usenet downloads and one of web downloads. All three are shown as one.

pub mod decode;
mod lists;
pub mod verdicts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::{Kind, Vendor};
use crate::account::call::{Answer, Call, Meaning};
use crate::account::caller::Api;
use crate::account::decode::DecodeError;
use crate::{
    Account, Addition, Budget, CacheCheck, ContentId, DirectLink, HosterLink, InfoHash, Limits,
    Refusals, Result, TorrentId, TorrentInfo, TorrentPage, Verdict,
};
use lists::Lists;

/// Additions.
const CREATE: &str = "create";
/// Direct links.
const LINK: &str = "link";

/// TorBox.
pub static KIND: Kind = Kind {
    word: "torbox",
    api_url: "https://api.torbox.app/v1/api",
    token_page: "https://torbox.app/settings",
    limits: Limits {
        // Of one key, over all endpoints.
        calls_per_minute: 300,
        // About 40 at once are refused.
        calls_in_flight: 20,
        budgets: &[
            Budget {
                word: Some(CREATE),
                calls: 60,
                per: Duration::from_secs(3600),
                in_flight: 1,
                pauses_alone: true,
                // The first key alone adds.
                of_account: false,
                refusals: Refusals {
                    longest_pause: Duration::from_secs(3600),
                    ..Refusals::CAUTIOUS
                },
            },
            // 10 a minute, what is cached included; in windows so short that an addition waits
            // rather than is refused.
            Budget {
                word: Some(CREATE),
                per: Duration::from_secs(30),
                in_flight: 1,
                pauses_alone: true,
                ..Budget::per_minute(5)
            },
            // About 100 in five minutes: the next one is refused, and with it the whole account for five
            // minutes. 18 a minute, in windows so short that a call waits rather than is refused.
            Budget {
                word: Some(LINK),
                per: Duration::from_secs(40),
                in_flight: 10,
                of_account: true,
                ..Budget::per_minute(12)
            },
        ],
        link_word: Some(LINK),
        refusals: Refusals {
            longest_pause: Duration::from_secs(300),
            ..Refusals::CAUTIOUS
        },
        // More than 20 to one server are refused; the rest is for other programs.
        connections_per_host: 16,
        most_connections_per_host: 20,
        connections_total: 48,
        // A list has no total: it is read to its end.
        page: 100_000,
        // Its terms forbid additions that nobody asked for.
        may_add_again: false,
        cache_check: CacheCheck::Asked,
        // Direct links were seen to work for three and a half hours.
        link_life: Some(Duration::from_secs(3 * 3600)),
        ..Limits::CAUTIOUS
    },
    vendor: || Arc::new(TorBox::default()),
};

/// What is said of an addition that found no slot.
const QUEUED: &str = "every slot is taken: it waits in the provider's queue, and is no torrent yet";
/// A torrent of 50 000 files stays below this.
const LARGEST_TORRENT: usize = 32 << 20;

/// One of the vendor's three lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// Torrents.
    Torrents,
    /// Usenet downloads.
    Usenet,
    /// Web downloads.
    Web,
}

/// A thing in one of the lists: each numbers its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemId {
    /// Where it is.
    pub list: List,
    /// Its number there.
    pub number: u64,
}

impl List {
    const ALL: [Self; 3] = [Self::Torrents, Self::Usenet, Self::Web];

    /// What ids in it begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Torrents => "",
            Self::Usenet => "usenet:",
            Self::Web => "web:",
        }
    }

    /// The folder of its endpoints.
    fn folder(self) -> &'static str {
        match self {
            Self::Torrents => "torrents",
            Self::Usenet => "usenet",
            Self::Web => "webdl",
        }
    }

    /// The parameter that names a thing when a link to it is asked for.
    fn link_parameter(self) -> &'static str {
        match self {
            Self::Torrents => "torrent_id",
            Self::Usenet => "usenet_id",
            Self::Web => "web_id",
        }
    }

    /// The endpoint that changes a thing, and the field that names it there.
    fn control(self) -> (&'static str, &'static str) {
        match self {
            Self::Torrents => ("controltorrent", "torrent_id"),
            Self::Usenet => ("controlusenetdownload", "usenet_id"),
            Self::Web => ("controlwebdownload", "webdl_id"),
        }
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.list.prefix(), self.number)
    }
}

impl ItemId {
    /// Reads what [`fmt::Display`] writes, and nothing else.
    fn parse(text: &str) -> Option<Self> {
        let of = |list: List| {
            let number = text.strip_prefix(list.prefix())?.parse().ok()?;
            let id = Self { list, number };
            (id.to_string() == text).then_some(id)
        };
        List::ALL.into_iter().find_map(of)
    }

    /// The text that a direct link of the file `file` of it is made of.
    fn link(self, file: u32) -> HosterLink {
        HosterLink(format!("{self}/{file}"))
    }

    /// Reads what [`Self::link`] writes.
    fn of_link(link: &HosterLink) -> Option<(Self, u32)> {
        let (id, file) = link.0.split_once('/')?;
        let (id, file) = (Self::parse(id)?, file.parse().ok()?);
        (id.link(file) == *link).then_some((id, file))
    }
}

/// The vendor.
#[derive(Default)]
struct TorBox {
    lists: Lists,
}

#[async_trait]
impl Vendor for TorBox {
    fn meaning(&self, call: &Call, status: StatusCode, body: &[u8]) -> Option<Meaning> {
        verdicts::meaning(call.about_one, status, body)
    }

    fn slots(&self, account: &Account) -> Option<u64> {
        match account.plan.as_deref()? {
            "free" => Some(1),
            "essential" => Some(3),
            "standard" => Some(5),
            "pro" => Some(10),
            _ => None,
        }
    }

    async fn account(&self, api: &Api<'_>) -> Result<Account> {
        let call = Call::get("reading the account", "/user/me");
        api.call(&call, |answer| decode::account(&answer.body))
            .await
    }

    /// The three lists as one, the newest first. It has a total when all of it was read.
    async fn torrents(&self, api: &Api<'_>, offset: u64, limit: u32) -> Result<TorrentPage> {
        self.lists.page(api, offset, limit).await
    }

    async fn torrent(&self, api: &Api<'_>, id: &TorrentId) -> Result<TorrentInfo> {
        let what = "reading a torrent";
        let item = checked(api, what, ItemId::parse(&id.0))?;
        let folder = item.list.folder();
        let call = Call {
            max_body: LARGEST_TORRENT,
            about_one: true,
            ..Call::get(
                what,
                format!("/{folder}/mylist?id={}&bypass_cache=true", item.number),
            )
        };
        api.call(&call, |answer| {
            let info = decode::torrent(item.list, &answer.body)?;
            match info.summary.id == *id {
                true => Ok(info),
                false => Err(DecodeError("it is about another torrent".to_owned())),
            }
        })
        .await
    }

    async fn direct_link(&self, api: &Api<'_>, link: &HosterLink) -> Result<DirectLink> {
        let what = "making a direct link";
        let (item, file) = checked(api, what, ItemId::of_link(link))?;
        let (folder, parameter) = (item.list.folder(), item.list.link_parameter());
        let call = Call {
            word: Some(LINK),
            token_in: Some("token"),
            about_one: true,
            ..Call::get(
                what,
                format!(
                    "/{folder}/requestdl?{parameter}={}&file_id={file}&redirect=false",
                    item.number
                ),
            )
        };
        api.call(&call, |answer| decode::direct_link(&answer.body, api.now()))
            .await
    }

    async fn add_magnet(&self, api: &Api<'_>, magnet: &str) -> Result<TorrentId> {
        add(api, Addition::Magnet(magnet.to_owned()), false).await
    }

    async fn add_torrent(&self, api: &Api<'_>, torrent: Bytes) -> Result<TorrentId> {
        add(api, Addition::Torrent(torrent), false).await
    }

    async fn add_cached(&self, api: &Api<'_>, what: Addition) -> Result<TorrentId> {
        add(api, what, true).await
    }

    async fn is_cached(&self, api: &Api<'_>, hash: InfoHash) -> Result<bool> {
        let path = format!("/torrents/checkcached?hash={hash}&format=object&list_files=false");
        let call = Call {
            may_be_none: true,
            ..Call::get("asking what is cached", path)
        };
        let read = |answer: &Answer| decode::is_cached(&answer.body, hash);
        match api.call(&call, read).await {
            // As for a list: nothing is told as an error.
            Err(error) if error.verdict == Verdict::NotFound => Ok(false),
            cached => cached,
        }
    }

    async fn delete(&self, api: &Api<'_>, id: &TorrentId) -> Result<()> {
        let what = "deleting a torrent";
        let item = checked(api, what, ItemId::parse(&id.0))?;
        let (endpoint, field) = item.list.control();
        let asked = json!({ field: item.number, "operation": "delete", "all": false });
        let path = format!("/{}/{endpoint}", item.list.folder());
        let call = Call {
            about_one: true,
            ..Call::json(what, path, &asked)
        };
        let deleted = api.call(&call, |_| Ok(())).await;
        // Whatever came of it, the next look sees it.
        self.lists.changed(item.list);
        deleted
    }
}

/// Adds `what` once: what the account has already, or has after an answer that was lost, is looked up.
async fn add(api: &Api<'_>, what: Addition, only_cached: bool) -> Result<TorrentId> {
    const PATH: &str = "/torrents/createtorrent";
    // 3: never seeds, so that it holds no slot when it is done.
    let mut fields = vec![("seed", "3"), ("allow_zip", "false")];
    if only_cached {
        fields.push(("add_only_if_cached", "true"));
    }
    let call = match &what {
        Addition::Magnet(magnet) => {
            fields.push(("magnet", magnet));
            Call::form("adding a magnet", PATH, &fields)
        }
        Addition::Torrent(torrent) => {
            let file = (
                "file",
                "release.torrent",
                "application/x-bittorrent",
                &torrent[..],
            );
            Call::multipart("adding a torrent", PATH, &fields, file)
        }
    };
    let call = Call {
        word: Some(CREATE),
        ..call
    };
    let error = match api.call(&call, |answer| decode::added(&answer.body)).await {
        Ok(Some(id)) => return Ok(id),
        Ok(None) => return Err(api.error(call.what, Verdict::SlotsFull, QUEUED)),
        Err(error) => error,
    };
    let may_be_there = matches!(error.verdict, Verdict::AlreadyDone | Verdict::Retry);
    let Some(hash) = what.info_hash().filter(|_| may_be_there) else {
        return Err(error);
    };
    let held = lists::newest_torrents(api).await?;
    let found = held
        .into_iter()
        .find(|item| item.content == ContentId::from(hash));
    match found {
        Some(item) => Ok(item.id),
        // The vendor has it, and its list has not.
        None if error.verdict == Verdict::AlreadyDone => {
            Err(api.error(call.what, Verdict::SlotsFull, QUEUED))
        }
        None => Err(error),
    }
}

/// What was read of an id or a link of ours.
fn checked<T>(api: &Api<'_>, what: &str, read: Option<T>) -> Result<T> {
    let words = "not an id of this provider";
    read.ok_or_else(|| api.error(what, Verdict::BadRequest, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_three_lists_are_told_apart_and_nothing_else_is_one() {
        for (text, list, number) in [
            ("0", List::Torrents, 0),
            ("123", List::Torrents, 123),
            ("usenet:123", List::Usenet, 123),
            ("web:123", List::Web, 123),
        ] {
            let id = ItemId { list, number };
            assert_eq!(ItemId::parse(text), Some(id));
            assert_eq!(id.to_string(), text);
            assert_eq!(ItemId::of_link(&id.link(0)), Some((id, 0)), "0 is a file");
            assert_eq!(ItemId::of_link(&id.link(7)), Some((id, 7)));
        }
        for text in [
            "",
            "usenet:",
            "-1",
            "+1",
            "01",
            "1&token=x",
            "ftp:1",
            "1/2",
            "web:1 ",
        ] {
            assert_eq!(ItemId::parse(text), None, "{text}");
        }
        for text in [
            "",
            "1",
            "1/",
            "1/-1",
            "1/+1",
            "1/01",
            "1/2/3",
            "https://a.example/d/1",
        ] {
            assert_eq!(
                ItemId::of_link(&HosterLink(text.to_owned())),
                None,
                "{text}"
            );
        }
    }
}
