use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::journal::Layout;

/// Version of the messages; an engine with another is refused.
pub const PROTOCOL: u32 = 1;

/// From an engine (or `debridfs status`) to the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToKeeper {
    /// Asks to be admitted as the engine.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Version of the program, for people.
        version: String,
        /// Its pid as it sees it; the keeper trusts `SO_PEERCRED` instead.
        pid: u32,
        /// Not to wait for the end of the engine that serves, but to bring it about: this one has
        /// loaded everything.
        #[serde(default)]
        replace: bool,
        /// It has something to serve without a mount as well, so it may be admitted by
        /// [`FromKeeper::Unmounted`].
        #[serde(default)]
        without_mount: bool,
    },
    /// Brings the connection back: this engine outlived the keeper that lent it. Comes with the
    /// descriptors of the lease, in the same order.
    Return {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Version of the program, for people.
        version: String,
        /// The terms of the lease.
        terms: LeaseTerms,
    },
    /// The engine reads requests now; without a mount: it serves everything else.
    Serving,
    /// Asks for [`FromKeeper::Status`].
    Status,
    /// Asks for an engine of the program as it is installed now. Answered with a status, or
    /// [`FromKeeper::Refused`].
    Upgrade,
}

/// From the keeper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromKeeper {
    /// The connection. Comes with the descriptors: main fd, journal memfd, clones 1 to N.
    Lease(LeaseTerms),
    /// There is no mount, and none can be made now. This engine is admitted all the same, to serve
    /// everything else; [`FromKeeper::Lease`] follows once there is a mount.
    Unmounted(Unmounted),
    /// This engine is not admitted, and won't be.
    Refused {
        /// For people.
        reason: String,
    },
    /// Answer to [`ToKeeper::Return`]: the keeper has the connection again; serve on.
    Returned,
    /// The stand-in took requests while this engine answered nothing:
    /// [`crate::journal::Region::take_stand_in`].
    TakeStandIn,
    /// End now: an engine that has loaded everything waits for this lease.
    Replaced,
    /// End now; the keeper stops, or the mount was lost and a successor gets the new one.
    Stop,
    /// Answer to [`ToKeeper::Status`].
    Status(KeeperStatus),
}

/// What `FUSE_INIT` agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitResult {
    /// Major version of the protocol, 7.
    pub major: u32,
    /// Minor version both sides speak.
    pub minor: u32,
    /// Flags that both sides have (`FUSE_*` of `struct fuse_init_out`, `flags2` in the high half).
    pub flags: u64,
    /// Bytes the kernel reads ahead at most.
    pub max_readahead: u32,
    /// Longest write in bytes.
    pub max_write: u32,
    /// Longest read in pages.
    pub max_pages: u32,
}

/// How requests of a dead engine are brought to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// From the journal; works on every kernel.
    #[default]
    Journal,
    /// The journal is emptied and the kernel asked to send all again (`FUSE_NOTIFY_RESEND`, Linux
    /// 6.9). `unique` then has bit 63 set.
    Resend,
    /// Not at all: readers hang. For tests that show why the others are needed.
    None,
}

/// What comes with a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseTerms {
    /// Counts up with each lease; 1 is the first engine of this keeper.
    pub generation: u64,
    /// Counts up with each new FUSE connection; the same number means the same mount.
    pub connection: u64,
    /// Shape of the journal.
    pub layout: Layout,
    /// What INIT agreed on.
    pub init: InitResult,
    /// How this lease was recovered.
    pub recovery: Recovery,
    /// The mount point.
    pub mount: PathBuf,
    /// Unix time in milliseconds when this connection was mounted: what the kernel caches is
    /// younger.
    pub mounted_at: u64,
    /// Milliseconds after its arrival at which a request is answered EIO.
    pub deadline: u64,
}

/// What comes in place of a lease while there is no mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmounted {
    /// As [`LeaseTerms::generation`]; the lease that follows has the same.
    pub generation: u64,
    /// The mount point.
    pub mount: PathBuf,
    /// Why nothing is mounted there.
    pub trouble: MountTrouble,
}

/// Why a mount cannot be made. It is tried again all the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountTrouble {
    /// For people.
    pub reason: String,
    /// What to do about it, for people.
    pub help: String,
    /// Unix time in milliseconds of the first attempt that failed.
    pub since: u64,
}

/// How the engine does, as the keeper sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// None runs; the stand-in answers.
    Absent,
    /// It was admitted and gets ready.
    Starting,
    /// It reads requests; without a mount: it serves everything else.
    Serving,
    /// It serves, but takes no requests although some wait, so the stand-in answers.
    Stalled,
}

/// What a keeper says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperStatus {
    /// The keeper's own pid.
    pub keeper_pid: u32,
    /// The engine's pid; absent without one, 0 when it is in a pid namespace the keeper can't see.
    pub engine_pid: Option<u32>,
    /// How it does.
    pub engine_state: EngineState,
    /// The engine's version, as it told.
    pub engine_version: Option<String>,
    /// The mount point.
    pub mount: PathBuf,
    /// Whether it is mounted right now.
    pub mounted: bool,
    /// Why it is not, once that was tried in vain.
    #[serde(default)]
    pub mount_trouble: Option<MountTrouble>,
    /// Unix time in milliseconds of the mount in use.
    pub mounted_at: u64,
    /// Engines started or admitted after the first.
    pub restarts: u64,
    /// Times the mount was lost and made again.
    pub remounts: u64,
    /// Why the last engine ended.
    pub last_death: Option<String>,
    /// What became of the last upgrade.
    #[serde(default)]
    pub upgrade: Upgrade,
}

/// State of the replacement of one engine by another that was loaded beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Upgrade {
    /// There was none.
    #[default]
    None,
    /// The new engine loads, or takes over.
    Running,
    /// The new engine serves.
    Done {
        /// Its version.
        version: String,
    },
    /// The old engine, or its program, serves on.
    Failed {
        /// For people.
        reason: String,
    },
}
