//! Answers that are a problem: `application/problem+json` of RFC 9457.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use debridfs_control::Refused;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

/// What the types of problems begin with.
const TYPE: &str = "urn:debridfs:problem:";
/// The form of their bodies.
pub(crate) const FORM: &str = "application/problem+json";
/// After so many seconds it may be tried again.
const AGAIN: &str = "5";

/// Why a call was not answered (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:debridfs:problem:` and a word. Programs decide by it: the words never change.
    #[serde(rename = "type")]
    #[schema(example = "urn:debridfs:problem:not-found")]
    pub kind: String,
    /// The same for people.
    pub title: String,
    /// The code of the answer.
    #[schema(example = 404, minimum = 400, maximum = 599)]
    pub status: u16,
    /// What failed, on what, and what to do next.
    pub detail: String,
}

impl Problem {
    /// A problem of the type `label`, answered with `code`.
    pub fn new(code: StatusCode, label: &str, detail: impl std::fmt::Display) -> Self {
        Self {
            kind: format!("{TYPE}{label}"),
            title: label.replace('-', " "),
            status: code.as_u16(),
            detail: detail.to_string(),
        }
    }

    pub(crate) fn invalid(detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::new(refused.kind.code(), refused.kind.label(), refused.words)
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let words = rejection.body_text();
        match rejection.status() {
            code @ StatusCode::PAYLOAD_TOO_LARGE => Self::new(code, "too-large", words),
            code @ StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(code, "media-type", words),
            _ => Self::invalid(words),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = (code, Json(&self)).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
        if code == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(AGAIN));
        }
        answer
    }
}

/// The problems that each operation may be answered with, for the OpenAPI document.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "the document is made of its attributes")]
pub(crate) enum Problems {
    /// What was asked has no sense.
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Nothing was shown that lets the caller in, or what was shown is wrong.
    #[response(status = 401, content_type = "application/problem+json")]
    Login(Problem),
    /// The caller may not do this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// It cannot be done as things stand, or a setting turns it off.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The body is too long.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body has another form.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(Problem),
    /// The caller has guessed too often.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(Problem),
    /// Something failed here.
    #[response(status = 500, content_type = "application/problem+json")]
    Failed(Problem),
    /// It may be answered later.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
    /// No answer came within the deadline.
    #[response(status = 504, content_type = "application/problem+json")]
    TimedOut(Problem),
}

#[cfg(test)]
mod tests {
    use debridfs_control::RefusalKind;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_refusal_keeps_its_code_its_type_and_its_words() {
        let refused = Refused::new(RefusalKind::Unavailable, "downloads are not open");
        let answer = Problem::from(refused).into_response();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], FORM);
        assert_eq!(answer.headers()[header::RETRY_AFTER], AGAIN);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let wanted = serde_json::json!({
            "type": "urn:debridfs:problem:unavailable", "title": "unavailable", "status": 503,
            "detail": "downloads are not open",
        });
        assert_eq!(body, wanted);
    }
}
