//! What an answer means that is not a success: HTTP status and error word to [`Verdict`] and words.

use http::StatusCode;
use serde_json::Value;

use crate::Verdict;
use crate::account::call::Meaning;
use crate::account::{json, refusal};

/// The vendor's error words, what they mean for us, and what `status` says.
pub const CODES: &[(&str, Verdict, &str)] = &[
    (
        "DATABASE_ERROR",
        Verdict::Retry,
        "the provider's database has trouble",
    ),
    (
        "UNKNOWN_ERROR",
        Verdict::Retry,
        "an unknown error of the provider",
    ),
    (
        "NO_SERVERS_AVAILABLE_ERROR",
        Verdict::Retry,
        "no server of the provider is free",
    ),
    (
        "DOWNLOAD_SERVER_ERROR",
        Verdict::Retry,
        "the provider's server of the file has trouble",
    ),
    (
        "REDIRECT_ERROR",
        Verdict::Retry,
        "the provider cannot send us on",
    ),
    (
        "SEARCH_ERROR",
        Verdict::Retry,
        "the provider's search has trouble",
    ),
    (
        "NO_AUTH",
        Verdict::AccountRefused,
        "no token arrived: check proxy",
    ),
    (
        "BAD_TOKEN",
        Verdict::AccountRefused,
        "the token is not valid: make a new one at https://torbox.app/settings (the provider changes it with a warning for too much traffic)",
    ),
    (
        "AUTH_ERROR",
        Verdict::AccountRefused,
        "the account is not let in: make a new token at https://torbox.app/settings",
    ),
    (
        "OAUTH_VERIFICATION_ERROR",
        Verdict::AccountRefused,
        "the login could not be verified",
    ),
    (
        "INVALID_DEVICE",
        Verdict::AccountRefused,
        "this device is not allowed",
    ),
    (
        "VENDOR_DISABLED",
        Verdict::AccountRefused,
        "the vendor of the account is disabled",
    ),
    (
        "PLAN_RESTRICTED_FEATURE",
        Verdict::Disabled,
        "the account's plan does not have this",
    ),
    (
        "ENDPOINT_NOT_FOUND",
        Verdict::Disabled,
        "the provider has no such endpoint: check api_url",
    ),
    (
        "INVALID_OPTION",
        Verdict::BadRequest,
        "a parameter had a bad value; please report this",
    ),
    (
        "MISSING_REQUIRED_OPTION",
        Verdict::BadRequest,
        "a parameter was missing; please report this",
    ),
    (
        "TOO_MANY_OPTIONS",
        Verdict::BadRequest,
        "too many parameters; please report this",
    ),
    (
        "SELLIX_ERROR",
        Verdict::BadRequest,
        "the provider's shop has trouble; please report this",
    ),
    (
        "ITEM_NOT_FOUND",
        Verdict::NotFound,
        "the provider does not know it",
    ),
    (
        "DUPLICATE_ITEM",
        Verdict::AlreadyDone,
        "the account has it already",
    ),
    (
        "DOWNLOAD_NOT_CACHED",
        Verdict::NotCached,
        "the provider does not have it",
    ),
    (
        "ACTIVE_LIMIT",
        Verdict::SlotsFull,
        "every active slot of the plan is taken",
    ),
    ("COOLDOWN_LIMIT", Verdict::BackOff, "the account cools down"),
    (
        "MONTHLY_LIMIT",
        Verdict::OutOfTraffic,
        "the plan's downloads of the month are used up",
    ),
    (
        "DOWNLOAD_TOO_LARGE",
        Verdict::Rejected,
        "it is larger than the plan allows",
    ),
    (
        "TOO_MUCH_DATA",
        Verdict::Rejected,
        "what was handed in is too large",
    ),
    ("BOZO_TORRENT", Verdict::Rejected, "the torrent is invalid"),
    ("BOZO_NZB", Verdict::Rejected, "the NZB is invalid"),
    ("BOZO_RSS_FEED", Verdict::Rejected, "the feed is invalid"),
    (
        "DIFF_ISSUE",
        Verdict::Rejected,
        "what arrived is not what was announced",
    ),
    (
        "LINK_OFFLINE",
        Verdict::FileUnavailable,
        "the link is offline",
    ),
];

/// Words for the token itself, as opposed to one action: 401 is the other sign.
const TOKEN_WORDS: [&str; 3] = ["NO_AUTH", "BAD_TOKEN", "AUTH_ERROR"];
/// Said of an id that the vendor does not know, with status 500.
const DATABASE_ERROR: &str = "DATABASE_ERROR";
/// Number of the first word; see [`crate::Error::code`].
const FIRST_NUMBER: i64 = 1000;

/// The API's form of an answer that is not a success.
struct ApiError {
    word: String,
    detail: String,
}

/// The error in `body`, if it is in the API's form: an object with `success`, which is not true.
fn error_of(body: &[u8]) -> Option<ApiError> {
    let fields = refusal::fields(body)?;
    let text = |key: &str| {
        let text = fields.get(key).and_then(Value::as_str);
        json::quote(text.unwrap_or_default())
    };
    let failed = fields.get("success")?.as_bool() != Some(true);
    failed.then(|| ApiError {
        word: text("error"),
        detail: text("detail"),
    })
}

/// The meaning of an answer, or `None` for a success. A body that says so is a failure whatever the status says.
/// `about_one`: one thing was asked for, by its id.
pub fn meaning(about_one: bool, status: StatusCode, body: &[u8]) -> Option<Meaning> {
    let error = error_of(body);
    if status.is_success() && error.is_none() {
        return None;
    }
    let word = error.as_ref().map_or("", |error| &error.word);
    let mut known = CODES.iter().zip(FIRST_NUMBER..);
    let known = known.find(|((known, ..), _)| *known == word);
    let judged = match known {
        // Whatever it is about: 429 speaks for itself.
        _ if status == StatusCode::TOO_MANY_REQUESTS => {
            (Verdict::BackOff, "too many requests", None)
        }
        // No number: it is no proof that the thing is gone.
        Some(((DATABASE_ERROR, ..), _)) if about_one => (
            Verdict::NotFound,
            "the provider does not know it, or its database has trouble",
            None,
        ),
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
        .map(|error| [error.word.as_str(), error.detail.as_str()]);
    let names_token = TOKEN_WORDS.contains(&word);
    Some(refusal::meaning(status, judged, said, names_token))
}
