//! What a vendor builds, a [`Call`], and what it gets to read, an [`Answer`].

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use sha2::{Digest as _, Sha256};

use crate::Verdict;

/// The largest answer to a call that does not name a size.
const LARGEST_ANSWER: usize = 1 << 20;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// A request to the API. One that is not a `GET` is taken to change something and is sent once,
/// unless it says otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// For messages: what is being done.
    pub(crate) what: &'static str,
    /// The word of the budgets that it takes from, besides those of all calls.
    pub(crate) word: Option<&'static str>,
    pub(crate) method: Method,
    /// Path and query below the base of the API.
    pub(crate) path: String,
    /// It changes nothing, though the vendor wants a `POST`.
    pub(crate) only_reads: bool,
    /// The parameter that hands in the token, for calls that take it in their query. `path` has none yet.
    pub(crate) token_in: Option<&'static str>,
    /// One thing is asked for, by its id: what a vendor says of an unknown one may be an error like others.
    pub(crate) about_one: bool,
    /// "Not found" says that the account has none of what is asked for: an answer like others.
    pub(crate) may_be_none: bool,
    /// Body with its type.
    pub(crate) body: Option<(Cow<'static, str>, Bytes)>,
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
            only_reads: false,
            token_in: None,
            about_one: false,
            may_be_none: false,
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
            body: Some((FORM.into(), Bytes::from(body))),
            ..Self::get(what, path)
        }
    }

    /// `POST path` with `fields` and the file `bytes` of that media type as a multipart form (RFC 7578).
    pub(crate) fn multipart(
        what: &'static str,
        path: impl Into<String>,
        fields: &[(&str, &str)],
        (part, file_name, media_type, bytes): (&str, &str, &str, &[u8]),
    ) -> Self {
        // No content holds a digest of itself.
        let digest = Sha256::digest(bytes);
        let boundary: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut body = Vec::new();
        for (name, value) in fields {
            let head = format!("Content-Disposition: form-data; name=\"{name}\"");
            body.extend(format!("--{boundary}\r\n{head}\r\n\r\n{value}\r\n").bytes());
        }
        let head = format!(
            "Content-Disposition: form-data; name=\"{part}\"; filename=\"{file_name}\"\r\nContent-Type: {media_type}"
        );
        body.extend(format!("--{boundary}\r\n{head}\r\n\r\n").bytes());
        body.extend(bytes);
        body.extend(format!("\r\n--{boundary}--\r\n").bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        Self {
            method: Method::POST,
            body: Some((kind.into(), Bytes::from(body))),
            ..Self::get(what, path)
        }
    }

    /// `POST path` with `value` as JSON.
    pub(crate) fn json(
        what: &'static str,
        path: impl Into<String>,
        value: &serde_json::Value,
    ) -> Self {
        Self {
            method: Method::POST,
            body: Some((JSON.into(), Bytes::from(value.to_string()))),
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
    /// See [`crate::Error::code`].
    pub code: Option<i64>,
    /// For people.
    pub words: String,
    /// The token itself is refused, as opposed to one action: no call is made with it for a while.
    pub refuses_token: bool,
    /// The vendor's considered answer, such as "in maintenance": a [`Verdict::Retry`] that asking
    /// again at once does not change.
    pub considered: bool,
}
