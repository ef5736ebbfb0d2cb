//! `magnet/status` and `magnet/files`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::{LINK_PREFIX, Refusal, done, error};
use crate::account::Torrent;
use crate::settings::Settings;
use crate::status::Status;
use crate::vendors::answer::Answer;

/// Code and words of a state.
fn state(status: Status) -> (u8, &'static str) {
    match status {
        Status::MagnetConversion | Status::WaitingFilesSelection | Status::Queued => {
            (0, "In Queue")
        }
        Status::Downloading => (1, "Downloading"),
        Status::Compressing => (2, "Compressing / Moving"),
        Status::Uploading => (3, "Uploading"),
        Status::Downloaded => (4, "Ready"),
        Status::Error => (5, "Upload fail"),
        Status::Virus => (9, "Internal error"),
        Status::Dead => (7, "Not downloaded in 20 min"),
        Status::MagnetError => (15, "File not available - no peer"),
    }
}

/// What the list tells of a torrent.
fn entry(torrent: &Torrent, now_ms: i64, settings: &Settings) -> Value {
    let (code, words) = state(torrent.status);
    let waits_until = torrent.since_ms + i64::from(settings.alldebrid.waiting_ms);
    let waits = torrent.status == Status::Downloading && now_ms < waits_until;
    let unnamed = torrent.status == Status::MagnetConversion;
    let bytes = match waits || unnamed {
        true => 0,
        false => torrent.release.total_bytes(),
    };
    let ready = torrent.status == Status::Downloaded;
    let mut entry = json!({
        "id": torrent.remote,
        "filename": if unnamed { "noname" } else { &torrent.name },
        "size": bytes,
        "hash": torrent.release.hash,
        "status": words,
        "statusCode": code,
        "uploadDate": torrent.added_ms / 1000,
        "completionDate": torrent.ended_ms.map_or(0, |ms| ms / 1000),
        "type": "m",
        "notified": false,
        "version": 2,
        "nbLinks": if ready { torrent.release.files.len() } else { 0 },
    });
    if !ready {
        let percent = match waits {
            true => 0,
            false => torrent.progress(now_ms, settings),
        };
        let moving = torrent.status == Status::Downloading && !waits;
        entry["downloaded"] = json!(bytes / 100 * percent);
        entry["uploaded"] = json!(0);
        entry["seeders"] = json!(if moving { 12 } else { 0 });
        entry["downloadSpeed"] = json!(if moving { bytes / 20 } else { 0 });
        entry["uploadSpeed"] = json!(0);
        entry["processingPerc"] = json!(0);
    }
    entry
}

/// One torrent as an object; all as a list; in live mode what changed.
pub(super) fn status(call: &Call) -> Result<Answer, Refusal> {
    let (now_ms, settings) = (call.now_ms, &*call.settings);
    let number = |name| call.text(name).and_then(|text| text.parse::<u64>().ok());
    let state = call.text("status");
    let data = call.with_account(|_, account| {
        if call.text("id").is_some() {
            let id = call.torrent(account)?;
            let torrent = account.torrent(id);
            let entry = torrent.map(|torrent| entry(torrent, now_ms, settings));
            return Ok::<_, Refusal>(json!({ "magnets": entry }));
        }
        let listed = account
            .newest_first()
            .filter(|torrent| match state.as_deref() {
                Some("ready") => torrent.status == Status::Downloaded,
                Some("active") => !torrent.status.is_final(),
                Some("error") => torrent.status.is_final() && torrent.status != Status::Downloaded,
                Some("expired") => false,
                _ => true,
            });
        let listed = listed.map(|torrent| (torrent.remote, entry(torrent, now_ms, settings)));
        if let Some(session) = number("session") {
            let all: BTreeMap<u64, Value> = listed.collect();
            let counter = number("counter").unwrap_or(0);
            return Ok(account.alldebrid.changes(session, counter, all));
        }
        let listed: Vec<_> = listed.map(|(_, entry)| entry).collect();
        Ok(json!({ "magnets": shaped(listed, settings) }))
    })??;
    Ok(done(data))
}

/// Entries as a list or by their places.
fn shaped(entries: Vec<Value>, settings: &Settings) -> Value {
    if !settings.alldebrid.by_place || entries.is_empty() {
        return Value::Array(entries);
    }
    let places = entries.into_iter().enumerate();
    Value::Object(places.map(|(at, entry)| (at.to_string(), entry)).collect())
}

/// The trees of several torrents; ids are texts here.
pub(super) fn files(call: &Call) -> Result<Answer, Refusal> {
    let ids = call.texts("id");
    if ids.is_empty() {
        return Err(Refusal::of("MAGNET_INVALID_ID"));
    }
    let entries = call.with_account(|_, account| {
        let entries = ids.iter().map(|id| {
            let torrent = account.named(id).and_then(|id| account.torrent(id));
            match torrent {
                None => json!({ "id": id, "error": error("MAGNET_INVALID_ID") }),
                Some(torrent) => json!({ "id": id, "files": tree(torrent) }),
            }
        });
        entries.collect::<Vec<_>>()
    })?;
    Ok(done(json!({ "magnets": shaped(entries, &call.settings) })))
}

/// A folder of the tree: names in their order.
#[derive(Default)]
struct Folder(Vec<(String, Node)>);

enum Node {
    File(Value),
    Folder(Folder),
}

impl Folder {
    fn put(&mut self, parts: &[&str], file: Value) {
        match parts {
            [] => {}
            [name] => self.0.push(((*name).to_owned(), Node::File(file))),
            [name, rest @ ..] => {
                let known = self.0.iter_mut().find_map(|(known, node)| match node {
                    Node::Folder(folder) if known == name => Some(folder),
                    _ => None,
                });
                if let Some(folder) = known {
                    return folder.put(rest, file);
                }
                let mut folder = Self::default();
                folder.put(rest, file);
                self.0.push(((*name).to_owned(), Node::Folder(folder)));
            }
        }
    }

    fn show(self) -> Value {
        let nodes = self.0.into_iter().map(|(name, node)| match node {
            Node::File(Value::Object(file)) => {
                let named = std::iter::once(("n".to_owned(), json!(name)));
                Value::Object(named.chain(file).collect::<Map<_, _>>())
            }
            Node::File(other) => other,
            Node::Folder(folder) => json!({ "n": name, "e": folder.show() }),
        });
        Value::Array(nodes.collect())
    }
}

/// Files with their links below the torrent's folder, which a torrent of one file does not have.
fn tree(torrent: &Torrent) -> Value {
    let mut root = Folder::default();
    let single = torrent.release.files.len() == 1;
    for (file, link) in torrent.release.files.iter().zip(torrent.all_links()) {
        let parts = file.path.split('/').filter(|part| !part.is_empty());
        let top = (!single).then_some(&*torrent.release.name);
        let parts: Vec<_> = top.into_iter().chain(parts).collect();
        let file = json!({ "s": file.size(), "l": format!("{LINK_PREFIX}{link}") });
        root.put(&parts, file);
    }
    root.show()
}
