//! Every error code and status of the vendor: verdict, whether the account counts as healthy, and what `status` says.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/scripted.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod scripted;

use debridfs_provider::{HosterLink, Priority, Provider, Verdict};
use scripted::{Scripted, account, reply};

/// Code, usual status, verdict, healthy, part of the words.
const TABLE: &[(i64, u16, Verdict, bool, &str)] = &[
    (-1, 500, Verdict::Retry, false, "internal error"),
    (1, 400, Verdict::BadRequest, true, "parameter was missing"),
    (2, 400, Verdict::BadRequest, true, "bad value"),
    (3, 404, Verdict::BadRequest, true, "unknown method"),
    (4, 405, Verdict::BadRequest, true, "method not allowed"),
    (5, 429, Verdict::BackOff, false, "slow down"),
    (6, 503, Verdict::Retry, false, "cannot reach"),
    (7, 404, Verdict::NotFound, true, "does not know"),
    (8, 401, Verdict::AccountRefused, false, "token is not valid"),
    (9, 403, Verdict::AccountRefused, false, "permission denied"),
    (10, 403, Verdict::AccountRefused, false, "second factor"),
    (
        11,
        403,
        Verdict::AccountRefused,
        false,
        "second factor is pending",
    ),
    (12, 403, Verdict::AccountRefused, false, "invalid login"),
    (13, 403, Verdict::AccountRefused, false, "invalid password"),
    (14, 403, Verdict::AccountRefused, false, "locked"),
    (15, 403, Verdict::AccountRefused, false, "not activated"),
    (16, 503, Verdict::FileUnavailable, true, "not supported"),
    (17, 503, Verdict::Retry, false, "maintenance"),
    (18, 503, Verdict::LinkBroken, true, "limit is reached"),
    (
        19,
        503,
        Verdict::LinkBroken,
        true,
        "temporarily unavailable",
    ),
    (20, 403, Verdict::AccountRefused, false, "free accounts"),
    (21, 509, Verdict::SlotsFull, true, "active downloads"),
    (22, 403, Verdict::AccountRefused, false, "IP address"),
    (23, 503, Verdict::OutOfTraffic, true, "traffic is used up"),
    (
        24,
        503,
        Verdict::FileUnavailable,
        true,
        "file is unavailable",
    ),
    (25, 503, Verdict::Retry, false, "service is unavailable"),
    (26, 400, Verdict::Rejected, true, "too big"),
    (27, 400, Verdict::Rejected, true, "upload failed"),
    (28, 400, Verdict::Rejected, true, "not allowed"),
    (29, 400, Verdict::Rejected, true, "torrent is too big"),
    (30, 400, Verdict::Rejected, true, "invalid"),
    (31, 202, Verdict::AlreadyDone, true, "done before"),
    (33, 400, Verdict::AlreadyDone, true, "active already"),
    (34, 429, Verdict::BackOff, false, "too many requests"),
    (35, 451, Verdict::Infringing, true, "refuses the content"),
    (36, 503, Verdict::OutOfTraffic, true, "fair usage"),
    (37, 403, Verdict::Disabled, true, "withdrawn"),
];

/// Status and body without a code that is known: verdict and part of the words.
const WITHOUT_CODE: &[(u16, &str, Verdict, &str)] = &[
    (202, "", Verdict::AlreadyDone, "done before"),
    (301, "", Verdict::Malformed, "api_url"),
    (
        400,
        "{\"error\":\"new\",\"error_code\":999}",
        Verdict::BadRequest,
        "code 999, new",
    ),
    (401, "", Verdict::AccountRefused, "token"),
    (403, "", Verdict::AccountRefused, "account"),
    (
        403,
        "<html>blocked</html>",
        Verdict::AccountRefused,
        "IP address may be blocked",
    ),
    (
        404,
        "{\"error\":\"unknown_ressource\"}",
        Verdict::NotFound,
        "does not know",
    ),
    (404, "<html>nginx</html>", Verdict::Malformed, "api_url"),
    (418, "", Verdict::BadRequest, "refused"),
    (429, "<html>slow down</html>", Verdict::BackOff, "too many"),
    (451, "", Verdict::Infringing, "refuses the content"),
    (500, "", Verdict::Retry, "trouble"),
    (502, "<html>Bad Gateway</html>", Verdict::Retry, "trouble"),
    (
        503,
        "{\"error\":\"x\",\"error_code\":999}",
        Verdict::Retry,
        "trouble",
    ),
    (509, "", Verdict::SlotsFull, "slot"),
    (
        200,
        "{\"error\":\"bad_token\",\"error_code\":8}",
        Verdict::AccountRefused,
        "token",
    ),
    (
        200,
        "<html>Log in to the Wi-Fi</html>",
        Verdict::Malformed,
        "HTML",
    ),
    (
        200,
        "{\"id\":\"AAAA\",\"downl",
        Verdict::Malformed,
        "cut off",
    ),
    (200, "", Verdict::Malformed, "empty body"),
    (204, "", Verdict::Malformed, "empty body"),
    (200, "{}", Verdict::Malformed, "download is missing"),
    (
        200,
        "{\"download\":\"file:///etc/passwd\"}",
        Verdict::Malformed,
        "not an HTTP URL",
    ),
];

async fn unrestrict(
    status: u16,
    body: &str,
) -> (debridfs_provider::Error, debridfs_provider::ProviderHealth) {
    let account = account(Scripted::new([reply(status, body)]));
    let link = HosterLink("https://real-debrid.com/d/AAAAAAAAAAAAA".to_owned());
    let error = account.unrestrict(Priority::User, &link).await.unwrap_err();
    let counted: u64 = account
        .call_counts()
        .iter()
        .filter(|count| count.outcome == error.verdict.label())
        .map(|count| count.calls)
        .sum();
    assert_eq!(counted, 1, "{error}");
    (error, account.health())
}

#[tokio::test(start_paused = true)]
async fn every_error_code() {
    for (code, status, verdict, healthy, words) in TABLE.iter().copied() {
        let body = format!("{{\"error\":\"some_text\",\"error_code\":{code}}}");
        let (error, health) = unrestrict(status, &body).await;
        assert_eq!(error.verdict, verdict, "code {code}");
        assert_eq!((error.code, error.http_status), (Some(code), Some(status)));
        assert_eq!(health.healthy, healthy, "code {code}");
        assert_eq!((health.calls, health.failures), (1, 1));
        let (_, said) = health.last_error.unwrap();
        assert_eq!(said, error.message);
        assert!(said.contains(words), "code {code}: {said}");
        assert!(
            said.contains(&format!("HTTP {status}, code {code}, some_text")),
            "{said}"
        );
        assert!(said.starts_with("making a direct link: "), "{said}");
        // A refusal for too many calls is the scheduler's affair, and only that one is.
        assert_eq!(
            health.cooldown.is_some(),
            verdict == Verdict::BackOff,
            "code {code}"
        );
    }
}

#[test]
fn the_table_is_complete() {
    let documented = (-1..=37).filter(|code| ![0, 32].contains(code));
    assert!(documented.eq(TABLE.iter().map(|row| row.0)));
    let ours = debridfs_provider::vendors::real_debrid::verdicts::CODES;
    assert!(
        ours.iter()
            .map(|row| row.0)
            .eq(TABLE.iter().map(|row| row.0))
    );
    let mut labels = Verdict::ALL.map(Verdict::label).to_vec();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), Verdict::ALL.len());
}

#[tokio::test(start_paused = true)]
async fn answers_without_a_known_code() {
    for (status, body, verdict, words) in WITHOUT_CODE.iter().copied() {
        let (error, health) = unrestrict(status, body).await;
        assert_eq!(error.verdict, verdict, "{status} {body}: {error}");
        let (_, said) = health.last_error.unwrap();
        assert!(said.contains(words), "{status} {body}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_speaks_louder_than_infringing() {
    let (error, health) =
        unrestrict(429, "{\"error\":\"infringing_file\",\"error_code\":35}").await;
    assert_eq!(error.verdict, Verdict::BackOff);
    assert!(health.cooldown.is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_is_said() {
    let body =
        "{\"error\":\"see https://1.download.example/d/DIRECTLINK/x.mkv now\",\"error_code\":24}";
    let (error, health) = unrestrict(503, body).await;
    let said = format!("{error} {error:?} {health:?}");
    assert!(
        !said.contains("DIRECTLINK") && !said.contains("SECRETTOKEN"),
        "{said}"
    );
}
