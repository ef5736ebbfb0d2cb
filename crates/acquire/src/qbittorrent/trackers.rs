//! Trackers of jobs: they are shown, and never asked.

use axum::http::{StatusCode, Uri};

use super::{Answer, Refused, done, failure};
use crate::params::Params;
use crate::{Acquire, Selection};

/// Trackers of one job that are kept; a magnet with more is not seen in the field.
const MOST: usize = 1000;

/// Makes the change; `call` is `addTrackers`, `editTracker` or `removeTrackers`.
pub(super) async fn change(acquire: &Acquire, call: &str, params: &Params) -> Answer {
    match call {
        "addTrackers" => add(acquire, params).await,
        "editTracker" => edit(acquire, params).await,
        _ => remove(acquire, params).await,
    }
}

/// The job that `hash` names, which has to be there; `*` is all of them.
fn meant(acquire: &Acquire, params: &Params) -> Result<Selection, Refused> {
    if params.need("hash")?.trim() == "*" {
        return Ok(Selection::All);
    }
    params.job(acquire).map(|job| Selection::Of(vec![job.id()]))
}

fn is_tracker(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|url| {
        let known = ["http", "https", "udp", "ws", "wss"];
        url.scheme_str()
            .is_some_and(|scheme| known.contains(&scheme))
            && url.host().is_some()
    })
}

/// One a line; what is none is passed over, as is what is there.
async fn add(acquire: &Acquire, params: &Params) -> Answer {
    let urls = params.need("urls")?.lines().map(str::trim);
    let new: Vec<String> = urls
        .filter(|url| is_tracker(url))
        .map(str::to_owned)
        .collect();
    let add = move |job: &mut crate::Job| {
        for url in &new {
            if job.trackers.len() < MOST && !job.trackers.contains(url) {
                job.trackers.push(url.clone());
            }
        }
    };
    let meant = meant(acquire, params)?;
    acquire.edit(meant, add).await.map_err(failure)?;
    Ok(done())
}

async fn edit(acquire: &Acquire, params: &Params) -> Answer {
    let (old, new) = (
        params.need("origUrl")?.trim(),
        params.need("newUrl")?.trim(),
    );
    let job = params.job(acquire)?;
    if !is_tracker(new) {
        let words = "New tracker URL is invalid";
        return Err(Refused::new(StatusCode::BAD_REQUEST, words));
    }
    let is_there = |url: &str| job.trackers.iter().any(|one| one == url);
    let conflict = |words: &str| Err(Refused::new(StatusCode::CONFLICT, words));
    if !is_there(old) {
        return conflict("Tracker not found");
    }
    if old != new && is_there(new) {
        return conflict("New tracker URL already exists");
    }
    let (old, new) = (old.to_owned(), new.to_owned());
    let edit = move |job: &mut crate::Job| {
        let one = job.trackers.iter_mut().find(|url| **url == old);
        one.into_iter().for_each(|url| url.clone_from(&new));
    };
    let one = Selection::Of(vec![job.id()]);
    acquire.edit(one, edit).await.map_err(failure)?;
    Ok(done())
}

async fn remove(acquire: &Acquire, params: &Params) -> Answer {
    let urls: Vec<String> = params
        .need("urls")?
        .split('|')
        .map(|url| url.trim().to_owned())
        .collect();
    let remove = move |job: &mut crate::Job| job.trackers.retain(|url| !urls.contains(url));
    let meant = meant(acquire, params)?;
    acquire.edit(meant, remove).await.map_err(failure)?;
    Ok(done())
}
