//! Finds out whether a FUSE mount that is made in one container reaches the others, as whom it can
//! be read there, and what is left of it when its maker dies.
//!
//! The mount is a real one, of the product's own keeper and engine, and shows one file with a
//! nonce. A container is a mount namespace here ([`run`]), or a real one in which a part of the
//! test runs.
//!
//! | module | decides |
//! |---|---|
//! | `code` | the reasons of a failure, and the way out of each |
//! | `run` | the phases of the whole test on one host |
//! | `roles` | one part of the test in one real container |
//! | `task` | what the processes of a test are told, and what they say |
//! | `helper` | what they do: the test itself touches no path on its mount |
//! | `container` | how a namespace becomes like a container |
//! | `classify` | which reason an errno stands for |
//! | `report` | log and verdict |
#![forbid(unsafe_code)]

mod classify;
mod code;
mod container;
mod helper;
mod host;
mod level;
mod marker;
mod processes;
mod report;
mod roles;
mod run;
mod server;
mod task;
mod tree;
mod watch;

pub use code::{Advice, Code};
pub use helper::{enter_mounts_of, helper_main};
pub use host::sharing_commands;
pub use marker::{MARKER_NAME, Marker};
pub use report::{Outcome, Phase, Recorder, Report, Step};
pub use roles::{
    RoleSettings, Until, clean_host, consume, look_on_host, produce, set_up_host, stay_on_host,
};
pub use run::{RuntimeSettings, Settings, run};
