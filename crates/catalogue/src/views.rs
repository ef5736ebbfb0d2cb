//! What is shown, out of the torrents the store keeps: releases get their names, then their places in `__all__`, `__bad__`, the providers' views and custom folders.
//!
//! Pure: the caller keeps what [`Built`] hands out and gives it back as [`Memory`] after a restart. A builder remembers the releases of its last build, so that one
//! changed torrent costs little in a large library.

mod build;
mod memory;
mod naming;
mod rules;

#[cfg(test)]
mod tests;

pub use build::{Built, ViewBuilder};
pub use memory::{Memory, ShownRelease, ShownView, ViewChange};
pub use rules::{RulesError, ViewRules};
