//! One suite for all fronts: what a library must do, whichever way it is read.
//!
//! * [`library`] describes the account that every front serves, and [`Expected`] what has to be seen of it.
//! * A [`Front`] is a way to read it: a directory (FUSE, or a kernel client of NFS or SMB), HTTP, a program such as `smbclient`. It declares what it
//!   is capable of ([`Capability`]); a case that needs more is not for it.
//! * [`run`] tries every case and gives a [`Report`]. What a front cannot do right by its nature is in its skip list ([`Skips`]): a file with a case
//!   and a reason a line.
//!
//! `crates/debridfs/examples/behaviour.rs` tries a directory, in a guest or anywhere else.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run, and wait for the real kernel"
)]

mod account;
mod cases;
mod directory;
mod expected;
mod front;
mod run;
mod skips;

pub use account::Account;
pub use directory::Directory;
pub use expected::{Expected, ExpectedFile, library};
pub use front::{Capability, Front, Kind, Stat, Write};
pub use run::{Outcome, Report, run};
pub use skips::{SkipError, Skips};
