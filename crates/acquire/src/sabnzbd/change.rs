//! What arrs and tools change.

use debridfs_provider::InfoHash;
use serde_json::{Value, json};

use super::read::id;
use super::{Answer, Refused};
use crate::params::Params;
use crate::{Acquire, AddOptions, Error, Release, ReleaseError, Selection, Step};

/// Makes the change that `mode` stands for.
pub(super) async fn answer(acquire: &Acquire, mode: &str, params: &Params) -> Answer {
    let name = params.get("name").unwrap_or_default();
    match (mode, name) {
        ("addfile", _) => add_file(acquire, params).await,
        ("addurl", _) => add_link(acquire, params).await,
        ("queue" | "history", "delete") => delete(acquire, mode, params).await,
        ("queue", "pause") => stop(acquire, meant(params)?, true).await,
        ("queue", "resume") => stop(acquire, meant(params)?, false).await,
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
        ids => Ok(Selection::Some(ids.split(',').filter_map(hash).collect())),
    }
}

fn hash(id: &str) -> Option<InfoHash> {
    id.trim().parse().ok()
}

fn options(params: &Params) -> AddOptions {
    let category = params.get("cat").unwrap_or_default().trim();
    let name = params.get("nzbname").map(str::trim);
    let priority: i64 = params.number("priority").unwrap_or(-100);
    AddOptions {
        category: match category {
            "*" | "None" | "Default" => String::new(),
            category => category.to_owned(),
        },
        name: name.filter(|name| !name.is_empty()).map(str::to_owned),
        stopped: priority == -2,
        first: priority == 1,
        forced: priority == 2,
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
    let jobs = acquire.jobs();
    let shown = jobs.iter().filter(|job| {
        asked.holds(&job.hash)
            && job.step.is_settled() == (list == "history")
            && step.is_none_or(|step| job.step == step)
    });
    let (hashes, ids): (Vec<InfoHash>, Vec<String>) = shown.map(|job| (job.hash, id(job))).unzip();
    acquire.remove(Selection::Some(hashes), files).await?;
    tracing::info!(?ids, files, "removed by the SABnzbd API");
    Ok(json!({ "status": true, "nzo_ids": ids }))
}

async fn stop(acquire: &Acquire, meant: Selection, stopped: bool) -> Answer {
    let change = move |job: &mut crate::Job| {
        if !job.step.is_settled() {
            job.stopped = stopped;
            job.forced = false;
        }
    };
    acquire.edit(meant, change).await?;
    Ok(done())
}

async fn retry(acquire: &Acquire, params: &Params) -> Answer {
    let named = params.get("value").and_then(hash);
    let Some(job) = named.and_then(|hash| acquire.job(hash)) else {
        return Err(Refused::new("no such job"));
    };
    acquire.recheck(Selection::Some(vec![job.hash])).await?;
    Ok(json!({ "status": true, "nzo_id": id(&job) }))
}

async fn change_category(acquire: &Acquire, params: &Params) -> Answer {
    let category = match params.get("value2").map(str::trim).unwrap_or_default() {
        "*" | "None" | "Default" => "",
        category => category,
    };
    acquire
        .set_category(meant(params)?, category.to_owned())
        .await?;
    Ok(done())
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
