//! The form of `debridfs status --json`. Scripts rely on it: fields are added, never renamed.

#[cfg(any(test, feature = "test-util"))]
mod sample;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use debridfs_base::{Attention, Down};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{CallersStatus, CopiesStatus, NfsStatus};

/// What the part of [`Status::queue`] is called in [`Status::down`].
pub const DOWNLOADS: &str = "downloads";

/// How an instance does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Version of the engine, or of the program that asked when there is no engine.
    pub version: String,
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// What is wrong, in words for people: `attention`, a line each.
    pub problems: Vec<String>,
    /// What somebody has to look at, and what to do about it.
    #[serde(default)]
    pub attention: Vec<Attention>,
    /// The process that holds the mount.
    pub keeper: KeeperStatus,
    /// The process that serves it.
    pub engine: EngineStatus,
    /// The mount.
    pub mount: MountStatus,
    /// Who decodes the kernel's requests.
    pub backend: String,
    /// What is shown; absent while no engine is there to tell.
    pub library: Option<LibraryStatus>,
    /// Accounts.
    pub providers: Vec<ProviderStatus>,
    /// Bytes of files; absent while no engine is there to tell.
    pub content: Option<ContentStatus>,
    /// Downloads; absent when none are configured, and while no engine is there to tell.
    #[serde(default)]
    pub queue: Option<QueueStatus>,
    /// Releases that cannot be read; absent when nothing is repaired, and while no engine is there to tell.
    #[serde(default)]
    pub repair: Option<RepairStatus>,
    /// Requests of the kernel; absent while no engine is there to tell.
    #[serde(default)]
    pub fuse: Option<FuseStatus>,
    /// Who is connected over TCP and by the control socket; absent while no engine is there to tell.
    #[serde(default)]
    pub callers: Option<CallersStatus>,
    /// Clients over NFS; absent while it is not served, or no engine is there to tell.
    #[serde(default)]
    pub nfs: Option<NfsStatus>,
    /// Parts that do not run now, with why and what to do; they are tried again. None while no engine
    /// is there to tell.
    #[serde(default)]
    pub down: Vec<Down>,
    /// State files that could not be read and were moved aside; none while no engine is there to
    /// tell.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub moved_aside: Vec<PathBuf>,
    /// Volumes that the engine uses; none while no engine is there to tell.
    #[serde(default)]
    pub volumes: Vec<VolumeStatus>,
    /// The newest error.
    pub last_error: Option<LastError>,
}

/// A volume that may hang, which holds up nothing but what is kept there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeStatus {
    /// `state`, `cache`, `downloads` or `hooks`.
    pub name: String,
    /// Its directory.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Since when it has not answered; absent while it does.
    pub silent_since: Option<Timestamp>,
}

/// Downloads for arrs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueStatus {
    /// How many are at each step.
    pub jobs: Vec<StepStatus>,
    /// How many wait because something is in the way.
    pub troubled: u64,
    /// Torrents that are still to be deleted from accounts.
    pub deletions: u64,
}

/// Releases that cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairStatus {
    /// How many are at each stage: `suspect`, `quarantined`, `treated`, `recovering`, `replaced`, `blocked` or `given-up`; stages without any are left out.
    pub stages: BTreeMap<String, u64>,
    /// Names of some that were confirmed to be bad.
    pub bad: Vec<String>,
    /// Providers whose releases are not treated, as too many are suspects.
    pub held: Vec<String>,
    /// Treatments begun within the last hour.
    pub spent: u64,
    /// How many may be.
    pub per_hour: u64,
    /// Releases that were healed since the engine's start.
    pub healed: u64,
}

/// Downloads at one step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepStatus {
    /// `placed`, `waiting`, `ready`, `probed`, `complete` or `failed`.
    pub step: String,
    /// How many.
    pub jobs: u64,
}

/// The process that holds the mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeeperStatus {
    /// Its process id, when known.
    pub pid: Option<u32>,
    /// Engines started or admitted after the first one.
    pub restarts: u64,
    /// How the last engine ended.
    pub last_death: Option<String>,
}

/// The process that serves the mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EngineStatus {
    /// Its process id; absent without an engine.
    pub pid: Option<u32>,
    /// What it does.
    pub state: EngineState,
    /// When it started.
    pub started: Option<Timestamp>,
    /// Address of health and metrics, once it listens.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub listen: Option<SocketAddr>,
    /// Bytes of memory its process has; absent where that cannot be told.
    #[serde(default)]
    pub resident: Option<u64>,
}

/// What an engine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EngineState {
    /// There is none.
    Down,
    /// It does not answer the kernel yet.
    Starting,
    /// It serves everything but the mount, which cannot be made now.
    Unmounted,
    /// It answers the kernel.
    Serving,
}

/// The mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MountStatus {
    /// Where it is.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// When it was made.
    pub since: Option<Timestamp>,
    /// Why there is none, and what to do about it; absent while there is one.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// What is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LibraryStatus {
    /// Whether the first sync is over, so that `__all__` is shown; while not, it answers EIO.
    pub listed: bool,
    /// Accounts whose own view answers EIO, as their first sync is under way.
    #[serde(default)]
    pub first_sync: Vec<FirstSyncStatus>,
    /// Releases in `__all__`.
    pub releases: u64,
    /// Releases in `__bad__`.
    pub bad: u64,
    /// Ready torrents whose files are not known yet: what is left of the first sync.
    pub unknown: u64,
    /// Ready torrents in all accounts.
    #[serde(default)]
    pub ready: u64,
    /// Files in `__all__`.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the account was last asked successfully.
    pub updated: Option<Timestamp>,
    /// Seconds since then.
    pub age_seconds: Option<f64>,
    /// When a complete list was last compared.
    pub full_list: Option<Timestamp>,
    /// What the rest of the first sync takes at the pace of the last two minutes; absent until there is one.
    pub sync_seconds_left: Option<u64>,
    /// Losses that wait for confirmation.
    pub held: Vec<HeldLoss>,
    /// What is wrong with the file of the catalogue, and what to do; absent while nothing is.
    #[serde(default)]
    pub store_trouble: Option<String>,
    /// Copies in all accounts.
    #[serde(default)]
    pub copies: CopiesStatus,
}

/// How far an account is whose view waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FirstSyncStatus {
    /// Its configured name.
    pub provider: String,
    /// Whether its list is known.
    pub listed: bool,
    /// Releases of that list whose names are known.
    pub named: u64,
    /// All of them.
    pub total: u64,
    /// What the rest takes at the pace of the last two minutes; absent until there is one.
    pub seconds_left: Option<u64>,
    /// While the account answers nothing and others do: the seconds until their releases are shown without its own, 0 from then on.
    #[serde(default)]
    pub patience: Option<u64>,
}

impl fmt::Display for FirstSyncStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            provider,
            named,
            total,
            ..
        } = self;
        if !self.listed {
            return write!(out, "{provider} has not been listed completely yet");
        }
        write!(out, "first sync of {provider}: {named} of {total} named")?;
        match self.seconds_left {
            None => Ok(()),
            Some(seconds) => write!(out, ", {} left", short(seconds)),
        }
    }
}

impl LibraryStatus {
    /// What is not shown yet, and why: everything, if [`Self::listed`] is not set.
    pub fn waits(&self) -> Vec<String> {
        let waiting = self.first_sync.iter();
        if self.listed {
            let line = |one: &FirstSyncStatus| format!("the view of {} waits: {one}", one.provider);
            return waiting.map(line).collect();
        }
        if self.first_sync.is_empty() {
            return vec!["the account has not been listed completely yet".to_owned()];
        }
        let line = |one: &FirstSyncStatus| {
            let until = match one.patience {
                Some(left) if left > 0 => format!(
                    "; it does not answer, and in {} the library is shown without it",
                    short(left)
                ),
                _ => String::new(),
            };
            format!("the library waits: {one}{until}")
        };
        waiting.map(line).collect()
    }
}

/// A time [s] as people say it.
fn short(seconds: u64) -> String {
    match seconds {
        ..=90 => format!("{seconds} s"),
        _ => format!("{} min", seconds.div_ceil(60)),
    }
}

/// A loss the shrink guard holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldLoss {
    /// The provider whose list got shorter.
    pub provider: String,
    /// How many releases are missing in it.
    pub releases: u64,
    /// Some of their names.
    pub names: Vec<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// An account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProviderStatus {
    /// Configured name.
    pub name: String,
    /// Kind, such as `real-debrid`.
    pub kind: String,
    /// Whether the last call that could tell was answered.
    pub healthy: bool,
    /// Calls that may still be made at once.
    pub budget_left: u32,
    /// Calls allowed a minute.
    pub budget_per_minute: u32,
    /// Calls made since the engine's start.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Calls waiting now.
    pub waiting: u64,
    /// Rest of a cool-down that all callers share, in seconds.
    pub cooldown_seconds: Option<f64>,
    /// The last error.
    pub last_error: Option<LastError>,
    /// Keys that links are made with, in the order of the configuration.
    #[serde(default)]
    pub keys: Vec<KeyStatus>,
    /// What the account told of itself; absent until it was asked, which is done once an hour.
    #[serde(default)]
    pub account: Option<AccountStatus>,
}

/// What an account told of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccountStatus {
    /// The vendor's name of the subscription, where there are several.
    pub plan: Option<String>,
    /// Whether it may download.
    pub premium: bool,
    /// When the subscription ends, if known.
    pub expires: Option<Timestamp>,
    /// Downloads that are on their way to it, where the vendor tells.
    pub slots_used: Option<u64>,
    /// How many may be, where the vendor tells or declares it.
    pub slots: Option<u64>,
    /// The share of a fair-use allowance that is used, from 0 to 1, where the vendor tells it.
    #[serde(default)]
    pub fair_use: Option<f64>,
    /// When it was asked.
    pub read: Timestamp,
}

/// How much of a budget of calls a key has used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetStatus {
    /// The calls that count: `all`, or the vendor's word of some.
    pub calls: String,
    /// Calls that count now.
    pub used: u64,
    /// Calls that may.
    pub limit: u64,
    /// In any time of this many seconds.
    pub seconds: u64,
}

impl fmt::Display for BudgetStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of {} ", self.used, self.limit)?;
        match &*self.calls {
            "all" => write!(out, "calls")?,
            word => write!(out, "{word} calls")?,
        }
        match self.seconds {
            60 => write!(out, " a minute"),
            3600 => write!(out, " an hour"),
            seconds => write!(out, " in {seconds} s"),
        }
    }
}

/// A key that links are made with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyStatus {
    /// Its number in the order of the configuration, from 1; key 1 also lists the library.
    pub number: u64,
    /// A fingerprint of the token, the same after restarts and changes of the order.
    pub id: String,
    /// Calls made with it since the engine's start.
    pub calls: u64,
    /// What it has used of the limits that are kept, that of all calls first.
    #[serde(default)]
    pub budgets: Vec<BudgetStatus>,
    /// Why the provider refused it, if it did lately.
    pub refused: Option<String>,
    /// Bytes this program fetched with it since the provider's midnight.
    pub traffic_counted: u64,
    /// Bytes fetched with it since then, other programs' included as far as the provider told.
    pub traffic_used: u64,
    /// The configured limit of a day.
    pub traffic_limit: Option<u64>,
    /// What is left of the limit is kept for playback.
    pub playback_only: bool,
    /// Nothing may be fetched with it before `traffic_resets`.
    pub used_up: bool,
    /// The provider's next midnight.
    pub traffic_resets: Option<Timestamp>,
}

/// Bytes of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContentStatus {
    /// Bytes held in memory.
    pub memory_used: u64,
    /// Bytes that may be.
    pub memory_limit: u64,
    /// Bytes that the HTTP client may have read ahead besides, at most.
    #[serde(default)]
    pub client_memory: u64,
    /// Bytes fetched from CDNs since the engine's start.
    pub fetched: u64,
    /// Bytes handed to readers since the engine's start.
    pub served: u64,
    /// Ranged requests to CDNs since the engine's start.
    pub requests: u64,
    /// Second requests among them, sent because the first was late or slow.
    #[serde(default)]
    pub hedges: u64,
    /// Requests that failed and were, or may have been, made again, since the engine's start.
    #[serde(default)]
    pub retries: u64,
    /// Times that a reader went on with another copy.
    #[serde(default)]
    pub fail_overs: u64,
    /// Copies of files whose bytes were found to differ from the others'.
    #[serde(default)]
    pub copies_differing: u64,
    /// Times that a provider was found well again after readers had left it.
    #[serde(default)]
    pub returns: u64,
    /// Connections given up because nothing came, since the engine's start.
    #[serde(default)]
    pub stalls: u64,
    /// Answers that were not what had been asked, since the engine's start; none was handed out.
    #[serde(default)]
    pub wrong_answers: u64,
    /// Connections with a body under way now.
    pub connections: u64,
    /// Fetches that wait for leave to connect now.
    #[serde(default)]
    pub connections_waiting: u64,
    /// Direct links asked of providers since the engine's start.
    pub links_resolved: u64,
    /// Direct links that a CDN refused since the engine's start.
    #[serde(default)]
    pub links_refused: u64,
    /// Reads that ended with an error since the engine's start; heads and tails that were fetched ahead are not among them.
    pub read_errors: u64,
    /// New files whose head and tail were fetched before anybody read them, since the engine's start.
    #[serde(default)]
    pub files_filled: u64,
    /// New files of which head or tail could not be fetched, since the engine's start: they are left to whoever reads them.
    #[serde(default)]
    pub files_unfilled: u64,
    /// Readers by what they are taken for; none while no engine is there to tell.
    #[serde(default)]
    pub readers: Vec<ReaderStatus>,
    /// Who reads what, the latest first, 100 at most; what the engine reads for itself is left out.
    #[serde(default)]
    pub reading: Vec<ReadingStatus>,
    /// The cache on disk; absent when it is turned off.
    #[serde(default)]
    pub cache: Option<CacheStatus>,
}

/// The cache on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheStatus {
    /// Whether it can be used now.
    pub usable: bool,
    /// Files in it.
    pub files: u64,
    /// Bytes on disk of what was played or copied.
    pub bytes: u64,
    /// Bytes that may be, now.
    pub limit: u64,
    /// Bytes on disk of heads and tails.
    pub probe_bytes: u64,
    /// Bytes that may be.
    pub probe_limit: u64,
    /// Bytes in memory that wait for its disk.
    #[serde(default)]
    pub waiting: u64,
    /// Bytes of spare buffers for what is read from it.
    #[serde(default)]
    pub spare: u64,
    /// Reads answered from it since the engine's start.
    pub hits: u64,
    /// Reads it could not answer since the engine's start.
    pub misses: u64,
    /// Bytes of the reads answered.
    pub hit_bytes: u64,
    /// Bytes written into it since the engine's start.
    pub written: u64,
    /// Bytes evicted since the engine's start.
    pub evicted: u64,
    /// Bytes offered to it and not taken since the engine's start.
    pub skipped: u64,
    /// Reads that passed it by since the engine's start.
    pub bypasses: u64,
    /// Errors of its disk since the engine's start.
    pub errors: u64,
    /// Damaged granules found since the engine's start.
    pub damaged: u64,
}

/// Readers that are taken for the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReaderStatus {
    /// `probe`, `scan`, `playback` or `copy`.
    pub class: String,
    /// How many there are now.
    pub readers: u64,
    /// Bytes they asked for since the engine's start.
    pub read: u64,
    /// Bytes fetched for them since the engine's start.
    pub fetched: u64,
}

/// A reader of one file, which read within the last minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadingStatus {
    /// Where the file is shown, relative to the root.
    pub path: String,
    /// `fuse` or `http`.
    pub front: String,
    /// `pid 1234` or an address; empty where the front does not know, as for a process in another PID namespace.
    pub client: String,
    /// What the reader is taken for: `probe`, `scan`, `playback` or `copy`.
    pub class: String,
    /// Bytes it has asked for.
    pub read: u64,
    /// Seconds since its last read.
    pub idle_seconds: u64,
}

/// Requests of the kernel since the engine's start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FuseStatus {
    /// Requests that wait now.
    pub pending: u64,
    /// Taken over from an earlier engine or the keeper.
    pub replayed: u64,
    /// Ended because their caller was interrupted.
    pub interrupted: u64,
    /// By kind.
    pub operations: Vec<OperationStatus>,
    /// How it stands with rollouts of backends.
    #[serde(default)]
    pub rollout: debridfs_fuse::RolloutStatus,
}

/// One kind of request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationStatus {
    /// The kernel's name, such as `READ`.
    pub operation: String,
    /// Requests taken.
    pub requests: u64,
    /// Those answered with an errno; a missing name counts.
    pub failed: u64,
    /// Sum of the times from arrival to reply.
    pub seconds: f64,
}

/// An error that was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// What; holds no secret.
    pub message: String,
}
