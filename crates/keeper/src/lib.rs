//! The half of debridfs that is never restarted.
//!
//! The keeper owns the FUSE connection: it mounts, answers `FUSE_INIT`, keeps every connection fd
//! for as long as the mount lives, and lends copies of them to an engine, which does all the rest
//! and may die at any time. It uses no async runtime and no network, and it trusts no byte that an
//! engine wrote.
//!
//! | module | decides |
//! |---|---|
//! | [`journal`] | the shared memory in which every request is noted until it is answered |
//! | [`handover`] | how an engine gets the connection: messages and descriptors on a unix socket |
//! | `connection` | mounting as root and as a user, INIT, clones |
//! | `keeper` | the loop: supervision, stand-in answers, a mount that was lost, the clean stop |
//! | [`namespace`] | a mount namespace for one process |
//! | [`probe`] | looking through the mount without being caught in it |

pub mod handover;
pub mod journal;

pub mod namespace;
pub mod probe;

mod clock;
mod connection;
mod descriptors;
mod error;
mod keeper;
mod options;
mod wire;

pub use clock::boottime_ns;
pub use descriptors::keep_from_children;
pub use error::KeeperError;
pub use keeper::run;
pub use options::{KeeperOptions, Level, Limits, LogSink, Mode, Owner};
