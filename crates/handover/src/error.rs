use crate::journal::JournalError;

/// Why a talk with the keeper failed.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The keeper's socket can't be reached.
    #[error("cannot reach the keeper at {path}")]
    Connect {
        /// The socket.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The keeper closed the connection: it ended, or was killed.
    #[error("the keeper is gone")]
    Gone,
    /// Who listens there is neither root nor this user, so it is no keeper of ours.
    #[error("not a keeper: {0}")]
    Stranger(String),
    /// The keeper said no.
    #[error("the keeper refused this engine: {0}")]
    Refused(String),
    /// A message that isn't understood or not expected here.
    #[error("unexpected message from the keeper: {0}")]
    Message(String),
    /// The journal that came with the lease can't be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A system call failed.
    #[error("keeper socket")]
    Io(#[from] std::io::Error),
}
