//! Answers that are a refusal.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use debridfs_vfs::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// The form of a refusal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wrong {
    pub(crate) error: String,
}

/// Kinds of refusal. Names are stable: programs decide by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// What was asked has no sense.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// It cannot be done as things stand.
    Conflict,
    /// A setting turns it off.
    NotConfigured,
    /// Later it may be answered: a part is not open yet, or a provider or volume does not answer.
    Unavailable,
    /// No answer came within the deadline.
    TimedOut,
    /// Something failed here.
    Failed,
}

impl RefusalKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Invalid,
        Self::NotFound,
        Self::Conflict,
        Self::NotConfigured,
        Self::Unavailable,
        Self::TimedOut,
        Self::Failed,
    ];

    /// Its stable name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::NotConfigured => "not-configured",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed-out",
            Self::Failed => "failed",
        }
    }

    /// Its code in HTTP.
    pub fn code(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict | Self::NotConfigured => StatusCode::CONFLICT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Why a call is refused; its words are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Refused {
    /// What a program decides by.
    pub kind: RefusalKind,
    /// What failed, on what, and what to do next.
    pub words: String,
}

impl Refused {
    /// A refusal for the reason in `words`.
    pub fn new(kind: RefusalKind, words: impl std::fmt::Display) -> Self {
        let words = words.to_string();
        Self { kind, words }
    }
}

impl From<Error> for Refused {
    /// The one place where failures of the library become refusals.
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            ErrorKind::NotFound
            | ErrorKind::Stale
            | ErrorKind::NameTooLong
            | ErrorKind::NoAttribute => RefusalKind::NotFound,
            ErrorKind::NotDirectory
            | ErrorKind::IsDirectory
            | ErrorKind::ReadOnly
            | ErrorKind::Unsupported => RefusalKind::Conflict,
            ErrorKind::Unavailable
            | ErrorKind::Lost
            | ErrorKind::NotYet
            | ErrorKind::Interrupted => RefusalKind::Unavailable,
            ErrorKind::TimedOut => RefusalKind::TimedOut,
            ErrorKind::Invalid => RefusalKind::Invalid,
        };
        Self::new(kind, error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.kind.code(), Json(Wrong { error: self.words })).into_response()
    }
}

/// An answer, or why there is none.
pub(crate) type Answer<T> = Result<Json<T>, Refused>;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_has_a_name_of_its_own_and_a_code_of_a_failure() {
        let names: BTreeSet<_> = RefusalKind::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(names.len(), RefusalKind::ALL.len());
        for kind in RefusalKind::ALL {
            let code = kind.code();
            assert!(code.is_client_error() || code.is_server_error(), "{kind:?}");
        }
    }

    #[test]
    fn failures_of_the_library_keep_their_meaning() {
        for (kind, code) in [
            (ErrorKind::NotFound, 404),
            (ErrorKind::Stale, 404),
            (ErrorKind::NameTooLong, 404),
            (ErrorKind::NotDirectory, 409),
            (ErrorKind::IsDirectory, 409),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::NotYet, 503),
            (ErrorKind::TimedOut, 504),
            (ErrorKind::Invalid, 400),
        ] {
            let refused = Refused::from(Error::from(kind));
            assert_eq!(refused.kind.code().as_u16(), code, "{kind:?}");
        }
    }
}
