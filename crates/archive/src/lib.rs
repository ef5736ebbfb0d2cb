//! Archives into which a provider packs a release: where the files in one lie, so that they can be
//! read without unpacking anything.
//!
//! | question | where |
//! |---|---|
//! | when is an archive examined, and when again after a failure | `examiner.rs` |
//! | where do its files lie, which archives are refused | `rar.rs`, `rar/` |
//! | what names its headers in the cache and in the event log | `header_id.rs` |
#![forbid(unsafe_code)]

mod examiner;
mod header_id;
mod rar;

pub use examiner::Examiner;
pub use header_id::is_archive;
pub use rar::{RarProgress, RarReader, RarRefusal};
