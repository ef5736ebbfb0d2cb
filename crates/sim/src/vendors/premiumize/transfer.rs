//! Transfers, and what is known to be cached.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::call::Call;
use super::cloud::Memory;
use super::{Refusal, done, item};
use crate::account::{Account, Release, Torrent};
use crate::bencode;
use crate::library::{Outcome, Service};
use crate::random::{Id13, hash_parts};
use crate::settings::Settings;
use crate::status::Status;
use crate::vendors::answer::Answer;
use crate::vendors::magnet::magnet_parts;

fn no_transfer() -> Refusal {
    Refusal::not_found("Transfer")
}

fn state(status: Status) -> &'static str {
    match status {
        Status::MagnetConversion | Status::WaitingFilesSelection => "waiting",
        Status::Queued => "queued",
        Status::Downloading | Status::Compressing | Status::Uploading => "running",
        Status::Downloaded => "finished",
        Status::MagnetError | Status::Dead => "timeout",
        Status::Error => "error",
        Status::Virus => "banned",
    }
}

/// For people.
fn message(torrent: &Torrent, percent: u64) -> Option<String> {
    match torrent.status {
        Status::Downloading => Some(format!("Downloading: {percent}% finished.")),
        Status::Compressing | Status::Uploading => Some("Moving to cloud.".to_owned()),
        Status::MagnetError | Status::Dead => Some("The torrent has no seeds.".to_owned()),
        Status::Error => Some("The download failed.".to_owned()),
        Status::Virus => Some("Blocked.".to_owned()),
        _ => None,
    }
}

fn entry(torrent: &Torrent, memory: &Memory, now_ms: i64, settings: &Settings) -> Value {
    let percent = torrent.progress(now_ms, settings);
    let target = memory.targets.get(&torrent.id).copied();
    let target = target.unwrap_or_else(Memory::top);
    let made = memory.made.get(&torrent.id).copied();
    let of_file = made.filter(|made| memory.node(*made).is_some_and(|node| node.is_file));
    let folder = made.filter(|_| of_file.is_none()).unwrap_or(target);
    let unnamed = torrent.status == Status::MagnetConversion;
    json!({
        "id": torrent.id.to_string(),
        "name": if unnamed { &torrent.release.hash } else { &torrent.name },
        "message": message(torrent, percent),
        "status": state(torrent.status),
        "progress": percent as f64 / 100.0,
        "src": match settings.premiumize.magnet_in_src {
            true => format!("magnet:?xt=urn:btih:{}", torrent.release.hash),
            false => format!("https://www.premiumize.me/api/job/src?id={}", torrent.id),
        },
        "folder_id": folder.to_string(),
        "file_id": of_file.map(|id| id.to_string()),
    })
}

pub(super) fn list(call: &Call) -> Result<Answer, Refusal> {
    let transfers = call.with_account(|_, account| {
        let memory = &account.premiumize;
        let listed = account.newest_first();
        let listed = listed.filter(|torrent| !memory.cleared.contains(&torrent.id));
        let told = listed.map(|torrent| entry(torrent, memory, call.now_ms, &call.settings));
        told.collect::<Vec<_>>()
    })?;
    Ok(done(json!({ "transfers": transfers })))
}

/// The release that a hash, a magnet or a link names, made up where nobody described it.
fn named(call: &Call, account: &Account, source: &str) -> Option<(Arc<Release>, bool)> {
    let cached = call.settings.unknown_hashes_cached;
    let bare = || magnet_parts(&format!("magnet:?xt=urn:btih:{source}"));
    if let Some((hash, title)) = magnet_parts(source).or_else(bare) {
        let title = title.as_deref().unwrap_or(&hash);
        let made = || Arc::new(Release::made_up(&hash, title, Service::Torrents, cached));
        return Some((account.release(&hash).unwrap_or_else(made), true));
    }
    let is_web = source.starts_with("http://") || source.starts_with("https://");
    if !is_web {
        return None;
    }
    let hash = md5(source.as_bytes());
    let title = source.rsplit('/').find(|part| !part.is_empty())?;
    let made = || Arc::new(Release::made_up(&hash, title, Service::Webdl, cached));
    Some((account.release(&hash).unwrap_or_else(made), false))
}

/// The release that a `.torrent` or an NZB describes.
fn described(call: &Call, account: &Account, file: &Bytes) -> Option<Arc<Release>> {
    let cached = call.settings.unknown_hashes_cached;
    if let Some(torrent) = bencode::parse(file) {
        let known = account.release(&torrent.hash);
        return Some(known.unwrap_or_else(|| Arc::new(Release::of_torrent(torrent, cached))));
    }
    let is_nzb = file
        .windows(4)
        .any(|part| part.eq_ignore_ascii_case(b"<nzb"));
    is_nzb.then(|| {
        let hash = md5(file);
        let made = || Arc::new(Release::made_up(&hash, &hash, Service::Usenet, cached));
        account.release(&hash).unwrap_or_else(made)
    })
}

fn md5(bytes: &[u8]) -> String {
    let digest = Md5::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_ready(release: &Release) -> bool {
    release.is_cached() && release.outcome == Outcome::Downloaded
}

/// Begins a transfer. The same source twice makes two.
pub(super) fn create(call: &Call) -> Result<Answer, Refusal> {
    let target = call
        .id("folder_id")
        .ok_or_else(|| Refusal::not_found("Folder"))?;
    let file = call.bytes("file");
    let source = call.text("src");
    call.with_account(|_, account| {
        if !account.premiumize.is_folder(target) {
            return Err(Refusal::not_found("Folder"));
        }
        let (release, bare) = match (&file, &source) {
            (Some(file), _) => {
                let release = described(call, account, file);
                (
                    release.ok_or_else(|| Refusal::of("", "Invalid torrent file."))?,
                    false,
                )
            }
            (None, Some(source)) => {
                let named = named(call, account, source);
                named.ok_or_else(|| Refusal::of("", "Invalid magnet or link."))?
            }
            (None, None) => return Err(Refusal::of("", "Missing parameter: src")),
        };
        call.may_fetch(account)?;
        if release.outcome == Outcome::Infringing {
            return Err(Refusal::of("", "This content is blocked."));
        }
        let ready = is_ready(&release);
        let active = account.active().len();
        if !ready && active >= call.settings.active_limit as usize {
            let words = format!(
                "You already have a maximum of {} active downloads in progress!",
                call.settings.active_limit
            );
            return Err(Refusal::of("account_limit_reached", &words));
        }
        let id = insert(call, account, release, bare && !ready, target);
        let name = account.torrent(id).map(|torrent| torrent.name.clone());
        let kind = if file.is_some() {
            "torrent"
        } else {
            "savetocloud"
        };
        Ok(done(
            json!({ "id": id.to_string(), "name": name, "type": kind }),
        ))
    })?
}

fn insert(
    call: &Call,
    account: &mut Account,
    release: Arc<Release>,
    bare: bool,
    target: Id13,
) -> Id13 {
    account.remember(release.clone());
    let ready = is_ready(&release);
    let mut torrent = Torrent::new(release, call.now_ms);
    torrent.bare = bare;
    if ready {
        torrent.enter(Status::Downloaded, call.now_ms);
        torrent.ended_ms = Some(call.now_ms);
    } else {
        torrent.enter(torrent.first_status(), call.now_ms);
    }
    let id = account.insert(torrent, None);
    account.premiumize.targets.insert(id, target);
    id
}

/// Deletes a transfer with the files that it made.
pub(super) fn delete(call: &Call) -> Result<Answer, Refusal> {
    let id = call.text("id").and_then(|id| Id13::parse(&id));
    let id = id.ok_or_else(no_transfer)?;
    call.with_account(|_, account| {
        if account.premiumize.cleared.contains(&id) {
            return Err(no_transfer());
        }
        account.remove(id).ok_or_else(no_transfer)?;
        Memory::settle(account, call.now_ms, &call.settings);
        Ok(done(json!({})))
    })?
}

/// Finished transfers leave the list; their files stay.
pub(super) fn clear_finished(call: &Call) -> Result<Answer, Refusal> {
    call.with_account(|_, account| {
        let finished = account.newest_first();
        let finished = finished.filter(|torrent| torrent.status == Status::Downloaded);
        let ids: Vec<Id13> = finished.map(|torrent| torrent.id).collect();
        account.premiumize.cleared.extend(ids);
    })?;
    Ok(done(json!({})))
}

/// Which of several hashes, magnets and links are cached; sizes are texts.
pub(super) fn check_cache(call: &Call) -> Result<Answer, Refusal> {
    let items = call.texts("items");
    if items.is_empty() {
        return Err(Refusal::of("", "Missing parameter: items"));
    }
    call.with_account(|_, account| {
        let (mut response, mut names, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for source in &items {
            let found = named(call, account, source).map(|(release, _)| release);
            let found = found.filter(|release| is_ready(release));
            response.push(found.is_some());
            names.push(found.as_ref().map(|release| release.name.clone()));
            sizes.push(found.map_or_else(String::new, |release| release.total_bytes().to_string()));
        }
        let transcoded = vec![false; response.len()];
        Ok(done(json!({
            "response": response, "transcoded": transcoded, "filename": names, "filesize": sizes,
        })))
    })?
}

/// Links to all files of what is cached, without a transfer.
pub(super) fn direct(call: &Call) -> Result<Answer, Refusal> {
    let source = call.text("src");
    let source = source.ok_or_else(|| Refusal::of("", "Missing parameter: src"))?;
    call.with_account(|number, account| {
        let named = named(call, account, &source);
        let (release, _) = named.ok_or_else(|| Refusal::of("", "Invalid magnet or link."))?;
        call.may_fetch(account)?;
        if !is_ready(&release) {
            return Err(Refusal::of("", "The content is not in cache."));
        }
        let single = release.files.len() == 1;
        let mut content = Vec::new();
        for (at, file) in release.files.iter().enumerate() {
            let path = file.path.trim_start_matches('/');
            let path = match single {
                true => path.to_owned(),
                false => format!("{}/{path}", release.name),
            };
            let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
            let id = Id13::from_number(hash_parts(&[b"direct", release.hash.as_bytes(), &at.to_le_bytes()]));
            let of = format!("{}{}", release.hash, file.path);
            let made = item::download(call, number, account, (id, name, of, release.content(file)));
            let counted = call.sim.inner.counters.link(id);
            counted.unrestricts.fetch_add(1, Relaxed);
            content.push(json!({
                "path": path, "size": file.size(), "link": item::url_of(&made),
                "stream_link": null, "transcode_status": "not_applicable",
            }));
        }
        let first = content.first().cloned().unwrap_or_default();
        Ok(done(json!({
            "location": first["link"], "filename": first["path"], "filesize": first["size"], "content": content,
        })))
    })?
}
