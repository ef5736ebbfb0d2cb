//! Answers of the API to our types. Pure functions, so that any bytes can be thrown at them.
//!
//! Fields of an answer stand beside its `status`.

use jiff::Timestamp;
use serde_json::Value;

use crate::account::decode::{
    self, DecodeError, Decoded, Fields, entries, http_url, missing, need_text, whole,
};
use crate::account::json;
use crate::{
    Account, Addition, DirectLink, InfoHash, KeyId, PathsBegin, TorrentStatus, canonical_path,
};

/// Longer ids are none of the vendor's, which have about 22 characters.
const LONGEST_ID: usize = 64;
/// No file system takes a longer path.
const LONGEST_PATH: usize = 4096;

/// The account, and what tells whether its cloud has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// As others see it.
    pub account: Account,
    /// Names the account for ever.
    pub customer: String,
    /// Bytes in the cloud, as they are written.
    pub space: String,
}

/// An entry of the list of transfers.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// Its id.
    pub id: String,
    /// Its name; empty while it is not known.
    pub name: String,
    /// Where it stands.
    pub status: TorrentStatus,
    /// Percent, 0 to 100.
    pub progress: f64,
    /// Its info-hash, where its source is told.
    pub hash: Option<InfoHash>,
    /// The folder it goes to, or went to.
    pub folder: Option<String>,
    /// The file it made, if it made one without a folder.
    pub file: Option<String>,
}

/// A file of the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudFile {
    /// Its id.
    pub id: String,
    /// Canonical path in the cloud.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// When it came, if that is told.
    pub created: Option<Timestamp>,
}

/// A folder of the cloud, or a file in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// A file that is given without a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// Path with the torrent's top directory, as it is written.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Where its bytes are.
    pub url: String,
}

/// `GET /account/info`, read at `now`.
pub fn info(body: &[u8], now: Timestamp) -> Decoded<Info> {
    let fields = whole(body)?;
    let customer = need_text(&fields, "customer_id")?;
    let until = fields
        .get("premium_until")
        .ok_or_else(|| missing("premium_until"))?;
    let expires = seconds(until);
    Ok(Info {
        account: Account {
            username: customer.clone(),
            premium: expires.is_some_and(|until| until > now),
            plan: None,
            expires,
            fair_use: fields.get("limit_used").and_then(json::float),
        },
        customer,
        space: fields
            .get("space_used")
            .and_then(json::text)
            .unwrap_or_default(),
    })
}

/// `GET /transfer/list`: the transfers, and those that could not be read.
pub fn transfers(body: &[u8]) -> Decoded<(Vec<Transfer>, Vec<String>)> {
    decode::list(member(body, "transfers")?.as_bytes(), transfer)
}

/// `GET /item/listall`: the files of the cloud, and those that could not be read.
pub fn files(body: &[u8]) -> Decoded<(Vec<CloudFile>, Vec<String>)> {
    decode::list(member(body, "files")?.as_bytes(), file)
}

/// `GET /folder/list`.
pub fn folder(body: &[u8]) -> Decoded<Vec<Entry>> {
    let fields = whole(body)?;
    if !fields.contains_key("content") {
        return Err(missing("content"));
    }
    entries(&fields, "content", "entry", |value| {
        let Value::Object(fields) = value else {
            return Err(DecodeError(format!("it is {}", json::kind(value))));
        };
        Ok(Entry {
            id: id(fields, "id")?,
            name: need_text(fields, "name")?,
            is_folder: fields.get("type").and_then(Value::as_str) == Some("folder"),
        })
    })
}

/// `POST /folder/create` and `POST /transfer/create`: the id of what was made.
pub fn created(body: &[u8]) -> Decoded<String> {
    id(&whole(body)?, "id")
}

/// `POST /cache/check` for one thing: whether the provider has it.
pub fn cached(body: &[u8]) -> Decoded<bool> {
    let fields = whole(body)?;
    match fields
        .get("response")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        Some([only]) => Ok(json::integer(only) == Some(1)),
        _ => Err(DecodeError("response is not one answer".to_owned())),
    }
}

/// `GET /item/details`, made at `now`.
pub fn item(body: &[u8], now: Timestamp) -> Decoded<DirectLink> {
    let fields = whole(body)?;
    let url = need_text(&fields, "link")?;
    let bytes = fields.get("size").and_then(json::size);
    let mut link = link(url, bytes, now)?;
    if let Some(name) = fields.get("name").and_then(json::text) {
        link.filename = name;
    }
    Ok(link)
}

/// `POST /transfer/directdl`.
pub fn direct(body: &[u8]) -> Decoded<Vec<Direct>> {
    let fields = whole(body)?;
    entries(&fields, "content", "file", |value| {
        let Value::Object(fields) = value else {
            return Err(DecodeError(format!("it is {}", json::kind(value))));
        };
        Ok(Direct {
            path: need_text(fields, "path")?,
            bytes: size(fields)?,
            url: need_text(fields, "link")?,
        })
    })
}

/// A direct link made at `now`.
pub fn link(url: String, bytes: Option<u64>, now: Timestamp) -> Decoded<DirectLink> {
    let (url, filename) = http_url("link", url)?;
    Ok(DirectLink {
        url,
        filename,
        bytes: bytes.filter(|bytes| *bytes > 0),
        resolved_at: now,
        // Whoever made the call knows with which one.
        key: KeyId::default(),
    })
}

/// The text of the list `key` of an answer that may be large.
fn member(body: &[u8], key: &str) -> Decoded<String> {
    let mut members = json::members(body).map_err(DecodeError)?;
    members.remove(key).ok_or_else(|| missing(key))
}

fn transfer(fields: &Fields) -> Decoded<Transfer> {
    let word = need_text(fields, "status")?;
    let status = status(&word);
    let progress = fields.get("progress").and_then(json::float).unwrap_or(0.0);
    let source = fields.get("src").and_then(json::text).unwrap_or_default();
    Ok(Transfer {
        id: id(fields, "id")?,
        name: fields.get("name").and_then(json::text).unwrap_or_default(),
        progress: match status {
            TorrentStatus::Downloaded => 100.0,
            _ => (progress * 100.0).clamp(0.0, 100.0),
        },
        status,
        // Of late it is an address of the vendor, which tells nothing.
        hash: Addition::Magnet(source).info_hash(),
        folder: id(fields, "folder_id")
            .or_else(|_| id(fields, "target_folder_id"))
            .ok(),
        file: id(fields, "file_id").ok(),
    })
}

fn status(word: &str) -> TorrentStatus {
    match word {
        "waiting" | "queued" => TorrentStatus::Queued,
        "running" => TorrentStatus::Downloading,
        "finished" | "seeding" => TorrentStatus::Downloaded,
        // Nobody had it, or somebody took it away.
        "timeout" | "deleted" => TorrentStatus::Dead,
        "error" | "banned" => TorrentStatus::Error,
        other => TorrentStatus::from_word(&format!("premiumize: {other}")),
    }
}

fn file(fields: &Fields) -> Decoded<CloudFile> {
    let path = need_text(fields, "path")?;
    if path.len() > LONGEST_PATH {
        return Err(DecodeError("path is too long".to_owned()));
    }
    let path = canonical_path(&path, PathsBegin::BelowTop).into_owned();
    if path.is_empty() {
        return Err(DecodeError("path is none of a file".to_owned()));
    }
    Ok(CloudFile {
        id: id(fields, "id")?,
        path,
        bytes: size(fields)?,
        created: fields.get("created_at").and_then(seconds),
    })
}

fn size(fields: &Fields) -> Decoded<u64> {
    let size = fields.get("size").and_then(json::size);
    size.ok_or_else(|| missing("size"))
}

/// An id that can stand in an address.
fn id(fields: &Fields, key: &str) -> Decoded<String> {
    let id = need_text(fields, key)?;
    match is_id(&id) {
        true => Ok(id),
        false => Err(DecodeError(format!("{key} is no id"))),
    }
}

/// Whether it may be an id of the vendor.
pub fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= LONGEST_ID && text.bytes().all(plain)
}

/// Seconds since 1970; 0 is none.
fn seconds(value: &Value) -> Option<Timestamp> {
    let seconds = json::integer(value).filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(seconds).ok()
}
