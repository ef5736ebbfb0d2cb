//! A job: what was asked for, and how far it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_base::total;
use debridfs_provider::{InfoHash, TorrentId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Chosen, JobId, Passed};

/// How far a job is. Each step begins where the one before was stored, and may be done twice without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Accepted; no provider has it from us.
    Placed,
    /// A provider has the torrent and is not done with it.
    Waiting,
    /// The provider has all its files; the library does not show them yet.
    Ready,
    /// Shown; head and tail of every wanted file were read.
    Probed,
    /// In place for the arr.
    Complete,
    /// Given up, for [`Job::reason`].
    Failed,
}

impl Step {
    /// All, in their order.
    pub const ALL: [Self; 6] = [
        Self::Placed,
        Self::Waiting,
        Self::Ready,
        Self::Probed,
        Self::Complete,
        Self::Failed,
    ];

    /// The word in `status`, metrics and the store.
    pub fn label(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Probed => "probed",
            Self::Complete => "complete",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing is left to be done.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Complete | Self::Failed)
    }
}

/// What is done with a release that is ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Absolute symlinks into the mount, in a directory of their own below the category's folder.
    #[default]
    Symlink,
    /// Real files: they are fetched, and there as a whole.
    Download,
    /// A `.strm` for each film, which holds an address to play it from; all else is fetched.
    Strm,
    /// Nothing: the arr is pointed at the mount itself.
    None,
}

/// What is done about a release that the provider does not have and would have to download first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uncached {
    /// It is waited for.
    #[default]
    Wait,
    /// The job fails, and the torrent is taken back.
    Refuse,
    /// It is waited for so long, then as [`Self::Refuse`].
    UpTo(Duration),
}

/// What speaks against a release: reason enough for an arr to blocklist it and to search for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The provider calls it dead, failed or a virus.
    Dead,
    /// The provider refused its content, twice with a pause between.
    Infringing,
    /// The provider does not take this torrent.
    Rejected,
    /// The provider does not have it, and its category does not wait (any longer).
    Uncached,
    /// It is called ready, and reading it was refused again and again.
    Unreadable,
    /// It is ready in a form that cannot be served.
    Unservable,
    /// No file in it is wanted.
    Unwanted,
}

/// That an arr was told of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// Its name in the configuration; `None` when no arr knew the grab.
    pub arr: Option<String>,
}

/// The torrent at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtProvider {
    /// Configured name of the provider.
    pub provider: String,
    /// The provider's id.
    pub torrent: TorrentId,
    /// Whether this job added it. What was there before is never deleted.
    pub ours: bool,
    /// Whether the id was the answer to an addition of this job: what is not ready soon is deleted only then.
    #[serde(default)]
    pub given: bool,
    /// Why it is there; unknown of what an older version added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
}

/// A file of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFile {
    /// Path in the release, without a leading `/`.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Whether it is asked of the provider and put in place.
    pub wanted: bool,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The release.
    pub hash: InfoHash,
    /// Which of the requests of this release.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nth: u32,
    /// The URL of the arr that asked for it, when its login told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The caller learns of a failure from a history, as arrs do from SABnzbd's. No state of a qBittorrent tells it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_failures: bool,
    /// What it is called.
    pub name: String,
    /// The arr's category; may be empty.
    pub category: String,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// Trackers of the magnet or file; only shown.
    #[serde(default)]
    pub trackers: Vec<String>,
    /// When it was accepted.
    pub added: Timestamp,
    /// When its state last changed.
    pub changed: Timestamp,
    /// How far it is.
    pub step: Step,
    /// Why it failed, or what was left out of it, for people.
    #[serde(default)]
    pub reason: Option<String>,
    /// What speaks against the release, when that is why it failed.
    #[serde(default)]
    pub evidence: Option<Evidence>,
    /// Which arr was told of the failure.
    #[serde(default)]
    pub told: Option<Told>,
    /// The folder in which its directory is made.
    pub save_path: PathBuf,
    /// What is done once it is ready.
    pub action: Action,
    /// What is done when the provider does not have it.
    pub uncached: Uncached,
    /// Set before a provider is asked to add it: after a crash the answer may have been lost.
    #[serde(default)]
    pub adding: Option<Timestamp>,
    /// The provider that was asked then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adding_at: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub at: Option<AtProvider>,
    /// A torrent that is not ready and is kept while other providers are asked: it is waited for if none of them has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<AtProvider>,
    /// Providers that did not have it, or did not take it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<Passed>,
    /// It failed because its name is refused: that says nothing about the release, and it is not retried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
    /// When its files were selected at the provider.
    #[serde(default)]
    pub selected: Option<Timestamp>,
    /// When it was complete.
    #[serde(default)]
    pub completed: Option<Timestamp>,
    /// Its files, once they are known.
    #[serde(default)]
    pub files: Vec<JobFile>,
    /// Files that somebody does not want, by path.
    #[serde(default)]
    pub unwanted: BTreeSet<String>,
    /// Bytes of files, by path, that are known to be on the disk while they are being fetched.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fetched: BTreeMap<String, u64>,
    /// Where it lies for the arr, once it is complete.
    #[serde(default)]
    pub content: Option<PathBuf>,
    /// Not to be gone on with.
    #[serde(default)]
    pub stopped: bool,
    /// Gone on with before all others, and although `stopped`.
    #[serde(default)]
    pub forced: bool,
    /// Place in the queue; smaller is sooner.
    #[serde(default)]
    pub position: i64,
    /// Asked for, and of no consequence: files are read at any offset.
    #[serde(default)]
    pub sequential: bool,
    /// As `sequential`.
    #[serde(default)]
    pub first_last: bool,
    /// Limits that the arr set.
    #[serde(default)]
    pub limits: ShareLimits,
    /// True while running only.
    #[serde(skip)]
    pub live: Live,
}

/// When an arr may remove the job. Nothing is shared here, so a limit is reached at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShareLimits {
    /// Ratio, finite; -2 = the global one, -1 = none.
    pub ratio: f64,
    /// Minutes; -2 = the global one, -1 = none.
    pub seeding_time: i64,
    /// Minutes; -2 = the global one, -1 = none.
    pub inactive_seeding_time: i64,
}

impl Default for ShareLimits {
    fn default() -> Self {
        Self {
            ratio: -2.0,
            seeding_time: -2,
            inactive_seeding_time: -2,
        }
    }
}

/// What is not stored of a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// Share that the provider has, 0 to 1.
    pub progress: f64,
    /// Bytes that this program has fetched of it.
    pub fetched: u64,
    /// Bytes a second that are being fetched by this program.
    pub speed: u64,
    /// What it is waiting for, when something is in the way.
    pub trouble: Option<String>,
    /// Grows with every change of the queue.
    pub revision: u64,
}

impl Job {
    /// A failed one of which nothing is known but its hash.
    pub(crate) fn unreadable(hash: InfoHash, now: Timestamp) -> Self {
        Self {
            hash,
            nth: 0,
            owner: None,
            reads_failures: false,
            name: hash.to_string(),
            category: String::new(),
            tags: BTreeSet::new(),
            trackers: Vec::new(),
            added: now,
            changed: now,
            step: Step::Failed,
            reason: None,
            evidence: None,
            told: None,
            save_path: PathBuf::new(),
            action: Action::default(),
            uncached: Uncached::default(),
            adding: None,
            adding_at: None,
            at: None,
            kept: None,
            passed: Vec::new(),
            blocked: false,
            selected: None,
            completed: None,
            files: Vec::new(),
            unwanted: BTreeSet::new(),
            fetched: BTreeMap::new(),
            content: None,
            stopped: false,
            forced: false,
            position: 0,
            sequential: false,
            first_last: false,
            limits: ShareLimits::default(),
            live: Live::default(),
        }
    }

    /// What names it.
    pub fn id(&self) -> JobId {
        JobId {
            hash: self.hash,
            nth: self.nth,
        }
    }

    /// Bytes of the wanted files, as far as they are known.
    pub fn bytes(&self) -> u64 {
        let wanted = self.files.iter().filter(|file| file.wanted);
        total(wanted.map(|file| file.bytes))
    }

    /// Share that is done, 0 to 1. What is fetched to the disk is half done once the provider has it.
    pub fn progress(&self) -> f64 {
        let half = match self.action {
            Action::Download => 0.5,
            Action::Symlink | Action::Strm | Action::None => 1.0,
        };
        match self.step {
            Step::Placed | Step::Failed => 0.0,
            // Not 1 before it is in place: some tools look at nothing else.
            Step::Waiting => (self.live.progress * half).clamp(0.0, 0.99),
            Step::Probed if self.is_fetching() => {
                let share = self.live.fetched as f64 / self.bytes().max(1) as f64;
                (half + half * share).clamp(half, 0.99)
            }
            Step::Ready if self.action == Action::Download => half,
            Step::Ready | Step::Probed => 0.99,
            Step::Complete => 1.0,
        }
    }

    /// Whether it is ready and being fetched to the disk.
    pub fn is_fetching(&self) -> bool {
        self.step == Step::Probed && self.action == Action::Download
    }

    /// Seconds until it is fetched at the speed of this moment, if it is being fetched.
    pub fn seconds_left(&self) -> Option<u64> {
        let left = self.bytes().saturating_sub(self.live.fetched);
        left.checked_div(self.live.speed)
            .filter(|_| self.is_fetching())
    }

    /// Whether somebody is to go on with it.
    pub fn is_active(&self) -> bool {
        !self.step.is_settled() && (!self.stopped || self.forced)
    }

    /// Where it lies for the arr, or will: never the folder itself.
    pub fn content_path(&self) -> PathBuf {
        match &self.content {
            Some(path) => path.clone(),
            None => self.save_path.join(legal(&self.name)),
        }
    }

    /// The folder above [`Self::content_path`].
    pub fn folder(&self) -> PathBuf {
        match &self.content {
            Some(path) => path.parent().unwrap_or(Path::new("/")).to_owned(),
            None => self.save_path.clone(),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// `text` as one component of a path.
pub(crate) fn legal(text: &str) -> String {
    let name: String = text
        .trim()
        .chars()
        .map(|c| if c == '/' || c.is_control() { '_' } else { c })
        .collect();
    match name.as_str() {
        "" | "." | ".." => "unnamed".to_owned(),
        _ => {
            let mut end = name.len().min(255);
            while !name.is_char_boundary(end) {
                end -= 1;
            }
            name[..end].to_owned()
        }
    }
}
