//! Every error word of Debrid-Link.

use debridfs_provider::Verdict;
use debridfs_provider::vendors::debrid_link::verdicts::{CODES, meaning};
use http::StatusCode;

/// The type of a meaning has no name here.
macro_rules! of {
    ($status:expr, $body:expr) => {
        meaning(StatusCode::from_u16($status).unwrap(), $body.as_bytes())
    };
}

fn error(word: &str) -> String {
    format!(
        r#"{{"success":false,"error":"{word}","error_id":"5f","error_description":"see https://x.example/secret"}}"#
    )
}

#[test]
fn table_of_error_words() {
    use Verdict::{
        AccountRefused, BackOff, BadRequest, Disabled, FileUnavailable, Infringing, LinkBroken,
        NotFound, OutOfTraffic, Rejected, Retry, SlotsFull,
    };
    let table: [(Verdict, &[&str]); 12] = [
        (
            Retry,
            &[
                "internalError",
                "server_error",
                "freeServerOverload",
                "maintenanceHost",
                "noServerHost",
                "maxSimultaneousFilesHost",
            ],
        ),
        (
            AccountRefused,
            &[
                "badToken",
                "expired_token",
                "badSign",
                "hidedToken",
                "access_denied",
                "authorization_pending",
                "accountLocked",
                "maxAttempts",
                "captchaRequired",
                "unverifiedEmail",
                "serverNotAllowed",
                "notFreeHost",
            ],
        ),
        (BackOff, &["floodDetected"]),
        (Disabled, &["unknowR"]),
        (BadRequest, &["badArguments", "notLink"]),
        (NotFound, &["badId"]),
        (
            LinkBroken,
            &[
                "notDebrid",
                "fileNotAvailable",
                "noGetFilename",
                "maxLinkHost",
                "maxDataHost",
            ],
        ),
        (
            FileUnavailable,
            &[
                "hostNotValid",
                "disabledHost",
                "disabledServerHost",
                "fileNotFound",
                "badFileUrl",
                "badFilePassword",
            ],
        ),
        (OutOfTraffic, &["maxLink", "maxData"]),
        (
            Rejected,
            &["notAddTorrent", "badTorrentFile", "torrentTooBig"],
        ),
        (Infringing, &["infringingFile"]),
        (SlotsFull, &["maxTorrent", "maxTransfer"]),
    ];
    let mut words = 0;
    for (verdict, of_verdict) in table {
        for word in of_verdict {
            words += 1;
            for status in [200, 400, 403, 404, 500, 503] {
                let meaning = of!(status, error(word)).unwrap();
                assert_eq!(meaning.verdict, verdict, "{word} with {status}");
                assert_eq!(meaning.code.is_some(), verdict != Retry, "{word}");
                assert!(meaning.words.contains(word), "{}", meaning.words);
                assert!(!meaning.words.contains("secret"), "{}", meaning.words);
            }
        }
    }
    assert_eq!(words, CODES.len(), "every word is in the table");
}

#[test]
fn a_refusal_of_the_token_is_told_from_that_of_an_action() {
    for (status, word, refuses) in [
        (401, "badToken", true),
        (403, "badToken", true),
        (403, "accountLocked", true),
        (403, "access_denied", false),
        (403, "serverNotAllowed", false),
        (503, "floodDetected", false),
        (401, "somethingNew", true),
    ] {
        let meaning = of!(status, error(word)).unwrap();
        assert_eq!(meaning.refuses_token, refuses, "{word}");
    }
}

#[test]
fn answers_without_a_word_that_is_known() {
    for (status, body, verdict) in [
        // Trouble, as opposed to a flood, which has a body.
        (503, "<html>Service Unavailable</html>", Verdict::Retry),
        (503, "", Verdict::Retry),
        (502, "<html>", Verdict::Retry),
        (429, "", Verdict::BackOff),
        (429, &error("somethingNew"), Verdict::BackOff),
        (404, "<html>", Verdict::Malformed),
        (404, &error("somethingNew"), Verdict::NotFound),
        (403, &error("somethingNew"), Verdict::AccountRefused),
        (400, &error("somethingNew"), Verdict::BadRequest),
        (200, r#"{"success":false}"#, Verdict::Malformed),
        (200, r#"{"success":"true"}"#, Verdict::Malformed),
        (400, r#"{"error":"expired_token"}"#, Verdict::AccountRefused),
    ] {
        let meaning = of!(status, body).unwrap();
        assert_eq!((meaning.verdict), verdict, "{status} {body}");
    }
    for body in [r#"{"success":true,"value":[]}"#, "<html>", ""] {
        assert_eq!(of!(200, body), None, "{body} is for its decoder");
    }
}
