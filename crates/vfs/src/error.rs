//! Why an operation failed: a kind for the fronts, and the error of the layer below.

use std::fmt;
use std::sync::Arc;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation. Its text is that of the cause; without one it is that of the kind.
#[derive(Debug, Clone)]
pub struct Error {
    /// What a front maps to its own codes, in one place.
    pub kind: ErrorKind,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
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
    /// The release is bad, or the bytes could not be had.
    Unavailable,
    /// No account can give the file, by the final word of each that has a copy: waiting does not help.
    Lost,
    /// The library is not known yet, so nobody can tell; later there is an answer.
    NotYet,
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
    /// A failure with its cause: the error of the layer below, or a text for people.
    pub fn new(
        kind: ErrorKind,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            cause: Some(Arc::from(cause.into())),
        }
    }

    /// The error of the layer below, if it is an `E`.
    pub fn cause<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.cause.as_ref()?.downcast_ref()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, cause: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => cause.fmt(out),
            None => out.write_str(self.kind.text()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref()?.source()
    }
}

impl ErrorKind {
    fn text(self) -> &'static str {
        match self {
            Self::NotFound => "no such name",
            Self::Stale => "the node is gone",
            Self::NotDirectory => "not a directory",
            Self::IsDirectory => "is a directory",
            Self::ReadOnly => "nothing can be written here",
            Self::NoAttribute => "no such extended attribute",
            Self::NameTooLong => "the name is too long",
            Self::Unavailable => "not available",
            Self::Lost => "no account can give the file any more",
            Self::NotYet => "the library is not known yet",
            Self::TimedOut => "no answer before the deadline",
            Self::Interrupted => "given up by the caller",
            Self::Unsupported => "not offered",
            Self::Invalid => "the argument makes no sense",
        }
    }
}
