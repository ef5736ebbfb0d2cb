//! Lists of torrents: `torrents/info` and `sync/maindata`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use debridfs_provider::InfoHash;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Value, json};

use super::cards::Cards;
use super::params::selection_of;
use super::view::{self, now, transfer};
use crate::params::Params;
use crate::{Acquire, Job, JobId, Selection, Step};

/// How often a page that shows everything asks again, in milliseconds.
const REFRESH: u32 = 1500;

pub(super) fn answer(json: String) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], json).into_response()
}

/// Places in the queue, from 1, of the jobs that are not done.
fn ranks(jobs: &[Arc<Job>]) -> HashMap<JobId, i64> {
    let mut waiting: Vec<&Arc<Job>> = jobs
        .iter()
        .filter(|job| job.step != Step::Complete)
        .collect();
    waiting.sort_by_key(|job| (job.position, job.added));
    (1..)
        .zip(waiting)
        .map(|(rank, job)| (job.id(), rank))
        .collect()
}

/// `torrents/info`.
pub(super) fn info(acquire: &Acquire, cards: &Cards, params: &Params) -> Response {
    let jobs = acquire.jobs();
    cards.forget_others(&jobs);
    let ranks = ranks(&jobs);
    let now = now(acquire);
    let with_trackers = params.flag("includeTrackers") == Some(true);
    let write = |text: &mut String, job: &Job| {
        let rank = ranks.get(&job.id()).copied().unwrap_or(0);
        cards.write(text, job, rank, now);
        if with_trackers {
            // Texts and numbers can always be written.
            let trackers = serde_json::to_string(&view::told_trackers(job)).unwrap_or_default();
            text.truncate(text.len() - 1);
            text.push_str(",\"trackers\":");
            text.push_str(&trackers);
            text.push('}');
        }
    };
    let named = params.get("hashes").filter(|hashes| !hashes.is_empty());
    let meant: Option<HashSet<InfoHash>> = match named.map(selection_of) {
        None | Some(Selection::All) => None,
        Some(Selection::Some(hashes) | Selection::Seen(hashes, _)) => {
            Some(hashes.into_iter().collect())
        }
        Some(Selection::Of(ids)) => Some(ids.into_iter().map(|id| id.hash).collect()),
    };
    let filter = params.get("filter").unwrap_or("all");
    // Nothing is private here.
    let private = params.flag("private") == Some(true);
    let (category, tag) = (params.get("category"), params.get("tag"));
    let mut found: Vec<&Arc<Job>> = jobs
        .iter()
        .filter(|job| meant.as_ref().is_none_or(|meant| meant.contains(&job.hash)))
        .filter(|job| params.viewer.sees(job))
        .filter(|job| category.is_none_or(|category| job.category == category))
        .filter(|job| {
            tag.is_none_or(|tag| match tag {
                "" => job.tags.is_empty(),
                tag => job.tags.contains(tag),
            })
        })
        .filter(|job| !private && passes(job, filter))
        .collect();
    if let Some(key) = params.get("sort") {
        let mut text = String::new();
        let mut keyed: Vec<(Value, &Arc<Job>)> = Vec::new();
        for job in found {
            text.clear();
            write(&mut text, job);
            keyed.push((Field(key).of(&text), job));
        }
        keyed.sort_by(|(a, _), (b, _)| in_order(a, b));
        found = keyed.into_iter().map(|(_, job)| job).collect();
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
    let mut text = "[".to_owned();
    for job in found.iter().skip(skip).take(limit.unwrap_or(usize::MAX)) {
        if text.len() > 1 {
            text.push(',');
        }
        write(&mut text, job);
    }
    text.push(']');
    answer(text)
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

/// One key of a JSON object; what else is in it is passed over.
struct Field<'a>(&'a str);

impl Field<'_> {
    /// Its value in `object`; null when it has none.
    fn of(self, object: &str) -> Value {
        let mut read = serde_json::Deserializer::from_str(object);
        self.deserialize(&mut read).unwrap_or_default()
    }
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut found = Value::Null;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == self.0 {
                found = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

fn in_order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => {
            let number = |value: &Value| value.as_f64().unwrap_or(0.0);
            number(a).total_cmp(&number(b))
        }
    }
}

/// `sync/maindata` but its torrents: what changed since the answer whose number the caller shows, or everything.
#[derive(Serialize)]
struct MainData {
    categories: BTreeMap<String, view::Category>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories_removed: Vec<String>,
    full_update: bool,
    rid: u64,
    server_state: Value,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    torrents_removed: Vec<String>,
    trackers: BTreeMap<String, Vec<String>>,
}

/// `sync/maindata`.
pub(super) fn main_data(acquire: &Acquire, cards: &Cards, params: &Params) -> Response {
    // Read before the jobs: what changes in between is told twice rather than never.
    let rid = acquire.revision();
    let since: u64 = params.number("rid").unwrap_or(0);
    let gone = acquire.gone_since(since);
    let jobs = acquire.jobs();
    cards.forget_others(&jobs);
    let ranks = ranks(&jobs);
    let now = now(acquire);
    let mut trackers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut text = "{\"torrents\":{".to_owned();
    let begin = text.len();
    // Torrents are by their hash here: of several requests of a release it is the first one that shows.
    let mut shown: HashSet<InfoHash> = HashSet::new();
    let seen = jobs.iter().filter(|job| params.viewer.sees(job));
    let mut by_number: Vec<&Arc<Job>> = seen.collect();
    by_number.sort_by_key(|job| job.nth);
    for job in by_number.into_iter().filter(|job| shown.insert(job.hash)) {
        let hash = job.hash.to_string();
        for tracker in &job.trackers {
            let hashes = trackers.entry(tracker.clone()).or_default();
            hashes.push(hash.clone());
        }
        if gone.is_some() && job.live.revision <= since {
            continue;
        }
        if text.len() > begin {
            text.push(',');
        }
        text.push('"');
        text.push_str(&hash);
        text.push_str("\":");
        let rank = ranks.get(&job.id()).copied().unwrap_or(0);
        cards.write(&mut text, job, rank, now);
    }
    let rest = MainData {
        categories: view::categories(acquire),
        categories_removed: Vec::new(),
        full_update: gone.is_none(),
        rid,
        server_state: server_state(acquire),
        tags: acquire.tags().into_iter().collect(),
        torrents_removed: gone
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect(),
        trackers,
    };
    // A struct of texts and numbers can always be written.
    let rest = serde_json::to_string(&rest).unwrap_or_default();
    text.push_str("},");
    text.push_str(rest.strip_prefix('{').unwrap_or_default());
    answer(text)
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
