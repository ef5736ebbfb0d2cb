//! Requests: what one caller wants of a release, over a torrent that all who want it share.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use debridfs_provider::InfoHash;

use crate::Job;
use crate::shared::Memory;

/// Names a request, for as long as it is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId {
    /// The release.
    pub hash: InfoHash,
    /// Which of its requests; 0 for the first one.
    pub nth: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            0 => write!(out, "{}", self.hash),
            nth => write!(out, "{}/{nth}", self.hash),
        }
    }
}

/// Which jobs are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Every one.
    All,
    /// All requests of these releases; unknown ones are passed over.
    Some(Vec<InfoHash>),
    /// These requests.
    Of(Vec<JobId>),
    /// Of these releases the requests that a caller means.
    Seen(Vec<InfoHash>, Viewer),
}

/// Who calls, as far as that tells which requests are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Viewer {
    /// The URL of the arr that logged in as itself.
    pub(crate) arr: Option<Arc<str>>,
    /// The category that was listed or added to last.
    pub(crate) category: Option<String>,
    /// Categories that others list.
    pub(crate) others: HashSet<String>,
}

impl Viewer {
    /// Whether a list shows `job`: not to another arr than the one that asked for it.
    pub(crate) fn sees(&self, job: &Job) -> bool {
        match (&self.arr, job.owner.as_deref()) {
            (Some(arr), Some(owner)) => **arr == *owner,
            _ => true,
        }
    }

    /// Which of `jobs`, the requests of one release, are meant by its hash: those in the caller's category, else those it asked for,
    /// else those that are nobody else's.
    pub(crate) fn meant<'a>(&self, jobs: impl Iterator<Item = &'a Arc<Job>>) -> Vec<&'a Arc<Job>> {
        let seen: Vec<_> = jobs.filter(|job| self.sees(job)).collect();
        let only = |mine: &dyn Fn(&Job) -> bool| -> Vec<_> {
            seen.iter().copied().filter(|job| mine(job)).collect()
        };
        let category = self.category.as_ref();
        let listed = only(&|job| category == Some(&job.category));
        if !listed.is_empty() {
            return listed;
        }
        let own = only(&|job| self.arr.is_some() && job.owner.as_deref() == self.arr.as_deref());
        if !own.is_empty() {
            return own;
        }
        only(&|job| category.is_none() || !self.others.contains(&job.category))
    }
}

impl Memory {
    /// The requests of one release, oldest first.
    pub(crate) fn of(&self, hash: InfoHash) -> impl Iterator<Item = &Arc<Job>> {
        let all = JobId { hash, nth: 0 }..=JobId {
            hash,
            nth: u32::MAX,
        };
        self.jobs.range(all).map(|(_, job)| job)
    }

    /// The jobs that `selection` means.
    pub(crate) fn meant(&self, selection: &Selection) -> Vec<&Arc<Job>> {
        // Named twice is meant once.
        let once = |hashes: &[InfoHash]| hashes.iter().copied().collect::<BTreeSet<_>>();
        match selection {
            Selection::All => self.jobs.values().collect(),
            Selection::Some(hashes) => {
                let hashes = once(hashes).into_iter();
                hashes.flat_map(|hash| self.of(hash)).collect()
            }
            Selection::Of(ids) => {
                let ids: BTreeSet<_> = ids.iter().collect();
                ids.into_iter().filter_map(|id| self.jobs.get(id)).collect()
            }
            Selection::Seen(hashes, viewer) => {
                let hashes = once(hashes).into_iter();
                hashes
                    .flat_map(|hash| viewer.meant(self.of(hash)))
                    .collect()
            }
        }
    }

    /// The request that is asked for once more when `owner` asks for the release in `category`.
    pub(crate) fn same_request(
        &self,
        hash: InfoHash,
        category: &str,
        owner: Option<&str>,
    ) -> Option<&Arc<Job>> {
        let same = || self.of(hash).filter(|job| job.category == category);
        let of = |owner: Option<&str>| same().find(|job| job.owner.as_deref() == owner);
        match owner {
            None => of(None).or_else(|| same().next()),
            // One that nobody is known to have asked for is its own from now on.
            Some(_) => of(owner).or_else(|| of(None)),
        }
    }

    /// The number of the next request of this release.
    pub(crate) fn next_nth(&self, hash: InfoHash) -> u32 {
        let last = self.of(hash).map(|job| job.nth).max();
        last.map_or(0, |last| last.saturating_add(1))
    }
}
