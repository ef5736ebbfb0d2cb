//! The contract between the keeper, which owns the FUSE connection, and the engine, which serves
//! it.
//!
//! Both sides keep every request that is read from `/dev/fuse` in one [`journal`], and hold every
//! descriptor of the connection. So an engine may die at any instruction and the next one answers
//! what it left; and an engine that outlives its keeper brings the connection to the next keeper.
//!
//! | question | where |
//! |---|---|
//! | where is a request noted, and who may free it? | [`journal`] |
//! | how does an engine talk to the keeper? | [`EngineLink`] |
//! | what can they say to each other? | [`ToKeeper`], [`FromKeeper`] |
//! | what does an engine get? | [`Lease`] |
//! | how does a keeper get a connection back? | [`Custody`] |
//! | which descriptors has a connection, in what order? | [`Descriptors`] |
//! | how do they travel, and who is at the other end? | [`packet`] |
//! | what do both read of a request? | [`InHeader`] |
//! | which clock do they share? | [`awake_ns`] |
//!
//! The talk goes over one unix socket (`SOCK_SEQPACKET`), one JSON object a message. An engine
//! sends [`ToKeeper::Hello`], waits for [`FromKeeper::Lease`] (which comes with the descriptors,
//! and only after the previous engine is dead), adopts what the journal holds, starts its threads
//! and sends [`ToKeeper::Serving`]. Then it reads messages until the keeper is gone or says stop.
//! While nothing can be mounted, [`FromKeeper::Unmounted`] comes in place of the lease, which
//! follows once there is a mount.
//! `debridfs status` sends [`ToKeeper::Status`] instead.
//!
//! ```no_run
//! use debridfs_handover::{EngineLink, FromKeeper};
//! # fn main() -> Result<(), debridfs_handover::HandoverError> {
//! let link = EngineLink::connect("/run/debridfs/keeper.sock".as_ref(), "0.1.0", false)?;
//! let lease = link.lease()?; // blocks until this engine is admitted
//! // adopt lease.journal, start the transport threads on lease.fds.clones …
//! link.serving()?;
//! while let Ok(FromKeeper::TakeStandIn) = link.receive() {
//!     // Region::take_stand_in
//! }
//! # Ok(())
//! # }
//! ```

pub mod journal;
pub mod packet;

#[cfg(any(test, feature = "test-util"))]
pub mod hostile;

mod clock;
mod custody;
mod descriptors;
mod error;
mod header;
mod lease;
mod link;
mod message;

pub use clock::awake_ns;
pub use custody::Custody;
pub use descriptors::Descriptors;
pub use error::HandoverError;
pub use header::{InHeader, OUT_HEADER_LEN, interrupt_target, out_header};
pub use lease::Lease;
pub use link::{Admission, EngineLink, Mounted, status, upgrade};
pub use message::{
    EngineState, FromKeeper, InitResult, KeeperStatus, LeaseTerms, MountTrouble, PROTOCOL,
    Recovery, ToKeeper, Unmounted, Upgrade,
};
