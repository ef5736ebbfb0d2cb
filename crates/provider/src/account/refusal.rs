//! Answers that are no success: what every vendor's verdicts begin and end with.

use http::StatusCode;
use serde_json::Value;

use super::call::Meaning;
use super::decode::Fields;
use super::json;
use crate::Verdict;

/// Bytes of the longest body that may be an error; a longer one is looked at by its decoder alone.
const LONGEST_ERROR: usize = 64 * 1024;

/// The fields of `body`, if it is an object that may be an error.
pub(crate) fn fields(body: &[u8]) -> Option<Fields> {
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if body.len() > LONGEST_ERROR || begins != Some(&b'{') {
        return None;
    }
    match json::parse(body).ok()? {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// What the status says where the body says nothing that is known. `from_api` tells that the body was the API's own, and no page of
/// something in between.
pub(crate) fn of_status(status: StatusCode, from_api: bool) -> (Verdict, &'static str) {
    match status.as_u16() {
        401 => (Verdict::AccountRefused, "the token is not accepted"),
        403 if from_api => (Verdict::AccountRefused, "the account may not do this"),
        403 => (
            Verdict::AccountRefused,
            "refused with a page instead of an answer: this IP address may be blocked (VPN or server), or a proxy interferes",
        ),
        404 if from_api => (Verdict::NotFound, "the provider does not know it"),
        404 => (
            Verdict::Malformed,
            "404 with a page instead of an answer: check api_url and proxy",
        ),
        429 => (Verdict::BackOff, "too many requests"),
        408 | 500..=599 => (Verdict::Retry, "the provider has trouble"),
        300..=399 => (
            Verdict::Malformed,
            "the API sent us elsewhere, which is not followed: check api_url and proxy",
        ),
        400..=499 => (
            Verdict::BadRequest,
            "the request was refused; please report this",
        ),
        _ => (Verdict::Malformed, "an answer that the API does not have"),
    }
}

/// A refusal with what it means: its verdict, words for people and the number of the vendor's word. `said` is the vendor's own word and
/// message, either may be empty. `names_token`: its word is about the token itself.
pub(crate) fn meaning(
    status: StatusCode,
    (verdict, words, code): (Verdict, &str, Option<i64>),
    said: Option<[&str; 2]>,
    names_token: bool,
) -> Meaning {
    let mut notes = format!("HTTP {}", status.as_u16());
    for said in said.into_iter().flatten().filter(|said| !said.is_empty()) {
        notes.push_str(", ");
        notes.push_str(said);
    }
    Meaning {
        verdict,
        code,
        words: format!("{words} ({notes})"),
        refuses_token: verdict == Verdict::AccountRefused
            && (status == StatusCode::UNAUTHORIZED || names_token),
        considered: code.is_some(),
    }
}
