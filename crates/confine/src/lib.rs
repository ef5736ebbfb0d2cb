//! Least privilege: what keeper and engine may still ask of the kernel once they have started.
//!
//! The keeper keeps the few capabilities of [`KEEPER`] and no others. The engine has none, can't get any
//! (`no_new_privs`), and its system calls pass a filter that knows what it and ordinary helper programs
//! use; everything else is answered ENOSYS, as by a kernel that was built without it.
//! `docs/security.md` tells the same to people.
//!
//! | module | decides |
//! |---|---|
//! | `capabilities` | the keeper's list, with the reason for each, and how the others are dropped |
//! | `engine` | the order in which the engine gives up everything |
//! | `calls` | the system calls that the filter lets through |
//! | `filter` | the same as a program for the kernel |
//! | `profile` | the same as a profile for container runtimes |
#![forbid(unsafe_code)]

mod calls;
mod capabilities;
mod engine;
mod filter;
mod profile;

pub use calls::allowed;
pub use capabilities::{KEEPER, Kept, Needed, keep_needed};
pub use engine::{ConfineError, Filter, become_user, close_to_others, confine};
pub use profile::profile;
