//! `checkcached`, `torrentinfo` and `exportdata`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::envelope::{Refusal, done};
use super::item::{full_name, magnet};
use crate::account::Release;
use crate::bencode;
use crate::library::Service;
use crate::vendors::answer::Answer;
use crate::vendors::magnet::magnet_parts;

pub(super) fn check_cached(call: &Call, service: Service) -> Result<Answer, Refusal> {
    let posted = call.member("hashes").and_then(Value::as_array);
    let posted = posted.into_iter().flatten().filter_map(Value::as_str);
    let asked = call.all("hash").flat_map(|hashes| hashes.split(','));
    let hashes: Vec<String> = asked
        .chain(posted)
        .map(|hash| hash.trim().to_ascii_lowercase())
        .filter(|hash| !hash.is_empty())
        .collect();
    if hashes.is_empty() {
        return Err(Refusal::of("MISSING_REQUIRED_OPTION"));
    }
    let list_files = call.flag("list_files");
    let found: Vec<(String, Value)> = call.with_account(|_, account| {
        let known = hashes.into_iter().filter_map(|hash| {
            let release = account.release(&hash)?;
            (release.service == service && release.is_cached()).then_some((hash, release))
        });
        let show = |(hash, release): (String, Arc<Release>)| {
            let mut shown =
                json!({ "name": release.name, "size": release.total_bytes(), "hash": hash });
            if list_files {
                shown["files"] = files(&release);
            }
            (hash, shown)
        };
        known.map(show).collect()
    })?;
    let data = match call.query("format").unwrap_or("object") {
        "list" if found.is_empty() => Value::Null,
        "list" => found.into_iter().map(|(_, shown)| shown).collect(),
        "object" => Value::Object(found.into_iter().collect::<Map<_, _>>()),
        _ => return Err(Refusal::of("INVALID_OPTION")),
    };
    Ok(done("Cache checked successfully.", data))
}

fn files(release: &Release) -> Value {
    let files = release.files.iter();
    let files = files.map(|file| json!({ "name": full_name(release, file), "size": file.size() }));
    files.collect()
}

pub(super) fn torrent_info(call: &Call) -> Result<Answer, Refusal> {
    let hash = call.query("hash").map(str::to_owned);
    let hash = hash.or_else(|| call.field("hash"));
    let magnet = || Some(magnet_parts(&call.field("magnet")?)?.0);
    let file = || Some(bencode::parse(&call.bytes("file")?)?.hash);
    let hash = hash.or_else(magnet).or_else(file);
    let hash = hash.ok_or_else(|| Refusal::of("MISSING_REQUIRED_OPTION"))?;
    // No token is needed: what any account knows is known to the network.
    let release = call.sim.release(&hash.to_ascii_lowercase());
    let release = release.filter(|release| release.service == Service::Torrents);
    let release = release.ok_or_else(|| Refusal::of("ITEM_NOT_FOUND"))?;
    let shown = json!({
        "name": release.name, "hash": release.hash, "size": release.total_bytes(), "trackers": [],
        "seeds": 12, "peers": 3, "files": files(&release),
    });
    Ok(done("Torrent info retrieved successfully.", shown))
}

pub(super) fn export_data(call: &Call) -> Result<Answer, Refusal> {
    let missing = || Refusal::of("MISSING_REQUIRED_OPTION");
    let id = call.number("torrent_id")?.ok_or_else(missing)?;
    match call.query("type") {
        Some("magnet") => {}
        // Those of cached downloads are not kept, and the simulation makes no other.
        Some("file") => return Err(Refusal::of("ITEM_NOT_FOUND")),
        Some(_) => return Err(Refusal::of("INVALID_OPTION")),
        None => return Err(missing()),
    }
    call.with_account(|_, account| {
        let id = account.remote(Service::Torrents, id);
        let torrent = id.and_then(|id| account.torrent(id));
        let torrent = torrent.ok_or_else(|| call.unknown())?;
        Ok(done(
            "Magnet exported successfully.",
            json!(magnet(torrent)),
        ))
    })?
}
