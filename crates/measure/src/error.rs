/// Why nothing was measured or compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A signal told this program to end.
    #[error("interrupted")]
    Interrupted,
    /// The question cannot be answered: what is wrong, and what to do.
    #[error("{0}")]
    Refused(String),
    /// A process did not end in time, or said nothing.
    #[error("{0}")]
    Child(String),
    /// A file, with what was done to it.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The system refused.
    #[error(transparent)]
    System(#[from] rustix::io::Errno),
    /// Text that is no JSON, or another's.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
