//! What arrs and tools change.

use std::sync::Arc;

use debridfs_provider::InfoHash;
use serde_json::{Value, json};

use super::read::{id, is_over};
use super::{Answer, Refused};
use crate::params::Params;
use crate::release::shortened;
use crate::{Acquire, AddOptions, Error, Job, JobId, Move, Release, ReleaseError, Selection, Step};

/// Makes the change that `mode` stands for.
pub(super) async fn answer(acquire: &Acquire, mode: &str, params: &Params) -> Answer {
    let name = params.get("name").unwrap_or_default();
    match (mode, name) {
        ("addfile", _) => add_file(acquire, params).await,
        ("addurl", _) => add_link(acquire, params).await,
        ("queue" | "history", "delete") => delete(acquire, mode, params).await,
        ("queue", "pause") => stop_some(acquire, params, true).await,
        ("queue", "resume") => stop_some(acquire, params, false).await,
        ("queue", "priority") => set_priority(acquire, params).await,
        ("queue", "rename") => rename(acquire, params).await,
        ("pause", _) => stop(acquire, Selection::All, true).await,
        ("resume", _) => stop(acquire, Selection::All, false).await,
        ("retry", _) => retry(acquire, params).await,
        ("change_cat", _) => change_category(acquire, params).await,
        ("set_config", _) => set_config(acquire, params).await,
        ("", _) => Err(Refused::new("expects one parameter")),
        _ => Err(Refused::new("not implemented")),
    }
}

fn done() -> Value {
    json!({ "status": true })
}

/// The answer to what is taken in. Without an id an arr skips this release and takes the next one, in every version; an error would
/// make newer ones put all grabs off.
fn taken(ids: &[String]) -> Value {
    json!({ "status": true, "nzo_ids": ids })
}

/// Jobs named by `value`: ids with commas between them; what is no id names none.
fn meant(params: &Params) -> Result<Selection, Refused> {
    let named = params.get("value").map(str::trim).unwrap_or_default();
    match named {
        "" => Err(Refused::new("expects one parameter")),
        "all" => Ok(Selection::All),
        ids => Ok(Selection::Seen(
            ids.split(',').filter_map(hash).collect(),
            params.viewer.clone(),
        )),
    }
}

/// Those of `asked` that wait in the queue, in no order. SABnzbd says no when nothing that was named is there.
fn queued(acquire: &Acquire, asked: &Selection) -> Vec<Arc<Job>> {
    let mut jobs = acquire.select(asked);
    jobs.retain(|job| !is_over(job));
    jobs
}

/// The answer that tells what was touched of what was named.
fn touched(ids: &[String]) -> Value {
    json!({ "status": !ids.is_empty(), "nzo_ids": ids })
}

/// A second value that has to be there.
fn value2(params: &Params) -> Result<&str, Refused> {
    let second = params.get("value2").map(str::trim);
    second
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Refused::new("expects two parameters"))
}

pub(super) fn hash(id: &str) -> Option<InfoHash> {
    id.trim().parse().ok()
}

fn options(params: &Params) -> AddOptions {
    let category = params.get("cat").unwrap_or_default().trim();
    let name = params.get("nzbname").map(str::trim);
    let priority: i64 = params.number("priority").unwrap_or(-100);
    AddOptions {
        category: no_category(category).unwrap_or(category).to_owned(),
        name: name.filter(|name| !name.is_empty()).map(str::to_owned),
        stopped: priority == -2,
        first: priority == 1,
        forced: priority == 2,
        reads_failures: true,
        ..AddOptions::default()
    }
}

/// An nzb is for a usenet provider, and none can be configured yet. A `.torrent` is as welcome as at the other front.
async fn add_file(acquire: &Acquire, params: &Params) -> Answer {
    if params.files.is_empty() {
        return Err(Refused::new("expects one parameter"));
    }
    let mut ids = Vec::new();
    for file in &params.files {
        match Acquire::read_torrent(file.clone()).await {
            Ok(release) => ids.extend(add(acquire, release, params).await?),
            Err(error) => {
                tracing::warn!(bytes = file.len(), %error, "a file was not taken; for an nzb there is no usenet provider");
            }
        }
    }
    Ok(taken(&ids))
}

async fn add_link(acquire: &Acquire, params: &Params) -> Answer {
    let link = params.get("name").unwrap_or_default().trim();
    if link.is_empty() {
        return Err(Refused::new("expects one parameter"));
    }
    match Release::from_link(link) {
        Ok(release) => Ok(taken(&add(acquire, release, params).await?)),
        Err(ReleaseError::WebAddress) => {
            tracing::warn!("a web address was not taken: there is no usenet provider for an nzb");
            Ok(taken(&[]))
        }
        Err(error) => Err(Refused::new(error.to_string())),
    }
}

async fn add(acquire: &Acquire, release: Release, params: &Params) -> Result<Vec<String>, Refused> {
    let (hash, name, options) = (release.hash, release.name.clone(), options(params));
    match acquire.add(release, options).await {
        Ok(added) => {
            tracing::info!(%hash, name, ?added, "taken in by the SABnzbd API");
            Ok(vec![hash.to_string().to_uppercase()])
        }
        Err(error @ Error::Store { .. }) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%hash, name, %error, "a release was not taken");
            Ok(Vec::new())
        }
    }
}

/// From the queue or the history: each list removes only what it shows, so that a call that comes late does not take away what is in
/// the other by now.
async fn delete(acquire: &Acquire, list: &str, params: &Params) -> Answer {
    let files = params.flag("del_files").unwrap_or(false);
    let named = params.get("value").map(str::trim).unwrap_or_default();
    let asked = match named {
        "failed" | "completed" => Selection::All,
        _ => meant(params)?,
    };
    let step = match named {
        "failed" => Some(Step::Failed),
        "completed" => Some(Step::Complete),
        _ => None,
    };
    let jobs = acquire.select(&asked);
    let shown = jobs.iter().filter(|job| {
        is_over(job) == (list == "history") && step.is_none_or(|step| job.step == step)
    });
    let (jobs, ids): (Vec<JobId>, Vec<String>) = shown.map(|job| (job.id(), id(job))).unzip();
    acquire.remove(Selection::Of(jobs), files).await?;
    tracing::info!(?ids, files, "removed by the SABnzbd API");
    // Of the history it says yes whatever was named.
    match list {
        "history" => Ok(json!({ "status": true, "nzo_ids": ids })),
        _ => Ok(touched(&ids)),
    }
}

async fn stop_some(acquire: &Acquire, params: &Params, stopped: bool) -> Answer {
    let asked = meant(params)?;
    let ids: Vec<String> = queued(acquire, &asked).iter().map(|job| id(job)).collect();
    stop(acquire, asked, stopped).await?;
    Ok(touched(&ids))
}

/// 2 is now, 1 first, 0 as it comes, -1 last, -2 not before it is resumed. The answer is the place of the first one, -1 for nothing.
async fn set_priority(acquire: &Acquire, params: &Params) -> Answer {
    let asked = meant(params)?;
    let Ok(priority) = value2(params)?.parse::<i64>() else {
        return Err(Refused::new("expects integer value"));
    };
    let jobs = queued(acquire, &asked);
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id()).collect();
    let some = Selection::Of(ids.clone());
    let set = move |job: &mut Job| {
        job.forced = priority == 2;
        job.stopped = priority == -2 || (job.stopped && priority != 2);
    };
    acquire.edit(some.clone(), set).await?;
    match priority {
        1 | 2 => acquire.reorder(some.clone(), Move::First).await?,
        -1 => acquire.reorder(some.clone(), Move::Last).await?,
        _ => {}
    }
    let mut queue = queued(acquire, &Selection::All);
    queue.sort_by_key(|job| (job.position, job.added));
    let at = queue.iter().position(|job| ids.contains(&job.id()));
    Ok(json!({ "position": at.map_or(-1, |at| i64::try_from(at).unwrap_or(i64::MAX)) }))
}

async fn rename(acquire: &Acquire, params: &Params) -> Answer {
    let name = shortened(value2(params)?);
    let one = params.get("value").and_then(hash);
    let one = Selection::Seen(one.into_iter().collect(), params.viewer.clone());
    let known = !queued(acquire, &one).is_empty();
    if known {
        acquire
            .edit(one, move |job| job.name.clone_from(&name))
            .await?;
    }
    Ok(json!({ "status": known }))
}

async fn stop(acquire: &Acquire, meant: Selection, stopped: bool) -> Answer {
    let change = move |job: &mut Job| {
        if !is_over(job) {
            job.stopped = stopped;
            job.forced = false;
        }
    };
    acquire.edit(meant, change).await?;
    Ok(done())
}

async fn retry(acquire: &Acquire, params: &Params) -> Answer {
    let named = params.get("value").and_then(hash);
    let named = Selection::Seen(named.into_iter().collect(), params.viewer.clone());
    let Some(job) = acquire.select(&named).into_iter().next() else {
        return Err(Refused::new("item does not exist"));
    };
    acquire.recheck(named).await?;
    Ok(json!({ "status": true, "nzo_id": id(&job) }))
}

async fn change_category(acquire: &Acquire, params: &Params) -> Answer {
    let (asked, category) = (meant(params)?, value2(params)?);
    let category = no_category(category).unwrap_or(category).to_owned();
    let known = !acquire.select(&asked).is_empty();
    acquire.set_category(asked, category).await?;
    Ok(json!({ "status": known }))
}

/// What SABnzbd calls a category where there is none.
fn no_category(category: &str) -> Option<&'static str> {
    matches!(category, "*" | "None" | "Default").then_some("")
}

/// Categories can be made; all else is in the configuration file.
async fn set_config(acquire: &Acquire, params: &Params) -> Answer {
    let name = params
        .get("name")
        .or_else(|| params.get("keyword"))
        .map(str::trim)
        .unwrap_or_default();
    if params.get("section") != Some("categories") || name.is_empty() {
        return Err(Refused::new("settings are in the configuration file"));
    }
    let dir = params.get("dir").unwrap_or_default().trim().to_owned();
    match acquire.create_category(name.to_owned(), dir.clone()).await {
        Ok(()) => {}
        Err(Error::CategoryExists(_)) => acquire.edit_category(name.to_owned(), dir).await?,
        Err(error) => return Err(error.into()),
    }
    Ok(json!({ "config": { "categories": [{ "name": name }] } }))
}
