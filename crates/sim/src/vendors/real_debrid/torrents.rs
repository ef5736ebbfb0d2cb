//! `/torrents/…`.

use serde::Serialize;

use super::LINK_PREFIX;
use super::answer::{Answer, VendorError};
use super::call::Call;
use super::names;
use crate::account::{Account, Release, Torrent};
use crate::bencode;
use crate::clock::iso;
use crate::library::{Outcome, Service};
use crate::random::Id13;
use crate::settings::Settings;
use crate::status::Status;
use crate::vendors::magnet::magnet_parts;

/// The vendor's own name in `host`.
const HOST: &str = "real-debrid.com";
/// Size in GB at which the vendor would split files.
const SPLIT: u32 = 2000;

#[derive(Serialize)]
struct Summary {
    id: Id13,
    filename: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_filename: Option<String>,
    hash: String,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_bytes: Option<u64>,
    host: &'static str,
    split: u32,
    progress: u64,
    status: Status,
    added: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<File>>,
    links: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seeders: Option<u32>,
}

#[derive(Serialize)]
struct File {
    id: u32,
    path: String,
    bytes: u64,
    selected: u8,
}

fn summary(torrent: &Torrent, now_ms: i64, settings: &Settings) -> Summary {
    let moving = matches!(
        torrent.status,
        Status::MagnetConversion | Status::Downloading
    );
    let speed = torrent.selected_bytes() * 1000 / u64::from(settings.downloading_ms).max(1);
    Summary {
        id: torrent.id,
        filename: torrent.name.clone(),
        original_filename: None,
        hash: torrent.release.hash.clone(),
        bytes: torrent.selected_bytes(),
        original_bytes: None,
        host: HOST,
        split: SPLIT,
        progress: torrent.progress(now_ms, settings),
        status: torrent.status,
        added: iso(torrent.added_ms),
        files: None,
        links: torrent
            .links_at(now_ms)
            .iter()
            .map(|link| format!("{LINK_PREFIX}{link}"))
            .collect(),
        ended: torrent.ended_ms.map(iso),
        speed: moving.then_some(speed),
        seeders: moving.then_some(if torrent.status == Status::Downloading {
            12
        } else {
            0
        }),
    }
}

pub(super) fn list(call: &Call) -> Result<Answer, VendorError> {
    let (offset, limit) = call.page()?;
    let only_active = match call.query.get("filter").map(String::as_str) {
        None | Some("") => false,
        Some("active") => true,
        Some(_) => return Err(VendorError(2)),
    };
    let (items, total) = call.with_account(|account| {
        let show = |torrent: &Torrent| summary(torrent, call.now_ms, &call.settings);
        if only_active {
            let active = account.active();
            let items: Vec<_> = active
                .iter()
                .skip(offset)
                .take(limit)
                .map(|t| show(t))
                .collect();
            (items, active.len())
        } else {
            let items = account
                .newest_first()
                .skip(offset)
                .take(limit)
                .map(show)
                .collect();
            (items, account.len())
        }
    })?;
    Ok(Answer::list(&items, total))
}

fn argument_id(call: &Call) -> Result<Id13, VendorError> {
    Id13::parse(&call.argument)
        .filter(|_| call.argument.len() == 13)
        .ok_or(VendorError(7))
}

pub(super) fn info(call: &Call) -> Result<Answer, VendorError> {
    let id = argument_id(call)?;
    let info = call.with_account(|account| {
        let torrent = account.torrent(id)?;
        let mut info = summary(torrent, call.now_ms, &call.settings);
        let resolved = !matches!(
            torrent.status,
            Status::MagnetConversion | Status::MagnetError
        );
        let release = &torrent.release;
        info.original_filename = Some(if resolved {
            release.original_name.clone()
        } else {
            torrent.name.clone()
        });
        info.original_bytes = Some(if resolved { release.total_bytes() } else { 0 });
        let files = (0u32..)
            .zip(&release.files)
            .filter(|_| resolved)
            .map(|(index, file)| File {
                id: index + 1,
                path: file.path.clone(),
                bytes: file.size(),
                selected: torrent.selected.binary_search(&index).is_ok().into(),
            });
        info.files = Some(files.collect());
        Some(info)
    })?;
    Ok(Answer::json(200, &info.ok_or(VendorError(7))?))
}

#[derive(Serialize)]
struct ActiveCount {
    nb: usize,
    limit: u32,
    list: Vec<String>,
}

pub(super) fn active_count(call: &Call) -> Result<Answer, VendorError> {
    let list: Vec<String> = call.with_account(|account| {
        account
            .active()
            .iter()
            .map(|torrent| torrent.release.hash.clone())
            .collect()
    })?;
    Ok(Answer::json(
        200,
        &ActiveCount {
            nb: list.len(),
            limit: call.settings.active_limit,
            list,
        },
    ))
}

#[derive(Serialize)]
struct AvailableHost {
    host: &'static str,
    max_file_size: u32,
}

pub(super) fn available_hosts() -> Result<Answer, VendorError> {
    Ok(Answer::json(
        200,
        &[AvailableHost {
            host: HOST,
            max_file_size: SPLIT,
        }],
    ))
}

#[derive(Serialize)]
struct Added {
    id: Id13,
    uri: String,
}

fn added(call: &Call, id: Id13) -> Answer {
    let listener = call.cdn_url.trim_end_matches('/');
    Answer::json(
        201,
        &Added {
            id,
            uri: format!("{listener}/rest/1.0/torrents/info/{id}"),
        },
    )
}

/// What stands against an add of `release`.
fn may_add(call: &Call, account: &Account, release: &Release) -> Result<(), VendorError> {
    if !account.state.premium {
        return Err(VendorError(20));
    }
    let settings = &call.settings.realdebrid;
    let refused = settings.refuse_names && names::is_refused(&release.name);
    if refused || release.outcome == Outcome::Infringing {
        return Err(VendorError(35));
    }
    slot_free(call, account)
}

/// Refuses an addition that comes too soon after the one before.
fn apart(call: &Call, account: &mut Account) -> Result<(), VendorError> {
    let apart = i64::from(call.settings.realdebrid.adds_apart_ms);
    let before = account.added_last_ms.replace(call.now_ms);
    let soon = before.is_some_and(|before| call.now_ms - before < apart);
    if soon {
        call.sim.inner.counters.above_limit();
        return Err(VendorError(35));
    }
    Ok(())
}

fn slot_free(call: &Call, account: &Account) -> Result<(), VendorError> {
    let full = account.active().len() >= call.settings.active_limit as usize;
    if full { Err(VendorError(21)) } else { Ok(()) }
}

pub(super) fn add_magnet(call: &Call) -> Result<Answer, VendorError> {
    let magnet = call
        .form("magnet")
        .filter(|magnet| !magnet.is_empty())
        .ok_or(VendorError(1))?;
    let (hash, name) = magnet_parts(&magnet).ok_or(VendorError(30))?;
    call.penalty()?;
    let id = call.with_account(|account| {
        apart(call, account)?;
        let release = account.release(&hash).unwrap_or_else(|| {
            let (name, cached) = (name.as_deref(), call.settings.unknown_hashes_cached);
            let name = name.unwrap_or(&hash);
            Release::made_up(&hash, name, Service::Torrents, cached).into()
        });
        may_add(call, account, &release)?;
        account.remember(release.clone());
        // What the provider has needs no conversion.
        let ready = release.is_cached() && release.outcome != Outcome::MagnetError;
        let mut torrent = Torrent::new(release, call.now_ms);
        if ready {
            torrent.enter(Status::WaitingFilesSelection, call.now_ms);
        } else {
            torrent.name = name.unwrap_or_else(|| "Magnet".to_owned());
        }
        Ok(account.insert(torrent, None))
    })??;
    Ok(added(call, id))
}

pub(super) fn add_torrent(call: &Call) -> Result<Answer, VendorError> {
    let file = bencode::parse(&call.body).ok_or(VendorError(30))?;
    call.penalty()?;
    let id = call.with_account(|account| {
        apart(call, account)?;
        let release = account.release(&file.hash).unwrap_or_else(|| {
            Release::of_torrent(file, call.settings.unknown_hashes_cached).into()
        });
        may_add(call, account, &release)?;
        account.remember(release.clone());
        let mut torrent = Torrent::new(release, call.now_ms);
        torrent.enter(Status::WaitingFilesSelection, call.now_ms);
        Ok(account.insert(torrent, None))
    })??;
    Ok(added(call, id))
}

pub(super) fn select_files(call: &Call) -> Result<Answer, VendorError> {
    let id = argument_id(call)?;
    let wanted = call
        .form("files")
        .filter(|files| !files.is_empty())
        .ok_or(VendorError(1))?;
    call.with_account(|account| {
        let torrent = account.torrent(id).ok_or(VendorError(7))?;
        match torrent.status {
            Status::WaitingFilesSelection => {}
            // No files are known yet, or never will be.
            Status::MagnetConversion | Status::MagnetError => return Err(VendorError(2)),
            _ => return Ok(Answer::empty(202)),
        }
        let count = torrent.release.files.len() as u32;
        let files: Vec<u32> = if wanted.trim() == "all" {
            (0..count).collect()
        } else {
            wanted
                .split(',')
                .map(|number| {
                    number
                        .trim()
                        .parse()
                        .ok()
                        .filter(|n| (1..=count).contains(n))
                        .map(|n: u32| n - 1)
                })
                .collect::<Option<_>>()
                .ok_or(VendorError(2))?
        };
        slot_free(call, account)?;
        account.alter(id, |torrent| {
            torrent.select(files);
            if torrent.release.is_cached() && torrent.release.outcome == Outcome::Downloaded {
                torrent.enter(Status::Downloaded, call.now_ms);
                torrent.ended_ms = Some(call.now_ms);
            } else {
                torrent.enter(Status::Queued, call.now_ms);
            }
        });
        Ok(Answer::empty(204))
    })?
}

pub(super) fn delete(call: &Call) -> Result<Answer, VendorError> {
    let id = argument_id(call)?;
    call.with_account(|account| account.remove(id))?
        .ok_or(VendorError(7))?;
    Ok(Answer::empty(204))
}
