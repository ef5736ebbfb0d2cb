//! How a job looks to callers: every field that qBittorrent 4.5 and 5.1 have, with what is true of a release that is never shared.

use std::collections::BTreeMap;
use std::path::Path;

use debridfs_base::total;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Acquire, Job, JobFile, Step};

/// "Unknown", in seconds.
const NO_ETA: i64 = 8_640_000;
/// Larger than any part a provider knows of: one piece for each part of a file that has none.
const PIECE: u64 = 4 << 20;
/// Pieces of a job beyond one for each file: what is larger than half a TiB has larger pieces.
const MOST_PIECES: u64 = 1 << 17;

/// A torrent of `torrents/info` and `sync/maindata`, but what changes although its job does not: its hash, place and times are in `cards`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TorrentInfo {
    pub(super) added_on: i64,
    amount_left: u64,
    auto_tmm: bool,
    availability: f64,
    pub(super) category: String,
    comment: &'static str,
    completed: u64,
    completion_on: i64,
    content_path: String,
    dl_limit: i64,
    dlspeed: u64,
    download_path: &'static str,
    downloaded: u64,
    downloaded_session: u64,
    eta: i64,
    f_l_piece_prio: bool,
    force_start: bool,
    has_metadata: bool,
    inactive_seeding_time_limit: i64,
    infohash_v1: String,
    infohash_v2: &'static str,
    last_activity: i64,
    magnet_uri: String,
    max_inactive_seeding_time: i64,
    max_ratio: f64,
    max_seeding_time: i64,
    name: String,
    num_complete: i64,
    num_incomplete: i64,
    num_leechs: i64,
    num_seeds: i64,
    popularity: f64,
    private: bool,
    progress: f64,
    ratio: f64,
    ratio_limit: f64,
    reannounce: i64,
    root_path: String,
    save_path: String,
    seeding_time_limit: i64,
    seen_complete: i64,
    seq_dl: bool,
    size: u64,
    pub(super) state: &'static str,
    super_seeding: bool,
    tags: String,
    total_size: i64,
    tracker: String,
    trackers_count: usize,
    up_limit: i64,
    uploaded: u64,
    uploaded_session: u64,
    upspeed: i64,
}

impl TorrentInfo {
    pub(super) fn of(job: &Job) -> Self {
        let size = job.bytes();
        let progress = job.progress();
        let completed = (size as f64 * progress) as u64;
        let all = all_bytes(job);
        let content = shown(&job.content_path());
        Self {
            added_on: job.added.as_second(),
            amount_left: size.saturating_sub(completed),
            auto_tmm: false,
            availability: progress,
            category: job.category.clone(),
            comment: "",
            completed,
            completion_on: job.completed.map_or(0, |at| at.as_second()),
            root_path: content.clone(),
            content_path: content,
            dl_limit: 0,
            dlspeed: job.live.speed,
            download_path: "",
            downloaded: completed,
            downloaded_session: completed,
            eta: eta(job),
            f_l_piece_prio: job.first_last,
            force_start: job.forced,
            has_metadata: !job.files.is_empty(),
            inactive_seeding_time_limit: job.limits.inactive_seeding_time,
            infohash_v1: job.hash.to_string(),
            infohash_v2: "",
            last_activity: job.changed.as_second(),
            magnet_uri: magnet(job),
            max_inactive_seeding_time: -1,
            max_ratio: effective_ratio(job),
            max_seeding_time: -1,
            name: job.name.clone(),
            num_complete: 0,
            num_incomplete: 0,
            num_leechs: 0,
            num_seeds: 0,
            popularity: 0.0,
            private: false,
            progress,
            ratio: ratio(job),
            ratio_limit: job.limits.ratio,
            reannounce: 0,
            save_path: shown(&job.folder()),
            seeding_time_limit: job.limits.seeding_time,
            seen_complete: job.completed.map_or(0, |at| at.as_second()),
            seq_dl: job.sequential,
            size,
            state: state(job),
            super_seeding: false,
            tags: job.tags.iter().cloned().collect::<Vec<_>>().join(", "),
            total_size: match job.files.is_empty() {
                true => -1,
                false => i64::try_from(all).unwrap_or(i64::MAX),
            },
            tracker: job.trackers.first().cloned().unwrap_or_default(),
            trackers_count: job.trackers.len(),
            up_limit: 0,
            uploaded: 0,
            uploaded_session: 0,
            upspeed: 0,
        }
    }
}

/// The ratio after which an arr may remove a job that set no limit of its own: the preferences' `max_ratio`.
pub(super) const GLOBAL_RATIO: f64 = 1.0;

/// Seconds until it is done, as far as anybody can tell.
fn eta(job: &Job) -> i64 {
    let left = job.seconds_left().and_then(|left| i64::try_from(left).ok());
    left.map_or(NO_ETA, |left| left.min(NO_ETA))
}

fn effective_ratio(job: &Job) -> f64 {
    match job.limits.ratio {
        ratio if ratio <= -2.0 => GLOBAL_RATIO,
        ratio => ratio,
    }
}

/// Nothing is shared, so whatever was to be reached is reached once the job is complete.
fn ratio(job: &Job) -> f64 {
    match job.step {
        Step::Complete => effective_ratio(job).max(GLOBAL_RATIO),
        _ => 0.0,
    }
}

/// Seconds since it is complete; `now` is Unix time.
pub(super) fn seeding_time(job: &Job, now: i64) -> i64 {
    let since = job.completed.filter(|_| job.step == Step::Complete);
    since.map_or(0, |at| now.saturating_sub(at.as_second()).max(0))
}

/// Seconds since it was added; `now` is Unix time.
pub(super) fn time_active(job: &Job, now: i64) -> i64 {
    now.saturating_sub(job.added.as_second()).max(0)
}

/// qBittorrent's word for where a job is.
pub(super) fn state(job: &Job) -> &'static str {
    if job.step == Step::Failed {
        return "error";
    }
    if job.step == Step::Complete {
        return "stoppedUP";
    }
    if !job.is_active() {
        return "stoppedDL";
    }
    if job.live.trouble.is_some() {
        return "stalledDL";
    }
    let under_way = if job.forced {
        "forcedDL"
    } else {
        "downloading"
    };
    match job.step {
        Step::Waiting if job.files.is_empty() => "metaDL",
        Step::Waiting => under_way,
        Step::Probed if job.is_fetching() => under_way,
        Step::Ready | Step::Probed => "moving",
        Step::Placed | Step::Complete | Step::Failed => "queuedDL",
    }
}

fn magnet(job: &Job) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("dn", &job.name);
    for tracker in &job.trackers {
        query.append_pair("tr", tracker);
    }
    format!("magnet:?xt=urn:btih:{}&{}", job.hash, query.finish())
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// `torrents/properties`.
#[derive(Debug, Serialize)]
pub(super) struct Properties {
    addition_date: i64,
    comment: String,
    completion_date: i64,
    created_by: &'static str,
    creation_date: i64,
    dl_limit: i64,
    dl_speed: u64,
    dl_speed_avg: i64,
    download_path: &'static str,
    eta: i64,
    has_metadata: bool,
    hash: String,
    infohash_v1: String,
    infohash_v2: &'static str,
    is_private: bool,
    last_seen: i64,
    name: String,
    nb_connections: i64,
    nb_connections_limit: i64,
    peers: i64,
    peers_total: i64,
    piece_size: u64,
    pieces_have: u64,
    pieces_num: u64,
    popularity: f64,
    private: bool,
    reannounce: i64,
    save_path: String,
    seeding_time: i64,
    seeds: i64,
    seeds_total: i64,
    share_ratio: f64,
    time_elapsed: i64,
    total_downloaded: u64,
    total_downloaded_session: u64,
    total_size: i64,
    total_uploaded: u64,
    total_uploaded_session: u64,
    total_wasted: u64,
    up_limit: i64,
    up_speed: i64,
    up_speed_avg: i64,
}

impl Properties {
    pub(super) fn of(job: &Job, now: i64) -> Self {
        let info = TorrentInfo::of(job);
        let size = piece_size(job);
        let pieces = pieces(job, size);
        Self {
            addition_date: info.added_on,
            // The only place where people look for words.
            comment: job.words().unwrap_or_default(),
            completion_date: job.completed.map_or(-1, |at| at.as_second()),
            created_by: "",
            creation_date: -1,
            dl_limit: -1,
            dl_speed: job.live.speed,
            dl_speed_avg: 0,
            download_path: "",
            eta: info.eta,
            has_metadata: info.has_metadata,
            infohash_v1: info.infohash_v1,
            infohash_v2: "",
            hash: job.hash.to_string(),
            is_private: false,
            last_seen: job.completed.map_or(-1, |at| at.as_second()),
            name: info.name,
            nb_connections: 0,
            nb_connections_limit: 0,
            peers: 0,
            peers_total: 0,
            piece_size: size,
            pieces_have: (pieces as f64 * info.progress) as u64,
            pieces_num: pieces,
            popularity: 0.0,
            private: false,
            reannounce: 0,
            save_path: info.save_path,
            seeding_time: seeding_time(job, now),
            seeds: 0,
            seeds_total: 0,
            share_ratio: info.ratio,
            time_elapsed: time_active(job, now),
            total_downloaded: info.completed,
            total_downloaded_session: info.completed,
            total_size: info.total_size,
            total_uploaded: 0,
            total_uploaded_session: 0,
            total_wasted: 0,
            up_limit: -1,
            up_speed: 0,
            up_speed_avg: 0,
        }
    }
}

fn all_bytes(job: &Job) -> u64 {
    total(job.files.iter().map(|file| file.bytes))
}

/// Bytes of a piece of `job`.
fn piece_size(job: &Job) -> u64 {
    let all: u128 = job.files.iter().map(|file| u128::from(file.bytes)).sum();
    let most = u128::from(PIECE * MOST_PIECES);
    let size = u128::from(PIECE) * (all / most + 1).next_power_of_two();
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// Pieces of `job` when each has `size` bytes.
fn pieces(job: &Job, size: u64) -> u64 {
    total(job.files.iter().map(|file| pieces_of(file, size)))
}

fn pieces_of(file: &JobFile, size: u64) -> u64 {
    file.bytes.div_ceil(size).max(1)
}

/// A file of `torrents/files`.
#[derive(Debug, Serialize)]
pub(super) struct FileInfo {
    availability: f64,
    index: usize,
    is_seed: bool,
    name: String,
    piece_range: [u64; 2],
    priority: u8,
    progress: f64,
    size: u64,
}

/// The files of `job`, below the name of its directory.
pub(super) fn files(job: &Job) -> Vec<FileInfo> {
    let content = job.content_path();
    let directory = content.file_name().unwrap_or_default().to_string_lossy();
    let (progress, size) = (job.progress(), piece_size(job));
    let mut piece = 0;
    (0..)
        .zip(&job.files)
        .map(|(index, file)| {
            let first = piece;
            piece += pieces_of(file, size);
            FileInfo {
                availability: progress,
                index,
                is_seed: job.step == Step::Complete,
                name: format!("{directory}/{}", file.path),
                piece_range: [first, piece - 1],
                priority: u8::from(file.wanted),
                progress: if file.wanted { progress } else { 0.0 },
                size: file.bytes,
            }
        })
        .collect()
}

/// `torrents/pieceStates`: 2 = there, 0 = not.
pub(super) fn piece_states(job: &Job) -> Vec<u8> {
    let pieces = pieces(job, piece_size(job));
    let have = (pieces as f64 * job.progress()) as u64;
    (0..pieces)
        .map(|piece| if piece < have { 2 } else { 0 })
        .collect()
}

/// A tracker of `torrents/trackers`.
#[derive(Debug, Serialize)]
pub(super) struct Tracker {
    msg: &'static str,
    num_downloaded: i64,
    num_leeches: i64,
    num_peers: i64,
    num_seeds: i64,
    status: u8,
    tier: i64,
    url: String,
}

/// The three that every torrent has, and those of the job. These "work" (2): there is nothing to ask them, and tools
/// announce anew and in the end delete what has none that does.
pub(super) fn trackers(job: &Job) -> Vec<Tracker> {
    // As the preferences have them: on, off, off.
    let own = [("DHT", 2), ("PeX", 0), ("LSD", 0)];
    let own = own.map(|(name, status)| Tracker::of(&format!("** [{name}] **"), -1, status));
    own.into_iter().chain(told_trackers(job)).collect()
}

/// Those of the job alone.
pub(super) fn told_trackers(job: &Job) -> Vec<Tracker> {
    let told = (0..).zip(&job.trackers);
    told.map(|(tier, url)| Tracker::of(url, tier, 2)).collect()
}

impl Tracker {
    fn of(url: &str, tier: i64, status: u8) -> Self {
        Self {
            msg: "",
            num_downloaded: 0,
            num_leeches: 0,
            num_peers: 0,
            num_seeds: 0,
            status,
            tier,
            url: url.to_owned(),
        }
    }
}

/// A category of `torrents/categories`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Category {
    name: String,
    save_path: String,
}

/// Categories with the folders their jobs lie in, so that an arr checks a path that is there.
pub(super) fn categories(acquire: &Acquire) -> BTreeMap<String, Category> {
    acquire
        .categories()
        .into_keys()
        .map(|name| {
            let save_path = shown(&acquire.folder(&name));
            (name.clone(), Category { name, save_path })
        })
        .collect()
}

/// The present time as qBittorrent tells times, in seconds.
pub(super) fn now(acquire: &Acquire) -> i64 {
    acquire.config().clock.now().as_second()
}

/// What `transfer/info` tells, and the list beside its jobs.
pub(super) fn transfer(acquire: &Acquire) -> Value {
    let speed = total(acquire.jobs().iter().map(|job| job.live.speed));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn job(sizes: &[u64]) -> Job {
        let files = (0..).zip(sizes).map(
            |(number, bytes)| json!({ "path": format!("{number}.mkv"), "bytes": bytes, "wanted": true }),
        );
        let job = json!({
            "hash": format!("{:040x}", 1), "name": "Name", "category": "tv",
            "added": "2026-01-01T00:00:00Z", "changed": "2026-01-01T00:00:00Z", "step": "complete",
            "save_path": "/downloads/tv", "action": "symlink", "uncached": "wait",
            "files": files.collect::<Vec<_>>(),
        });
        serde_json::from_value(job).unwrap()
    }

    #[test]
    fn sizes_of_strangers_make_no_lists_of_their_length() {
        let huge = job(&[u64::MAX, u64::MAX, 0]);
        assert_eq!(huge.bytes(), u64::MAX);
        let states = piece_states(&huge);
        assert!(states.len() as u64 <= MOST_PIECES + 3, "{}", states.len());
        let last = files(&huge).pop().unwrap().piece_range[1];
        assert_eq!(last + 1, states.len() as u64);
        assert!(TorrentInfo::of(&huge).total_size > 0);
        // Others have pieces as before.
        let usual = job(&[9 << 20, 1]);
        assert_eq!((piece_size(&usual), piece_states(&usual).len()), (PIECE, 4));
    }
}
