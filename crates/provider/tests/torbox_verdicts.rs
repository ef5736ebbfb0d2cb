//! Every error word of TorBox: verdict, whether the account counts as healthy, and what `status` says.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/scripted.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod scripted;

use std::time::Duration;

use debridfs_provider::vendors::torbox::{KIND, verdicts};
use debridfs_provider::{DebridAccount, Error, HosterLink, Priority, Provider, TorrentId, Verdict};
use scripted::{Reply, Scripted, account_with, config_of, reply, reply_with};

/// Word, usual status, verdict, healthy, part of the words.
const TABLE: &[(&str, u16, Verdict, bool, &str)] = &[
    (
        "DATABASE_ERROR",
        500,
        Verdict::NotFound,
        true,
        "does not know it, or its database",
    ),
    ("UNKNOWN_ERROR", 500, Verdict::Retry, false, "unknown error"),
    (
        "NO_SERVERS_AVAILABLE_ERROR",
        500,
        Verdict::Retry,
        false,
        "no server",
    ),
    (
        "DOWNLOAD_SERVER_ERROR",
        500,
        Verdict::Retry,
        false,
        "server of the file",
    ),
    ("REDIRECT_ERROR", 500, Verdict::Retry, false, "send us on"),
    ("SEARCH_ERROR", 500, Verdict::Retry, false, "search"),
    (
        "NO_AUTH",
        403,
        Verdict::AccountRefused,
        false,
        "no token arrived",
    ),
    (
        "BAD_TOKEN",
        403,
        Verdict::AccountRefused,
        false,
        "token is not valid",
    ),
    (
        "AUTH_ERROR",
        403,
        Verdict::AccountRefused,
        false,
        "not let in",
    ),
    (
        "OAUTH_VERIFICATION_ERROR",
        403,
        Verdict::AccountRefused,
        false,
        "login",
    ),
    (
        "INVALID_DEVICE",
        403,
        Verdict::AccountRefused,
        false,
        "device",
    ),
    (
        "VENDOR_DISABLED",
        403,
        Verdict::AccountRefused,
        false,
        "disabled",
    ),
    (
        "PLAN_RESTRICTED_FEATURE",
        403,
        Verdict::Disabled,
        true,
        "plan does not have",
    ),
    (
        "ENDPOINT_NOT_FOUND",
        404,
        Verdict::Disabled,
        true,
        "api_url",
    ),
    (
        "INVALID_OPTION",
        400,
        Verdict::BadRequest,
        true,
        "bad value",
    ),
    (
        "MISSING_REQUIRED_OPTION",
        400,
        Verdict::BadRequest,
        true,
        "parameter was missing",
    ),
    (
        "TOO_MANY_OPTIONS",
        400,
        Verdict::BadRequest,
        true,
        "too many parameters",
    ),
    ("SELLIX_ERROR", 500, Verdict::BadRequest, true, "shop"),
    (
        "ITEM_NOT_FOUND",
        404,
        Verdict::NotFound,
        true,
        "does not know it",
    ),
    (
        "DUPLICATE_ITEM",
        400,
        Verdict::AlreadyDone,
        true,
        "has it already",
    ),
    (
        "DOWNLOAD_NOT_CACHED",
        400,
        Verdict::NotCached,
        true,
        "does not have it",
    ),
    ("ACTIVE_LIMIT", 400, Verdict::SlotsFull, true, "slot"),
    ("COOLDOWN_LIMIT", 400, Verdict::BackOff, false, "cools down"),
    (
        "MONTHLY_LIMIT",
        400,
        Verdict::OutOfTraffic,
        true,
        "of the month",
    ),
    (
        "DOWNLOAD_TOO_LARGE",
        400,
        Verdict::Rejected,
        true,
        "larger than the plan",
    ),
    ("TOO_MUCH_DATA", 400, Verdict::Rejected, true, "too large"),
    (
        "BOZO_TORRENT",
        400,
        Verdict::Rejected,
        true,
        "torrent is invalid",
    ),
    ("BOZO_NZB", 400, Verdict::Rejected, true, "NZB is invalid"),
    (
        "BOZO_RSS_FEED",
        400,
        Verdict::Rejected,
        true,
        "feed is invalid",
    ),
    (
        "DIFF_ISSUE",
        400,
        Verdict::Rejected,
        true,
        "not what was announced",
    ),
    (
        "LINK_OFFLINE",
        400,
        Verdict::FileUnavailable,
        true,
        "offline",
    ),
];

/// Status, body, verdict, part of the words.
const WITHOUT_WORD: &[(u16, &str, Verdict, &str)] = &[
    (401, "{}", Verdict::AccountRefused, "token is not accepted"),
    (
        403,
        r#"{"success":false,"error":"NEW_WORD","detail":"d"}"#,
        Verdict::AccountRefused,
        "may not do this",
    ),
    (403, "<html>", Verdict::AccountRefused, "IP address"),
    (
        404,
        r#"{"success":false,"error":null,"detail":"d"}"#,
        Verdict::NotFound,
        "does not know it",
    ),
    (404, r#"{"detail":"Not Found"}"#, Verdict::Malformed, "page"),
    (404, "", Verdict::Malformed, "page"),
    (429, "<html>", Verdict::BackOff, "too many requests"),
    (
        429,
        r#"{"success":false,"error":"DATABASE_ERROR"}"#,
        Verdict::BackOff,
        "too many requests",
    ),
    (
        400,
        r#"{"success":false,"error":"NEW_WORD"}"#,
        Verdict::BadRequest,
        "report this",
    ),
    (
        200,
        r#"{"success":false,"error":"NEW_WORD"}"#,
        Verdict::Malformed,
        "does not have",
    ),
    (
        200,
        r#"{"success":false,"error":"BAD_TOKEN"}"#,
        Verdict::AccountRefused,
        "token is not valid",
    ),
    (302, "", Verdict::Malformed, "sent us elsewhere"),
    (408, "", Verdict::Retry, "trouble"),
    (500, "<html>", Verdict::Retry, "trouble"),
    (502, "<html>", Verdict::Retry, "trouble"),
    (520, "", Verdict::Retry, "trouble"),
];

fn account(reply: Reply) -> DebridAccount {
    account_with(config_of("tb", &KIND), Scripted::new([reply]))
}

async fn link(account: &DebridAccount) -> Error {
    let link = HosterLink("5/0".to_owned());
    account
        .unrestrict(Priority::Playback, &link)
        .await
        .unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn every_error_word() {
    for (number, (word, status, verdict, healthy, words)) in (1000..).zip(TABLE.iter().copied()) {
        let body =
            format!(r#"{{"success":false,"error":"{word}","detail":"some text","data":null}}"#);
        let account = account(reply(status, &body));
        let error = link(&account).await;
        assert_eq!(error.verdict, verdict, "{word}");
        let considered = verdict != Verdict::Retry && word != "DATABASE_ERROR";
        assert_eq!(error.code, considered.then_some(number), "{word}");
        let health = account.health();
        assert_eq!(health.healthy, healthy, "{word}");
        let (_, said) = health.last_error.unwrap();
        assert!(said.contains(words), "{word}: {said}");
        assert!(
            said.contains(&format!("HTTP {status}, {word}, some text")),
            "{said}"
        );
        let cools = verdict == Verdict::BackOff;
        assert_eq!(health.cooldown.is_some(), cools, "{word}");
    }
}

#[test]
fn the_table_is_complete() {
    let ours = verdicts::CODES.iter().map(|row| row.0);
    assert!(ours.eq(TABLE.iter().map(|row| row.0)));
}

#[tokio::test(start_paused = true)]
async fn answers_without_a_known_word() {
    for (status, body, verdict, words) in WITHOUT_WORD.iter().copied() {
        let account = account(reply(status, body));
        let error = link(&account).await;
        assert_eq!(error.verdict, verdict, "{status} {body}: {error}");
        assert!(error.message.contains(words), "{status} {body}: {error}");
    }
}

/// The vendor's way to say that it does not know an id. Of a list it says that when its database is ill.
#[tokio::test(start_paused = true)]
async fn a_database_error_is_not_found_for_one_id_alone_and_proves_nothing() {
    let body = r#"{"success":false,"error":"DATABASE_ERROR","detail":"d","data":null}"#;
    let transport = Scripted::new([reply(500, body)]);
    let account = account_with(config_of("tb", &KIND), transport.clone());
    let id = TorrentId("5".to_owned());
    let gone = account.torrent(Priority::User, &id).await.unwrap_err();
    assert_eq!((gone.verdict, gone.is_final()), (Verdict::NotFound, false));
    let gone = account.delete(Priority::User, &id).await.unwrap_err();
    assert_eq!(gone.verdict, Verdict::NotFound);
    assert_eq!(transport.sent().len(), 2, "asked once each");
    let ill = account
        .torrents(Priority::Refresh, 0, 100)
        .await
        .unwrap_err();
    assert_eq!(ill.verdict, Verdict::Retry);
}

#[tokio::test(start_paused = true)]
async fn a_refused_link_pauses_the_whole_account_for_as_long_as_it_says() {
    let account = account(reply_with(429, ("retry-after", "300"), ""));
    let error = link(&account).await;
    assert_eq!(error.verdict, Verdict::BackOff);
    assert_eq!(error.retry_after, Some(Duration::from_secs(300)));
    let cooldown = account.health().cooldown.unwrap();
    assert!(cooldown > Duration::from_secs(290), "{cooldown:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_addition_pauses_additions_alone() {
    let account = account(reply_with(429, ("retry-after", "1800"), ""));
    let add = || account.add_magnet(Priority::Import, "magnet:?dn=x");
    let error = add().await.unwrap_err();
    assert_eq!(error.verdict, Verdict::BackOff);
    assert_eq!(account.health().cooldown, None);
    let error = add().await.unwrap_err();
    assert!(
        error.retry_after.unwrap() > Duration::from_secs(1700),
        "{error:?}"
    );
}
