//! What the lists tell of a download.

use serde_json::{Value, json};

use crate::account::{Release, Torrent};
use crate::cdn::mime_type;
use crate::clock::timestamp;
use crate::library::{FileSpec, Outcome, Service};
use crate::random::hash_parts;
use crate::settings::Settings;
use crate::status::Status;

/// `eta` of what will not end by itself, in seconds.
const NEVER_S: u64 = 8_640_000;

/// The number of the file at `index`. The vendor's do not follow the order of the files; 0 is one of them.
pub(crate) fn file_id(release: &Release, index: u32) -> u32 {
    let files = release.files.len().max(1) as u32;
    (index + files / 2) % files
}

/// The opposite of [`file_id`]: the index of the file.
pub(super) fn file_index(release: &Release, id: u64) -> Option<u32> {
    (0u32..)
        .zip(&release.files)
        .map(|(index, _)| index)
        .find(|index| u64::from(file_id(release, *index)) == id)
}

/// The account's id where others than the owner see it.
pub(super) fn auth_id(seed: u64) -> String {
    uuid_of(&[b"account", &seed.to_le_bytes()])
}

/// A UUID of these bytes.
pub(super) fn uuid_of(parts: &[&[u8]]) -> String {
    let high = hash_parts(parts);
    let low = hash_parts(&[&high.to_le_bytes()]);
    let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
    format!(
        "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}",
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// The vendor's way to write a date: `2026-01-02T03:04:05Z`.
pub(super) fn date(ms: i64) -> String {
    timestamp(ms).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A magnet of the hash.
pub(super) fn magnet(torrent: &Torrent) -> String {
    let name: String = form_urlencoded::byte_serialize(torrent.name.as_bytes()).collect();
    format!("magnet:?xt=urn:btih:{}&dn={name}", torrent.release.hash)
}

/// Where the download stands, in the vendor's words: those of its documentation, and those of qBittorrent.
fn state(torrent: &Torrent, checking: bool) -> &'static str {
    match torrent.status {
        _ if torrent.paused_ms.is_some() => "paused",
        Status::Queued => "queued",
        Status::MagnetConversion | Status::WaitingFilesSelection => "metaDL",
        Status::Downloading if checking => "checking",
        Status::Downloading => "downloading",
        Status::Compressing => "processing",
        Status::Uploading => "uploading",
        Status::Downloaded if torrent.fetched => "completed",
        Status::Downloaded => "cached",
        Status::MagnetError | Status::Dead => "stalled (no seeds)",
        Status::Error => "failed",
        Status::Virus => "failed (infected)",
    }
}

/// From 0 to 1.
fn progress(torrent: &Torrent, now_ms: i64, settings: &Settings) -> f64 {
    let percent = torrent.progress(now_ms, settings);
    let fallen = settings.torbox.progress_backwards
        && torrent.status == Status::Downloading
        && percent >= 50;
    (if fallen { percent - 30 } else { percent }) as f64 / 100.0
}

/// The entry of a download in `mylist`.
pub(super) fn item(torrent: &Torrent, seed: u64, now_ms: i64, settings: &Settings) -> Value {
    let release = &torrent.release;
    let status = torrent.status;
    let checked_ms = torrent.since_ms + i64::from(settings.torbox.checking_ms);
    let checking = status == Status::Downloading && now_ms < checked_ms;
    let present = status == Status::Downloaded;
    let finished = present || status == Status::Uploading;
    let bytes = release.total_bytes();
    let moving = status == Status::Downloading && !checking && torrent.paused_ms.is_none();
    let speed = bytes * 1000 / u64::from(settings.downloading_ms).max(1);
    let due_ms = torrent.due_ms(settings, None);
    let left_s = due_ms.map(|due| u64::try_from(due - now_ms).unwrap_or(0) / 1000);
    let files = (0u32..).zip(&release.files).filter(|_| finished);
    let files = files.map(|(index, file)| entry(release, index, file));
    let mut item = json!({
        "id": torrent.remote,
        "auth_id": auth_id(seed),
        "server": 1,
        "hash": release.hash,
        "name": torrent.name,
        "size": match status {
            Status::MagnetConversion => json!(0),
            _ if checking => json!(-1),
            _ => json!(bytes),
        },
        "active": !finished && !status.is_final() && torrent.paused_ms.is_none(),
        "created_at": date(torrent.added_ms),
        "updated_at": date(torrent.since_ms.max(torrent.added_ms)),
        "download_state": state(torrent, checking),
        "progress": progress(torrent, now_ms, settings),
        "download_speed": if moving { speed } else { 0 },
        "upload_speed": 0,
        "eta": match (finished, moving) {
            (true, _) => 0,
            (false, true) => left_s.unwrap_or(NEVER_S),
            (false, false) => NEVER_S,
        },
        "torrent_file": !torrent.bare && release.service == Service::Torrents,
        "expires_at": null,
        "download_present": present,
        "download_finished": finished,
        "files": files.collect::<Vec<_>>(),
        "inactive_check": 0,
        "availability": if finished { 1.0 } else { 0.0 },
        "cached": present,
        "cached_at": torrent.ended_ms.map(date),
    });
    let more = match release.service {
        Service::Torrents => json!({
            "magnet": magnet(torrent),
            "seeds": if moving { 12 } else { 0 },
            "peers": if moving { 3 } else { 0 },
            "ratio": 0,
            "download_path": torrent.name,
            "tracker": null,
            "tracker_message": null,
            "total_uploaded": 0,
            "total_downloaded": if finished { bytes } else { 0 },
            "owner": auth_id(seed),
            "seed_torrent": false,
            "allow_zipped": true,
            "long_term_seeding": false,
            "private": false,
        }),
        Service::Usenet | Service::Webdl => json!({
            "original_url": null,
            "download_id": torrent.id,
            "error": if status == Status::Error { Some("The download failed.") } else { None },
        }),
    };
    if let (Value::Object(item), Value::Object(more)) = (&mut item, more) {
        item.extend(more);
    }
    item
}

/// The path of a file with the folder that a torrent of several files makes.
pub(super) fn full_name(release: &Release, file: &FileSpec) -> String {
    let path = file.path.trim_start_matches('/');
    match release.files.len() == 1 && path == release.original_name {
        true => path.to_owned(),
        false => format!("{}/{path}", release.original_name),
    }
}

fn entry(release: &Release, index: u32, file: &FileSpec) -> Value {
    let name = full_name(release, file);
    json!({
        "id": file_id(release, index),
        "md5": null,
        "hash": release.hash,
        "size": file.size(),
        "zipped": false,
        "s3_path": format!("{}/{name}", release.hash),
        "infected": release.outcome == Outcome::Virus,
        "mimetype": mime_type(&name),
        "short_name": name.rsplit('/').next().unwrap_or(&name),
        "absolute_path": format!("/download/{}/{name}", release.hash),
        "opensubtitles_hash": null,
        "name": name,
    })
}
