//! What an answer means that is not a success: HTTP status and error word to [`Verdict`] and words.
//!
//! Most errors come with HTTP 200.

use http::StatusCode;
use serde_json::Value;

use super::decode::only;
use crate::Verdict;
use crate::account::call::Meaning;
use crate::account::{json, refusal};

/// The vendor's error words (<https://docs.alldebrid.com>, and those that clients have met), what they
/// mean for us, and what `status` says. A word's number is its place here, so new ones come last.
pub const CODES: &[(&str, Verdict, &str)] = &[
    (
        "GENERIC",
        Verdict::Retry,
        "an error that the provider does not explain",
    ),
    (
        "404",
        Verdict::Disabled,
        "the provider has no such endpoint: check api_url",
    ),
    (
        "DISCONTINUED",
        Verdict::Disabled,
        "the provider has withdrawn this endpoint",
    ),
    (
        "MAINTENANCE",
        Verdict::Retry,
        "the provider is in maintenance",
    ),
    (
        "AUTH_MISSING_APIKEY",
        Verdict::AccountRefused,
        "no token arrived: check proxy",
    ),
    (
        "AUTH_BAD_APIKEY",
        Verdict::AccountRefused,
        "the token is not valid: make a new one at https://alldebrid.com/apikeys",
    ),
    (
        "AUTH_BLOCKED",
        Verdict::AccountRefused,
        "the token is blocked for this address or country: confirm it in the provider's mail",
    ),
    (
        "AUTH_USER_BANNED",
        Verdict::AccountRefused,
        "the account is banned",
    ),
    (
        "ACCOUNT_INVALID",
        Verdict::AccountRefused,
        "the account is not valid",
    ),
    (
        "ALREADY_SENT",
        Verdict::AlreadyDone,
        "it was handed in before",
    ),
    (
        "NO_SERVER",
        Verdict::AccountRefused,
        "not from this IP address: the provider refuses servers and VPNs",
    ),
    (
        "LINK_IS_MISSING",
        Verdict::BadRequest,
        "no link arrived; please report this",
    ),
    (
        "BAD_LINK",
        Verdict::FileUnavailable,
        "the provider does not know the link",
    ),
    (
        "LINK_HOST_NOT_SUPPORTED",
        Verdict::FileUnavailable,
        "the hoster is not supported",
    ),
    (
        "LINK_DOWN",
        Verdict::FileUnavailable,
        "the file is gone at the hoster",
    ),
    (
        "LINK_PASS_PROTECTED",
        Verdict::FileUnavailable,
        "the file has a password",
    ),
    (
        "LINK_HOST_UNAVAILABLE",
        Verdict::LinkBroken,
        "the hoster is unavailable",
    ),
    (
        "LINK_TOO_MANY_DOWNLOADS",
        Verdict::Retry,
        "too many downloads from the hoster at once",
    ),
    (
        "LINK_HOST_FULL",
        Verdict::Retry,
        "all servers for the hoster are busy",
    ),
    (
        "LINK_HOST_LIMIT_REACHED",
        Verdict::LinkBroken,
        "the account's limit for the hoster is reached",
    ),
    (
        "LINK_ERROR",
        Verdict::LinkBroken,
        "the link cannot be unlocked",
    ),
    (
        "LINK_TEMPORARY_UNAVAILABLE",
        Verdict::Retry,
        "the file is unavailable for now",
    ),
    (
        "LINK_NOT_SUPPORTED",
        Verdict::FileUnavailable,
        "links of this kind are not supported",
    ),
    (
        "STREAM_INVALID_GEN_ID",
        Verdict::BadRequest,
        "unknown stream; please report this",
    ),
    (
        "STREAM_INVALID_STREAM_ID",
        Verdict::BadRequest,
        "unknown stream; please report this",
    ),
    (
        "DELAYED_INVALID_ID",
        Verdict::LinkBroken,
        "the link that was being made is forgotten",
    ),
    (
        "REDIRECTOR_NOT_SUPPORTED",
        Verdict::FileUnavailable,
        "the redirector is not supported",
    ),
    (
        "REDIRECTOR_ERROR",
        Verdict::LinkBroken,
        "the redirector gave no link",
    ),
    (
        "FREE_TRIAL_LIMIT_REACHED",
        Verdict::OutOfTraffic,
        "the trial is used up",
    ),
    (
        "MUST_BE_PREMIUM",
        Verdict::AccountRefused,
        "not for free accounts: the subscription may have ended",
    ),
    (
        "MAGNET_INVALID_ID",
        Verdict::NotFound,
        "the provider does not know it",
    ),
    (
        "MAGNET_INVALID_URI",
        Verdict::Rejected,
        "the magnet is invalid",
    ),
    (
        "MAGNET_INVALID_FILE",
        Verdict::Rejected,
        "the torrent is invalid",
    ),
    (
        "MAGNET_FILE_UPLOAD_FAILED",
        Verdict::Retry,
        "the torrent did not arrive",
    ),
    (
        "MAGNET_NO_URI",
        Verdict::BadRequest,
        "no magnet arrived; please report this",
    ),
    (
        "MAGNET_PROCESSING",
        Verdict::AlreadyDone,
        "the torrent is on its way, or ready",
    ),
    (
        "MAGNET_TOO_MANY_ACTIVE",
        Verdict::SlotsFull,
        "every active slot is taken",
    ),
    (
        "MAGNET_TOO_MANY",
        Verdict::SlotsFull,
        "the account holds as many torrents as it may: delete some",
    ),
    (
        "MAGNET_MUST_BE_PREMIUM",
        Verdict::AccountRefused,
        "torrents are not for free accounts: the subscription may have ended",
    ),
    (
        "MAGNET_TOO_LARGE",
        Verdict::Rejected,
        "the torrent is too large",
    ),
    (
        "MAGNET_NO_SERVER",
        Verdict::AccountRefused,
        "not from this IP address: the provider refuses torrents from servers and VPNs",
    ),
    (
        "MAGNET_LINKS_REMOVED",
        Verdict::FileUnavailable,
        "the provider has removed the torrent's files",
    ),
    (
        "MAGNET_UPLOAD_FAILED",
        Verdict::Retry,
        "the provider could not take the torrent",
    ),
    (
        "MAGNET_INTERNAL_ERROR",
        Verdict::Retry,
        "an internal error of the provider",
    ),
    (
        "MAGNET_CANT_BOOTSTRAP",
        Verdict::Rejected,
        "the torrent cannot be started",
    ),
    (
        "MAGNET_TOOK_TOO_LONG",
        Verdict::Rejected,
        "the torrent took longer than 72 hours",
    ),
    (
        "MAGNET_PROCESSING_FAILED",
        Verdict::Rejected,
        "the provider could not process the torrent",
    ),
    (
        "MAGNET_PROCESSING_COOLDOWN",
        Verdict::Retry,
        "the torrent was started a short while ago",
    ),
    (
        "PIN_ALREADY_AUTHED",
        Verdict::BadRequest,
        "the PIN is used; please report this",
    ),
    (
        "PIN_EXPIRED",
        Verdict::BadRequest,
        "the PIN has expired; please report this",
    ),
    (
        "PIN_INVALID",
        Verdict::BadRequest,
        "the PIN is invalid; please report this",
    ),
    (
        "USER_LINK_MISSING",
        Verdict::BadRequest,
        "no link arrived; please report this",
    ),
    (
        "USER_LINK_INVALID",
        Verdict::BadRequest,
        "the link is not a saved one; please report this",
    ),
    (
        "DOWNLOAD_FAILED",
        Verdict::LinkBroken,
        "the provider could not fetch the file",
    ),
];

/// Words for the token itself, as opposed to one action: 401 is the other sign.
const TOKEN_WORDS: [&str; 5] = [
    "AUTH_MISSING_APIKEY",
    "AUTH_BAD_APIKEY",
    "AUTH_BLOCKED",
    "AUTH_USER_BANNED",
    "ACCOUNT_INVALID",
];
/// The only word that is not the provider's considered answer.
const GENERIC: &str = "GENERIC";
/// Number of the first word; see [`crate::Error::code`].
const FIRST_NUMBER: i64 = 1000;

/// The API's form of an error.
struct ApiError {
    word: String,
    message: String,
}

/// The error in `body`, if it is in the API's form: that of the whole answer, or that of the only thing that the
/// answer is about.
fn error_of(body: &[u8]) -> Option<ApiError> {
    let fields = refusal::fields(body)?;
    let of = |error: &Value| {
        let text = |key: &str| {
            let text = error.get(key).and_then(json::text);
            json::quote(&text.unwrap_or_default())
        };
        ApiError {
            word: text("code"),
            message: text("message"),
        }
    };
    if fields.get("status").and_then(Value::as_str) == Some("error") {
        return Some(of(fields.get("error").unwrap_or(&Value::Null)));
    }
    let data = fields.get("data")?;
    let entry = only(data.get("magnets").or_else(|| data.get("files"))?)?;
    let error = entry.get("error")?;
    error.get("code").is_some().then(|| of(error))
}

/// The meaning of an answer, or `None` for a success. A body that tells an error is a failure whatever the status
/// says.
pub fn meaning(status: StatusCode, body: &[u8]) -> Option<Meaning> {
    let error = error_of(body);
    if status.is_success() && error.is_none() {
        return None;
    }
    let word = error.as_ref().map_or("", |error| &error.word);
    let mut known = CODES.iter().zip(FIRST_NUMBER..);
    let judged = match known.find(|((known, ..), _)| *known == word) {
        // 429 speaks for itself.
        _ if status == StatusCode::TOO_MANY_REQUESTS => {
            (Verdict::BackOff, "too many requests", None)
        }
        Some(((_, verdict, words), number)) => {
            let code = (word != GENERIC).then_some(number);
            (*verdict, *words, code)
        }
        None => {
            let (verdict, words) = match of_word(word) {
                Some(known) => known,
                None => of_status(status, error.is_some()),
            };
            (verdict, words, None)
        }
    };
    let said = error
        .as_ref()
        .map(|error| [error.word.as_str(), error.message.as_str()]);
    let names_token = TOKEN_WORDS.contains(&word);
    Some(refusal::meaning(status, judged, said, names_token))
}

/// What a word that is not known is about.
fn of_word(word: &str) -> Option<(Verdict, &'static str)> {
    match word.split('_').next() {
        Some("AUTH") => Some((Verdict::AccountRefused, "the account is not let in")),
        Some("LINK") => Some((Verdict::LinkBroken, "the link cannot be unlocked")),
        Some("MAGNET") => Some((Verdict::Rejected, "the torrent is refused")),
        _ => None,
    }
}

/// For answers without a word that is known. `from_api` tells that the body was in the API's form of an error.
fn of_status(status: StatusCode, from_api: bool) -> (Verdict, &'static str) {
    match status.as_u16() {
        // A page with this status is how it says "too many requests", besides 429.
        503 if !from_api => (
            Verdict::BackOff,
            "too many requests, or the provider is down",
        ),
        _ => refusal::of_status(status, from_api),
    }
}
