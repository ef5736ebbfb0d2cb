//! Answers of the API to our types. Pure functions, so that any bytes can be thrown at them.
//!
//! What was asked for is in the field `value` of an object, and pages tell in `pagination` which one follows.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::account::decode::{
    self, DecodeError, Decoded, Fields, entries, http_url, missing, need_text, whole,
};
use crate::account::json;
use crate::{
    Account, ActiveCount, DirectLink, HosterLink, InfoHash, KeyId, PathsBegin, TorrentFile,
    TorrentId, TorrentStatus, TorrentSummary, canonical_path,
};

/// Longer ids are none of the vendor's.
const LONGEST_ID: usize = 128;
/// `status` of a torrent that is finished, or more; below, it is a sum of the flags that follow.
const FINISHED: i64 = 100;
const QUEUED: i64 = 1;
const VERIFICATION: i64 = 2;
const DOWNLOADING: i64 = 4;
const SEEDING: i64 = 8;
/// `error` of a torrent that the vendor's BitTorrent client could not write; 1 and 2 are words of trackers.
const LOCAL_ERROR: i64 = 3;

/// Torrents of one answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// In the vendor's order.
    pub items: Vec<Torrent>,
    /// Entries that could not be read.
    pub unreadable: Vec<String>,
    /// The page that follows.
    pub next: Option<u64>,
}

/// A torrent with its direct links.
#[derive(Debug, Clone, PartialEq)]
pub struct Torrent {
    /// As everywhere; without files while they show as a ZIP.
    pub summary: TorrentSummary,
    /// The files in the order of the summary.
    pub files: Vec<File>,
}

/// What a file is called by the vendor, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The vendor's id.
    pub id: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Direct link; empty while there is none.
    pub url: String,
}

impl File {
    /// Its direct link, told at `now`.
    ///
    /// # Errors
    /// The link is no HTTP URL.
    pub fn direct_link(self, now: Timestamp) -> Decoded<DirectLink> {
        let (url, filename) = http_url("downloadUrl", self.url)?;
        Ok(DirectLink {
            url,
            filename,
            bytes: Some(self.bytes).filter(|bytes| *bytes > 0),
            resolved_at: now,
            // Whoever made the call knows with which one.
            key: KeyId::default(),
        })
    }
}

/// `GET /account/infos`, told at `now`.
pub fn account(body: &[u8], now: Timestamp) -> Decoded<Account> {
    let fields = object(body)?;
    let plan = fields.get("accountType").and_then(json::integer);
    let plan = plan.ok_or_else(|| missing("accountType"))?;
    let left = fields.get("premiumLeft").and_then(json::integer);
    let left = left.filter(|seconds| plan == 1 && *seconds > 0);
    let end = left.and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok());
    Ok(Account {
        username: need_text(&fields, "username").or_else(|_| need_text(&fields, "email"))?,
        premium: plan != 0,
        plan: (plan == 2).then(|| "lifetime".to_owned()),
        expires: end,
        fair_use: None,
    })
}

/// `GET /seedbox/list`: the page `asked`, or torrents by their ids.
pub fn page(body: &[u8], asked: Option<u64>) -> Decoded<Page> {
    let mut members = json::members(body).map_err(DecodeError)?;
    let value = members.remove("value").ok_or_else(|| missing("value"))?;
    let (items, unreadable) = decode::list(value.as_bytes(), torrent)?;
    let next = match asked {
        Some(page) => {
            let told = members.remove("pagination");
            let next = next(&told.ok_or_else(|| missing("pagination"))?, page)?;
            if next.is_some() && items.is_empty() && unreadable.is_empty() {
                let words = "an empty page is followed by another";
                return Err(DecodeError(words.to_owned()));
            }
            next
        }
        None => None,
    };
    Ok(Page {
        items,
        unreadable,
        next,
    })
}

/// `POST /seedbox/add`.
pub fn added(body: &[u8]) -> Decoded<TorrentId> {
    id(&object(body)?)
}

/// `GET /seedbox/limits`.
pub fn active_count(body: &[u8]) -> Decoded<ActiveCount> {
    const KEY: &str = "activeTransferCount";
    let fields = object(body)?;
    let count = fields.get(KEY).ok_or_else(|| missing(KEY))?;
    let number = |key| count.get(key).and_then(json::size);
    let (active, limit) = (number("current"), number("value"));
    Ok(ActiveCount {
        active: active.ok_or_else(|| missing("current"))?,
        limit: limit.ok_or_else(|| missing("value"))?,
    })
}

/// Whether `text` may be an id: it goes into paths of calls.
pub fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(fits)
}

/// Torrent and file that the text of a link names.
pub fn parts_of(link: &HosterLink) -> Option<(TorrentId, &str)> {
    let (torrent, file) = link.0.split_once('/')?;
    let both = is_id(torrent) && is_id(file);
    both.then(|| (TorrentId(torrent.to_owned()), file))
}

/// The page after `page`; -1 is none.
fn next(pagination: &str, page: u64) -> Decoded<Option<u64>> {
    let fields = whole(pagination.as_bytes())?;
    let next = fields.get("next").and_then(json::integer);
    match next.ok_or_else(|| missing("next"))? {
        next if next < 0 => Ok(None),
        next if u64::try_from(next) == Ok(page + 1) => Ok(Some(page + 1)),
        next => Err(DecodeError(format!("page {next} follows page {page}"))),
    }
}

/// `value` as an object.
fn object(body: &[u8]) -> Decoded<Fields> {
    let value = whole(body)?.remove("value");
    json::object(value.ok_or_else(|| missing("value"))?).map_err(DecodeError)
}

fn id(fields: &Fields) -> Decoded<TorrentId> {
    let id = need_text(fields, "id")?;
    match is_id(&id) {
        true => Ok(TorrentId(id)),
        false => Err(DecodeError("id is none of the provider's".to_owned())),
    }
}

fn torrent(fields: &Fields) -> Decoded<Torrent> {
    let id = id(fields)?;
    let hash = need_text(fields, "hashString")?.parse::<InfoHash>();
    let hash = hash.map_err(|_| DecodeError("hashString is not an info-hash".to_owned()))?;
    let zip = is(fields, "isZip");
    let told = match zip {
        true => Vec::new(),
        false => entries(fields, "files", "file", file)?,
    };
    let percent = percent(fields);
    let bytes = fields.get("totalSize").and_then(json::size).unwrap_or(0);
    let readable = zip || told.iter().any(|file| file.ready);
    let status = status(fields, percent, readable, bytes == 0 && told.is_empty())?;
    let ready = status == TorrentStatus::Downloaded;
    let begin = match has_top(&told) {
        true => PathsBegin::WithTop,
        false => PathsBegin::BelowTop,
    };
    let (mut files, mut named, mut links) = (Vec::new(), Vec::new(), Vec::new());
    for (file, number) in told.into_iter().zip(1..) {
        let path = canonical_path(&file.name, begin).into_owned();
        if path.is_empty() {
            return Err(DecodeError(format!("file {number}: name is no path")));
        }
        let selected = file.ready || !ready;
        if ready && selected {
            links.push(HosterLink(format!("{id}/{}", file.named.id)));
        }
        files.push(TorrentFile {
            id: number,
            path,
            bytes: file.named.bytes,
            selected,
        });
        named.push(file.named);
    }
    let summary = TorrentSummary {
        id,
        content: hash.into(),
        filename: fields.get("name").and_then(json::text).unwrap_or_default(),
        bytes,
        status,
        progress: percent,
        added: added_at(fields),
        ended: None,
        links,
        files: Some(files).filter(|_| !zip),
    };
    Ok(Torrent {
        summary,
        files: named,
    })
}

/// Where it stands. Files that were left out are never there, so one file that can be read is enough.
fn status(fields: &Fields, percent: f64, readable: bool, unknown: bool) -> Decoded<TorrentStatus> {
    let code = fields.get("status").and_then(json::integer);
    let code = code.ok_or_else(|| missing("status"))?;
    let has = |flag: i64| code & flag != 0;
    if code >= FINISHED || (has(SEEDING) && percent >= 100.0) {
        return Ok(match readable {
            true => TorrentStatus::Downloaded,
            false => TorrentStatus::Uploading,
        });
    }
    let error = fields.get("error").and_then(json::integer);
    Ok(if error == Some(LOCAL_ERROR) {
        TorrentStatus::Error
    } else if is(fields, "wait") && !unknown {
        TorrentStatus::WaitingFilesSelection
    } else if unknown {
        TorrentStatus::MagnetConversion
    } else if has(DOWNLOADING | SEEDING) {
        TorrentStatus::Downloading
    } else if code == 0 || has(QUEUED | VERIFICATION) {
        TorrentStatus::Queued
    } else {
        TorrentStatus::from_word(&format!("debrid-link: {code}"))
    })
}

/// A file as the vendor tells it.
struct Told {
    named: File,
    name: String,
    ready: bool,
}

fn file(value: &Value) -> Decoded<Told> {
    let Value::Object(fields) = value else {
        return Err(DecodeError(format!("it is {}", json::kind(value))));
    };
    let id = need_text(fields, "id")?;
    if !is_id(&id) {
        return Err(DecodeError("id is none of the provider's".to_owned()));
    }
    let url = fields.get("downloadUrl").and_then(json::text);
    let url = url.unwrap_or_default();
    let bytes = fields.get("size").and_then(json::size);
    Ok(Told {
        name: need_text(fields, "name")?,
        ready: !url.is_empty() && percent(fields) >= 100.0,
        named: File {
            id,
            bytes: bytes.ok_or_else(|| missing("size"))?,
            url,
        },
    })
}

/// Whether all names begin with the same directory. The vendor does not say whether they do.
fn has_top(files: &[Told]) -> bool {
    let mut tops = files.iter().map(|file| {
        let path = file.name.trim_start_matches('/');
        path.split_once(['/', '\\']).map(|(top, _)| top)
    });
    let Some(Some(first)) = tops.next() else {
        return false;
    };
    tops.all(|top| top == Some(first))
}

fn percent(fields: &Fields) -> f64 {
    let percent = fields.get("downloadPercent").and_then(json::float);
    percent.unwrap_or(0.0).clamp(0.0, 100.0)
}

fn added_at(fields: &Fields) -> Timestamp {
    let seconds = fields.get("created").and_then(json::integer);
    let at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.unwrap_or(Timestamp::UNIX_EPOCH)
}

fn is(fields: &Fields, key: &str) -> bool {
    fields.get(key).and_then(json::integer) == Some(1)
}
