//! `seedbox/add`, `seedbox/ID/config` and `seedbox/IDS/remove`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::call::{Call, ids_in};
use super::{Refusal, done, list};
use crate::account::{Account, Release, Torrent};
use crate::bencode;
use crate::library::{Outcome, Service};
use crate::random::Id13;
use crate::status::Status;
use crate::vendors::Kind;
use crate::vendors::answer::Answer;
use crate::vendors::magnet::magnet_parts;

/// What is to be added.
struct Wanted {
    release: Arc<Release>,
    /// Its magnet alone is known, and the caller does not wait for more.
    bare: bool,
    /// A hash without a magnet: only what is cached.
    only_cached: bool,
}

pub(super) fn add(call: &Call) -> Result<Answer, Refusal> {
    let entry = call.with_account(|number, account| {
        if !account.state.premium {
            return Err(Refusal::of("access_denied"));
        }
        let wanted = wanted(call, account)?;
        let held = {
            let mut all = account.newest_first();
            let held = all.find(|torrent| torrent.release.hash == wanted.release.hash);
            held.map(|torrent| torrent.id)
        };
        let id = match held {
            Some(id) => id,
            None => insert(call, account, wanted)?,
        };
        let entry = list::entry(call, number, account, id, true);
        entry.ok_or_else(|| Refusal::of("internalError"))
    })??;
    Ok(done(entry))
}

/// Reads the body: a file, a magnet, or a hash.
fn wanted(call: &Call, account: &Account) -> Result<Wanted, Refusal> {
    let cached = call.settings.unknown_hashes_cached;
    if let Some(file) = call.bytes("file") {
        let file = bencode::parse(&file).ok_or_else(|| Refusal::of("badTorrentFile"))?;
        let known = account.release(&file.hash);
        return Ok(Wanted {
            release: known.unwrap_or_else(|| Arc::new(Release::of_torrent(file, cached))),
            bare: false,
            only_cached: false,
        });
    }
    let url = call
        .text("url")
        .ok_or_else(|| Refusal::of("badArguments"))?;
    let hash = url.len() == 40 && url.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (hash, title, only_cached) = match magnet_parts(&url) {
        Some((hash, title)) => (hash, title, false),
        None if hash => (url.to_ascii_lowercase(), None, true),
        // A URL of a file is not fetched here.
        None => return Err(Refusal::of("notAddTorrent")),
    };
    let title = title.as_deref().unwrap_or(&hash);
    let made = || Arc::new(Release::made_up(&hash, title, Service::Torrents, cached));
    Ok(Wanted {
        release: account.release(&hash).unwrap_or_else(made),
        bare: call.flag("async"),
        only_cached,
    })
}

fn insert(call: &Call, account: &mut Account, wanted: Wanted) -> Result<Id13, Refusal> {
    let settings = &call.settings;
    let release = wanted.release;
    let ready = release.is_cached() && release.outcome == Outcome::Downloaded;
    if wanted.only_cached && !ready {
        return Err(Refusal::of("notAddTorrent"));
    }
    if release.total_bytes() > settings.debridlink.largest {
        return Err(Refusal::of("torrentTooBig"));
    }
    if release.outcome == Outcome::Infringing {
        return Err(Refusal::of("infringingFile"));
    }
    let day = call.sim.inner.clock.day(call.now_ms);
    if !ready {
        let taken = account.active();
        let taken = taken
            .iter()
            .filter(|t| Kind::DebridLink.takes_slot(t.status));
        if taken.count() >= settings.active_limit as usize {
            return Err(Refusal::of("maxTransfer"));
        }
        let most = settings.debridlink.adds_a_day;
        if most > 0 && account.debridlink.added(&day) >= most {
            return Err(Refusal::of("maxTorrent"));
        }
        account.debridlink.add(day);
    }
    account.remember(release.clone());
    let mut torrent = Torrent::new(release, call.now_ms);
    torrent.bare = wanted.bare && !ready;
    if call.flag("wait") && !torrent.bare {
        torrent.enter(Status::WaitingFilesSelection, call.now_ms);
    } else {
        begin(&mut torrent, call.now_ms);
    }
    Ok(account.insert(torrent, None))
}

/// Lets a torrent go on its way, or be there at once.
fn begin(torrent: &mut Torrent, now_ms: i64) {
    let release = &torrent.release;
    if release.is_cached() && release.outcome == Outcome::Downloaded {
        torrent.enter(Status::Downloaded, now_ms);
        torrent.ended_ms = Some(now_ms);
    } else {
        torrent.enter(torrent.first_status(), now_ms);
    }
}

/// Takes what is not wanted of a torrent that waits.
pub(super) fn configure(call: &Call, id: &str) -> Result<Answer, Refusal> {
    let unwanted = call.ids("files-unwanted").unwrap_or_default();
    call.with_account(|_, account| {
        let id = Id13::parse(id).filter(|id| account.torrent(*id).is_some());
        let id = id.ok_or_else(|| Refusal::of("badId"))?;
        account.alter(id, |torrent| {
            if torrent.status != Status::WaitingFilesSelection {
                return;
            }
            let files = 0..torrent.release.files.len() as u32;
            let wanted = files.filter(|file| !unwanted.contains(&format!("{id}-{file}")));
            torrent.select(wanted.collect());
            begin(torrent, call.now_ms);
        });
        Ok(done(json!([])))
    })?
}

/// Says of everything that it was removed.
pub(super) fn remove(call: &Call, ids: &str) -> Result<Answer, Refusal> {
    let ids = percent_decoded(ids);
    let ids = ids_in(&ids);
    call.with_account(|_, account| {
        for id in &ids {
            if let Some(id) = Id13::parse(id).filter(|known| known.as_str() == id) {
                account.remove(id);
            }
        }
    })?;
    let removed = ids.into_iter().map(Value::String);
    Ok(done(removed.collect()))
}

fn percent_decoded(text: &str) -> String {
    // A form's value, but for the plus sign, which no id has.
    let value = form_urlencoded::parse(text.as_bytes()).next();
    value.map_or_else(String::new, |(text, _)| text.into_owned())
}
