//! Where a job may be cut off, for tests that kill the program there.

use std::sync::Arc;

/// Called at each of [`POINTS`]; a hook for tests that kill the program there.
pub type Checkpoint = Arc<dyn Fn(&'static str) + Send + Sync>;

/// Where a job that fetches files may be cut off besides [`POINTS`], in their order.
pub const FETCH_POINTS: [&str; 4] = ["fetching", "fetch-begun", "fetch-stored", "fetched"];

/// Where a job may be cut off, in their order: between what the world sees and what the store knows of it.
pub const POINTS: [&str; 12] = [
    "accepted",
    "add-intended",
    "added",
    "add-stored",
    "selected",
    "ready",
    "probed",
    "linking",
    "linked",
    "completed",
    "unlinked",
    "deleted",
];
