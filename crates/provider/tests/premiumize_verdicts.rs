//! Every error of Premiumize, as a code and as a message.

use debridfs_provider::Verdict;
use debridfs_provider::vendors::premiumize::verdicts::{CODES, MESSAGES, meaning};
use http::StatusCode;

/// The type of a meaning has no name here.
macro_rules! of {
    ($status:expr, $body:expr) => {
        meaning(StatusCode::from_u16($status).unwrap(), $body.as_bytes())
    };
}

fn told(code: &str, message: &str) -> String {
    serde_json::json!({ "status": "error", "code": code, "message": message }).to_string()
}

#[test]
fn table_of_codes() {
    use Verdict::{AccountRefused, BackOff, NotFound, OutOfTraffic, Retry};
    let table = [
        ("authentication_failed", AccountRefused),
        ("rate_limit_reached", BackOff),
        ("account_limit_reached", OutOfTraffic),
        ("service_limit_reached", OutOfTraffic),
        ("service_down", Retry),
        ("not_found", NotFound),
    ];
    for (at, (code, verdict)) in table.iter().enumerate() {
        for status in [200, 400, 404, 503] {
            let said = of!(status, &told(code, "m")).unwrap();
            assert_eq!(said.verdict, *verdict, "{code}, HTTP {status}");
            assert_eq!(said.code, Some(1000 + at as i64));
            assert!(
                said.considered && said.words.contains(code),
                "{}",
                said.words
            );
        }
        assert_eq!(CODES[at].0, *code);
    }
    assert_eq!(table.len(), CODES.len(), "every code is in the table");
}

#[test]
fn table_of_messages() {
    use Verdict::{
        AccountRefused, AlreadyDone, BackOff, Infringing, NotCached, NotFound, OutOfTraffic,
        Rejected, Retry, SlotsFull,
    };
    let table = [
        ("Not logged in.", AccountRefused),
        ("Account not premium.", AccountRefused),
        ("Fair use limit reached!", OutOfTraffic),
        ("Too many requests.", BackOff),
        (
            "You already have a maximum of 25 active downloads in progress!",
            SlotsFull,
        ),
        ("The content is not in cache.", NotCached),
        ("Link is not cached", NotCached),
        ("You already added this job.", AlreadyDone),
        ("This content is blocked.", Infringing),
        ("Removed for DMCA", Infringing),
        ("Folder not found.", NotFound),
        ("Invalid magnet or link.", Rejected),
        ("Invalid torrent file.", Rejected),
        ("Invalid link", Rejected),
        ("Invalid src", Rejected),
        ("Down for maintenance", Retry),
    ];
    let mut known = std::collections::BTreeSet::new();
    for (message, verdict) in table {
        for code in ["", "account_limit_reached"] {
            let said = of!(200, &told(code, message)).unwrap();
            assert_eq!(said.verdict, verdict, "{message}, {code}");
            let number = said.code.unwrap() - 2000;
            known.insert(number);
        }
    }
    assert_eq!(known.len(), MESSAGES.len(), "every message is in the table");
}

#[test]
fn only_words_for_the_token_refuse_it() {
    for body in [
        told("authentication_failed", ""),
        told("", "Not logged in."),
    ] {
        assert!(of!(200, &body).unwrap().refuses_token, "{body}");
    }
    assert!(of!(401, "").unwrap().refuses_token);
    assert!(
        !of!(200, &told("", "Account not premium."))
            .unwrap()
            .refuses_token
    );
}

#[test]
fn answers_without_known_words() {
    for (status, body, verdict) in [
        (200, told("", "Something new."), Verdict::Malformed),
        (429, told("not_found", ""), Verdict::BackOff),
        (521, "<html>".to_owned(), Verdict::Retry),
        (404, "<html>".to_owned(), Verdict::Malformed),
        (403, "<html>".to_owned(), Verdict::AccountRefused),
    ] {
        let said = of!(status, &body).unwrap();
        assert_eq!((said.verdict, said.code), (verdict, None), "{body}");
    }
    for body in [
        r#"{"status":"success","transfers":[]}"#,
        include_str!("bodies/premiumize/transfers.json"),
        include_str!("bodies/premiumize/files.json"),
    ] {
        assert_eq!(of!(200, body), None, "{body}");
    }
}
