//! What can go wrong.

use std::io;
use std::path::PathBuf;

/// Why an import, or a look at links, came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Their configuration cannot be read; in words, with file and line.
    #[error("{0}")]
    Theirs(String),
    /// A file that would be written is there already. Nothing was written.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The system refused something.
    #[error("{what}: {error}")]
    System {
        /// The file or directory.
        what: String,
        /// What it said.
        error: io::Error,
    },
}

/// Adds what was being done to a system error.
pub trait Doing<T> {
    /// "`what`: error".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::System {
            what: what(),
            error,
        })
    }
}
