//! What a vendor builds, a [`Call`], and what it gets to read, an [`Answer`].

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::Verdict;

/// The largest answer to a call that does not name a size.
const LARGEST_ANSWER: usize = 1 << 20;

const FORM: &str = "application/x-www-form-urlencoded";

/// A request to the API. One that is not a `GET` is taken to change something and is sent once.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// For messages: what is being done.
    pub(crate) what: &'static str,
    /// The word of the budgets that it takes from, besides those of all calls.
    pub(crate) word: Option<&'static str>,
    pub(crate) method: Method,
    /// Path and query below the base of the API.
    pub(crate) path: String,
    /// Body with its type.
    pub(crate) body: Option<(&'static str, Bytes)>,
    /// Bytes of the largest sound answer.
    pub(crate) max_body: usize,
}

impl Call {
    /// `GET path`.
    pub(crate) fn get(what: &'static str, path: impl Into<String>) -> Self {
        Self {
            what,
            word: None,
            method: Method::GET,
            path: path.into(),
            body: None,
            max_body: LARGEST_ANSWER,
        }
    }

    /// `POST path` with `fields` as a form.
    pub(crate) fn form(
        what: &'static str,
        path: impl Into<String>,
        fields: &[(&str, &str)],
    ) -> Self {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        Self {
            method: Method::POST,
            body: Some((FORM, Bytes::from(body))),
            ..Self::get(what, path)
        }
    }
}

/// An answer that is a success.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What an answer means that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// The verdict.
    pub verdict: Verdict,
    /// The vendor's error code, if it is a number.
    pub code: Option<i64>,
    /// For people.
    pub words: String,
    /// The token itself is refused, as opposed to one action: no call is made with it for a while.
    pub refuses_token: bool,
    /// The vendor's considered answer, such as "in maintenance": a [`Verdict::Retry`] that asking
    /// again at once does not change.
    pub considered: bool,
}
