//! The programs around a library, as this one calls them: arrs are told what failed, media servers and
//! programs of the user what changed.
//!
//! | question | where |
//! |---|---|
//! | how a request is sent, and what its answer means | `caller` |
//! | what is asked of an arr | `arr` |
//! | whether arrs answer | `watch` |
//! | who is told what changed in the library, when and how | `hooks`, and the user's program in `program` |
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod arr;
mod caller;
mod hooks;
mod program;
mod watch;

pub use arr::{Arr, Dialect, FailedGrab, QueueEntry, Replaced, Replacement, Version};
pub use caller::{CallError, Caller, check_address, network};
pub use hooks::{ChangeKind, Hook, HookKind, Notice, run_hooks};
pub use program::{PATHS_PER_RUN, UpdateProgram};
pub use watch::watch_arrs;
