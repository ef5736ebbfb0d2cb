//! What is asked of AllDebrid, and how often.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/scripted.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod scripted;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_provider::vendors::all_debrid::KIND;
use debridfs_provider::{
    Addition, DebridAccount, HosterLink, Priority, Provider, TorrentId, TorrentPage, TorrentStatus,
    Verdict,
};
use scripted::{Reply, Scripted, account_with, config_of, reply};
use tokio::time::Instant;

const LIST: &str = include_str!("bodies/alldebrid/list.json");
const FILES: &str = include_str!("bodies/alldebrid/files.json");
const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

fn account(transport: Arc<Scripted>) -> DebridAccount {
    account_with(config_of("ad", &KIND), transport)
}

fn success(data: &str) -> Reply {
    reply(200, &format!(r#"{{"status":"success","data":{data}}}"#))
}

fn error(word: &str) -> Reply {
    let error = format!(r#"{{"code":"{word}","message":"m"}}"#);
    reply(200, &format!(r#"{{"status":"error","error":{error}}}"#))
}

fn magnet(id: u64, more: &str) -> String {
    format!(
        r#"{{"id":{id},"hash":"{id:040x}","filename":"n{id}","size":10,"uploadDate":{id},{more}}}"#
    )
}

async fn peek(account: &DebridAccount) -> TorrentPage {
    account.torrents(Priority::Refresh, 0, 100).await.unwrap()
}

fn ids(page: &TorrentPage) -> Vec<&str> {
    page.items.iter().map(|item| &*item.id.0).collect()
}

/// Path and body of each request, without what is random.
fn asked(transport: &Scripted) -> Vec<String> {
    let sent = transport.sent().into_iter();
    sent.map(|sent| {
        let body = sent.body.split_once("&counter=");
        let body = body.map_or(sent.body.clone(), |(_, counter)| {
            format!("counter={counter}")
        });
        format!("{} {} {}", sent.method, sent.path, body)
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn an_idle_account_is_asked_for_what_changed_alone() {
    let changed = r#"{"magnets":[{"id":124,"statusCode":3,"uploaded":2000},{"id":123,"deleted":true}],"counter":2}"#;
    let nothing = r#"{"magnets":[],"counter":3}"#;
    let transport = Scripted::new([
        reply(200, LIST),
        reply(200, FILES),
        success(changed),
        success(nothing),
    ]);
    let account = account(transport.clone());
    let first = peek(&account).await;
    assert_eq!(ids(&first), ["125", "124", "123"], "newest first");
    assert_eq!(first.total, Some(3));
    let files = first.items[2].files.as_ref().unwrap();
    assert_eq!((files.len(), first.items[2].links.len()), (3, 2));
    let second = peek(&account).await;
    assert_eq!(ids(&second), ["125", "124"]);
    assert_eq!(second.items[1].status, TorrentStatus::Uploading);
    assert_eq!(second.items[1].progress, 50.0);
    assert_eq!(second.items[1].filename, "Film.2024", "what did not change");
    assert_eq!(peek(&account).await, second);
    assert_eq!(
        asked(&transport),
        [
            "POST /v4.1/magnet/status counter=0",
            "POST /v4/magnet/files id%5B%5D=123",
            "POST /v4.1/magnet/status counter=1",
            "POST /v4.1/magnet/status counter=2",
        ]
    );
    let session = |at: usize| transport.sent()[at].body.clone();
    let session = |at: usize| session(at).split('&').next().unwrap().to_owned();
    assert_eq!(session(0), session(3));
}

#[tokio::test(start_paused = true)]
async fn a_lost_thread_is_picked_up_with_the_whole_list() {
    let whole = |counter: u64| {
        let magnets = magnet(1, r#""statusCode":1"#);
        success(&format!(
            r#"{{"magnets":[{magnets}],"fullsync":true,"counter":{counter}}}"#
        ))
    };
    // A change of what was never listed; an answer out of live mode; changes where a whole list was asked for.
    for strange in [
        r#"{"magnets":[{"id":9,"downloaded":1}],"counter":2}"#,
        r#"{"magnets":[]}"#,
        r#"{"magnets":[7],"counter":2}"#,
    ] {
        let transport = Scripted::new([whole(1), success(strange), whole(1)]);
        let account = account(transport.clone());
        peek(&account).await;
        assert_eq!(ids(&peek(&account).await), ["1"], "{strange}");
        let asked = asked(&transport);
        assert_eq!(asked[1], "POST /v4.1/magnet/status counter=1");
        assert_eq!(asked[2], "POST /v4.1/magnet/status counter=0", "{strange}");
        let sent = transport.sent();
        assert_ne!(sent[0].body, sent[2].body, "another session");
    }
    let changes = r#"{"magnets":[],"counter":2}"#;
    let account = account(Scripted::new([success(changes)]));
    let page = account.torrents(Priority::Refresh, 0, 100).await;
    assert_eq!(page.unwrap_err().verdict, Verdict::Malformed);
}

#[tokio::test(start_paused = true)]
async fn a_full_list_asks_for_everything() {
    let whole = r#"{"magnets":[],"fullsync":true,"counter":5}"#;
    let transport = Scripted::new([success(whole)]);
    let account = account(transport.clone());
    for _ in 0..2 {
        let page = account.torrents(Priority::Refresh, 0, u32::MAX).await;
        assert_eq!(page.unwrap().total, Some(0));
    }
    peek(&account).await;
    let asked = asked(&transport);
    assert!(asked[0].ends_with("=0") && asked[1].ends_with("=0"));
    assert!(asked[2].ends_with("=5"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn files_are_asked_for_once_and_many_in_one_call() {
    let all: Vec<_> = (1..=120)
        .map(|id| magnet(id, r#""statusCode":4"#))
        .collect();
    let trees: Vec<_> = (1..=119)
        .map(|id| format!(r#"{{"id":"{id}","files":[{{"n":"a.mkv","s":1,"l":"https://alldebrid.com/f/{id}"}}]}}"#))
        .collect();
    let trees = success(&format!(r#"{{"magnets":[{}]}}"#, trees.join(",")));
    let list = success(&format!(r#"{{"magnets":[{}]}}"#, all.join(",")));
    let transport = Scripted::new([
        list.clone(),
        trees.clone(),
        trees.clone(),
        trees.clone(),
        list,
    ]);
    let account = account(transport.clone());
    let page = account
        .torrents(Priority::Refresh, 0, u32::MAX)
        .await
        .unwrap();
    let with_files = page.items.iter().filter(|item| item.files.is_some());
    assert_eq!(with_files.count(), 119);
    assert_eq!(page.items[0].files, None, "the vendor told none");
    let again = account
        .torrents(Priority::Refresh, 0, u32::MAX)
        .await
        .unwrap();
    assert_eq!(again, page);
    let count = |path: &str| {
        transport
            .sent()
            .iter()
            .filter(|sent| sent.path == path)
            .count()
    };
    assert_eq!(
        (count("/v4.1/magnet/status"), count("/v4/magnet/files")),
        (2, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn one_torrent_with_its_files() {
    let transport = Scripted::new([
        reply(200, include_str!("bodies/alldebrid/torrent.json")),
        reply(200, FILES),
    ]);
    let account = account(transport.clone());
    let id = TorrentId("123".to_owned());
    let info = account.torrent(Priority::User, &id).await.unwrap();
    assert_eq!((info.files.len(), info.summary.links.len()), (3, 2));
    let wanted = [
        "POST /v4.1/magnet/status id=123",
        "POST /v4/magnet/files id%5B%5D=123",
    ];
    assert_eq!(asked(&transport), wanted);
    transport.set([error("MAGNET_INVALID_ID")]);
    let gone = account.torrent(Priority::User, &id).await.unwrap_err();
    assert_eq!(gone.verdict, Verdict::NotFound);
    assert!(gone.code.is_some(), "the provider's own word");
    transport.set([success(&format!(
        r#"{{"magnets":{}}}"#,
        magnet(9, r#""statusCode":1"#)
    ))]);
    let other = account.torrent(Priority::User, &id).await.unwrap_err();
    assert_eq!(other.verdict, Verdict::Malformed, "about another torrent");
    let sent = transport.sent().len();
    for text in ["", "01", "1&x", "-1", "abc"] {
        let id = TorrentId(text.to_owned());
        let error = account.delete(Priority::User, &id).await.unwrap_err();
        assert_eq!(error.verdict, Verdict::BadRequest);
    }
    assert_eq!(transport.sent().len(), sent);
}

#[tokio::test(start_paused = true)]
async fn links_that_take_a_while_are_waited_for() {
    let hoster = HosterLink("https://alldebrid.com/f/AAAA".to_owned());
    let waits = success(r#"{"link":"","delayed":77,"filename":"f","filesize":0}"#);
    let processing = success(r#"{"status":1,"time_left":9}"#);
    let ready = reply(200, include_str!("bodies/alldebrid/delayed.json"));
    let failed = success(r#"{"status":3,"time_left":0}"#);
    let transport = Scripted::new([waits.clone(), processing.clone(), processing.clone(), ready]);
    let account = account(transport.clone());
    let begun = Instant::now();
    let link = account
        .unrestrict(Priority::Playback, &hoster)
        .await
        .unwrap();
    assert_eq!(link.url, "https://abc.debrid.it/dl/xyz/E01.mkv");
    assert_eq!(begun.elapsed().as_secs(), 10);
    let asked = asked(&transport);
    assert_eq!(
        asked[0],
        "POST /v4/link/unlock link=https%3A%2F%2Falldebrid.com%2Ff%2FAAAA"
    );
    assert_eq!(asked[1], "POST /v4/link/delayed id=77");
    transport.set([waits.clone(), failed]);
    let error = account
        .unrestrict(Priority::Playback, &hoster)
        .await
        .unwrap_err();
    assert_eq!(error.verdict, Verdict::LinkBroken);
    transport.set([waits, processing]);
    let begun = Instant::now();
    let error = account
        .unrestrict(Priority::Playback, &hoster)
        .await
        .unwrap_err();
    assert_eq!(
        (error.verdict, begun.elapsed().as_secs()),
        (Verdict::Retry, 60)
    );
}

#[tokio::test(start_paused = true)]
async fn additions_and_what_they_say_of_the_cache() {
    let magnet_uri = format!("magnet:?xt=urn:btih:{HASH}");
    let cached = || Addition::Magnet(magnet_uri.clone());
    let list = success(r#"{"magnets":[{"id":5,"hash":"x"}],"fullsync":true,"counter":1}"#);
    let uploaded = |id: u64, ready: bool| {
        success(&format!(r#"{{"magnets":[{{"id":{id},"ready":{ready}}}]}}"#))
    };
    let file = success(r#"{"files":[{"file":"f","id":8,"ready":true}]}"#);
    let transport = Scripted::new([uploaded(7, false), file]);
    let account = account(transport.clone());
    let id = account
        .add_magnet(Priority::Import, &magnet_uri)
        .await
        .unwrap();
    assert_eq!(id.0, "7");
    let torrent = Bytes::from_static(b"d4:infod4:name1:aee");
    let id = account
        .add_torrent(Priority::Import, torrent)
        .await
        .unwrap();
    assert_eq!(id.0, "8");
    let sent = transport.sent();
    assert!(sent[0].body.starts_with("magnets%5B%5D=magnet%3A%3Fxt"));
    assert_eq!(sent[1].path, "/v4/magnet/upload/file");
    assert!(
        sent[1]
            .body
            .contains("name=\"files[]\"; filename=\"release.torrent\"")
    );
    assert!(sent[1].body.contains("d4:infod4:name1:aee"));
    // It is there at once.
    transport.set([list.clone(), uploaded(9, true)]);
    let id = account
        .add_cached(Priority::Import, cached())
        .await
        .unwrap();
    assert_eq!(id.0, "9");
    // It is not: nothing is left behind.
    let deleted = success(r#"{"message":"Magnet was successfully deleted"}"#);
    transport.set([list.clone(), uploaded(9, false), deleted]);
    let error = account
        .add_cached(Priority::Import, cached())
        .await
        .unwrap_err();
    assert_eq!(error.verdict, Verdict::NotCached);
    let last = asked(&transport).pop().unwrap();
    assert_eq!(last, "POST /v4/magnet/delete id=9");
    // It was on its way before: it is somebody's.
    transport.set([list, uploaded(5, false)]);
    let id = account
        .add_cached(Priority::Import, cached())
        .await
        .unwrap();
    assert_eq!(id.0, "5");
    // One that the vendor refuses, in an answer that succeeds.
    let refused =
        r#"{"magnets":[{"magnet":"x","error":{"code":"MAGNET_INVALID_URI","message":"m"}}]}"#;
    transport.set([success(refused)]);
    let error = account.add_magnet(Priority::Import, "x").await.unwrap_err();
    assert_eq!(error.verdict, Verdict::Rejected);
}

#[tokio::test(start_paused = true)]
async fn what_failed_before_is_started_again_unless_that_was_refused() {
    let failed = magnet(7, r#""statusCode":7"#);
    let list = success(&format!(
        r#"{{"magnets":[{failed}],"fullsync":true,"counter":1}}"#
    ));
    let idle = success(r#"{"magnets":[],"counter":2}"#);
    let uploaded = success(r#"{"magnets":[{"id":7,"ready":false}]}"#);
    let again = success(r#"{"message":"Magnet was successfully restarted"}"#);
    let transport = Scripted::new([list.clone(), uploaded.clone(), again, uploaded.clone()]);
    let account = account(transport.clone());
    let page = peek(&account).await;
    assert_eq!(page.items[0].status, TorrentStatus::Dead);
    account.add_magnet(Priority::Import, "m").await.unwrap();
    assert_eq!(asked(&transport)[2], "POST /v4/magnet/restart id=7");
    account.add_magnet(Priority::Import, "m").await.unwrap();
    assert_eq!(transport.sent().len(), 4, "it is on its way");
    transport.set([
        idle,
        uploaded.clone(),
        error("MAGNET_PROCESSING_FAILED"),
        uploaded,
    ]);
    peek(&account).await;
    for _ in 0..2 {
        let error = account.add_magnet(Priority::Import, "m").await.unwrap_err();
        assert_eq!(error.verdict, Verdict::Rejected);
    }
    let asked = asked(&transport);
    let restarts = asked.iter().filter(|call| call.contains("restart"));
    assert_eq!(restarts.count(), 2, "refused once, and not asked again");
}

#[tokio::test(start_paused = true)]
async fn reading_is_repeated_though_it_is_a_post() {
    let page = "<html>503</html>";
    let transport = Scripted::new([reply(500, page), reply(200, LIST), reply(200, FILES)]);
    let account = account(transport.clone());
    assert_eq!(peek(&account).await.items.len(), 3);
    // An addition is not.
    transport.set([reply(500, page)]);
    let sent = transport.sent().len();
    account.add_magnet(Priority::Import, "m").await.unwrap_err();
    assert_eq!(transport.sent().len(), sent + 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_twelve_calls_a_second() {
    let transport = Scripted::new([success(r#"{"magnets":[],"fullsync":true,"counter":1}"#)]);
    let account = account(transport.clone());
    for _ in 0..40 {
        peek(&account).await;
    }
    let sent: Vec<_> = transport.sent().iter().map(|sent| sent.at).collect();
    assert!(
        sent.windows(13)
            .all(|calls| calls[12] - calls[0] >= Duration::from_secs(1))
    );
    assert!(sent[39] - sent[0] < Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn pages_of_refusal_and_words_with_http_200_are_told_apart() {
    let transport = Scripted::new([reply(429, "<html>slow down</html>")]);
    let account = account(transport.clone());
    let error_of = |error: debridfs_provider::Error| (error.verdict, error.message);
    let told = account.add_magnet(Priority::Import, "m").await.unwrap_err();
    assert_eq!(error_of(told).0, Verdict::BackOff);
    account.end_pauses();
    transport.set([error("DISCONTINUED")]);
    let told = account
        .torrents(Priority::Refresh, 0, 100)
        .await
        .unwrap_err();
    let (verdict, words) = error_of(told);
    assert_eq!(verdict, Verdict::Disabled);
    assert!(words.contains("withdrawn") && words.contains("DISCONTINUED"));
    transport.set([error("NO_SERVER")]);
    let link = HosterLink("https://alldebrid.com/f/A".to_owned());
    let told = account
        .unrestrict(Priority::Playback, &link)
        .await
        .unwrap_err();
    let (verdict, words) = error_of(told);
    assert_eq!(verdict, Verdict::AccountRefused);
    assert!(words.contains("IP address"), "{words}");
}
