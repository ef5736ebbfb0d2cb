//! What arrs and tools change.

use axum::http::StatusCode;

use super::{Answer, Refused, add, done, failure, lesser, trackers};
use crate::params::Params;
use crate::release::shortened;
use crate::{Acquire, Move, Selection, Step};

/// Calls that change something.
const CALLS: &[&str] = &[
    "app/setPreferences",
    "torrents/add",
    "torrents/addPeers",
    "torrents/addTags",
    "torrents/addTrackers",
    "torrents/bottomPrio",
    "torrents/createCategory",
    "torrents/createTags",
    "torrents/decreasePrio",
    "torrents/delete",
    "torrents/deleteTags",
    "torrents/editCategory",
    "torrents/editTracker",
    "torrents/filePrio",
    "torrents/increasePrio",
    "torrents/pause",
    "torrents/recheck",
    "torrents/removeCategories",
    "torrents/removeTags",
    "torrents/removeTrackers",
    "torrents/rename",
    "torrents/resume",
    "torrents/setCategory",
    "torrents/setForceStart",
    "torrents/setLocation",
    "torrents/setSavePath",
    "torrents/setShareLimits",
    "torrents/setTags",
    "torrents/start",
    "torrents/stop",
    "torrents/toggleFirstLastPiecePrio",
    "torrents/toggleSequentialDownload",
    "torrents/topPrio",
];

/// Whether `call` is one of them.
pub(super) fn is_known(call: &str) -> bool {
    CALLS.binary_search(&call).is_ok()
}

/// Makes the change; `call` is a known one.
pub(super) async fn answer(acquire: &Acquire, call: &str, params: &Params) -> Answer {
    let call = call.strip_prefix("torrents/").unwrap_or(call);
    let changed = match call {
        "add" => return add::add(acquire, params).await,
        "filePrio" => return file_priority(acquire, params).await,
        "rename" => return rename(acquire, params).await,
        "app/setPreferences" => {
            tracing::info!(
                "setPreferences was asked for; preferences are in the configuration file"
            );
            return Ok(done());
        }
        "createCategory" | "editCategory" | "removeCategories" => {
            return categories(acquire, call, params).await;
        }
        "createTags" => acquire.create_tags(params.words("tags", ',')).await,
        "deleteTags" => acquire.delete_tags(params.words("tags", ',')).await,
        "addPeers" => return lesser::add_peers(acquire, params),
        "addTrackers" | "editTracker" | "removeTrackers" => {
            return trackers::change(acquire, call, params).await;
        }
        "setLocation" => {
            return lesser::set_location(acquire, params, ("hashes", "location")).await;
        }
        "setSavePath" => return lesser::set_location(acquire, params, ("id", "path")).await,
        "addTags" | "removeTags" | "setTags" => return tags(acquire, call, params).await,
        "delete" => {
            let files = params.flag("deleteFiles").unwrap_or(false);
            let removed = acquire.remove(params.selection()?, files).await;
            removed.map(|jobs| tracing::info!(jobs, files, "removed"))
        }
        "stop" | "pause" => {
            edit(acquire, params, |job| {
                job.stopped = true;
                job.forced = false;
            })
            .await?
        }
        "start" | "resume" => {
            edit(acquire, params, |job| {
                job.stopped = false;
                job.forced = false;
            })
            .await?
        }
        "setForceStart" => {
            let on = params.flag("value").unwrap_or(false);
            edit(acquire, params, move |job| {
                job.forced = on;
                job.stopped &= !on;
            })
            .await?
        }
        "recheck" => acquire.recheck(params.selection()?).await,
        "setCategory" => {
            let category = params.need("category")?.trim().to_owned();
            acquire.set_category(params.selection()?, category).await
        }
        "setShareLimits" => return share_limits(acquire, params).await,
        "topPrio" => reorder(acquire, params, Move::First).await?,
        "increasePrio" => reorder(acquire, params, Move::Sooner).await?,
        "decreasePrio" => reorder(acquire, params, Move::Later).await?,
        "bottomPrio" => reorder(acquire, params, Move::Last).await?,
        "toggleSequentialDownload" => {
            edit(acquire, params, |job| job.sequential = !job.sequential).await?
        }
        "toggleFirstLastPiecePrio" => {
            edit(acquire, params, |job| job.first_last = !job.first_last).await?
        }
        _ => return Err(Refused::not_found()),
    };
    changed.map(|()| done()).map_err(failure)
}

async fn edit(
    acquire: &Acquire,
    params: &Params,
    change: impl Fn(&mut crate::Job) + Send + 'static,
) -> Result<crate::Result<()>, Refused> {
    Ok(acquire.edit(params.selection()?, change).await)
}

async fn reorder(
    acquire: &Acquire,
    params: &Params,
    to: Move,
) -> Result<crate::Result<()>, Refused> {
    Ok(acquire.reorder(params.selection()?, to).await)
}

async fn categories(acquire: &Acquire, call: &str, params: &Params) -> Answer {
    if call == "removeCategories" {
        let names = params.words("categories", '\n');
        let removed = acquire.remove_categories(names).await;
        return removed.map(|()| done()).map_err(failure);
    }
    let name = params.need("category")?.trim().to_owned();
    if name.is_empty() {
        return Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "Category cannot be empty",
        ));
    }
    let folder = params.get("savePath").unwrap_or_default().trim().to_owned();
    let changed = match call {
        "createCategory" => acquire.create_category(name, folder).await,
        _ => acquire.edit_category(name, folder).await,
    };
    changed.map(|()| done()).map_err(failure)
}

async fn tags(acquire: &Acquire, call: &str, params: &Params) -> Answer {
    let tags = params.words("tags", ',');
    let meant = params.selection()?;
    if call != "removeTags" {
        acquire.create_tags(tags.clone()).await.map_err(failure)?;
    }
    let call = call.to_owned();
    let changed = acquire.edit(meant, move |job| match call.as_str() {
        "addTags" => job.tags.extend(tags.iter().cloned()),
        "setTags" => job.tags.clone_from(&tags),
        // Without tags, all of them.
        _ if tags.is_empty() => job.tags.clear(),
        _ => job.tags.retain(|tag| !tags.contains(tag)),
    });
    changed.await.map(|()| done()).map_err(failure)
}

async fn share_limits(acquire: &Acquire, params: &Params) -> Answer {
    let bad = Refused::bad_request;
    let ratio = params.ratio("ratioLimit")?.ok_or_else(bad)?;
    let seeding_time = params.minutes("seedingTimeLimit")?.ok_or_else(bad)?;
    // Unknown before API 2.9.2.
    let inactive = params.minutes("inactiveSeedingTimeLimit")?;
    let changed = acquire.edit(params.selection()?, move |job| {
        job.limits.ratio = ratio;
        job.limits.seeding_time = seeding_time;
        if let Some(inactive) = inactive {
            job.limits.inactive_seeding_time = inactive;
        }
    });
    changed.await.map(|()| done()).map_err(failure)
}

async fn rename(acquire: &Acquire, params: &Params) -> Answer {
    let job = params.job(acquire)?;
    let name = shortened(params.need("name")?.trim());
    if name.is_empty() {
        return Err(Refused::new(StatusCode::CONFLICT, "Incorrect torrent name"));
    }
    let one = Selection::Of(vec![job.id()]);
    let renamed = acquire.edit(one, move |job| job.name.clone_from(&name));
    renamed.await.map(|()| done()).map_err(failure)
}

/// Priority 0 = not wanted. What the provider was told stays; what is put in place follows at once.
async fn file_priority(acquire: &Acquire, params: &Params) -> Answer {
    params.hash()?;
    let wanted = match params.number::<u8>("priority") {
        Some(0) => false,
        Some(1 | 4 | 6 | 7) => true,
        _ => {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "Priority is not valid",
            ));
        }
    };
    let ids: Option<Vec<usize>> = params
        .need("id")?
        .split('|')
        .map(|id| id.trim().parse().ok())
        .collect();
    let Some(ids) = ids else {
        let words = "File IDs must be integers";
        return Err(Refused::new(StatusCode::BAD_REQUEST, words));
    };
    let job = params.job(acquire)?;
    if job.files.is_empty() {
        let words = "Torrent's metadata has not yet downloaded";
        return Err(Refused::new(StatusCode::CONFLICT, words));
    }
    if ids.iter().any(|id| *id >= job.files.len()) {
        return Err(Refused::new(StatusCode::CONFLICT, "File ID is not valid"));
    }
    let one = Selection::Of(vec![job.id()]);
    let changed = acquire.edit(one, move |job| {
        for id in &ids {
            let Some(file) = job.files.get_mut(*id) else {
                continue;
            };
            file.wanted = wanted;
            match wanted {
                true => job.unwanted.remove(&file.path),
                false => job.unwanted.insert(file.path.clone()),
            };
        }
        if job.step == Step::Complete {
            job.step = Step::Probed;
        }
    });
    changed.await.map(|()| done()).map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_in_order() {
        assert!(CALLS.is_sorted());
    }
}
