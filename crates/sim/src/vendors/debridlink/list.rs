//! `seedbox/list` and `seedbox/activity`.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::{Refusal, done};
use crate::account::{Account, Torrent};
use crate::cdn::percent_encoded;
use crate::random::Id13;
use crate::status::Status;
use crate::vendors::answer::Answer;

/// Lines of a page: by default, at least, at most.
const LINES: (u64, u64, u64) = (50, 20, 100);

/// `status`, `error` and `errorString`.
fn state(status: Status, seeding: bool) -> (u8, u8, &'static str) {
    match status {
        Status::WaitingFilesSelection => (0, 0, ""),
        Status::MagnetConversion | Status::Queued => (1, 0, ""),
        // Verification and downloading, as in the vendor's example.
        Status::Downloading => (6, 0, ""),
        Status::Compressing | Status::Uploading => (2, 0, ""),
        Status::Downloaded if seeding => (8, 0, ""),
        Status::Downloaded => (100, 0, ""),
        Status::Error | Status::Virus | Status::MagnetError => (0, 3, "simulated local error"),
        Status::Dead => (4, 2, "simulated: no tracker answers"),
    }
}

pub(super) fn list(call: &Call) -> Result<Answer, Refusal> {
    let (per_page, least, most) = LINES;
    let per_page = call.number("perPage", least, most)?.unwrap_or(per_page) as usize;
    let page = call.number("page", 0, u64::from(u32::MAX))?.unwrap_or(0) as usize;
    let ids = call.ids("ids").or_else(|| call.ids("id"));
    let (lines, pages) = call.with_account(|number, account| {
        let chosen = chosen(call, account, ids.as_deref());
        let pages = chosen.len().div_ceil(per_page).max(1);
        let lines = chosen.into_iter().skip(page.saturating_mul(per_page));
        let lines: Vec<_> = lines.take(per_page).collect();
        let alone = ids.as_ref().is_some_and(|ids| ids.len() == 1);
        let lines = lines.into_iter();
        let show = |id| entry(call, number, account, id, alone);
        (lines.filter_map(show).collect::<Vec<_>>(), pages)
    })?;
    let (page, pages) = (page as i64, pages as i64);
    let next = if page + 1 < pages { page + 1 } else { -1 };
    let body = json!({
        "success": true,
        "value": lines,
        "pagination": { "page": page, "pages": pages, "next": next, "previous": page - 1 },
    });
    Ok(Answer::json(200, &body))
}

/// The torrents that a filter leaves, newest first.
fn chosen(call: &Call, account: &Account, ids: Option<&[String]>) -> Vec<Id13> {
    let all: Vec<Id13> = account.newest_first().map(|torrent| torrent.id).collect();
    let Some(ids) = ids else {
        return all;
    };
    let wanted = |id: &Id13| ids.iter().any(|wanted| wanted == id.as_str());
    let found: Vec<_> = all.iter().copied().filter(wanted).collect();
    match found.is_empty() && call.settings.debridlink.unknown_id_lists_all {
        true => all,
        false => found,
    }
}

pub(super) fn activity(call: &Call) -> Result<Answer, Refusal> {
    let ids = call.ids("ids").or_else(|| call.ids("id"));
    let settings = &call.settings;
    let activity = call.with_account(|_, account| {
        let chosen = chosen(call, account, ids.as_deref()).into_iter();
        let torrents = chosen.filter_map(|id| account.torrent(id));
        let shown = torrents.map(|torrent| {
            let (code, ..) = state(torrent.status, settings.debridlink.seeding);
            let percent = torrent.progress(call.now_ms, settings);
            let files = vec![percent; torrent.release.files.len()];
            let shown = json!({
                "status": code, "downloadPercent": percent, "files": files,
                "wait": torrent.status == Status::WaitingFilesSelection,
            });
            (torrent.id.to_string(), shown)
        });
        shown.collect::<Map<_, _>>()
    })?;
    Ok(done(Value::Object(activity)))
}

/// A torrent with its files; one of many files has a ZIP in their place, unless it is asked for `alone`.
pub(super) fn entry(
    call: &Call,
    number: usize,
    account: &mut Account,
    id: Id13,
    alone: bool,
) -> Option<Value> {
    let settings = &call.settings.debridlink;
    let torrent = account.torrent(id)?;
    let (code, error, error_string) = state(torrent.status, settings.seeding);
    let unknown = torrent.status == Status::MagnetConversion;
    let ready = torrent.status == Status::Downloaded;
    let percent = torrent.progress(call.now_ms, &call.settings);
    let bytes = if unknown { 0 } else { torrent.selected_bytes() };
    let zip = !alone && torrent.release.files.len() > settings.zip_above as usize;
    let mut entry = json!({
        "id": id.to_string(),
        "name": if unknown { &torrent.release.hash } else { &torrent.name },
        "created": torrent.added_ms / 1000,
        "hashString": torrent.release.hash,
        "uploadRatio": 0,
        "serverId": if ready { "" } else { "s1" },
        "wait": torrent.status == Status::WaitingFilesSelection,
        "peersConnected": if torrent.status == Status::Downloading { 12 } else { 0 },
        "status": code,
        "error": error,
        "errorString": error_string,
        "totalSize": bytes,
        "downloadPercent": percent,
        "downloadSpeed": if torrent.status == Status::Downloading { bytes / 20 } else { 0 },
        "uploadSpeed": 0,
        "isZip": zip,
        "srvMaint": false,
        "trackers": [],
    });
    entry["files"] = match (unknown, zip) {
        (true, _) => json!([]),
        (false, true) => json!([{
            "id": format!("{id}-zip"),
            "name": format!("{}.zip", torrent.name),
            "size": bytes,
            "downloaded": false,
            "downloadUrl": if ready { format!("{}/zip/{id}", call.cdn_url) } else { String::new() },
            "downloadPercent": percent,
        }]),
        (false, false) => Value::Array(files(call, number, account, id, percent)?),
    };
    Some(entry)
}

fn files(
    call: &Call,
    number: usize,
    account: &mut Account,
    id: Id13,
    percent: u64,
) -> Option<Vec<Value>> {
    let torrent = account.torrent(id)?.clone();
    let links: Vec<Id13> = torrent.all_links().collect();
    let single = torrent.release.files.len() == 1;
    let top = !single && call.settings.debridlink.names_with_top;
    let mut shown = Vec::new();
    for (index, file) in (0u32..).zip(&torrent.release.files) {
        let place = torrent.selected.binary_search(&index).ok();
        let url = place
            .and_then(|place| Some((place as u32, *links.get(place)?)))
            .and_then(|(place, link)| direct(call, number, account, &torrent, (place, link)));
        let path = file.path.trim_start_matches('/');
        let name = match top {
            true => format!("{}/{path}", torrent.release.name),
            false => path.to_owned(),
        };
        shown.push(json!({
            "id": format!("{id}-{index}"),
            "name": name,
            "size": file.size(),
            "downloaded": false,
            "downloadUrl": url.unwrap_or_default(),
            "downloadPercent": if place.is_some() { percent } else { 0 },
        }));
    }
    Some(shown)
}

/// The URL of a file: the same at all times, until it ends.
fn direct(
    call: &Call,
    number: usize,
    account: &mut Account,
    torrent: &Torrent,
    (place, link): (u32, Id13),
) -> Option<String> {
    let kept = account.debridlink.direct.get(&link).copied();
    let kept = kept.and_then(|id| call.sim.download(id));
    let kept = kept.filter(|download| call.now_ms < download.expires_ms.load(Relaxed));
    let download = match kept {
        Some(download) => download,
        None => {
            let (filename, path, content) = torrent.linked(place)?;
            let file = format!("{}{path}", torrent.release.hash);
            let (url, made) = (call.cdn_url.clone(), (call.now_ms, &*call.settings));
            let linked = (link, filename, file, content);
            let download = account.make_download(number, linked, url, made);
            account.debridlink.direct.insert(link, download.id);
            call.sim.add_download(download.clone());
            download
        }
    };
    let name = percent_encoded(&download.filename);
    Some(format!("{}/dl/{}/{name}", download.url, download.id))
}
