//! Why an operation failed: a kind for the fronts and a text for people.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What a front maps to its own codes, in one place.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such name.
    NotFound,
    /// The id is unknown: it never was shown, or is gone.
    Stale,
    /// A directory was needed.
    NotDirectory,
    /// A file was needed.
    IsDirectory,
    /// Nothing can be written here.
    ReadOnly,
    /// No such extended attribute.
    NoAttribute,
    /// A name of over 255 bytes.
    NameTooLong,
    /// The library is not known yet, the release is bad, or the bytes could not be had.
    Unavailable,
    /// The deadline passed.
    TimedOut,
    /// The caller gave up.
    Interrupted,
    /// Not offered.
    Unsupported,
    /// An argument makes no sense.
    Invalid,
}

impl Error {
    /// An error with a text of its own.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        let message = match kind {
            ErrorKind::NotFound => "no such name",
            ErrorKind::Stale => "the node is gone",
            ErrorKind::NotDirectory => "not a directory",
            ErrorKind::IsDirectory => "is a directory",
            ErrorKind::ReadOnly => "nothing can be written here",
            ErrorKind::NoAttribute => "no such extended attribute",
            ErrorKind::NameTooLong => "the name is too long",
            ErrorKind::Unavailable => "not available: the library is not known yet",
            ErrorKind::TimedOut => "no answer before the deadline",
            ErrorKind::Interrupted => "given up by the caller",
            ErrorKind::Unsupported => "not offered",
            ErrorKind::Invalid => "the argument makes no sense",
        };
        Self::new(kind, message)
    }
}
