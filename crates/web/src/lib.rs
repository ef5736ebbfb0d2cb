//! HTTP of an engine: `/livez`, `/readyz`, `/metrics` and the pages for people over TCP, and `status` and `library accept` over the
//! control socket.
//!
//! Nothing is decided here: an [`Instance`] says how things are, and this crate shows it.
#![forbid(unsafe_code)]

mod cache;
mod client;
mod control;
mod instance;
mod metrics;
mod pages;
mod probe;
mod public;
mod status;
mod traces;
mod why;

pub use cache::{CacheAnswer, CacheDesk, CacheRefused, CachedLine, Purged, Warmth, cache_router};
pub use client::{CallError, call};
pub use control::control_router;
pub use instance::{AcceptError, Accepting, Instance};
pub use metrics::{METRICS, MetricInfo, encode};
pub use pages::{
    Changing, HashedPassword, JobLine, Login, PageSource, Pages, PasswordError, QueueChange,
    ReleaseLine, ReleaseList, ReleaseQuery, ViewLine, pages_router,
};
pub use probe::{MountProbe, ProbeError};
pub use public::{public_router, waiting_router};
pub use status::{
    CacheStatus, ContentStatus, EngineState, EngineStatus, FuseStatus, HeldLoss, KeeperStatus,
    KeyStatus, LastError, LibraryStatus, MountStatus, OperationStatus, ProviderStatus, QueueStatus,
    ReaderStatus, RepairStatus, Status, StepStatus,
};
pub use traces::{Beginning, TraceRefused, Traces, trace_router};
pub use why::{WhyEvent, WhyFile, WhyRelease, WhyReport, WhyState};
