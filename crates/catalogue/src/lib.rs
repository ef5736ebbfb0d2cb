//! What the library holds: releases, their files, the views that show them, and ids that never change.
//!
//! Way of an entry: provider list → [sync] → diff and shrink guard → store → [`Library`] published to the `vfs`.
#![forbid(unsafe_code)]

mod library;
mod record;

pub use library::{BadReason, Contents, Entry, File, Library, NodeId, Release, ReleaseTree, View};
pub use record::{TorrentDetail, TorrentRecord};
