//! Every error word of AllDebrid, in every place where it is told.

use debridfs_provider::Verdict;
use debridfs_provider::vendors::all_debrid::verdicts::{CODES, meaning};
use http::StatusCode;

/// The type of a meaning has no name here.
macro_rules! of {
    ($status:expr, $body:expr) => {
        meaning(StatusCode::from_u16($status).unwrap(), $body.as_bytes())
    };
}

fn error(word: &str) -> String {
    format!(r#"{{"status":"error","error":{{"code":"{word}","message":"m"}}}}"#)
}

#[test]
fn table_of_error_words() {
    use Verdict::{
        AccountRefused, AlreadyDone, BadRequest, Disabled, FileUnavailable, LinkBroken, NotFound,
        OutOfTraffic, Rejected, Retry, SlotsFull,
    };
    let table: [(Verdict, &[&str]); 11] = [
        (
            Retry,
            &[
                "GENERIC",
                "MAINTENANCE",
                "LINK_TOO_MANY_DOWNLOADS",
                "LINK_HOST_FULL",
                "LINK_TEMPORARY_UNAVAILABLE",
                "MAGNET_FILE_UPLOAD_FAILED",
                "MAGNET_UPLOAD_FAILED",
                "MAGNET_INTERNAL_ERROR",
                "MAGNET_PROCESSING_COOLDOWN",
            ],
        ),
        (Disabled, &["404", "DISCONTINUED"]),
        (
            AccountRefused,
            &[
                "AUTH_MISSING_APIKEY",
                "AUTH_BAD_APIKEY",
                "AUTH_BLOCKED",
                "AUTH_USER_BANNED",
                "ACCOUNT_INVALID",
                "NO_SERVER",
                "MAGNET_NO_SERVER",
                "MUST_BE_PREMIUM",
                "MAGNET_MUST_BE_PREMIUM",
                "AUTH_SOMETHING_NEW",
            ],
        ),
        (AlreadyDone, &["ALREADY_SENT", "MAGNET_PROCESSING"]),
        (
            BadRequest,
            &[
                "LINK_IS_MISSING",
                "STREAM_INVALID_GEN_ID",
                "STREAM_INVALID_STREAM_ID",
                "MAGNET_NO_URI",
                "PIN_ALREADY_AUTHED",
                "PIN_EXPIRED",
                "PIN_INVALID",
                "USER_LINK_MISSING",
                "USER_LINK_INVALID",
            ],
        ),
        (
            FileUnavailable,
            &[
                "BAD_LINK",
                "LINK_HOST_NOT_SUPPORTED",
                "LINK_DOWN",
                "LINK_PASS_PROTECTED",
                "LINK_NOT_SUPPORTED",
                "REDIRECTOR_NOT_SUPPORTED",
                "MAGNET_LINKS_REMOVED",
            ],
        ),
        (
            LinkBroken,
            &[
                "LINK_HOST_UNAVAILABLE",
                "LINK_HOST_LIMIT_REACHED",
                "LINK_ERROR",
                "DELAYED_INVALID_ID",
                "REDIRECTOR_ERROR",
                "DOWNLOAD_FAILED",
                "LINK_SOMETHING_NEW",
            ],
        ),
        (OutOfTraffic, &["FREE_TRIAL_LIMIT_REACHED"]),
        (NotFound, &["MAGNET_INVALID_ID"]),
        (
            Rejected,
            &[
                "MAGNET_INVALID_URI",
                "MAGNET_INVALID_FILE",
                "MAGNET_TOO_LARGE",
                "MAGNET_CANT_BOOTSTRAP",
                "MAGNET_TOOK_TOO_LONG",
                "MAGNET_PROCESSING_FAILED",
                "MAGNET_SOMETHING_NEW",
            ],
        ),
        (SlotsFull, &["MAGNET_TOO_MANY_ACTIVE", "MAGNET_TOO_MANY"]),
    ];
    let mut known = 0;
    for (verdict, words) in table {
        for word in words {
            for status in [200, 400, 404, 503] {
                let said = of!(status, &error(word)).unwrap();
                assert_eq!(said.verdict, verdict, "{word}, HTTP {status}");
                assert!(said.words.contains(word), "{}", said.words);
                let ours = CODES.iter().position(|(ours, ..)| ours == word);
                let number = ours.filter(|_| *word != "GENERIC");
                assert_eq!(said.code, number.map(|at| 1000 + at as i64), "{word}");
                known += usize::from(ours.is_some() && status == 200);
            }
        }
    }
    assert_eq!(known, CODES.len(), "every word is in the table");
}

#[test]
fn only_words_for_the_token_refuse_it() {
    for word in ["AUTH_BAD_APIKEY", "AUTH_BLOCKED", "AUTH_USER_BANNED"] {
        assert!(of!(200, &error(word)).unwrap().refuses_token, "{word}");
    }
    assert!(of!(401, "").unwrap().refuses_token);
    for word in ["NO_SERVER", "MUST_BE_PREMIUM", "LINK_DOWN"] {
        assert!(!of!(200, &error(word)).unwrap().refuses_token, "{word}");
    }
}

#[test]
fn the_error_of_the_only_thing_is_that_of_the_answer() {
    let entry = r#"{"magnet":"x","error":{"code":"MAGNET_INVALID_URI","message":"m"}}"#;
    for body in [
        format!(r#"{{"status":"success","data":{{"magnets":[{entry}]}}}}"#),
        format!(r#"{{"status":"success","data":{{"files":[{entry}]}}}}"#),
        format!(r#"{{"status":"success","data":{{"magnets":{{"0":{entry}}}}}}}"#),
        format!(r#"{{"status":"success","data":{{"magnets":{entry}}}}}"#),
    ] {
        assert_eq!(
            of!(200, &body).unwrap().verdict,
            Verdict::Rejected,
            "{body}"
        );
    }
    for body in [
        format!(r#"{{"status":"success","data":{{"magnets":[{entry},{{"id":1}}]}}}}"#),
        r#"{"status":"success","data":{"magnets":[]}}"#.to_owned(),
        include_str!("bodies/alldebrid/list.json").to_owned(),
        include_str!("bodies/alldebrid/files.json").to_owned(),
        include_str!("bodies/alldebrid/torrent.json").to_owned(),
        "<html>".to_owned(),
    ] {
        assert_eq!(of!(200, &body), None, "{body}");
    }
}

#[test]
fn pages_instead_of_answers() {
    let page = "<!DOCTYPE html><html><body>slow down</body></html>";
    for (status, verdict) in [
        (429, Verdict::BackOff),
        (503, Verdict::BackOff),
        (500, Verdict::Retry),
        (502, Verdict::Retry),
        (401, Verdict::AccountRefused),
        (403, Verdict::AccountRefused),
        (404, Verdict::Malformed),
        (302, Verdict::Malformed),
        (400, Verdict::BadRequest),
    ] {
        assert_eq!(of!(status, page).unwrap().verdict, verdict, "{status}");
    }
    // 429 speaks for itself.
    let said = of!(429, &error("LINK_DOWN")).unwrap();
    assert_eq!((said.verdict, said.code), (Verdict::BackOff, None));
    let said = of!(200, r#"{"status":"error"}"#).unwrap();
    assert_eq!((said.verdict, said.code), (Verdict::Malformed, None));
}
