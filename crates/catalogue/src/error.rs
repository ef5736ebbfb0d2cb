//! What can go wrong in the catalogue.

use std::path::PathBuf;

use debridfs_provider::ContentId;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not be opened or written; the text names the file and the cause.
    #[error("catalogue store {}: {message}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// The cause, for people.
        message: String,
    },
    /// No release of this hash is in the library.
    #[error("no release {0} in the library")]
    UnknownRelease(ContentId),
    /// The provider did not answer the info call.
    #[error(transparent)]
    Provider(#[from] debridfs_provider::Error),
    /// The info call says something else than the list; it is made again later.
    #[error("the provider contradicts itself about this release")]
    Contradiction,
    /// The catalogue is being shut down.
    #[error("the catalogue is stopping")]
    Stopping,
}
