//! The FUSE front: codec, backends, transport threads, adoption of a live connection.
//!
//! ```text
//! kernel ─ read ─▶ slot of the journal ─▶ backend (decode, ask the Vfs) ─ now ──▶ writev on the same fd
//!                                              └─ later: pending entry, future on the runtime ──▶ writev on the same fd
//! ```
//!
//! | where | what is decided there |
//! |---|---|
//! | [`wire`] | the protocol, pure |
//! | [`errno`] | what every failure becomes (EIO and the others), and which requests everybody refuses alike |
//! | `native` | how a request becomes a call of the [`debridfs_vfs::Vfs`] and its answer a reply, with our own codec |
//! | `fbrs` | the same with the codec of fuse-backend-rs |
//! | `shadow` | a second backend beside the first, and what differs |
//! | `rollout` | a backend that takes another's place bit by bit, and goes back by itself |
//! | `remembered` | who answers, for the next engine |
//! | `selection` | which backend answers, and switching it under load |
//! | `trial` | what a backend has to answer first |
//! | `policy` | what both backends tell the kernel and ask of the library |
//! | `second_try` | the kernel's second try of a read that just failed |
//! | `transport` | reading, waiting, interrupts, deadlines, replies: the same for every [`Backend`] |
//! | `adoption` | what happens to requests an earlier engine left |
//! | `notify` | how the kernel learns of changes |
//! | `admitted` | the time before there is a mount |
//! | `keeper_link` | what happens when the keeper is gone: serving on, and giving the connection to the next one |
//! | `published` | the heartbeat, and what the keeper answers while no engine can |

mod admitted;
mod adoption;
mod backend;
mod backend_kind;
#[cfg(test)]
#[path = "../tests/mount/broken.rs"]
mod broken;
mod crash_hook;
mod crash_report;
pub mod errno;
#[cfg(feature = "fbrs")]
mod fbrs;
mod given;
mod keeper_link;
mod native;
mod notify;
mod policy;
mod published;
mod remembered;
mod rollout;
mod second_try;
mod selection;
mod serving;
mod shadow;
mod stats;
mod transport;
mod trial;
pub mod wire;

pub use admitted::{Admitted, Unmounted};
pub use backend::{Backend, Call, Outcome};
pub use backend_kind::{BackendKind, NoSuchBackend};
pub use crash_hook::{ALLOW_VARIABLE, CRASH_VARIABLE, CrashHook, CrashHookError};
#[cfg(feature = "fbrs")]
pub use fbrs::{Fbrs, FbrsError};
pub use native::Native;
pub use notify::{NotifyHelper, notify_helper_main};
pub use remembered::{Kept, remembered};
pub use rollout::{
    Decision, DecisionCount, DecisionKind, Fault, PlanError, Progress, RolloutError,
    RolloutSettings, RolloutStatus, RunningStatus, Sample, SideCounts, Stage,
};
pub use selection::{Backends, MakeBackend, SwitchError, Tried};
pub use serving::{Ended, Outlives, ServeOptions, Serving, serve, serve_with};
pub use shadow::{Compared, ComparedKind, Difference, Divergence};
pub use stats::{AnsweredStats, KindStats, Snapshot};
