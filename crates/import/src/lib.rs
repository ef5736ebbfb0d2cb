//! Moving in from other programs: reads what they were told, makes a configuration of ours from it,
//! and says what could not be carried over. Knows no other part: what our configuration takes comes
//! in as [`Ours`].
//!
//! | question | where |
//! |---|---|
//! | which program, which file, what is printed | `import.rs` |
//! | what became of each setting, and the file made of them | `plan.rs` |
//! | how files are written, and for whom | `write.rs` |
//! | what a setting of decypharr, zurg or rdt-client means | `decypharr.rs`, `zurg.rs`, `rdt_client.rs` |
//! | what all three have in common | `common.rs` |
//! | where symlinks lead that others made | `links.rs` |
#![forbid(unsafe_code)]

mod common;
mod decypharr;
mod error;
mod import;
mod links;
mod plan;
mod rdt_client;
mod write;
mod zurg;

pub use error::Error;
pub use import::{Import, Program, Request};
pub use links::{Checked, Known, check};
pub use plan::{OurKind, Ours};
