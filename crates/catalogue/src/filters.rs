//! Filters of custom folders, in decypharr's words and zurg's.
//!
//! `filters` as a table holds conditions that must all hold (decypharr), except that `regex` and `files_regex` together are alternatives, as there.
//! `filters` as a list holds alternatives (zurg); the conditions within one item must all hold. `and` and `or` nest.
//!
//! Conditions on files are not decided while a release's files are unknown: it shows once they are, so that nothing shows and vanishes again.

mod condition;
mod config;
mod episodes;
mod quantity;
#[cfg(test)]
mod tests;

pub(crate) use condition::{Filter, Subject, SubjectFile};
pub use condition::{FilterError, Verdict};
pub use config::{Conditions, Filters, FolderConfig, ShownAs};
pub use quantity::{Age, InvalidAge};
