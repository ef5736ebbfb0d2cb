//! The programs around a library, as this one calls them: arrs are told what failed, media servers what changed.
//!
//! `caller` sends one request and judges the answer; what is asked of whom, and in which order, is in a module per kind of program.
#![forbid(unsafe_code)]

mod arr;
mod caller;
mod hooks;

pub use arr::{Arr, Dialect, FailedGrab, QueueEntry, Replaced, Replacement, Version};
pub use caller::{CallError, Caller, network};
pub use hooks::{ChangeKind, Hook, HookKind};
