//! The programs around a library, as this one calls them: arrs are told what failed.
//!
//! `caller` sends one request and judges the answer; what is asked of whom, and in which order, is in a module per kind of program.
#![forbid(unsafe_code)]

mod arr;
mod caller;

pub use arr::{Arr, Dialect, FailedGrab, QueueEntry};
pub use caller::{CallError, Caller, network};
