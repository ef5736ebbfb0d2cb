//! What keeps a guest from running.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a guest did not run its script to the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// `scripts/setup.sh test` has not unpacked the packages.
    #[error("no packages for the test guest in {0}: run `make setup`")]
    NotSetUp(PathBuf),
    /// A module that the kernel neither has built in nor as a file.
    #[error("the guest's kernel has no module {0}")]
    NoModule(String),
    /// `modules.dep` names what it does not list.
    #[error("{file}: line {line} makes no sense")]
    BadModulesDep {
        /// The file.
        file: PathBuf,
        /// The number of the line, from 1.
        line: usize,
    },
    /// A program needs a library that is neither in the packages nor on the host.
    #[error("{program} needs {library}, which is neither in the packages of the guest nor here")]
    NoLibrary {
        /// The program.
        program: PathBuf,
        /// The library's name.
        library: String,
    },
    /// The script did not end in time; with what it had printed and the last lines of the console.
    #[error("the guest did not end within {limit:?}; it printed:\n{printed}\nconsole:\n{console}")]
    TooLong {
        /// The limit.
        limit: Duration,
        /// The script's output so far.
        printed: String,
        /// The end of the kernel's console.
        console: String,
    },
    /// It ended without telling a status: a panic of the kernel, or QEMU was killed.
    #[error("the guest ended without a status; it printed:\n{printed}\nconsole:\n{console}")]
    NoStatus {
        /// The script's output.
        printed: String,
        /// The end of the kernel's console.
        console: String,
    },
    /// A file or a program of the host.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl GuestError {
    /// For `map_err`: the error of `path`.
    pub(crate) fn of(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
