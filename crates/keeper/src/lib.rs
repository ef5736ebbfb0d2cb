//! The process that is never restarted.
//!
//! The keeper owns the FUSE connection: it mounts, answers `FUSE_INIT`, keeps every connection fd
//! for as long as the mount lives, and lends copies of them to an engine, which does all the rest
//! and may die at any time. It uses no async runtime and no network, and it trusts no byte that an
//! engine wrote. What both sides agree on, the journal and the messages, is
//! [`debridfs_handover`].
//!
//! | question | where |
//! |---|---|
//! | how is the loop run, and in what order? | `keeper` |
//! | how is a mount made, as root and as a user; what does INIT agree on? | `connection` |
//! | what is the stand-in's part of the protocol? | `wire` |
//! | which calls may block, and what ends them? | `alarm`, `aside`, `log` |
//! | what can be set? | [`KeeperOptions`] |
//! | does a mount answer, looked at without being caught in it? | [`probe`] |

pub mod probe;

mod alarm;
mod aside;
mod connection;
mod descriptors;
mod error;
mod keeper;
mod log;
mod options;
mod wait;
mod wire;

pub use descriptors::keep_from_children;
pub use error::KeeperError;
pub use keeper::{occupied, remove_mount_point, run};
pub use options::{KeeperOptions, Level, Limits, LogSink, Mode, Owner};
