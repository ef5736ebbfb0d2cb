//! What the pages show of a running engine: library, queue, cache and log.

use std::sync::Arc;

use debridfs_acquire::{Acquire, AddOptions, Job, Release, ReleaseError, Selection};
use debridfs_catalogue::{Contents, Entry};
use debridfs_control::{CachedLine, QueuedJob, RunningEngine};

use super::{Changing, PageSource, QueueChange, ReleaseLine, ReleaseList, ReleaseQuery, ViewLine};

/// Answers the pages from an engine's memory.
pub struct EngineSource {
    /// The engine.
    pub engine: Arc<RunningEngine>,
    /// The last lines of its log, the oldest first.
    pub log: fn() -> Vec<String>,
}

impl PageSource for EngineSource {
    fn views(&self) -> Vec<ViewLine> {
        let library = self.engine.catalogue().library().borrow().clone();
        let views = library.views.iter().map(|view| ViewLine {
            name: view.name.clone(),
            releases: view.entries.len(),
        });
        views.collect()
    }

    fn releases(&self, query: &ReleaseQuery) -> Option<ReleaseList> {
        let library = self.engine.catalogue().library().borrow().clone();
        let view = library.views.iter().find(|view| view.name == query.view)?;
        Some(select(&view.entries, query))
    }

    fn queue(&self) -> Option<Vec<QueuedJob>> {
        let queue = self.engine.queue().get()?;
        let has_arrs = !queue.config().arrs.is_empty();
        let jobs = queue.jobs();
        Some(
            jobs.iter()
                .rev()
                .map(|job| QueuedJob::of(job, has_arrs))
                .collect(),
        )
    }

    fn categories(&self) -> Vec<String> {
        let categories = self
            .engine
            .queue()
            .get()
            .map(|queue| queue.categories())
            .unwrap_or_default();
        categories.into_keys().collect()
    }

    fn change_queue(&self, change: QueueChange) -> Changing {
        let queue = self.engine.queue().clone();
        Box::pin(async move {
            let queue = queue.get().ok_or(match queue.is_expected() {
                true => "downloads are not open: the overview says why",
                false => "no downloads are configured",
            })?;
            carry_out(queue, change).await
        })
    }

    fn cached(&self) -> Result<Vec<CachedLine>, String> {
        self.engine.cached().map_err(|refused| refused.to_string())
    }

    fn log(&self) -> Vec<String> {
        (self.log)()
    }
}

/// The entries that `query` asks for.
fn select(entries: &[Entry], query: &ReleaseQuery) -> ReleaseList {
    let words: Vec<String> = query
        .text
        .split_whitespace()
        .map(str::to_lowercase)
        .collect();
    let mut found: Vec<&Entry> = entries
        .iter()
        .filter(|entry| {
            if words.is_empty() {
                return true;
            }
            let name = entry.name.to_lowercase();
            words.iter().all(|word| name.contains(word))
        })
        .collect();
    if query.newest_first {
        // Of the same moment by name, as they came.
        found.sort_by_key(|entry| std::cmp::Reverse(entry.release.added));
    }
    let shown = found.iter().skip(query.skip).take(query.limit);
    let lines = shown.map(|entry| {
        let release = &entry.release;
        ReleaseLine {
            name: entry.name.to_string(),
            bytes: release.bytes,
            files: match &release.contents {
                Contents::Unknown => None,
                Contents::Known(tree) => Some(tree.files.len()),
            },
            added: release.added,
            providers: release.providers().map(str::to_owned).collect(),
            bad: release.bad.map(|reason| reason.as_str().to_owned()),
        }
    });
    ReleaseList {
        total: found.len(),
        lines: lines.collect(),
    }
}

async fn carry_out(queue: &Acquire, change: QueueChange) -> Result<(), String> {
    let failed = |error: debridfs_acquire::Error| error.to_string();
    let one = |hash: String| -> Result<Selection, String> {
        let hash = hash.parse().map_err(|_| "that is no info-hash")?;
        match queue.job(hash) {
            Some(_) => Ok(Selection::Some(vec![hash])),
            None => Err("that download is not in the queue any more".to_owned()),
        }
    };
    let add = async |release: Result<Release, ReleaseError>, category| {
        let options = AddOptions {
            category,
            ..AddOptions::default()
        };
        let release = release.map_err(|error| error.to_string())?;
        queue.add(release, options).await.map_err(failed)
    };
    match change {
        QueueChange::Add { link, category } => {
            add(Release::from_link(&link), category).await?;
        }
        QueueChange::Upload { torrent, category } => {
            add(Acquire::read_torrent(torrent).await, category).await?;
        }
        QueueChange::Stop(hash) => {
            let stop = |job: &mut Job| {
                job.stopped = true;
                job.forced = false;
            };
            queue.edit(one(hash)?, stop).await.map_err(failed)?;
        }
        QueueChange::Start(hash) => {
            let start = |job: &mut Job| {
                job.stopped = false;
                job.forced = false;
            };
            queue.edit(one(hash)?, start).await.map_err(failed)?;
        }
        QueueChange::Again(hash) => queue.recheck(one(hash)?).await.map_err(failed)?,
        QueueChange::Remove { hash, files } => {
            queue.remove(one(hash)?, files).await.map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use debridfs_base::NodeId;
    use jiff::Timestamp;

    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        let entry = |(number, name): (usize, &&str)| Entry {
            name: (*name).into(),
            dir_ids: [NodeId(number as u64 + 2)].into(),
            release: Arc::new(debridfs_catalogue::Release {
                id: format!("{number:040x}").parse().unwrap(),
                added: Timestamp::from_second(number as i64).unwrap(),
                copies: [].into(),
                holders: 0,
                bytes: 1,
                bad: None,
                contents: Contents::Unknown,
            }),
        };
        names.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn words_order_and_parts() {
        let entries = entries(&["Äpfel.S01", "Birnen.S01", "Birnen.S02", "Zimt"]);
        let names = |query: ReleaseQuery| -> (usize, Vec<String>) {
            let list = select(&entries, &query);
            let names = list.lines.into_iter().map(|line| line.name).collect();
            (list.total, names)
        };
        let all = ReleaseQuery {
            limit: 10,
            ..ReleaseQuery::default()
        };
        let found = names(ReleaseQuery {
            text: " s01  BIRNEN ".into(),
            ..all.clone()
        });
        assert_eq!(found, (1, vec!["Birnen.S01".to_owned()]));
        let found = names(ReleaseQuery {
            text: "äPFEL".into(),
            ..all.clone()
        });
        assert_eq!(found.0, 1, "in any case, whatever the letter");
        let found = names(ReleaseQuery {
            newest_first: true,
            skip: 1,
            limit: 2,
            ..all.clone()
        });
        let middle = vec!["Birnen.S02".to_owned(), "Birnen.S01".to_owned()];
        assert_eq!(found, (4, middle));
        let beyond = names(ReleaseQuery { skip: 9, ..all });
        assert_eq!(beyond, (4, Vec::new()));
    }
}
