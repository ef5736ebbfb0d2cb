//! Answers of the API to our types. Pure functions, so that any bytes can be thrown at them.
//!
//! Within one torrent nothing may be left out, as links belong to files by their order.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::account::decode::{
    DecodeError, Decoded, Fields, entries, http_url, list, missing, need_text, whole,
};
use crate::account::json;
use crate::{
    Account, ActiveCount, DirectLink, Download, DownloadPage, HosterLink, InfoHash, KeyId,
    TorrentFile, TorrentId, TorrentInfo, TorrentPage, TorrentStatus, TorrentSummary, TrafficDay,
};

/// The vendor's own links: only the first 39 characters count, older accounts show more.
const VENDOR_LINK: &str = "https://real-debrid.com/d/";
const VENDOR_LINK_LENGTH: usize = 39;

/// `GET /user`.
pub fn account(body: &[u8]) -> Decoded<Account> {
    let fields = whole(body)?;
    let kind = fields.get("type").and_then(Value::as_str);
    let seconds_left = fields.get("premium").and_then(json::integer).unwrap_or(0);
    if kind.is_none() && !fields.contains_key("premium") {
        return Err(DecodeError("neither type nor premium".to_owned()));
    }
    Ok(Account {
        username: need_text(&fields, "username")?,
        premium: kind.map_or(seconds_left > 0, |kind| kind == "premium"),
        plan: None,
        expires: fields.get("expiration").and_then(json::time),
        fair_use: None,
    })
}

/// `GET /torrents`; `total` is the header `X-Total-Count`.
pub fn torrents(body: &[u8], total: Option<u64>) -> Decoded<TorrentPage> {
    let (items, unreadable) = list(body, summary)?;
    Ok(TorrentPage {
        items,
        total,
        goes_on: false,
        unreadable,
    })
}

/// `GET /torrents/info/{id}`.
pub fn torrent(body: &[u8]) -> Decoded<TorrentInfo> {
    let fields = whole(body)?;
    let files = entries(&fields, "files", "file", file)?;
    let summary = summary(&fields)?;
    let text = |key| fields.get(key).and_then(json::text);
    Ok(TorrentInfo {
        original_filename: text("original_filename").unwrap_or_else(|| summary.filename.clone()),
        original_bytes: fields
            .get("original_bytes")
            .and_then(json::size)
            .unwrap_or(summary.bytes),
        summary,
        files,
    })
}

/// `POST /unrestrict/link`, made at `now`.
pub fn direct_link(body: &[u8], now: Timestamp) -> Decoded<DirectLink> {
    direct(&whole(body)?, now)
}

/// `POST /torrents/addMagnet` and `PUT /torrents/addTorrent`.
pub fn added(body: &[u8]) -> Decoded<TorrentId> {
    id(&whole(body)?)
}

/// `GET /torrents/activeCount`.
pub fn active_count(body: &[u8]) -> Decoded<ActiveCount> {
    let fields = whole(body)?;
    let number = |key: &str| {
        fields
            .get(key)
            .and_then(json::size)
            .ok_or_else(|| missing(key))
    };
    Ok(ActiveCount {
        active: number("nb")?,
        limit: number("limit")?,
    })
}

/// `GET /traffic/details`, the oldest day first.
pub fn traffic(body: &[u8]) -> Decoded<Vec<TrafficDay>> {
    let day = |(date, value): (String, Value)| {
        let fields = json::object(value).ok()?;
        let hosts = fields.get("host").cloned().unwrap_or(Value::Null);
        let hosts: BTreeMap<String, u64> = json::object(hosts)
            .unwrap_or_default()
            .iter()
            .filter_map(|(host, bytes)| Some((host.clone(), json::size(bytes)?)))
            .collect();
        let sum = || {
            hosts
                .values()
                .fold(0, |sum: u64, bytes| sum.saturating_add(*bytes))
        };
        Some(TrafficDay {
            bytes: fields.get("bytes").and_then(json::size).unwrap_or_else(sum),
            date,
            hosts,
        })
    };
    Ok(whole(body)?.into_iter().filter_map(day).collect())
}

/// `GET /downloads`; `total` is the header `X-Total-Count`.
pub fn downloads(body: &[u8], total: Option<u64>) -> Decoded<DownloadPage> {
    let (items, unreadable) = list(body, |fields| {
        let made = fields.get("generated").and_then(json::time);
        Ok(Download {
            id: need_text(fields, "id")?,
            link: hoster_link(need_text(fields, "link")?),
            direct: direct(fields, made.unwrap_or(Timestamp::UNIX_EPOCH))?,
        })
    })?;
    Ok(DownloadPage {
        items,
        total,
        unreadable,
    })
}

/// `GET /time/iso`, or `/time`: the provider's clock. A time without a zone is taken as UTC.
pub fn server_time(body: &[u8]) -> Decoded<Timestamp> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim().trim_matches('"');
    // `+0200` is how PHP writes what ISO 8601 writes as `+02:00`; jiff reads both.
    json::time(&Value::String(text.to_owned()))
        .ok_or_else(|| DecodeError(format!("not a time: {:?}", json::quote(text))))
}

fn summary(fields: &Fields) -> Decoded<TorrentSummary> {
    let hash = need_text(fields, "hash")?;
    let links = match fields.get("links") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(links)) => links
            .iter()
            .map(|link| match link {
                Value::String(link) => Ok(hoster_link(link.clone())),
                other => Err(DecodeError(format!("a link is {}", json::kind(other)))),
            })
            .collect::<Decoded<_>>()?,
        Some(other) => return Err(DecodeError(format!("links is {}", json::kind(other)))),
    };
    Ok(TorrentSummary {
        id: id(fields)?,
        content: hash
            .parse::<InfoHash>()
            .map_err(|_| DecodeError(format!("not an info-hash: {:?}", json::quote(&hash))))?
            .into(),
        filename: fields
            .get("filename")
            .and_then(json::text)
            .unwrap_or_default(),
        bytes: fields.get("bytes").and_then(json::size).unwrap_or(0),
        status: TorrentStatus::from_word(&need_text(fields, "status")?),
        progress: fields
            .get("progress")
            .and_then(json::float)
            .unwrap_or(0.0)
            .clamp(0.0, 100.0),
        added: fields
            .get("added")
            .and_then(json::time)
            .unwrap_or(Timestamp::UNIX_EPOCH),
        ended: fields.get("ended").and_then(json::time),
        links,
        files: None,
    })
}

fn file(value: &Value) -> Decoded<TorrentFile> {
    let Value::Object(fields) = value else {
        return Err(DecodeError(format!("it is {}", json::kind(value))));
    };
    let need = |key: &str| fields.get(key).ok_or_else(|| missing(key));
    let bad = |key: &str| DecodeError(format!("{key} is not usable"));
    Ok(TorrentFile {
        id: json::integer(need("id")?)
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| bad("id"))?,
        path: need("path")?
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| bad("path"))?,
        bytes: json::size(need("bytes")?).ok_or_else(|| bad("bytes"))?,
        selected: match json::integer(need("selected")?) {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(bad("selected")),
        },
    })
}

fn direct(fields: &Fields, resolved_at: Timestamp) -> Decoded<DirectLink> {
    let (url, last) = http_url("download", need_text(fields, "download")?)?;
    Ok(DirectLink {
        filename: fields.get("filename").and_then(json::text).unwrap_or(last),
        bytes: fields
            .get("filesize")
            .and_then(json::size)
            .filter(|bytes| *bytes > 0),
        url,
        resolved_at,
        // Whoever made the call knows with which one.
        key: KeyId::default(),
    })
}

fn id(fields: &Fields) -> Decoded<TorrentId> {
    let id = need_text(fields, "id")?;
    match super::is_id(&id) {
        true => Ok(TorrentId(id)),
        false => Err(DecodeError(format!("not an id: {:?}", json::quote(&id)))),
    }
}

fn hoster_link(mut link: String) -> HosterLink {
    if link.starts_with(VENDOR_LINK) && link.is_char_boundary(VENDOR_LINK_LENGTH) {
        link.truncate(VENDOR_LINK_LENGTH);
    }
    HosterLink(link)
}
