//! What the library holds: releases, their files, the views that show them, and ids that never change.
//!
//! Way of an entry: provider's list → `sync` → shrink guard → store → [`Library`], published to the tree.
//!
//! | question | where |
//! |---|---|
//! | what is shown | `library.rs` |
//! | what does a library show that the one before it did not | `diff.rs` |
//! | what does an account hold | `copy.rs`, packed in one archive: `archive.rs` |
//! | which files has a release, and can it be served | `contents.rs` |
//! | which releases does a view show, under which names | `views/`, `filters/`, `naming.rs`, `names.rs` |
//! | which id has a file or a directory | `ids.rs` |
//! | when is a provider asked, and what follows from its answer | `sync/` |
//! | is a loss too large to be believed | `guard.rs` |
//! | what did a provider say last of a copy | `verdicts.rs` |
//! | what outlives the process | `store/` |
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod archive;
mod bad_reason;
mod catalogue;
mod compared;
mod contents;
mod copy;
mod diff;
mod error;
mod filters;
mod guard;
mod ids;
mod learnt;
mod library;
mod names;
mod naming;
mod status;
mod store;
mod stored_time;
mod strm;
mod sync;
#[cfg(test)]
mod testing;
mod verdicts;
mod views;

pub use archive::{Archive, Findings, Member, Named, Unexamined};
pub use bad_reason::BadReason;
pub use catalogue::{Catalogue, CatalogueConfig};
pub use compared::ComparedFiles;
pub use contents::{Health, LATE_LINKS, REMOVED_SHOWN};
pub use copy::{Copy, CopyDetail};
pub use diff::{ChangedPath, Outline, changed_paths};
pub use error::{Error, Result};
pub use filters::{
    Age, Conditions, FilterError, Filters, FolderConfig, InvalidAge, ShownAs, Verdict,
};
pub use guard::GuardRules;
pub use ids::{FIRST as FIRST_ID, IdOverride, IdTable, is_file, strm_of};
pub use library::{
    ALL, BAD, Contents, Entry, File, Layout, Library, Place, Release, ReleaseTree, VERSION_FILE,
    View,
};
pub use names::{LONGEST as LONGEST_NAME, legal as legal_name};
pub use naming::FolderNaming;
pub use status::{
    CopiesStatus, CopyReport, FirstSync, HeldLoss, LibraryStatus, Progress, ProviderSync,
    SyncTrouble, ViewCount,
};
pub use store::{HistoryEntry, StoreTrouble};
pub use strm::strm_names;
pub use verdicts::CopyVerdict;
pub use views::{
    Built, Memory, RulesError, ShownRelease, ShownView, ViewBuilder, ViewChange, ViewRules,
};
