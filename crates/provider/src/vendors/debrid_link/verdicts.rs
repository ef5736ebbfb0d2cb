//! What an answer means that is not a success: HTTP status and error word to [`Verdict`] and words.

use http::StatusCode;
use serde_json::Value;

use crate::Verdict;
use crate::account::call::Meaning;
use crate::account::{json, refusal};

/// The vendor's error words (<https://debrid-link.com/api_doc/v2>, and those that clients have met), what they mean for us,
/// and what `status` says. A word's number is its place here, so new ones come last.
pub const CODES: &[(&str, Verdict, &str)] = &[
    (
        "internalError",
        Verdict::Retry,
        "an internal error of the provider",
    ),
    (
        "server_error",
        Verdict::Retry,
        "an internal error of the provider",
    ),
    (
        "badToken",
        Verdict::AccountRefused,
        "the token is not valid: make a new one at https://debrid-link.com/webapp/apikey",
    ),
    (
        "expired_token",
        Verdict::AccountRefused,
        "the token has expired: make a new one at https://debrid-link.com/webapp/apikey",
    ),
    (
        "badSign",
        Verdict::AccountRefused,
        "the token is not accepted as it was sent: make a new one at https://debrid-link.com/webapp/apikey",
    ),
    (
        "hidedToken",
        Verdict::AccountRefused,
        "the token is not to be used so: make a new one at https://debrid-link.com/webapp/apikey",
    ),
    (
        "access_denied",
        Verdict::AccountRefused,
        "the token may not do this: it needs the seedbox and the account",
    ),
    (
        "authorization_pending",
        Verdict::AccountRefused,
        "the token waits for the owner to allow it",
    ),
    (
        "accountLocked",
        Verdict::AccountRefused,
        "the account is locked",
    ),
    (
        "maxAttempts",
        Verdict::AccountRefused,
        "this address is locked for a day after too many failed logins",
    ),
    (
        "captchaRequired",
        Verdict::AccountRefused,
        "the provider wants a person to log in on its pages first",
    ),
    (
        "unverifiedEmail",
        Verdict::AccountRefused,
        "the account's mail address is not verified",
    ),
    (
        "serverNotAllowed",
        Verdict::AccountRefused,
        "not from this IP address: the provider refuses servers and VPNs until it is asked to allow them",
    ),
    (
        "freeServerOverload",
        Verdict::Retry,
        "the provider's servers for free accounts are busy",
    ),
    (
        "floodDetected",
        Verdict::BackOff,
        "too many calls of one endpoint: it is closed for an hour",
    ),
    (
        "unknowR",
        Verdict::Disabled,
        "the provider has no such endpoint: check api_url",
    ),
    (
        "badArguments",
        Verdict::BadRequest,
        "a parameter was missing or bad; please report this",
    ),
    ("badId", Verdict::NotFound, "the provider does not know it"),
    (
        "notLink",
        Verdict::BadRequest,
        "no link arrived; please report this",
    ),
    (
        "notDebrid",
        Verdict::LinkBroken,
        "the link cannot be made: the hoster may be down",
    ),
    (
        "hostNotValid",
        Verdict::FileUnavailable,
        "the hoster is not supported",
    ),
    (
        "disabledHost",
        Verdict::FileUnavailable,
        "the hoster is disabled",
    ),
    (
        "notFreeHost",
        Verdict::AccountRefused,
        "not for free accounts: the subscription may have ended",
    ),
    (
        "maintenanceHost",
        Verdict::Retry,
        "the hoster is in maintenance",
    ),
    (
        "noServerHost",
        Verdict::Retry,
        "no server for the hoster is free",
    ),
    (
        "disabledServerHost",
        Verdict::FileUnavailable,
        "the hoster is not allowed from this address",
    ),
    (
        "maxSimultaneousFilesHost",
        Verdict::Retry,
        "too many downloads from the hoster at once",
    ),
    ("fileNotFound", Verdict::FileUnavailable, "the file is gone"),
    (
        "fileNotAvailable",
        Verdict::LinkBroken,
        "the file is unavailable for now",
    ),
    (
        "badFileUrl",
        Verdict::FileUnavailable,
        "the link is not one of a file",
    ),
    (
        "badFilePassword",
        Verdict::FileUnavailable,
        "the file has a password",
    ),
    (
        "noGetFilename",
        Verdict::LinkBroken,
        "the provider could not tell the file's name",
    ),
    (
        "maxLink",
        Verdict::OutOfTraffic,
        "the day's links are used up",
    ),
    (
        "maxLinkHost",
        Verdict::LinkBroken,
        "the day's links of the hoster are used up",
    ),
    (
        "maxData",
        Verdict::OutOfTraffic,
        "the day's traffic is used up",
    ),
    (
        "maxDataHost",
        Verdict::LinkBroken,
        "the day's traffic of the hoster is used up",
    ),
    (
        "notAddTorrent",
        Verdict::Rejected,
        "the provider could not add it",
    ),
    (
        "badTorrentFile",
        Verdict::Rejected,
        "the torrent is invalid",
    ),
    (
        "torrentTooBig",
        Verdict::Rejected,
        "the torrent is too large, or has too many files",
    ),
    (
        "infringingFile",
        Verdict::Infringing,
        "the content is refused",
    ),
    (
        "maxTorrent",
        Verdict::SlotsFull,
        "the day's torrents are used up",
    ),
    (
        "maxTransfer",
        Verdict::SlotsFull,
        "every active slot is taken",
    ),
];

/// Words for the token itself, as opposed to one action: 401 is the other sign.
const TOKEN_WORDS: [&str; 7] = [
    "badToken",
    "expired_token",
    "badSign",
    "hidedToken",
    "accountLocked",
    "maxAttempts",
    "captchaRequired",
];
/// Said of a hash that is not cached, and of a magnet or file that cannot be added.
const NOT_ADDED: &str = "notAddTorrent";
/// Number of the first word; see [`crate::Error::code`].
const FIRST_NUMBER: i64 = 1000;

/// The number of the word for what was not added.
pub(super) fn not_added() -> Option<i64> {
    let known = CODES.iter().zip(FIRST_NUMBER..);
    let mut numbers = known.filter(|((word, ..), _)| *word == NOT_ADDED);
    numbers.next().map(|(_, number)| number)
}

/// The API's form of an error.
struct ApiError {
    word: String,
    description: String,
}

/// The error in `body`, if it is in the API's form: an object with `success`, which is not true.
fn error_of(body: &[u8]) -> Option<ApiError> {
    let fields = refusal::fields(body)?;
    let text = |key: &str| {
        let text = fields.get(key).and_then(Value::as_str);
        json::quote(text.unwrap_or_default())
    };
    let failed = match fields.get("success") {
        Some(success) => success.as_bool() != Some(true),
        // As the login tells errors.
        None => fields.get("error").is_some_and(Value::is_string),
    };
    failed.then(|| ApiError {
        word: text("error"),
        description: text("error_description"),
    })
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
            let code = (*verdict != Verdict::Retry).then_some(number);
            (*verdict, *words, code)
        }
        None => {
            let (verdict, words) = refusal::of_status(status, error.is_some());
            (verdict, words, None)
        }
    };
    let said = error
        .as_ref()
        .map(|error| [error.word.as_str(), error.description.as_str()]);
    let names_token = TOKEN_WORDS.contains(&word);
    Some(refusal::meaning(status, judged, said, names_token))
}
