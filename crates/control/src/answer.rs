//! Answers that are a refusal.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde::{Deserialize, Serialize};

/// The form of a refusal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wrong {
    pub(crate) error: String,
}

/// Why a call is refused; told to people.
#[derive(Debug)]
pub(crate) struct Refused(StatusCode, String);

impl Refused {
    pub(crate) fn new(code: StatusCode, words: impl std::fmt::Display) -> Self {
        Self(code, words.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(Wrong { error: self.1 })).into_response()
    }
}

/// An answer, or why there is none.
pub(crate) type Answer<T> = Result<Json<T>, Refused>;
