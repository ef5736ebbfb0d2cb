//! What arrs and tools read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::http::StatusCode;
use debridfs_provider::InfoHash;
use serde::Serialize;
use serde_json::{Value, json};

use super::params::selection_of;
use super::view::{self, FileInfo, Properties, TorrentInfo};
use super::{API_VERSION, Answer, Refused, VERSION, json as answer_json, preferences, text};
use crate::params::Params;
use crate::{Acquire, Job, Step};

/// How often a page that shows everything asks again, in milliseconds.
const REFRESH: u32 = 1500;

/// The answer to `call`; `None` when it is not one that reads.
pub(super) fn answer(acquire: &Acquire, call: &str, params: &Params) -> Option<Answer> {
    let plain = |words: String| Ok(text(StatusCode::OK, words));
    Some(match call {
        "app/version" => plain(VERSION.to_owned()),
        "app/webapiVersion" => plain(API_VERSION.to_owned()),
        "app/buildInfo" => Ok(answer_json(&build_info())),
        "app/preferences" => Ok(answer_json(&preferences::of(acquire))),
        "app/defaultSavePath" => plain(acquire.config().downloads.display().to_string()),
        "transfer/info" => Ok(answer_json(&transfer(acquire))),
        "transfer/speedLimitsMode" | "transfer/downloadLimit" | "transfer/uploadLimit" => {
            plain("0".to_owned())
        }
        "sync/maindata" => Ok(answer_json(&main_data(acquire, params))),
        "sync/torrentPeers" => job(acquire, params).map(|_| {
            let peers = json!({ "full_update": true, "peers": {}, "rid": 1, "show_flags": false });
            answer_json(&peers)
        }),
        "torrents/info" => info(acquire, params),
        "torrents/count" => plain(acquire.jobs().len().to_string()),
        "torrents/properties" => {
            job(acquire, params).map(|job| answer_json(&Properties::of(&job, now(acquire))))
        }
        "torrents/files" => job(acquire, params).map(|job| answer_json(&files(&job, params))),
        "torrents/trackers" => job(acquire, params).map(|job| answer_json(&view::trackers(&job))),
        "torrents/webseeds" => job(acquire, params).map(|_| answer_json(&[(); 0])),
        "torrents/pieceStates" => {
            job(acquire, params).map(|job| answer_json(&view::piece_states(&job)))
        }
        // The hashes of pieces are in the torrent, which a magnet does not hold.
        "torrents/pieceHashes" => job(acquire, params).map(|_| answer_json(&[(); 0])),
        "torrents/categories" => Ok(answer_json(&view::categories(acquire))),
        "torrents/tags" => Ok(answer_json(&acquire.tags())),
        "torrents/downloadLimit" | "torrents/uploadLimit" => limits(acquire, params),
        _ => return None,
    })
}

fn now(acquire: &Acquire) -> i64 {
    acquire.config().clock.now().as_second()
}

/// The job that `hash` names, or 404.
fn job(acquire: &Acquire, params: &Params) -> Result<Arc<Job>, Refused> {
    let hash = params.hash()?;
    acquire.job(hash).ok_or_else(Refused::not_found)
}

fn build_info() -> Value {
    json!({
        "bitness": 64,
        "boost": "",
        "libtorrent": "",
        "openssl": "",
        "platform": "linux",
        "qt": "",
        "zlib": "",
    })
}

fn transfer(acquire: &Acquire) -> Value {
    let speed: u64 = acquire.jobs().iter().map(|job| job.live.speed).sum();
    json!({
        "connection_status": "connected",
        "dht_nodes": 0,
        "dl_info_data": 0,
        "dl_info_speed": speed,
        "dl_rate_limit": 0,
        "last_external_address_v4": "",
        "last_external_address_v6": "",
        "up_info_data": 0,
        "up_info_speed": 0,
        "up_rate_limit": 0,
    })
}

/// Places in the queue, from 1, of the jobs that are not done.
fn ranks(jobs: &[Arc<Job>]) -> HashMap<InfoHash, i64> {
    let mut waiting: Vec<&Arc<Job>> = jobs
        .iter()
        .filter(|job| job.step != Step::Complete)
        .collect();
    waiting.sort_by_key(|job| (job.position, job.added));
    (1..)
        .zip(waiting)
        .map(|(rank, job)| (job.hash, rank))
        .collect()
}

fn info(acquire: &Acquire, params: &Params) -> Answer {
    let jobs = acquire.jobs();
    let ranks = ranks(&jobs);
    let now = now(acquire);
    let meant = params
        .get("hashes")
        .filter(|hashes| !hashes.is_empty())
        .map(selection_of);
    let filter = params.get("filter").unwrap_or("all");
    let (category, tag) = (params.get("category"), params.get("tag"));
    let mut found: Vec<TorrentInfo> = jobs
        .iter()
        .filter(|job| meant.as_ref().is_none_or(|meant| meant.holds(&job.hash)))
        .filter(|job| category.is_none_or(|category| job.category == category))
        .filter(|job| {
            tag.is_none_or(|tag| match tag {
                "" => job.tags.is_empty(),
                tag => job.tags.contains(tag),
            })
        })
        .filter(|job| passes(job, filter))
        .map(|job| {
            let rank = ranks.get(&job.hash).copied().unwrap_or(0);
            TorrentInfo::of(job, rank, now)
        })
        .collect();
    if let Some(key) = params.get("sort") {
        sort(&mut found, key);
    }
    if params.flag("reverse") == Some(true) {
        found.reverse();
    }
    let offset: i64 = params.number("offset").unwrap_or(0);
    // A negative offset counts from the end, a limit below one means none.
    let skip = match usize::try_from(offset) {
        Ok(skip) => skip,
        Err(_) => found
            .len()
            .saturating_sub(usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let limit = params.number::<i64>("limit").unwrap_or(0);
    let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
    let page: Vec<&TorrentInfo> = found
        .iter()
        .skip(skip)
        .take(limit.unwrap_or(usize::MAX))
        .collect();
    Ok(answer_json(&page))
}

/// qBittorrent's filters, with the words of 4 and 5; an unknown one lets all pass.
fn passes(job: &Job, filter: &str) -> bool {
    let state = view::state(job);
    let complete = job.step == Step::Complete;
    let stopped = matches!(state, "stoppedDL" | "stoppedUP");
    match filter {
        "downloading" => !complete,
        "seeding" => complete && !stopped,
        "completed" => complete,
        "stopped" | "paused" => stopped,
        "running" | "resumed" => !stopped,
        "active" => matches!(state, "downloading" | "forcedDL" | "moving" | "metaDL"),
        "inactive" => !matches!(state, "downloading" | "forcedDL" | "moving" | "metaDL"),
        "stalled" | "stalled_downloading" => state == "stalledDL",
        "stalled_uploading" | "checking" => false,
        "moving" => state == "moving",
        "errored" => state == "error",
        _ => true,
    }
}

/// By any field; an unknown one changes nothing.
fn sort(found: &mut Vec<TorrentInfo>, key: &str) {
    let mut keyed: Vec<(Value, TorrentInfo)> = found
        .drain(..)
        .map(|info| {
            let fields = serde_json::to_value(&info).unwrap_or_default();
            (fields.get(key).cloned().unwrap_or_default(), info)
        })
        .collect();
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (Value::String(a), Value::String(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => {
            let number = |value: &Value| value.as_f64().unwrap_or(0.0);
            number(a).total_cmp(&number(b))
        }
    });
    found.extend(keyed.into_iter().map(|(_, info)| info));
}

fn files(job: &Job, params: &Params) -> Vec<FileInfo> {
    let files = view::files(job);
    let Some(wanted) = params.get("indexes").filter(|list| !list.is_empty()) else {
        return files;
    };
    let wanted: Vec<usize> = wanted
        .split('|')
        .filter_map(|index| index.trim().parse().ok())
        .collect();
    let numbered = files.into_iter().enumerate();
    numbered
        .filter(|(index, _)| wanted.contains(index))
        .map(|(_, file)| file)
        .collect()
}

fn limits(acquire: &Acquire, params: &Params) -> Answer {
    let meant = params.selection()?;
    let jobs = acquire.jobs();
    let meant = jobs.iter().filter(|job| meant.holds(&job.hash));
    let none: BTreeMap<String, u32> = meant.map(|job| (job.hash.to_string(), 0)).collect();
    Ok(answer_json(&none))
}

/// `sync/maindata`: what changed since the answer whose number the caller shows, or everything.
#[derive(Serialize)]
struct MainData {
    categories: BTreeMap<String, view::Category>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories_removed: Vec<String>,
    full_update: bool,
    rid: u64,
    server_state: Value,
    tags: Vec<String>,
    torrents: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    torrents_removed: Vec<String>,
    trackers: BTreeMap<String, Vec<String>>,
}

fn main_data(acquire: &Acquire, params: &Params) -> MainData {
    // Read before the jobs: what changes in between is told twice rather than never.
    let rid = acquire.revision();
    let since: u64 = params.number("rid").unwrap_or(0);
    let gone = acquire.gone_since(since);
    let jobs = acquire.jobs();
    let ranks = ranks(&jobs);
    let now = now(acquire);
    let mut trackers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut torrents = BTreeMap::new();
    for job in &jobs {
        for tracker in &job.trackers {
            let hashes = trackers.entry(tracker.clone()).or_default();
            hashes.push(job.hash.to_string());
        }
        if gone.is_some() && job.live.revision <= since {
            continue;
        }
        let rank = ranks.get(&job.hash).copied().unwrap_or(0);
        let info = TorrentInfo::of(job, rank, now);
        let hash = info.hash.clone();
        let mut fields = serde_json::to_value(info).unwrap_or_default();
        if let Some(fields) = fields.as_object_mut() {
            fields.remove("hash");
        }
        torrents.insert(hash, fields);
    }
    MainData {
        categories: view::categories(acquire),
        categories_removed: Vec::new(),
        full_update: gone.is_none(),
        rid,
        server_state: server_state(acquire),
        tags: acquire.tags().into_iter().collect(),
        torrents,
        torrents_removed: gone
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect(),
        trackers,
    }
}

fn server_state(acquire: &Acquire) -> Value {
    let mut state = transfer(acquire);
    let more = json!({
        "alltime_dl": 0,
        "alltime_ul": 0,
        "average_time_queue": 0,
        "free_space_on_disk": acquire.space().free,
        "global_ratio": "-",
        "queued_io_jobs": 0,
        "queueing": true,
        "read_cache_hits": "0",
        "read_cache_overload": "0",
        "refresh_interval": REFRESH,
        "total_buffers_size": 0,
        "total_peer_connections": 0,
        "total_queued_size": 0,
        "total_wasted_session": 0,
        "use_alt_speed_limits": false,
        "use_subcategories": false,
        "write_cache_overload": "0",
    });
    if let (Some(state), Value::Object(more)) = (state.as_object_mut(), more) {
        state.extend(more);
    }
    state
}
