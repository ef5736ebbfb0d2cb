//! The connections that fetch for one cursor: what each of them has taken on, and what is still nobody's.

use std::ops::Range;
use std::sync::Arc;

use debridfs_cdn::{Need, Urgency};
use debridfs_provider::Priority;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::window::Window;

/// One task that fetches one range after the other.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) id: u64,
    /// Wakes the task when it holds an open connection without reading from it.
    pub(crate) wake: Arc<Notify>,
    /// Its place in the queue for a connection.
    pub(crate) urgency: Arc<Urgency>,
    pub(crate) task: Option<AbortHandle>,
    /// It waits for room in the window.
    pub(crate) paused: bool,
    /// What it has taken on and not brought yet; empty when it has nothing to do.
    pub(crate) range: Range<u64>,
    /// `range` was given to it before it asked.
    pub(crate) fresh: bool,
    /// Bytes of `range` come.
    pub(crate) brings: bool,
}

impl Lane {
    fn claims(&self, at: u64) -> bool {
        self.range.contains(&at)
    }
}

/// All lanes of a cursor; the first is the one that stays.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    all: Vec<Lane>,
    /// The number of the last one.
    last_id: u64,
}

impl Lanes {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.all.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.all.iter_mut()
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Lane> {
        self.all.iter_mut().find(|lane| lane.id == id)
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Lane> {
        self.all.iter().find(|lane| lane.id == id)
    }

    /// Whether there are lanes before this one.
    pub(crate) fn is_extra(&self, id: u64) -> bool {
        self.all.first().is_none_or(|first| first.id != id)
    }

    pub(crate) fn add(&mut self, range: Range<u64>) -> &mut Lane {
        self.last_id += 1;
        self.all.push(Lane {
            id: self.last_id,
            wake: Arc::new(Notify::new()),
            urgency: Arc::new(Urgency::new(Priority::User, Need::Ahead)),
            task: None,
            paused: false,
            range,
            fresh: true,
            brings: false,
        });
        let last = self.all.len() - 1;
        &mut self.all[last]
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.all.retain(|lane| lane.id != id);
    }

    /// The first byte from `at` on that is neither held nor taken on by a lane other than `id`.
    pub(crate) fn open_from(&self, at: u64, window: &Window, id: Option<u64>) -> u64 {
        let mut open = at;
        loop {
            open = window.missing_from(open);
            let claimed = self
                .all
                .iter()
                .find(|lane| Some(lane.id) != id && lane.claims(open));
            match claimed {
                Some(lane) => open = lane.range.end,
                None => return open,
            }
        }
    }

    /// Where what is open at `at` ends because the rest is held or taken on.
    pub(crate) fn open_until(&self, at: u64, window: &Window, id: Option<u64>) -> u64 {
        self.all
            .iter()
            .filter(|lane| Some(lane.id) != id && !lane.range.is_empty() && lane.range.start >= at)
            .map(|lane| lane.range.start)
            .chain(window.held_from(at))
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Where the last range ends that anybody took on.
    pub(crate) fn last(&self) -> u64 {
        self.all
            .iter()
            .map(|lane| lane.range.end)
            .max()
            .unwrap_or(0)
    }

    /// How far `at` is from what a lane brings now, if a lane has taken it on.
    pub(crate) fn distance(&self, at: u64) -> Option<u64> {
        self.all
            .iter()
            .filter(|lane| lane.claims(at))
            .map(|lane| at - lane.range.start)
            .min()
    }

    /// Leaves no lane more than `most` bytes, so that others find something to do. Its body ends there.
    pub(crate) fn cut(&mut self, most: u64) {
        for lane in &mut self.all {
            lane.range.end = lane.range.end.min(lane.range.start.saturating_add(most));
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        for lane in &self.all {
            if let Some(task) = &lane.task {
                task.abort();
            }
        }
    }
}
