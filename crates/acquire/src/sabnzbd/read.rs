//! What arrs and tools read: the queue is what is under way, the history what is settled.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use debridfs_base::total;
use serde::Serialize;
use serde_json::{Value, json};

use super::Said;
use crate::params::Params;
use crate::space::Space;
use crate::{Acquire, Job, JobFile, Step};

/// Entries of the history when no limit is asked for, as in SABnzbd.
const HISTORY: usize = 60;
const MIB: f64 = (1 << 20) as f64;
const GIB: f64 = (1 << 30) as f64;

/// The answer to `mode`; `None` when it is not one that only reads.
pub(super) fn answer(acquire: &Acquire, mode: &str, params: &Params) -> Option<Said> {
    // The same word with a name changes something.
    let changes = params.get("name").is_some_and(|name| !name.is_empty());
    if mode == "queue" && !changes {
        return Some(Said::Written(queue(acquire, params)));
    }
    Some(Said::Value(match mode {
        "history" if !changes => alone("history", history(acquire, params)),
        "get_files" => match params.get("value").unwrap_or_default() {
            "" => json!({ "status": false, "error": "expects one parameter" }),
            id => json!({ "files": files(acquire, id) }),
        },
        "get_config" => json!({ "config": config(acquire) }),
        "fullstatus" | "status" if !changes => json!({ "status": status(acquire) }),
        "get_cats" => {
            let mut names = vec!["*".to_owned()];
            names.extend(acquire.categories().into_keys());
            json!({ "categories": names })
        }
        "get_scripts" => json!({ "scripts": ["None"] }),
        "warnings" if !changes => json!({ "warnings": [] }),
        "server_stats" => {
            json!({ "total": 0, "month": 0, "week": 0, "day": 0, "servers": {} })
        }
        _ => return None,
    }))
}

/// An object of one field, which is moved there: it may be large.
fn alone(name: &str, value: Value) -> Value {
    Value::Object([(name.to_owned(), value)].into_iter().collect())
}

/// The id of a job: what an arr calls the same grab.
pub(super) fn id(job: &Job) -> String {
    job.hash.to_string().to_uppercase()
}

/// `text` as SABnzbd writes a category: `*` is none.
fn category(job: &Job) -> &str {
    match job.category.as_str() {
        "" => "*",
        name => name,
    }
}

/// Jobs that `params` asks for among those that `wanted` lets pass.
fn asked_for(acquire: &Acquire, params: &Params, wanted: impl Fn(&Job) -> bool) -> Vec<Arc<Job>> {
    let get = |name| {
        params
            .get(name)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    let every = |cat: &str| matches!(cat.trim(), "*" | "all");
    let cat = get("category")
        .or_else(|| get("cat"))
        .filter(|cat| !cat.split(',').any(every));
    let statuses = get("status");
    let search = get("search").map(str::to_lowercase);
    let ids = get("nzo_ids").map(str::to_uppercase);
    let mut jobs = acquire.jobs();
    jobs.retain(|job| {
        wanted(job)
            && cat.is_none_or(|cat| cat.split(',').any(|cat| cat.trim() == category(job)))
            && statuses.is_none_or(|list| list.split(',').any(|one| one.trim() == word(job)))
            && search
                .as_ref()
                .is_none_or(|text| job.name.to_lowercase().contains(text))
            && ids
                .as_ref()
                .is_none_or(|ids| ids.split(',').any(|one| one == id(job)))
    });
    jobs
}

/// One page; a limit of 0 means all.
fn page(jobs: &[Arc<Job>], params: &Params, usual: usize) -> impl Iterator<Item = Arc<Job>> {
    let limit = match params.number("limit").unwrap_or(usual) {
        0 => usize::MAX,
        limit => limit,
    };
    let start = params.number("start").unwrap_or(0);
    jobs.iter()
        .skip(start)
        .take(limit)
        .cloned()
        .collect::<Vec<_>>()
        .into_iter()
}

/// The queue, and what is true of all of it.
#[derive(Serialize)]
struct Queue<'a> {
    #[serde(flatten)]
    totals: Value,
    slots: Vec<Slot<'a>>,
}

fn queue(acquire: &Acquire, params: &Params) -> String {
    let mut jobs = asked_for(acquire, params, |job| !is_over(job));
    jobs.sort_by_key(|job| (job.position, job.added));
    let start: usize = params.number("start").unwrap_or(0);
    let shown: Vec<Arc<Job>> = page(&jobs, params, 0).collect();
    let numbered = (start..).zip(&shown);
    let slots: Vec<Slot<'_>> = numbered.map(|(index, job)| Slot::of(index, job)).collect();
    let bytes = total(jobs.iter().map(|job| job.bytes()));
    let left = total(jobs.iter().map(|job| left_of(job)));
    let speed = total(jobs.iter().map(|job| job.live.speed));
    let Space { free, total } = acquire.space();
    let totals = json!({
        "version": super::VERSION,
        "paused": false,
        "paused_all": false,
        "pause_int": "0",
        "status": if speed > 0 { "Downloading" } else { "Idle" },
        "diskspace1": decimals(free, GIB),
        "diskspace2": decimals(free, GIB),
        "diskspacetotal1": decimals(total, GIB),
        "diskspacetotal2": decimals(total, GIB),
        "diskspace1_norm": human(free),
        "diskspace2_norm": human(free),
        "speedlimit": "100",
        // A number for callers that read one; SABnzbd says nothing where there is no limit, or 0.
        "speedlimit_abs": "0",
        "have_warnings": "0",
        "finishaction": null,
        "quota": "0 ",
        "have_quota": false,
        "left_quota": "0 ",
        "cache_art": "0",
        "cache_size": "0 B",
        "speed": human(speed),
        "kbpersec": decimals(speed, 1024.0),
        "mb": decimals(bytes, MIB),
        "mbleft": decimals(left, MIB),
        "size": human(bytes),
        "sizeleft": human(left),
        "timeleft": time_left(left, speed),
        "noofslots": jobs.len(),
        "noofslots_total": jobs.len(),
        "start": start,
        "limit": params.number::<usize>("limit").unwrap_or(0),
        "finish": start + slots.len(),
    });
    let said = BTreeMap::from([("queue", Queue { totals, slots })]);
    // Texts and numbers can always be written.
    serde_json::to_string(&said).unwrap_or_default()
}

/// An entry of the queue. A struct and no [`Value`], as there may be ten thousand.
#[derive(Serialize)]
struct Slot<'a> {
    index: usize,
    nzo_id: String,
    filename: &'a str,
    cat: &'a str,
    status: &'static str,
    priority: &'static str,
    mb: String,
    mbleft: String,
    mbmissing: &'static str,
    size: String,
    sizeleft: String,
    percentage: String,
    timeleft: String,
    script: &'static str,
    unpackopts: &'static str,
    password: &'static str,
    avg_age: &'static str,
    time_added: i64,
    direct_unpack: Option<&'static str>,
    /// Where people look for words.
    labels: Vec<String>,
}

impl<'a> Slot<'a> {
    fn of(index: usize, job: &'a Job) -> Self {
        let left = left_of(job);
        Self {
            index,
            nzo_id: id(job),
            filename: &job.name,
            cat: category(job),
            status: word(job),
            priority: if job.forced { "Force" } else { "Normal" },
            mb: decimals(job.bytes(), MIB),
            mbleft: decimals(left, MIB),
            mbmissing: "0.00",
            size: human(job.bytes()),
            sizeleft: human(left),
            percentage: format!("{:.0}", (job.progress() * 100.0).floor()),
            timeleft: time_left(left, job.live.speed),
            script: "None",
            unpackopts: "3",
            password: "",
            avg_age: "0d",
            time_added: job.added.as_second(),
            direct_unpack: None,
            labels: job.words().into_iter().collect(),
        }
    }
}

/// Whether the history has it rather than the queue. What is blocked stays in the queue, as arrs blocklist what failed in
/// the history and search again.
pub(super) fn is_over(job: &Job) -> bool {
    job.step.is_settled() && !job.blocked
}

/// SABnzbd's word for where a job is.
fn word(job: &Job) -> &'static str {
    match job.step {
        Step::Complete => "Completed",
        // An arr blocklists what is failed.
        Step::Failed if job.blocked => "Paused",
        Step::Failed => "Failed",
        _ if !job.is_active() => "Paused",
        Step::Placed => "Queued",
        Step::Waiting if job.files.is_empty() => "Grabbing",
        Step::Waiting => "Downloading",
        Step::Ready => "Checking",
        Step::Probed if job.is_fetching() => "Downloading",
        Step::Probed => "Moving",
    }
}

fn left_of(job: &Job) -> u64 {
    job.bytes()
        .saturating_sub((job.bytes() as f64 * job.progress()) as u64)
}

/// The files of a job; none of one that is not there.
fn files(acquire: &Acquire, id: &str) -> Vec<Value> {
    let job = super::change::hash(id).and_then(|hash| acquire.job(hash));
    let Some(job) = job else {
        return Vec::new();
    };
    let wanted = job.files.iter().filter(|file| file.wanted);
    let tell = |file: &JobFile| {
        let left = (file.bytes as f64 * (1.0 - job.progress())) as u64;
        json!({
            "filename": file.path,
            "mb": decimals(file.bytes, MIB),
            "mbleft": decimals(left, MIB),
            "bytes": format!("{}.00", file.bytes),
            "age": "0d",
            "nzf_id": format!("{}/{}", self::id(&job), file.path),
            "status": if left == 0 { "finished" } else { "active" },
        })
    };
    wanted.map(tell).collect()
}

fn history(acquire: &Acquire, params: &Params) -> Value {
    // Read before the jobs: what changes in between is told twice rather than never.
    let revision = acquire.revision();
    if params.number("last_history_update") == Some(revision) {
        return Value::Bool(false);
    }
    let failed_only = params.flag("failed_only") == Some(true);
    let mut jobs = asked_for(acquire, params, |job| match job.step {
        Step::Complete => !failed_only,
        _ => is_over(job),
    });
    jobs.sort_by_key(|job| std::cmp::Reverse((job.changed, job.hash)));
    let slots: Vec<Value> = page(&jobs, params, HISTORY)
        .map(|job| settled(&job))
        .collect();
    let bytes = total(jobs.iter().map(|job| job.bytes()));
    let mut said = json!({
        "version": super::VERSION,
        "noofslots": jobs.len(),
        "ppslots": 0,
        "total_size": human(bytes),
        "month_size": human(bytes),
        "week_size": human(bytes),
        "day_size": human(bytes),
        "last_history_update": revision,
    });
    // Not in the macro, which would copy each of them.
    said["slots"] = slots.into();
    said
}

fn settled(job: &Job) -> Value {
    let complete = job.step == Step::Complete;
    let storage = match complete {
        true => job.content_path().display().to_string(),
        false => String::new(),
    };
    let ended = job.completed.unwrap_or(job.changed);
    let took = ended
        .as_second()
        .saturating_sub(job.added.as_second())
        .max(0);
    json!({
        "nzo_id": id(job),
        "name": title(job),
        "nzb_name": format!("{}.nzb", title(job)),
        "category": category(job),
        "status": word(job),
        "fail_message": job.reason.clone().filter(|_| !complete).unwrap_or_default(),
        "storage": storage,
        "path": storage,
        "bytes": job.bytes(),
        "downloaded": job.bytes(),
        "size": human(job.bytes()),
        "download_time": took,
        "postproc_time": 0,
        "completed": ended.as_second(),
        "time_added": job.added.as_second(),
        "action_line": "",
        "archive": false,
        "duplicate_key": "",
        "has_rating": false,
        "loaded": false,
        "md5sum": "",
        "meta": null,
        "password": null,
        "pp": "D",
        "report": "",
        "retry": u8::from(!complete),
        "script": "None",
        "script_line": "",
        "script_log": "",
        "stage_log": [],
        "url": "",
        "url_info": "",
    })
}

/// The name of a settled job. An arr takes the directory above `storage` that is called so for what it imports, so a job that is
/// called like one of these goes by the name of its own directory.
fn title(job: &Job) -> String {
    let content = job.content_path();
    let above = content.ancestors().skip(1);
    let mut names = above.filter_map(Path::file_name);
    match content.file_name() {
        Some(own) if names.any(|name| *name == *job.name) => own.to_string_lossy().into_owned(),
        _ => job.name.clone(),
    }
}

fn config(acquire: &Acquire) -> Value {
    let downloads = &acquire.config().downloads;
    let entry = |name: &str, dir: String, order: usize| {
        json!({
            "name": name,
            "order": order,
            "pp": "3",
            "script": "None",
            "dir": dir,
            "newzbin": "",
            "priority": 0,
        })
    };
    let mut categories = vec![entry("*", String::new(), 0)];
    for (order, name) in (1..).zip(acquire.categories().into_keys()) {
        let folder = acquire.folder(&name);
        // Joined to complete_dir by the arr, which an absolute one overrides.
        let dir = folder.strip_prefix(downloads).unwrap_or(&folder);
        categories.push(entry(&name, dir.display().to_string(), order));
    }
    json!({
        "misc": {
            "complete_dir": downloads,
            "download_dir": downloads,
            "enable_tv_sorting": false,
            "tv_categories": [],
            "enable_movie_sorting": false,
            "movie_categories": [],
            "enable_date_sorting": false,
            "date_categories": [],
            "pre_check": false,
            // Nothing leaves the history by itself.
            "history_retention": "",
            "history_retention_option": "all",
            "history_retention_number": 0,
        },
        "categories": categories,
        "servers": [],
        "sorters": [],
    })
}

fn status(acquire: &Acquire) -> Value {
    let downloads = &acquire.config().downloads;
    let Space { free, total } = acquire.space();
    json!({
        "version": super::VERSION,
        "completedir": downloads,
        "downloaddir": downloads,
        "diskspace1": decimals(free, GIB),
        "diskspace2": decimals(free, GIB),
        "diskspacetotal1": decimals(total, GIB),
        "diskspacetotal2": decimals(total, GIB),
        "paused": false,
        "servers": [],
        "warnings": [],
    })
}

fn decimals(bytes: u64, unit: f64) -> String {
    format!("{:.2}", bytes as f64 / unit)
}

fn human(bytes: u64) -> String {
    let (mut left, mut unit) = (bytes as f64, "B");
    for next in ["K", "M", "G", "T"] {
        if left < 1024.0 {
            break;
        }
        left /= 1024.0;
        unit = next;
    }
    format!("{left:.1} {unit}")
}

/// `h:mm:ss`, with days before it when there are any; what nobody can tell is 0.
fn time_left(bytes: u64, speed: u64) -> String {
    let seconds = bytes.checked_div(speed).unwrap_or(0);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60);
    match days {
        0 => clock,
        days => format!("{days}:{clock}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_arrs_read_them() {
        for (bytes, speed, text) in [
            (100, 0, "0:00:00"),
            (100, 10, "0:00:10"),
            (3_725, 1, "1:02:05"),
            (90_061, 1, "1:1:01:01"),
        ] {
            assert_eq!(time_left(bytes, speed), text);
        }
        assert_eq!(human(0), "0.0 B");
        assert_eq!(human(5 << 30), "5.0 G");
    }
}
