//! Why a request is not served.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use debridfs_vfs::{Error, ErrorKind};

/// When a caller may ask again, where nothing else is known.
const SOON: Duration = Duration::from_secs(5);

/// A request that is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// When asking again may help.
    pub(crate) retry_after: Option<Duration>,
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        let retry_after = match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Some(SOON),
            StatusCode::TOO_MANY_REQUESTS => Some(Duration::from_secs(60)),
            _ => None,
        };
        Self {
            status,
            retry_after,
        }
    }
}

/// The one place where failures of the tree become answers.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::debug!(%error, "a request was not served");
        Self::from(match error.kind {
            ErrorKind::NotFound
            | ErrorKind::Stale
            | ErrorKind::NotDirectory
            | ErrorKind::IsDirectory
            | ErrorKind::NameTooLong
            | ErrorKind::NoAttribute => StatusCode::NOT_FOUND,
            ErrorKind::Unavailable
            | ErrorKind::Lost
            | ErrorKind::NotYet
            | ErrorKind::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::ReadOnly | ErrorKind::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let words = self.status.canonical_reason().unwrap_or_default();
        let mut answer = (self.status, words).into_response();
        if let Some(wait) = self.retry_after {
            // A part of a second counts as one, or the caller would come too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let headers = answer.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_answer() {
        let table = [
            (ErrorKind::NotFound, 404, None),
            (ErrorKind::Stale, 404, None),
            (ErrorKind::NotDirectory, 404, None),
            (ErrorKind::IsDirectory, 404, None),
            (ErrorKind::NameTooLong, 404, None),
            (ErrorKind::NoAttribute, 404, None),
            (ErrorKind::Unavailable, 503, Some("5")),
            (ErrorKind::Lost, 503, Some("5")),
            (ErrorKind::NotYet, 503, Some("5")),
            (ErrorKind::Interrupted, 503, Some("5")),
            (ErrorKind::TimedOut, 504, Some("5")),
            (ErrorKind::ReadOnly, 405, None),
            (ErrorKind::Unsupported, 405, None),
            (ErrorKind::Invalid, 400, None),
        ];
        for (kind, code, after) in table {
            let answer = Refusal::from(Error::from(kind)).into_response();
            assert_eq!(answer.status().as_u16(), code, "{kind:?}");
            let told = answer.headers().get(header::RETRY_AFTER);
            assert_eq!(told.map(|value| value.to_str().unwrap()), after, "{kind:?}");
        }
    }
}
