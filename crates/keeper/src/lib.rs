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

pub mod handover;
pub mod journal;

mod clock;

pub use clock::boottime_ns;
