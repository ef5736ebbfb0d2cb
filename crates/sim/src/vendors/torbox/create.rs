//! `createtorrent`, `createusenetdownload`, `createwebdownload`.

use std::sync::Arc;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::call::Call;
use super::envelope::{Refusal, done};
use super::item::auth_id;
use super::queue;
use super::settings::FullSlots;
use crate::account::{Account, Release, Torrent};
use crate::bencode;
use crate::library::{Outcome, Service};
use crate::status::Status;
use crate::vendors::Kind;
use crate::vendors::answer::Answer;
use crate::vendors::magnet::magnet_parts;

/// What is to be downloaded.
struct Wanted {
    release: Arc<Release>,
    /// Only its magnet is known.
    bare: bool,
    name: Option<String>,
}

pub(super) fn create(call: &Call, service: Service) -> Result<Answer, Refusal> {
    call.with_account(|_, account| {
        if let Some(limited) = account.torbox.create(call.now_ms, &call.settings.torbox) {
            return Err(call.limited(limited));
        }
        let wanted = wanted(call, account, service)?;
        let held = account.newest_first().find(|torrent| {
            torrent.release.hash == wanted.release.hash && torrent.release.service == service
        });
        match held.map(|torrent| (torrent.remote, torrent.status)) {
            Some((id, Status::Downloaded)) => Ok(found(account, &wanted.release, id)),
            Some(_) => Err(Refusal::of("DUPLICATE_ITEM")),
            None => add(call, account, wanted),
        }
    })?
}

/// Reads the body: exactly one of a file and a link.
fn wanted(call: &Call, account: &Account, service: Service) -> Result<Wanted, Refusal> {
    let file = call.bytes("file").filter(|_| service != Service::Webdl);
    let link = call.field(match service {
        Service::Torrents => "magnet",
        Service::Usenet | Service::Webdl => "link",
    });
    let name = call.field("name");
    let cached = call.settings.unknown_hashes_cached;
    let known = |hash: &str| account.release(hash).filter(|r| r.service == service);
    let (release, bare) = match (service, file, link) {
        (_, None, None) => return Err(Refusal::of("MISSING_REQUIRED_OPTION")),
        (_, Some(_), Some(_)) => return Err(Refusal::of("TOO_MANY_OPTIONS")),
        (Service::Torrents, Some(file), None) => {
            let file = bencode::parse(&file).ok_or_else(|| Refusal::of("BOZO_TORRENT"))?;
            let known = known(&file.hash);
            let made = || Arc::new(Release::of_torrent(file, cached));
            (known.unwrap_or_else(made), false)
        }
        (Service::Torrents, None, Some(magnet)) => {
            let parts = magnet_parts(&magnet);
            let (hash, title) = parts.ok_or_else(|| Refusal::of("BOZO_TORRENT"))?;
            let title = title.as_deref().unwrap_or(&hash);
            let made = || Arc::new(Release::made_up(&hash, title, service, cached));
            (known(&hash).unwrap_or_else(made), true)
        }
        (Service::Usenet | Service::Webdl, file, link) => {
            if file.as_ref().is_some_and(|file| !is_nzb(file)) {
                return Err(Refusal::of("BOZO_NZB"));
            }
            let title = name.clone().or_else(|| title(link.as_deref()?));
            let bytes = file.unwrap_or_else(|| link.unwrap_or_default().into());
            let digest = Md5::digest(&bytes);
            let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let title = title.as_deref().unwrap_or(&hash);
            let made = || Arc::new(Release::made_up(&hash, title, service, cached));
            (known(&hash).unwrap_or_else(made), false)
        }
    };
    Ok(Wanted {
        release,
        bare,
        name,
    })
}

/// Whether a file may be an NZB.
fn is_nzb(file: &[u8]) -> bool {
    file.windows(4)
        .any(|part| part.eq_ignore_ascii_case(b"<nzb"))
}

/// The last part of a link's path, without what a file name has at its end.
fn title(link: &str) -> Option<String> {
    let path = link.split(['?', '#']).next()?;
    let last = path.rsplit('/').find(|part| !part.is_empty())?;
    Some(
        last.rsplit_once('.')
            .map_or(last, |(stem, _)| stem)
            .to_owned(),
    )
}

fn add(call: &Call, account: &mut Account, wanted: Wanted) -> Result<Answer, Refusal> {
    let settings = &call.settings.torbox;
    let release = wanted.release;
    let ready = release.is_cached() && release.outcome == Outcome::Downloaded;
    if !ready && let Some(limited) = account.torbox.uncached(call.now_ms, settings) {
        return Err(call.limited(limited));
    }
    if release.total_bytes() > settings.largest(account.state.premium) {
        return Err(Refusal::of("DOWNLOAD_TOO_LARGE"));
    }
    if !ready && call.is_set("add_only_if_cached") {
        return Err(Refusal::of("DOWNLOAD_NOT_CACHED"));
    }
    let taken = account.active();
    let taken = taken.iter().filter(|t| Kind::TorBox.takes_slot(t.status));
    let (taken, slots) = (taken.count(), settings.slots(account.state.premium));
    let full = taken >= slots as usize;
    let figures = json!({ "active_limit": slots, "current_active_downloads": taken });
    if !ready && full && settings.full_slots == FullSlots::Refuse {
        return Err(Refusal::of("ACTIVE_LIMIT").with(figures));
    }
    account.remember(release.clone());
    let mut torrent = Torrent::new(release.clone(), call.now_ms);
    torrent.bare = wanted.bare && !ready;
    if let Some(name) = wanted.name {
        torrent.name = name;
    }
    let queue = !ready && (full || (call.is_set("as_queued") && account.state.premium));
    if ready {
        torrent.enter(Status::Downloaded, call.now_ms);
        torrent.ended_ms = Some(call.now_ms);
    } else if queue {
        torrent.enter(Status::Queued, call.now_ms);
    } else {
        torrent.enter(torrent.first_status(), call.now_ms);
    }
    let id = account.insert(torrent, None);
    let torrent = account.torrent(id).ok_or_else(|| call.unknown())?;
    if ready {
        return Ok(found(account, &release, torrent.remote));
    }
    if !queue {
        let data = created(account, &release, torrent.remote);
        return Ok(done("Download added successfully.", data));
    }
    let mut data = figures;
    data["queued_id"] = json!(queue::number(torrent));
    data["hash"] = json!(release.hash);
    data["auth_id"] = json!(auth_id(account.seed));
    Ok(done("Download added to queue.", data))
}

fn found(account: &Account, release: &Release, id: u64) -> Answer {
    let detail = match release.service {
        Service::Torrents => "Found Cached Torrent. Using Cached Torrent.",
        Service::Usenet => "Found Cached Usenet Download. Using Cached Download.",
        Service::Webdl => "Found Cached Web Download. Using Cached Download.",
    };
    done(detail, created(account, release, id))
}

fn created(account: &Account, release: &Release, id: u64) -> Value {
    let name = match release.service {
        Service::Torrents => "torrent_id",
        Service::Usenet => "usenetdownload_id",
        Service::Webdl => "webdownload_id",
    };
    json!({ name: id, "hash": release.hash, "auth_id": auth_id(account.seed) })
}
