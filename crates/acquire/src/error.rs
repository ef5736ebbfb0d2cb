//! What can go wrong with the queue.

use std::path::PathBuf;

use debridfs_base::volume::NoAnswer;

use crate::ReleaseError;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the queue itself; what goes wrong with one job is in its [`crate::Job::reason`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not be opened or written: nothing was changed.
    #[error("job store {}: {message}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// The cause, for people.
        message: String,
    },
    /// The store was written by a newer version of the program, and is left as it is.
    #[error(
        "job store {} was written by a newer version: use that again, or move the file away",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
    },
    /// A volume of the downloads, or that of the store when it is opened, does not answer: nothing was changed.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// What was handed in is no release.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// No such category.
    #[error("there is no category {0:?}")]
    NoCategory(String),
    /// A category that cannot be.
    #[error("{0:?} cannot be the name of a category")]
    BadCategory(String),
    /// A category of this name is there.
    #[error("the category {0:?} exists")]
    CategoryExists(String),
    /// No account is configured that could take a job.
    #[error("no provider {0:?} is configured")]
    NoProvider(String),
}
