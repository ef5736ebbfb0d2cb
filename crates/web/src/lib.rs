//! HTTP of an engine over TCP: `/livez`, `/readyz`, `/metrics` and the pages for people.
//!
//! Nothing is decided here: an [`Instance`](debridfs_control::Instance) says how things are, and this crate shows it.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod metrics;
mod pages;
mod probe;
mod public;

pub use metrics::{METRICS, MetricInfo, MetricKind};
pub use pages::{Changing, EngineSource, Login, PageSource, Pages, QueueChange, pages_router};
pub use probe::{MountProbe, ProbeError};
pub use public::{public_router, waiting_router};
