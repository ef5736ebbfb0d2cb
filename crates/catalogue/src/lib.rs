//! What the library holds: releases, their files, the views that show them, and ids that never change.
//!
//! Way of an entry: provider list → `sync` → diff and shrink guard → store → [`Library`] published to the `vfs`.
#![forbid(unsafe_code)]

mod archive;
mod catalogue;
mod contents;
mod copy;
mod diff;
mod error;
mod filters;
mod guard;
mod ids;
mod library;
mod names;
mod naming;
mod status;
mod store;
mod sync;
#[cfg(test)]
mod testing;
mod verdicts;
mod views;

pub use archive::{Archive, Findings, Member, Unexamined};
pub use catalogue::{Catalogue, CatalogueConfig};
pub use contents::{Health, LATE_LINKS, REMOVED_SHOWN};
pub use copy::{Copy, CopyDetail};
pub use diff::{ChangedPath, Outline, changed_paths};
pub use error::{Error, Result};
pub use filters::{Age, Conditions, FilterError, Filters, FolderConfig, InvalidAge, Verdict};
pub use guard::GuardRules;
pub use ids::{FIRST as FIRST_ID, IdOverride, IdTable, is_file};
pub use library::{
    BadReason, Contents, Entry, File, Layout, Library, Place, Release, ReleaseTree, View,
};
pub use names::{LONGEST as LONGEST_NAME, legal as legal_name};
pub use naming::FolderNaming;
pub use status::{
    CopiesStatus, CopyReport, HeldLoss, LibraryStatus, Progress, ProviderSync, SyncTrouble,
    ViewCount,
};
pub use store::{HistoryEntry, StoreTrouble};
pub use verdicts::CopyVerdict;
pub use views::{
    ALL, BAD, Built, Memory, RulesError, ShownRelease, ShownView, VERSION_FILE, ViewBuilder,
    ViewChange, ViewRules,
};
