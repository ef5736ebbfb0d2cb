//! Downloads that arrs ask for: durable jobs that bring a release into an account and then into an arr's folder, and the shape of
//! the download client through which they are asked for.
//!
//! Way of a grab: [`qbittorrent`] → [`Acquire::add`] (stored, then answered) → `drive` (provider, library, probe) → `action` → the
//! arr imports. Every step is stored before the next one begins and may be done twice, so a job survives a kill at any point.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod acquire;
mod action;
mod add;
mod attempt;
mod callers;
mod checkpoint;
mod claims;
mod config;
mod drive;
mod error;
mod filter;
mod folder;
mod full;
mod in_hand;
mod job;
mod labels;
mod left_out;
mod library;
mod links;
mod mounted_library;
mod pace;
mod params;
mod placing;
mod plan;
pub mod qbittorrent;
mod release;
mod removal;
mod request;
mod route;
pub mod sabnzbd;
mod shared;
mod space;
mod steps;
mod store;
mod tell_arrs;
mod trash;
mod turns;
mod watch;
mod whole_job;

pub use acquire::{Acquire, AddOptions, Added, Move, QueueStatus};
pub use checkpoint::{Checkpoint, FETCH_POINTS, POINTS};
pub use config::{AcquireConfig, CategoryRule, DeletePolicy};
pub use error::{Error, Result};
pub use filter::FileFilter;
pub use job::{
    Action, AtProvider, Evidence, Job, JobFile, Live, ShareLimits, Step, Told, Uncached,
};
pub use library::{Known, Library, ProbeError, Shown, ShownFile, WholeFile};
pub use mounted_library::{AddressOf, MountNews, MountedLibrary};
pub use release::{Release, ReleaseError, Source};
pub use request::{JobId, Selection, Viewer};
pub use route::{Chosen, Passed, Refusal};
