//! How a demo ends when it does not succeed.

use std::io;
use std::path::PathBuf;

use debridfs_base::Trouble;

/// Why the demo did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the words say it")]
pub enum DemoError {
    #[error("{what}: {error}")]
    System { what: String, error: io::Error },
    #[error("{kind} is mounted at {} already", mount.display())]
    Occupied { kind: String, mount: PathBuf },
    #[error("{} is still mounted", .0.display())]
    StillMounted(PathBuf),
    #[error("{what} ended; it said:\n{last}")]
    Ended { what: &'static str, last: String },
    #[error("{0} does not start")]
    Silent(String),
    /// The account refuses or does not answer.
    #[error("{}", .0.words)]
    Account(Trouble),
}

impl DemoError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Occupied { mount, .. } => Some(format!(
                "choose another directory, or `umount {}`",
                mount.display()
            )),
            Self::StillMounted(_) => Some("`umount -l` it by hand".to_owned()),
            Self::Account(trouble) => Some(trouble.help.clone()),
            Self::System { .. } | Self::Ended { .. } | Self::Silent(_) => None,
        }
    }
}

/// Adds what was being done to a system error.
pub(crate) trait Doing<T> {
    /// "`what`: error".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, DemoError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, DemoError> {
        self.map_err(|error| DemoError::System {
            what: what(),
            error: error.into(),
        })
    }
}
