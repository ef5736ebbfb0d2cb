//! Errors with a text for people.

use crate::{Error, ErrorKind};

impl Error {
    /// An error with a text of its own.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
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
