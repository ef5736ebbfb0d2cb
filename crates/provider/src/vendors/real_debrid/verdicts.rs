//! What an answer means that is not a success: HTTP status and error code to [`Verdict`] and words.

use http::StatusCode;
use serde_json::Value;

use crate::Verdict;
use crate::account::call::Meaning;
use crate::account::{json, refusal};

/// The vendor's error codes (<https://api.real-debrid.com>, "List of numeric error codes"), what
/// they mean for us, and what `status` says.
pub const CODES: &[(i64, Verdict, &str)] = &[
    (-1, Verdict::Retry, "an internal error of the provider"),
    (
        1,
        Verdict::BadRequest,
        "a parameter was missing; please report this",
    ),
    (
        2,
        Verdict::BadRequest,
        "a parameter had a bad value; please report this",
    ),
    (3, Verdict::BadRequest, "unknown method; please report this"),
    (
        4,
        Verdict::BadRequest,
        "method not allowed; please report this",
    ),
    (5, Verdict::BackOff, "the provider asks to slow down"),
    (
        6,
        Verdict::Retry,
        "the provider cannot reach the resource now",
    ),
    (7, Verdict::NotFound, "the provider does not know it"),
    (
        8,
        Verdict::AccountRefused,
        "the token is not valid: make a new one at https://real-debrid.com/apitoken",
    ),
    (
        9,
        Verdict::AccountRefused,
        "permission denied to this account",
    ),
    (
        10,
        Verdict::AccountRefused,
        "the account needs its second factor: log in at the provider's site",
    ),
    (
        11,
        Verdict::AccountRefused,
        "the account's second factor is pending: log in at the provider's site",
    ),
    (12, Verdict::AccountRefused, "invalid login"),
    (13, Verdict::AccountRefused, "invalid password"),
    (14, Verdict::AccountRefused, "the account is locked"),
    (15, Verdict::AccountRefused, "the account is not activated"),
    (16, Verdict::FileUnavailable, "the hoster is not supported"),
    (17, Verdict::Retry, "the hoster is in maintenance"),
    (18, Verdict::LinkBroken, "the hoster's limit is reached"),
    (
        19,
        Verdict::LinkBroken,
        "the hoster is temporarily unavailable",
    ),
    (
        20,
        Verdict::AccountRefused,
        "not for free accounts: the subscription may have ended",
    ),
    (21, Verdict::SlotsFull, "too many active downloads"),
    (
        22,
        Verdict::AccountRefused,
        "this IP address is not allowed: VPN and server addresses often are not",
    ),
    (
        23,
        Verdict::OutOfTraffic,
        "the account's traffic is used up",
    ),
    (24, Verdict::FileUnavailable, "the file is unavailable"),
    (25, Verdict::Retry, "the service is unavailable"),
    (26, Verdict::Rejected, "the upload is too big"),
    (27, Verdict::Rejected, "the upload failed"),
    (28, Verdict::Rejected, "the file is not allowed"),
    (29, Verdict::Rejected, "the torrent is too big"),
    (30, Verdict::Rejected, "the torrent is invalid"),
    (31, Verdict::AlreadyDone, "the action was done before"),
    (33, Verdict::AlreadyDone, "the torrent is active already"),
    (34, Verdict::BackOff, "too many requests"),
    (
        35,
        Verdict::Infringing,
        "the provider refuses the content (infringing_file)",
    ),
    (36, Verdict::OutOfTraffic, "the fair usage limit is reached"),
    (
        37,
        Verdict::Disabled,
        "the provider has withdrawn this endpoint",
    ),
];

/// Codes for the token itself, as opposed to one action: 401 is the other sign.
const TOKEN_CODES: [i64; 3] = [8, 12, 13];
/// "Internal error": the only code that is not the provider's considered answer.
const INTERNAL: i64 = -1;

/// The API's form of an error.
struct ApiError {
    text: String,
    code: Option<i64>,
}

/// The error in `body`, if it is in the API's form: an object with `error_code`, or with a text in
/// `error`.
fn error_of(body: &[u8]) -> Option<ApiError> {
    let fields = refusal::fields(body)?;
    let code = fields.get("error_code").and_then(json::integer);
    let text = fields.get("error").and_then(Value::as_str);
    (code.is_some() || text.is_some()).then(|| ApiError {
        text: json::quote(text.unwrap_or_default()),
        code,
    })
}

/// The meaning of an answer, or `None` for a success. A body with an error code is a failure
/// whatever the status says.
pub fn meaning(status: StatusCode, body: &[u8]) -> Option<Meaning> {
    let error = error_of(body);
    let code = error.as_ref().and_then(|error| error.code);
    let plain_success = status.is_success() && status != StatusCode::ACCEPTED;
    if plain_success && error.is_none() {
        return None;
    }
    let known = code.and_then(|code| CODES.iter().find(|(known, ..)| *known == code));
    let (verdict, words) = match known {
        // During throttling everything may be answered with 35; a 429 speaks for itself.
        Some((35, ..)) if status == StatusCode::TOO_MANY_REQUESTS => {
            (Verdict::BackOff, "too many requests")
        }
        Some((_, verdict, words)) => (*verdict, *words),
        None => of_status(status, body, error.is_some()),
    };
    let mut notes = vec![format!("HTTP {}", status.as_u16())];
    if let Some(code) = code {
        notes.push(format!("code {code}"));
    }
    if let Some(text) = error
        .map(|error| error.text)
        .filter(|text| !text.is_empty())
    {
        notes.push(text);
    }
    Some(Meaning {
        verdict,
        code,
        words: format!("{words} ({})", notes.join(", ")),
        refuses_token: verdict == Verdict::AccountRefused
            && (status == StatusCode::UNAUTHORIZED
                || code.is_some_and(|code| TOKEN_CODES.contains(&code))),
        considered: code.is_some_and(|code| code != INTERNAL),
    })
}

/// For answers without a code that is known. `from_api` tells that the body was in the API's form
/// of an error.
fn of_status(status: StatusCode, body: &[u8], from_api: bool) -> (Verdict, &'static str) {
    let blank = body.iter().all(u8::is_ascii_whitespace);
    match status.as_u16() {
        202 => (Verdict::AlreadyDone, "the action was done before"),
        451 => (Verdict::Infringing, "the provider refuses the content"),
        509 => (Verdict::SlotsFull, "every active slot is taken"),
        _ => refusal::of_status(status, from_api || blank),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_errors_in_any_form() {
        let code = |body: &[u8]| error_of(body).map(|error| error.code);
        assert_eq!(
            code(br#"{"error":"bad_token","error_code":8}"#),
            Some(Some(8))
        );
        assert_eq!(code(br#" {"error_code":"34"}"#), Some(Some(34)));
        assert_eq!(code(br#"{"error":"x"}"#), Some(None));
        assert_eq!(code(br#"{"id":"x"}"#), None);
        assert_eq!(code(b"<html>"), None);
    }
}
