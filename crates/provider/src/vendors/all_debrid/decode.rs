//! Answers of the API to our types. Pure functions, so that any bytes can be thrown at them.
//!
//! What was asked for is in the field `data` of an object. Where there may be several things, `data` has them as a
//! list, as an object by their places, or as the thing itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::account::decode::{DecodeError, Decoded, Fields, http_url, missing, need_text, whole};
use crate::account::json;
use crate::{
    Account, DirectLink, HosterLink, InfoHash, KeyId, PathsBegin, TorrentFile, TorrentId,
    TorrentStatus, TorrentSummary, canonical_path,
};

/// What a torrent is called whose name the vendor does not know yet.
const NO_NAME: &str = "noname";
/// `statusCode` of a torrent that is ready; larger ones are failures.
const READY: i64 = 4;
/// No file system takes a longer path, and each file repeats those of its folders.
const LONGEST_PATH: usize = 4096;

/// Files of a torrent, and a link for each that is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// In the vendor's order.
    pub files: Vec<TorrentFile>,
    /// In the order of the selected files.
    pub links: Vec<HosterLink>,
}

/// A list of torrents, or what changed in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// It is the whole list.
    pub whole: bool,
    /// What to ask the next changes with, if the vendor keeps to live mode.
    pub counter: Option<u64>,
    /// Fields of each torrent, or those that changed, by its number.
    pub magnets: Vec<(u64, Fields)>,
    /// Entries without a number.
    pub unreadable: Vec<String>,
}

/// What became of an addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Its number.
    pub number: u64,
    /// It can be read.
    pub ready: bool,
}

/// What became of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlocked {
    /// It can be read.
    Ready(DirectLink),
    /// It is being made under this number.
    Delayed(u64),
}

/// How far a link is that takes a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delayed {
    /// It is being made.
    Processing,
    /// It is here.
    Ready(String),
    /// It cannot be made.
    Failed,
}

/// `GET /v4/user`.
pub fn account(body: &[u8]) -> Decoded<Account> {
    let user = data(body)?.remove("user").ok_or_else(|| missing("user"))?;
    let user = json::object(user).map_err(DecodeError)?;
    let premium = user.get("isPremium").and_then(json::integer);
    Ok(Account {
        username: need_text(&user, "username")?,
        premium: premium.ok_or_else(|| missing("isPremium"))? != 0,
        plan: is(&user, "isTrial").then(|| "trial".to_owned()),
        expires: time(&user, "premiumUntil"),
        fair_use: None,
    })
}

/// `POST /v4.1/magnet/status` without an id.
pub fn changes(body: &[u8]) -> Decoded<Changes> {
    let mut data = data(body)?;
    let counter = data.get("counter").and_then(json::size);
    let mut changes = Changes {
        whole: is(&data, "fullsync") || counter.is_none(),
        counter,
        ..Changes::default()
    };
    let entries = entries(data.remove("magnets").ok_or_else(|| missing("magnets"))?)?;
    for (at, entry) in entries.into_iter().enumerate() {
        match numbered(entry) {
            Ok(magnet) => changes.magnets.push(magnet),
            Err(why) => changes.unreadable.push(format!("entry {}: {why}", at + 1)),
        }
    }
    Ok(changes)
}

/// `POST /v4.1/magnet/status` with an id.
pub fn torrent(body: &[u8]) -> Decoded<TorrentSummary> {
    let magnets = data(body)?.remove("magnets");
    let magnets = magnets.ok_or_else(|| missing("magnets"))?;
    let entry = only(&magnets)
        .cloned()
        .ok_or_else(|| missing("the torrent"))?;
    let (number, fields) = numbered(entry)?;
    summary(number, &fields)
}

/// A torrent of a list.
pub fn summary(number: u64, fields: &Fields) -> Decoded<TorrentSummary> {
    let hash = need_text(fields, "hash")?;
    let hash = hash.parse::<InfoHash>();
    let hash = hash.map_err(|_| DecodeError("hash is not an info-hash".to_owned()))?;
    let code = fields.get("statusCode").and_then(json::integer);
    let code = code.ok_or_else(|| missing("statusCode"))?;
    let bytes = size(fields, "size");
    let name = fields
        .get("filename")
        .and_then(json::text)
        .unwrap_or_default();
    let named = name != NO_NAME || bytes > 0;
    let status = status(code, named);
    let tree = match fields.get("files") {
        Some(files) if status == TorrentStatus::Downloaded => tree(files)?,
        _ => Tree::default(),
    };
    Ok(TorrentSummary {
        id: TorrentId(number.to_string()),
        content: hash.into(),
        filename: if named { name } else { String::new() },
        bytes,
        progress: progress(&status, bytes, fields),
        status,
        added: time(fields, "uploadDate").unwrap_or(Timestamp::UNIX_EPOCH),
        ended: time(fields, "completionDate"),
        links: tree.links,
        files: Some(tree.files).filter(|files| !files.is_empty()),
    })
}

/// Whether a torrent of a list has failed.
pub fn has_failed(fields: &Fields) -> bool {
    let code = fields.get("statusCode").and_then(json::integer);
    code.is_some_and(|code| code > READY)
}

/// `POST /v4/magnet/files`: the trees that could be read.
pub fn trees(body: &[u8]) -> Decoded<BTreeMap<u64, Tree>> {
    let magnets = data(body)?.remove("magnets");
    let entries = entries(magnets.ok_or_else(|| missing("magnets"))?)?;
    let read = entries.into_iter().filter_map(|entry| {
        let (number, fields) = numbered(entry).ok()?;
        let tree = tree(fields.get("files")?).ok()?;
        (!tree.files.is_empty()).then_some((number, tree))
    });
    Ok(read.collect())
}

/// `POST /v4/magnet/upload` and `POST /v4/magnet/upload/file`.
pub fn added(body: &[u8]) -> Decoded<Added> {
    let mut data = data(body)?;
    let entries = data.remove("magnets").or_else(|| data.remove("files"));
    let entry = entries.as_ref().and_then(only);
    let (number, fields) = numbered(entry.cloned().ok_or_else(|| missing("the torrent"))?)?;
    Ok(Added {
        number,
        ready: is(&fields, "ready"),
    })
}

/// `POST /v4/link/unlock`, made at `now`.
pub fn unlocked(body: &[u8], now: Timestamp) -> Decoded<Unlocked> {
    let fields = data(body)?;
    let url = fields.get("link").and_then(json::text).unwrap_or_default();
    if url.is_empty() {
        let number = fields.get("delayed").and_then(json::size);
        return number.map(Unlocked::Delayed).ok_or_else(|| missing("link"));
    }
    let bytes = fields.get("filesize").and_then(json::size);
    let mut link = direct(url, now)?;
    link.bytes = bytes.filter(|bytes| *bytes > 0);
    if let Some(name) = fields.get("filename").and_then(json::text) {
        link.filename = name;
    }
    Ok(Unlocked::Ready(link))
}

/// `POST /v4/link/delayed`.
pub fn delayed(body: &[u8]) -> Decoded<Delayed> {
    let fields = data(body)?;
    match fields.get("status").and_then(json::integer) {
        Some(1) => Ok(Delayed::Processing),
        Some(2) => Ok(Delayed::Ready(need_text(&fields, "link")?)),
        Some(3) => Ok(Delayed::Failed),
        _ => Err(DecodeError("status is none of 1, 2 and 3".to_owned())),
    }
}

/// A direct link made at `now` that nothing but the URL is known of.
pub fn direct(url: String, now: Timestamp) -> Decoded<DirectLink> {
    let (url, filename) = http_url("link", url)?;
    Ok(DirectLink {
        url,
        filename,
        bytes: None,
        resolved_at: now,
        // Whoever made the call knows with which one.
        key: KeyId::default(),
    })
}

/// The thing itself, or the only one of a list or of an object by places.
pub(super) fn only(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(entries) => match &entries[..] {
            [entry] => Some(entry),
            _ => None,
        },
        Value::Object(fields) if is_by_place(fields) => match fields.len() {
            1 => fields.values().next(),
            _ => None,
        },
        Value::Object(_) => Some(value),
        _ => None,
    }
}

/// Whether it holds several things, each under the number of its place.
fn is_by_place(fields: &Fields) -> bool {
    let mut both = fields.iter();
    both.all(|(key, value)| key.parse::<u64>().is_ok() && value.is_object())
}

fn entries(value: Value) -> Decoded<Vec<Value>> {
    match value {
        Value::Array(entries) => Ok(entries),
        Value::Object(fields) if is_by_place(&fields) => {
            Ok(fields.into_iter().map(|(_, entry)| entry).collect())
        }
        Value::Object(_) => Ok(vec![value]),
        other => {
            let words = format!("magnets is {}", json::kind(&other));
            Err(DecodeError(words))
        }
    }
}

/// An entry with its number, which is text in some answers.
fn numbered(entry: Value) -> Decoded<(u64, Fields)> {
    let Value::Object(fields) = entry else {
        return Err(DecodeError(format!("it is {}", json::kind(&entry))));
    };
    let number = fields.get("id").and_then(json::size);
    Ok((number.ok_or_else(|| missing("id"))?, fields))
}

fn data(body: &[u8]) -> Decoded<Fields> {
    let data = whole(body)?.remove("data");
    json::object(data.ok_or_else(|| missing("data"))?).map_err(DecodeError)
}

/// All files of a tree, in its order. Nothing may be left out, as links belong to files by their order.
fn tree(files: &Value) -> Decoded<Tree> {
    let mut tree = Tree::default();
    tree.take(files, "")?;
    Ok(tree)
}

impl Tree {
    /// Takes the files and folders `nodes` of the folder `parent`. The reader of JSON limits how deep they go.
    fn take(&mut self, nodes: &Value, parent: &str) -> Decoded<()> {
        let Value::Array(nodes) = nodes else {
            return Err(DecodeError(format!("files is {}", json::kind(nodes))));
        };
        for node in nodes {
            let Value::Object(node) = node else {
                return Err(DecodeError(format!("a file is {}", json::kind(node))));
            };
            let path = format!("{parent}/{}", need_text(node, "n")?);
            if path.len() > LONGEST_PATH {
                return Err(DecodeError("a path is too long".to_owned()));
            }
            match node.get("e") {
                None | Some(Value::Null) => self.push(&path, node)?,
                Some(inner) => self.take(inner, &path)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, path: &str, node: &Fields) -> Decoded<()> {
        let link = node.get("l").and_then(Value::as_str).unwrap_or_default();
        let bytes = node.get("s").and_then(json::size);
        let path = canonical_path(path, PathsBegin::WithTop).into_owned();
        if path.is_empty() {
            return Err(DecodeError("n is no name of a file".to_owned()));
        }
        self.files.push(TorrentFile {
            id: self.files.len() as u32 + 1,
            path,
            bytes: bytes.ok_or_else(|| missing("s"))?,
            // One without a link cannot be read.
            selected: !link.is_empty(),
        });
        if !link.is_empty() {
            self.links.push(HosterLink(link.to_owned()));
        }
        Ok(())
    }
}

/// Where it stands. While it waits for servers, it "downloads" with all counters at zero for ten minutes.
fn status(code: i64, named: bool) -> TorrentStatus {
    match code {
        0 | 1 if !named => TorrentStatus::MagnetConversion,
        0 => TorrentStatus::Queued,
        1 => TorrentStatus::Downloading,
        2 => TorrentStatus::Compressing,
        3 => TorrentStatus::Uploading,
        READY => TorrentStatus::Downloaded,
        // Not begun in 20 minutes, or nobody has it.
        7 | 15 => TorrentStatus::Dead,
        5..=14 => TorrentStatus::Error,
        other => TorrentStatus::from_word(&format!("alldebrid: {other}")),
    }
}

fn progress(status: &TorrentStatus, bytes: u64, fields: &Fields) -> f64 {
    let done = match status {
        TorrentStatus::Downloaded => return 100.0,
        TorrentStatus::Uploading => size(fields, "uploaded"),
        _ => size(fields, "downloaded"),
    };
    match bytes {
        0 => 0.0,
        bytes => (done as f64 * 100.0 / bytes as f64).min(100.0),
    }
}

fn size(fields: &Fields, key: &str) -> u64 {
    fields.get(key).and_then(json::size).unwrap_or(0)
}

fn is(fields: &Fields, key: &str) -> bool {
    fields.get(key).and_then(json::integer) == Some(1)
}

/// Seconds since 1970; 0 is none.
fn time(fields: &Fields, key: &str) -> Option<Timestamp> {
    let seconds = fields.get(key).and_then(json::integer);
    let seconds = seconds.filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(seconds).ok()
}
