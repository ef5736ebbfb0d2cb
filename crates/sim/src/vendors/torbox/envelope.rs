//! The envelope `{success, error, detail, data}` of every answer, and the vendor's words for errors.

use std::borrow::Cow;

use http::{HeaderValue, header};
use serde_json::{Value, json};

use super::memory::Limited;
use crate::sim::SimError;
use crate::vendors::answer::Answer;

/// What the vendor says of most faults of its own.
const TROUBLE: &str = "There was an error processing your request. Please try again later.";

/// Word, HTTP status, text: the vendor documents words and statuses, the pairs are those that clients report.
const WORDS: [(&str, u16, &str); 26] = [
    ("DATABASE_ERROR", 500, TROUBLE),
    ("UNKNOWN_ERROR", 500, TROUBLE),
    ("DOWNLOAD_SERVER_ERROR", 500, TROUBLE),
    (
        "NO_SERVERS_AVAILABLE_ERROR",
        503,
        "No download servers are free at the moment.",
    ),
    ("NO_AUTH", 403, "There is no authentication provided."),
    (
        "BAD_TOKEN",
        403,
        "Your API token is invalid or has expired.",
    ),
    (
        "AUTH_ERROR",
        403,
        "There was an error verifying your authentication.",
    ),
    (
        "PLAN_RESTRICTED_FEATURE",
        403,
        "This feature is not available on your plan.",
    ),
    (
        "ENDPOINT_NOT_FOUND",
        404,
        "The endpoint you are looking for does not exist.",
    ),
    (
        "ITEM_NOT_FOUND",
        404,
        "The item you are looking for does not exist.",
    ),
    ("INVALID_OPTION", 400, "An option has an invalid value."),
    (
        "MISSING_REQUIRED_OPTION",
        400,
        "A required option is missing.",
    ),
    ("TOO_MANY_OPTIONS", 400, "Too many options were given."),
    ("BOZO_TORRENT", 400, "The torrent is invalid."),
    ("BOZO_NZB", 400, "The NZB is invalid."),
    ("LINK_OFFLINE", 400, "The link is offline."),
    (
        "DUPLICATE_ITEM",
        400,
        "You have already added this download.",
    ),
    ("DOWNLOAD_NOT_CACHED", 400, "Download not found in cache."),
    (
        "DOWNLOAD_TOO_LARGE",
        400,
        "The download is too large for your plan.",
    ),
    ("TOO_MUCH_DATA", 400, "Too much data was requested."),
    (
        "ACTIVE_LIMIT",
        400,
        "You have reached your active download limit.",
    ),
    (
        "MONTHLY_LIMIT",
        400,
        "You have reached your monthly download limit.",
    ),
    ("COOLDOWN_LIMIT", 400, "You are on download cooldown."),
    ("VENDOR_DISABLED", 403, "The vendor is disabled."),
    ("REDIRECT_ERROR", 500, TROUBLE),
    ("DIFF_ISSUE", 500, TROUBLE),
];

/// A call that was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    /// `null` for a limit of calls.
    word: Option<Cow<'static, str>>,
    detail: String,
    data: Value,
    retry_after_s: Option<u32>,
}

impl Refusal {
    /// The refusal of a word; one that is not known is a 400.
    pub(super) fn of(word: &str) -> Self {
        let known = WORDS.iter().find(|(known, ..)| *known == word);
        let (word, status, detail) = match known {
            Some((word, status, detail)) => (Cow::Borrowed(*word), *status, *detail),
            None => (Cow::Owned(word.to_owned()), 400, TROUBLE),
        };
        Self {
            status,
            word: Some(word),
            detail: detail.to_owned(),
            data: Value::Null,
            retry_after_s: None,
        }
    }

    /// The same with other data.
    pub(super) fn with(self, data: Value) -> Self {
        Self { data, ..self }
    }

    /// Another method than the endpoint has.
    pub(super) fn method() -> Self {
        Self {
            status: 405,
            detail: "Method Not Allowed".to_owned(),
            ..Self::of("INVALID_OPTION")
        }
    }
}

impl From<Limited> for Refusal {
    fn from(limited: Limited) -> Self {
        let (detail, retry_after_s) = match limited {
            Limited::Minute(calls) => (format!("{calls} per 1 minute"), None),
            Limited::Hour(calls) => (format!("{calls} per 1 hour"), None),
            Limited::Locked(seconds) => ("Too many requests.".to_owned(), Some(seconds)),
        };
        Self {
            status: 429,
            word: None,
            detail,
            data: Value::Null,
            retry_after_s,
        }
    }
}

impl From<SimError> for Refusal {
    fn from(_: SimError) -> Self {
        Self::of("BAD_TOKEN")
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let envelope = json!({
            "success": false, "error": refusal.word, "detail": refusal.detail, "data": refusal.data,
        });
        let mut answer = Self::json(refusal.status, &envelope);
        answer.code = refusal.word;
        if let Some(seconds) = refusal.retry_after_s {
            answer.headers.insert(header::RETRY_AFTER, seconds.into());
        }
        answer
    }
}

/// The answer to a call that was done.
pub(super) fn done(detail: &str, data: Value) -> Answer {
    let envelope = json!({ "success": true, "error": null, "detail": detail, "data": data });
    Answer::json(200, &envelope)
}

/// Sends the caller to another URL.
pub(super) fn redirect(to: &str) -> Answer {
    let mut answer = Answer::empty(307);
    if let Ok(location) = HeaderValue::from_str(to) {
        answer.headers.insert(header::LOCATION, location);
    }
    answer
}
