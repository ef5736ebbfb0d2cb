//! What commands ask a running instance, over its control socket: HTTP with JSON.
//!
//! | question | where |
//! |---|---|
//! | how a call is made, and how it fails | `client` |
//! | why a call is refused | [`Refused`] |
//! | which calls there are, with forms and routes | `backends`, `instance`, `cached`, `providers`, `queue`, `repair`, `tokens`, `traces` |
//! | the form of `debridfs status --json` | [`Status`]; its figures in `figures` |
//! | what programs that mount nothing see of the library | `browse` |
//! | which releases a view has | `releases` |
//! | what somebody has to look at | `attention` |
//! | what metrics show besides the status | [`Measures`] |
//! | the form of `debridfs why --json` | [`WhyReport`]; the verdict and advice in `verdict` |
//! | what is meant by a hash or a part of a name | `find` |
//! | how both, and accounts, are printed for people | [`words`] |
//! | what both say of copies | [`CopyLine`] |
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod answer;
mod attention;
mod backends;
mod browse;
mod cached;
mod callers;
mod client;
mod copies;
mod engine;
mod figures;
mod find;
mod instance;
mod keeper;
mod measures;
mod moves;
mod nfs;
mod providers;
mod queue;
mod releases;
mod repair;
mod server;
mod status;
mod tokens;
mod traces;
mod verdict;
mod why;
pub mod words;

pub use answer::{RefusalKind, Refused};
pub use backends::{BackendsStatus, RollingOut, RolloutStep, decisions};
pub use browse::{
    At, FoundLine, LONGEST_URL, Listing, MOST_LINES, Node, NodeKind, NodeLine, Playable, SIGNING,
    Search, UrlKind,
};
pub use cached::{CachedLine, Warmth};
pub use callers::{CallersStatus, ListenerStatus};
pub use client::{CallError, Client, Silence};
pub use copies::{CopiesStatus, CopyLine, RefusedCopy, Verdict};
pub use debridfs_fuse::ComparedKind;
pub use engine::{EngineInfo, EngineParts, RunningEngine};
pub use instance::{Accepting, Instance};
pub use keeper::{of_mount, without_engine};
pub use measures::{BackendMeasures, Measures};
pub use moves::Moving;
pub use nfs::{NfsClientStatus, NfsStatus};
pub use providers::{ProviderLine, TestStep};
pub use queue::{AddedJob, QueuedJob};
pub use releases::{ReleaseLine, ReleaseList, ReleaseQuery, ViewLine};
pub use repair::{Check, Found};
pub use server::control_router;
pub use status::{
    AccountStatus, BudgetStatus, CacheStatus, ContentStatus, DOWNLOADS, EngineState, EngineStatus,
    FirstSyncStatus, FuseStatus, HeldLoss, KeeperStatus, KeyStatus, LastError, LibraryStatus,
    MountStatus, OperationStatus, ProviderStatus, QueueStatus, ReaderStatus, ReadingStatus,
    RepairStatus, Status, StepStatus, VolumeStatus,
};
pub use tokens::{HttpTokens, NewToken, Revoked, TokenLine};
pub use why::{WhyEvent, WhyFile, WhyRelease, WhyReport, WhyState};
