//! Answers of the API to our types. Pure functions, so that any bytes can be thrown at them.
//!
//! What was asked for is in the field `data` of an object.

use jiff::Timestamp;
use serde_json::Value;

use super::{ItemId, List};
use crate::account::decode::{
    self, DecodeError, Decoded, Fields, entries, http_url, missing, need_text,
};
use crate::account::json;
use crate::{
    Account, ContentId, ContentKind, DirectLink, InfoHash, KeyId, PathsBegin, TorrentFile,
    TorrentId, TorrentInfo, TorrentPage, TorrentStatus, TorrentSummary, canonical_path,
};

/// `GET /user/me`.
pub fn account(body: &[u8]) -> Decoded<Account> {
    let fields = object(body)?;
    let plan = fields.get("plan").and_then(json::integer);
    let plan = plan.ok_or_else(|| missing("plan"))?;
    let name = match plan {
        0 => "free".to_owned(),
        1 => "essential".to_owned(),
        2 => "pro".to_owned(),
        3 => "standard".to_owned(),
        other => format!("plan {other}"),
    };
    Ok(Account {
        username: need_text(&fields, "email").or_else(|_| need_text(&fields, "id"))?,
        premium: plan != 0,
        plan: Some(name),
        expires: fields.get("premium_expires_at").and_then(json::time),
        fair_use: None,
    })
}

/// `GET /LIST/mylist` without an id; the total is not told.
pub fn list(list: List, body: &[u8]) -> Decoded<TorrentPage> {
    let data = data(body)?;
    let data = data.as_deref().unwrap_or("[]");
    let (items, unreadable) = decode::list(data.as_bytes(), |fields| summary(list, fields))?;
    Ok(TorrentPage {
        items,
        total: None,
        goes_on: true,
        unreadable,
    })
}

/// `GET /LIST/mylist` with an id.
pub fn torrent(list: List, body: &[u8]) -> Decoded<TorrentInfo> {
    let summary = summary(list, &object(body)?)?;
    Ok(TorrentInfo {
        original_filename: summary.filename.clone(),
        original_bytes: summary.bytes,
        files: summary.files.clone().unwrap_or_default(),
        summary,
    })
}

/// `GET /LIST/requestdl`, made at `now`.
pub fn direct_link(body: &[u8], now: Timestamp) -> Decoded<DirectLink> {
    let data = data(body)?.ok_or_else(|| missing("data"))?;
    let Ok(Value::String(url)) = json::parse(data.as_bytes()) else {
        return Err(DecodeError("data is not a URL".to_owned()));
    };
    let (url, filename) = http_url("data", url)?;
    Ok(DirectLink {
        url,
        filename,
        bytes: None,
        resolved_at: now,
        // Whoever made the call knows with which one.
        key: KeyId::default(),
    })
}

/// `POST /torrents/createtorrent`; `None`: it waits in the vendor's queue, where it is no torrent yet.
pub fn added(body: &[u8]) -> Decoded<Option<TorrentId>> {
    let fields = object(body)?;
    match number(&fields, "torrent_id") {
        Ok(number) => Ok(Some(id(List::Torrents, number))),
        Err(_) if fields.get("queued_id").is_some_and(|id| !id.is_null()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `GET /torrents/checkcached` with `format=object`, about `hash`: the object has those that are cached.
pub fn is_cached(body: &[u8], hash: InfoHash) -> Decoded<bool> {
    let data = data(body)?;
    let Some(data) = data.filter(|data| data != "[]") else {
        return Ok(false);
    };
    let cached = json::members(data.as_bytes()).map_err(DecodeError)?;
    let hash = hash.to_string();
    Ok(cached.keys().any(|key| key.eq_ignore_ascii_case(&hash)))
}

/// The text of `data`; `None` when the answer says that there is none.
fn data(body: &[u8]) -> Decoded<Option<String>> {
    let mut members = json::members(body).map_err(DecodeError)?;
    match members.remove("data") {
        Some(data) if data != "null" => Ok(Some(data)),
        _ if members.get("success").is_some_and(|text| text == "true") => Ok(None),
        _ => Err(missing("data")),
    }
}

/// `data` as an object.
fn object(body: &[u8]) -> Decoded<Fields> {
    let data = data(body)?.ok_or_else(|| missing("data"))?;
    decode::whole(data.as_bytes())
}

fn number(fields: &Fields, key: &str) -> Decoded<u64> {
    let number = fields.get(key).and_then(json::size);
    number.ok_or_else(|| missing(key))
}

fn id(list: List, number: u64) -> TorrentId {
    TorrentId(ItemId { list, number }.to_string())
}

fn summary(list: List, fields: &Fields) -> Decoded<TorrentSummary> {
    let number = number(fields, "id")?;
    let files = entries(fields, "files", "file", file)?;
    let status = status(fields, files.is_empty());
    let item = ItemId { list, number };
    let links = match status {
        TorrentStatus::Downloaded => files.iter().map(|file| item.link(file.id)).collect(),
        _ => Vec::new(),
    };
    let progress = fields.get("progress").and_then(json::float).unwrap_or(0.0);
    Ok(TorrentSummary {
        id: id(list, number),
        content: content(item, fields)?,
        filename: fields.get("name").and_then(json::text).unwrap_or_default(),
        // -1 while it is not known.
        bytes: fields.get("size").and_then(json::size).unwrap_or(0),
        status,
        progress: (progress * 100.0).clamp(0.0, 100.0),
        added: fields
            .get("created_at")
            .and_then(json::time)
            .unwrap_or(Timestamp::UNIX_EPOCH),
        ended: None,
        links,
        files: Some(files),
    })
}

/// What names the release. The hash of a usenet download is the NZB's MD5, that of a web download its URL's:
/// nobody else has them.
fn content(item: ItemId, fields: &Fields) -> Decoded<ContentId> {
    let hash = fields.get("hash").and_then(json::text).unwrap_or_default();
    let kind = match item.list {
        List::Torrents => {
            let hash = hash.parse::<InfoHash>();
            return hash
                .map(ContentId::from)
                .map_err(|_| DecodeError("hash is not an info-hash".to_owned()));
        }
        List::Usenet => ContentKind::Usenet,
        List::Web => ContentKind::Web,
    };
    let name = match hash.is_empty() {
        true => format!("torbox:{item}"),
        false => format!("torbox:{}", hash.to_ascii_lowercase()),
    };
    Ok(ContentId::of(kind, name.as_bytes()))
}

/// Where it stands. For some seconds after the end of a download it is finished and not present: no link is made
/// then. Without files there is nothing to read.
fn status(fields: &Fields, no_files: bool) -> TorrentStatus {
    let is = |key: &str| fields.get(key).and_then(json::integer) == Some(1);
    let word = fields.get("download_state").and_then(json::text);
    let word = word.unwrap_or_default();
    let lower = word.to_ascii_lowercase();
    let finished = is("download_finished");
    if finished && is("download_present") && !no_files {
        return TorrentStatus::Downloaded;
    }
    let begins = |words: &[&str]| words.iter().any(|word| lower.starts_with(word));
    if begins(&["failed", "error", "missingfiles"]) {
        TorrentStatus::Error
    } else if begins(&["expired", "reported missing"]) {
        TorrentStatus::Dead
    } else if finished || begins(&["uploading", "cached", "completed"]) {
        TorrentStatus::Uploading
    } else if begins(&["metadl"]) {
        TorrentStatus::MagnetConversion
    } else if begins(&["queued", "paused", "checking"]) {
        // `checkingResumeData` as well.
        TorrentStatus::Queued
    } else if begins(&["downloading", "stalled"]) {
        TorrentStatus::Downloading
    } else if begins(&["processing"]) {
        TorrentStatus::Compressing
    } else {
        TorrentStatus::from_word(&format!("torbox: {word}"))
    }
}

fn file(value: &Value) -> Decoded<TorrentFile> {
    let Value::Object(fields) = value else {
        return Err(DecodeError(format!("it is {}", json::kind(value))));
    };
    let name = need_text(fields, "name").or_else(|_| need_text(fields, "short_name"))?;
    let path = canonical_path(&name, PathsBegin::WithTop).into_owned();
    if path.is_empty() {
        return Err(DecodeError("name is no path".to_owned()));
    }
    Ok(TorrentFile {
        id: number(fields, "id")?
            .try_into()
            .map_err(|_| DecodeError("id is not usable".to_owned()))?,
        path,
        bytes: number(fields, "size")?,
        selected: true,
    })
}
