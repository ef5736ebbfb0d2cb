//! An account that changes elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use debridfs_sim::FileSpec;
use rustix::io::Errno;

use super::{Context, Verdict, expect, must};
use crate::expected::release;

/// Until a change shows: far more than the library's interval and a client's cache of attributes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A release with one file of its name; the ids of its torrents.
fn add(context: &Context<'_>, number: u32, name: &str) -> Result<Vec<String>, String> {
    let files = vec![FileSpec::generated(format!("/{name}.mkv"), 10_000)];
    let added = context.account.add(&release(number, name, files));
    added.map_err(|error| format!("the simulator: {error}"))
}

fn remove(context: &Context<'_>, ids: &[String]) -> Verdict {
    let mut ids = ids.iter();
    ids.try_for_each(|id| {
        context
            .account
            .remove(id)
            .map_err(|error| format!("the simulator: {error}"))
    })
}

/// Waits until the film of the release `name` is there, or is not.
fn wait(context: &Context<'_>, name: &str, there: bool) -> Verdict {
    let path = format!("__all__/{name}/{name}.mkv");
    let started = Instant::now();
    loop {
        match context.front.stat(&path) {
            Ok(_) if there => return Ok(()),
            Err(Errno::NOENT) if !there => return Ok(()),
            // Stale: it went between two steps of the path.
            Ok(_) | Err(Errno::NOENT | Errno::STALE) if started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            seen => return Err(format!("{path}: {seen:?} after {:?}", started.elapsed())),
        }
    }
}

pub(super) fn what_is_added_shows_and_what_is_removed_goes(context: &Context<'_>) -> Verdict {
    let name = "Added.2024";
    let ids = add(context, 100, name)?;
    wait(context, name, true)?;
    let path = format!("__all__/{name}/{name}.mkv");
    let read = must(&path, context.front.read(&path, 0, 10_000))?;
    expect(&path, read.len(), 10_000)?;
    remove(context, &ids)?;
    wait(context, name, false)
}

/// What is there all the time comes exactly once, whatever else comes and goes meanwhile.
pub(super) fn a_listing_survives_changes(context: &Context<'_>) -> Verdict {
    let goes = add(context, 101, "Goes.2024")?;
    wait(context, "Goes.2024", true)?;
    let mut changed = Ok(());
    let mut came = Vec::new();
    let listed = context.front.list_in_parts("__all__", &mut || {
        changed = remove(context, &goes)
            .and_then(|()| add(context, 102, "AAA.Comes.2024"))
            .map(|ids| came = ids)
            .and_then(|()| wait(context, "Goes.2024", false))
            .and_then(|()| wait(context, "AAA.Comes.2024", true));
    });
    remove(context, &came)?;
    changed?;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for name in must("__all__", listed)? {
        *times.entry(name).or_default() += 1;
    }
    if let Some((name, times)) = times.iter().find(|(_, times)| **times > 1) {
        return Err(format!("{name} came {times} times"));
    }
    for name in context.expected.names("__all__") {
        expect(&name, times.get(&name), Some(&1))?;
    }
    wait(context, "AAA.Comes.2024", false)
}
