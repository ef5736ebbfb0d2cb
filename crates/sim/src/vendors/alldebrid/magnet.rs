//! `magnet/upload`, `magnet/upload/file`, `magnet/delete` and `magnet/restart`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::call::Call;
use super::{Refusal, done, error};
use crate::account::{Account, Release, Torrent};
use crate::bencode;
use crate::library::{Outcome, Service};
use crate::status::Status;
use crate::vendors::answer::Answer;
use crate::vendors::magnet::magnet_parts;

/// Magnets, or hashes alone.
pub(super) fn upload(call: &Call) -> Result<Answer, Refusal> {
    let magnets = call.texts("magnets");
    if magnets.is_empty() {
        return Err(Refusal::of("MAGNET_NO_URI"));
    }
    let cached = call.settings.unknown_hashes_cached;
    let entries = call.with_account(|_, account| {
        let add = |magnet: &String| {
            let named = magnet_parts(magnet);
            let bare = || magnet_parts(&format!("magnet:?xt=urn:btih:{magnet}"));
            let Some((hash, title)) = named.or_else(bare) else {
                return json!({ "magnet": magnet, "error": error("MAGNET_INVALID_URI") });
            };
            let title = title.as_deref().unwrap_or(&hash);
            let made = || Arc::new(Release::made_up(&hash, title, Service::Torrents, cached));
            let release = account.release(&hash).unwrap_or_else(made);
            put(call, account, release, true, ("magnet", magnet))
        };
        magnets.iter().map(add).collect::<Vec<_>>()
    })?;
    Ok(done(json!({ "magnets": entries })))
}

/// `.torrent` files; the answer has them under `files`.
pub(super) fn upload_files(call: &Call) -> Result<Answer, Refusal> {
    let cached = call.settings.unknown_hashes_cached;
    let entries = call.with_account(|_, account| {
        let add = |file: &bytes::Bytes| {
            let Some(torrent) = bencode::parse(file) else {
                return json!({ "file": "file", "error": error("MAGNET_INVALID_FILE") });
            };
            let (known, name) = (account.release(&torrent.hash), torrent.name.clone());
            let release = known.unwrap_or_else(|| Arc::new(Release::of_torrent(torrent, cached)));
            put(call, account, release, false, ("file", &name))
        };
        call.bytes("files").map(add).collect::<Vec<_>>()
    })?;
    match entries.is_empty() {
        true => Err(Refusal::of("MAGNET_FILE_UPLOAD_FAILED")),
        false => Ok(done(json!({ "files": entries }))),
    }
}

/// Adds a release once, and tells of it.
fn put(
    call: &Call,
    account: &mut Account,
    release: Arc<Release>,
    bare: bool,
    (key, name): (&str, &str),
) -> Value {
    let held = {
        let mut all = account.newest_first();
        all.find(|torrent| torrent.release.hash == release.hash)
            .map(|torrent| torrent.id)
    };
    let id = match held {
        Some(id) => id,
        None => match admit(call, account, &release) {
            Some(word) => return json!({ key: name, "error": error(word) }),
            None => insert(call, account, release, bare),
        },
    };
    let Some(torrent) = account.torrent(id) else {
        return json!({ key: name, "error": error("MAGNET_INTERNAL_ERROR") });
    };
    let unnamed = torrent.status == Status::MagnetConversion;
    json!({
        key: name,
        "hash": torrent.release.hash,
        "name": if unnamed { "noname" } else { &torrent.name },
        "filename_original": "",
        "size": if unnamed { 0 } else { torrent.release.total_bytes() },
        "ready": torrent.status == Status::Downloaded,
        "id": torrent.remote,
    })
}

/// Why a release is not taken.
fn admit(call: &Call, account: &Account, release: &Release) -> Option<&'static str> {
    let settings = &call.settings;
    let most = settings.alldebrid.most_magnets as usize;
    let full = account.active().len() >= settings.active_limit as usize;
    if !account.state.premium {
        Some("MAGNET_MUST_BE_PREMIUM")
    } else if settings.alldebrid.no_server {
        Some("MAGNET_NO_SERVER")
    } else if most > 0 && account.len() >= most {
        Some("MAGNET_TOO_MANY")
    } else if !is_ready(release) && full {
        Some("MAGNET_TOO_MANY_ACTIVE")
    } else {
        None
    }
}

fn is_ready(release: &Release) -> bool {
    release.is_cached() && release.outcome == Outcome::Downloaded
}

fn insert(
    call: &Call,
    account: &mut Account,
    release: Arc<Release>,
    bare: bool,
) -> crate::random::Id13 {
    account.remember(release.clone());
    let ready = is_ready(&release);
    let mut torrent = Torrent::new(release, call.now_ms);
    torrent.bare = bare && !ready;
    if ready {
        torrent.enter(Status::Downloaded, call.now_ms);
        torrent.ended_ms = Some(call.now_ms);
    } else {
        torrent.enter(torrent.first_status(), call.now_ms);
    }
    account.insert(torrent, None)
}

pub(super) fn delete(call: &Call) -> Result<Answer, Refusal> {
    call.with_account(|_, account| {
        let id = call.torrent(account)?;
        account.remove(id);
        Ok(done(
            json!({ "message": "Magnet was successfully deleted" }),
        ))
    })?
}

/// Starts what has failed anew.
pub(super) fn restart(call: &Call) -> Result<Answer, Refusal> {
    call.with_account(|_, account| {
        let id = call.torrent(account)?;
        let failed = account.torrent(id).is_some_and(|torrent| {
            torrent.status.is_final() && torrent.status != Status::Downloaded
        });
        if !failed {
            return Err(Refusal::of("MAGNET_PROCESSING"));
        }
        account.alter(id, |torrent| {
            torrent.enter(Status::Downloading, call.now_ms)
        });
        Ok(done(
            json!({ "message": "Magnet was successfully restarted" }),
        ))
    })?
}
