//! What an answer means that is not a success: HTTP status, error code and message to [`Verdict`] and words.
//!
//! Most errors come with HTTP 200. Some have a code, many a message alone.

use http::StatusCode;
use serde_json::Value;

use crate::Verdict;
use crate::account::call::Meaning;
use crate::account::{json, refusal};

/// The vendor's error codes, what they mean for us, and what `status` says. A code's number is its place here, so
/// new ones come last.
pub const CODES: &[(&str, Verdict, &str)] = &[
    (
        "authentication_failed",
        Verdict::AccountRefused,
        "the token is missing or not valid: see https://www.premiumize.me/account",
    ),
    ("rate_limit_reached", Verdict::BackOff, "too many calls"),
    (
        "account_limit_reached",
        Verdict::OutOfTraffic,
        "the account's allowance is used up",
    ),
    (
        "service_limit_reached",
        Verdict::OutOfTraffic,
        "the account's allowance for this service is used up",
    ),
    (
        "service_down",
        Verdict::Retry,
        "the provider says that the service is down",
    ),
    (
        "not_found",
        Verdict::NotFound,
        "the provider does not know it",
    ),
];

/// What messages contain, in small letters. They say more than a code; the first that fits counts.
pub const MESSAGES: &[(&str, Verdict, &str)] = &[
    (
        "not logged in",
        Verdict::AccountRefused,
        "the token is missing or not valid: see https://www.premiumize.me/account",
    ),
    (
        "not premium",
        Verdict::AccountRefused,
        "the account has no subscription",
    ),
    (
        "fair use limit",
        Verdict::OutOfTraffic,
        "the fair-use points are used up",
    ),
    ("too many requests", Verdict::BackOff, "too many calls"),
    (
        "active downloads",
        Verdict::SlotsFull,
        "every slot for downloads is taken",
    ),
    (
        "not in cache",
        Verdict::NotCached,
        "the provider does not have it",
    ),
    (
        "not cached",
        Verdict::NotCached,
        "the provider does not have it",
    ),
    (
        "already added",
        Verdict::AlreadyDone,
        "it was handed in before",
    ),
    (
        "blocked",
        Verdict::Infringing,
        "the provider refuses this content",
    ),
    (
        "dmca",
        Verdict::Infringing,
        "the provider refuses this content",
    ),
    (
        "not found",
        Verdict::NotFound,
        "the provider does not know it",
    ),
    (
        "invalid magnet",
        Verdict::Rejected,
        "the magnet is not accepted",
    ),
    (
        "invalid torrent",
        Verdict::Rejected,
        "the torrent is not accepted",
    ),
    (
        "invalid link",
        Verdict::Rejected,
        "the link is not accepted",
    ),
    (
        "invalid src",
        Verdict::Rejected,
        "what was handed in is not accepted",
    ),
    (
        "maintenance",
        Verdict::Retry,
        "the provider is in maintenance",
    ),
];

/// Numbers of codes begin here, see [`crate::Error::code`]; those of messages at the next.
const FIRST_CODE: i64 = 1000;
const FIRST_MESSAGE: i64 = 2000;
/// Said of a token in words of either kind.
const TOKEN_WORDS: [&str; 2] = ["authentication_failed", "not logged in"];

/// The API's form of an error: an object whose `status` is "error".
struct ApiError {
    code: String,
    message: String,
}

fn error_of(body: &[u8]) -> Option<ApiError> {
    let fields = refusal::fields(body)?;
    if fields.get("status").and_then(Value::as_str) != Some("error") {
        return None;
    }
    let text = |key: &str| {
        let text = fields.get(key).and_then(json::text);
        json::quote(&text.unwrap_or_default())
    };
    Some(ApiError {
        code: text("code"),
        message: text("message"),
    })
}

/// What the code and the message of an error say: the known words, with the number they have.
fn known(error: &ApiError) -> Option<(&'static str, Verdict, &'static str, i64)> {
    let message = error.message.to_ascii_lowercase();
    let messages = MESSAGES.iter().zip(FIRST_MESSAGE..);
    let mut messages = messages.filter(|((known, ..), _)| message.contains(known));
    let mut codes = CODES.iter().zip(FIRST_CODE..);
    let found = messages
        .next()
        .or_else(|| codes.find(|((known, ..), _)| *known == error.code));
    found.map(|((word, verdict, words), number)| (*word, *verdict, *words, number))
}

/// The meaning of an answer, or `None` for a success. A body that tells an error is a failure whatever the status
/// says.
pub fn meaning(status: StatusCode, body: &[u8]) -> Option<Meaning> {
    let error = error_of(body);
    if status.is_success() && error.is_none() {
        return None;
    }
    let known = error.as_ref().and_then(known);
    let judged = match known {
        // 429 speaks for itself.
        _ if status == StatusCode::TOO_MANY_REQUESTS => {
            (Verdict::BackOff, "too many requests", None)
        }
        Some((_, verdict, words, number)) => (verdict, words, Some(number)),
        None => {
            let (verdict, words) = refusal::of_status(status, error.is_some());
            (verdict, words, None)
        }
    };
    let said = error
        .as_ref()
        .map(|error| [error.code.as_str(), error.message.as_str()]);
    let names_token = known.is_some_and(|(word, ..)| TOKEN_WORDS.contains(&word));
    Some(refusal::meaning(status, judged, said, names_token))
}
