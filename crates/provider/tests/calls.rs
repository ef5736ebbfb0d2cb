//! Calls of Real-Debrid behind a scripted transport: what is asked, what is repeated, what is believed.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/scripted.rs"]
mod scripted;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_base::http::TransportError;
use debridfs_provider::{
    AccountConfig, HosterLink, Priority, Provider, TorrentId, TorrentStatus, Verdict,
};
use scripted::{Reply, Scripted, account, account_with, config, reply, reply_with};
use tokio::time::Instant;

const LIST: &str = include_str!("bodies/torrents.json");
const INFO: &str = include_str!("bodies/torrent.json");
const LINK: &str = include_str!("bodies/unrestrict.json");
const USER: &str = include_str!("bodies/user.json");

const THROTTLED: &str = r#"{"error":"too_many_requests","error_code":34}"#;
const INFRINGING: &str = r#"{"error":"infringing_file","error_code":35}"#;
const BAD_TOKEN: &str = r#"{"error":"bad_token","error_code":8}"#;

fn id(text: &str) -> TorrentId {
    TorrentId(text.to_owned())
}

fn hoster(text: &str) -> HosterLink {
    HosterLink(text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn asks_as_the_vendor_documents() {
    let transport = Scripted::new([
        reply(200, USER),
        reply_with(200, ("X-Total-Count", "731"), LIST),
        reply(200, INFO),
        reply(200, LINK),
        reply(201, r#"{"id":"NEWID00000001","uri":"https://api/x"}"#),
        reply(204, ""),
        reply(202, ""),
        reply(204, ""),
        reply(204, ""),
        reply(201, r#"{"id":"NEWID00000002","uri":"https://api/y"}"#),
        reply(200, r#"{"nb":3,"limit":25,"list":[]}"#),
        reply(
            200,
            r#"{"2026-01-02":{"host":{"real-debrid.com":12},"bytes":12},"2026-01-03":{"host":[],"bytes":0}}"#,
        ),
        reply(200, "2026-01-02T03:04:05+0100"),
        reply_with(200, ("X-Total-Count", "1"), &format!("[{}]", LINK.trim())),
    ]);
    let account = account(Arc::clone(&transport));
    let urgent = Priority::User;
    let who = account.account(urgent).await.unwrap();
    assert!(who.premium && who.username == "somebody" && who.expires.is_some());
    let page = account.torrents(urgent, 10, 9999).await.unwrap();
    assert_eq!(
        (page.total, page.items.len(), page.unreadable.len()),
        (Some(731), 2, 0)
    );
    assert_eq!(page.items[1].status, TorrentStatus::MagnetConversion);
    let info = account.torrent(urgent, &id("ABCDEFGHIJKLM")).await.unwrap();
    assert_eq!((info.files.len(), info.summary.links.len()), (3, 2));
    assert!(!info.files[2].selected);
    let link = account
        .unrestrict(urgent, &info.summary.links[0])
        .await
        .unwrap();
    assert_eq!(link.bytes, Some(5_242_880_000));
    assert_eq!(
        account
            .add_magnet(urgent, "magnet:?xt=urn:btih:a&dn=b c")
            .await
            .unwrap(),
        id("NEWID00000001")
    );
    account
        .select_files(urgent, &id("A1"), &[1, 3])
        .await
        .unwrap();
    account.select_files(urgent, &id("A1"), &[]).await.unwrap();
    account.delete(urgent, &id("A1")).await.unwrap();
    let empty = account.torrents(urgent, 0, 100).await.unwrap();
    assert_eq!((empty.items.len(), empty.total), (0, None));
    account
        .add_torrent(urgent, Bytes::from_static(b"d4:infoe"))
        .await
        .unwrap();
    let active = account.active_count(urgent).await.unwrap();
    assert_eq!((active.active, active.limit), (3, 25));
    let traffic = account.traffic(urgent).await.unwrap();
    assert_eq!((traffic.len(), traffic[0].bytes), (2, 12));
    assert_eq!(
        account.server_time(urgent).await.unwrap().to_string(),
        "2026-01-02T02:04:05Z"
    );
    let downloads = account.downloads(urgent, 0, 1).await.unwrap();
    assert_eq!((downloads.items.len(), downloads.total), (1, Some(1)));
    let asked: Vec<String> = transport
        .sent()
        .iter()
        .map(|sent| {
            format!("{} {} {}", sent.method, sent.path, sent.body)
                .trim()
                .to_owned()
        })
        .collect();
    assert_eq!(
        asked,
        [
            "GET /rest/1.0/user",
            "GET /rest/1.0/torrents?offset=10&limit=5000",
            "GET /rest/1.0/torrents/info/ABCDEFGHIJKLM",
            "POST /rest/1.0/unrestrict/link link=https%3A%2F%2Freal-debrid.com%2Fd%2FAAAAAAAAAAAAA",
            "POST /rest/1.0/torrents/addMagnet magnet=magnet%3A%3Fxt%3Durn%3Abtih%3Aa%26dn%3Db+c",
            "POST /rest/1.0/torrents/selectFiles/A1 files=1%2C3",
            "POST /rest/1.0/torrents/selectFiles/A1 files=all",
            "DELETE /rest/1.0/torrents/delete/A1",
            "GET /rest/1.0/torrents?offset=0&limit=100",
            "PUT /rest/1.0/torrents/addTorrent d4:infoe",
            "GET /rest/1.0/torrents/activeCount",
            "GET /rest/1.0/traffic/details",
            "GET /rest/1.0/time/iso",
            "GET /rest/1.0/downloads?offset=0&limit=1",
        ]
    );
    assert!(
        transport
            .sent()
            .iter()
            .all(|sent| sent.token == "Bearer SECRETTOKEN")
    );
    let health = account.health();
    assert_eq!(
        (health.calls, health.failures, health.healthy),
        (14, 1, true)
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_never_leaves_its_place_in_the_path() {
    let transport = Scripted::new([]);
    let account = account(Arc::clone(&transport));
    for bad in ["", "../user", "a/b", "a?b", "a b", "é", &"a".repeat(65)] {
        let error = account.torrent(Priority::User, &id(bad)).await.unwrap_err();
        assert_eq!(error.verdict, Verdict::BadRequest);
        assert!(account.delete(Priority::User, &id(bad)).await.is_err());
    }
    assert!(transport.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_another_torrent_is_not_believed() {
    let account = account(Scripted::new([reply(200, INFO)]));
    let error = account
        .torrent(Priority::User, &id("ZZZZ"))
        .await
        .unwrap_err();
    assert_eq!(error.verdict, Verdict::Malformed);
}

#[tokio::test(start_paused = true)]
async fn repeats_reading_after_a_hiccup() {
    let hiccups: [Reply; 5] = [
        Err(TransportError::Broken("reset".to_owned())),
        reply(502, "<html>Bad Gateway</html>"),
        reply(500, r#"{"error":"internal","error_code":-1}"#),
        reply(200, "<html>maintenance</html>"),
        reply(200, &LIST[..LIST.len() / 2]),
    ];
    for hiccup in hiccups {
        let transport = Scripted::new([hiccup.clone(), hiccup, reply(200, LIST)]);
        let account = account(Arc::clone(&transport));
        let begun = Instant::now();
        let page = account.torrents(Priority::Refresh, 0, 2).await.unwrap();
        assert_eq!(page.items.len(), 2);
        let took = begun.elapsed();
        let wanted = Duration::from_millis(750)..Duration::from_millis(2251);
        assert!(wanted.contains(&took), "{took:?}");
        // Each attempt took a turn of its own.
        assert_eq!(account.health().budget_left, 247);
    }
}

#[tokio::test(start_paused = true)]
async fn gives_up_in_the_end() {
    let transport = Scripted::new([Err(TransportError::NoAnswer(Duration::from_secs(15)))]);
    let account = account(Arc::clone(&transport));
    let error = account.account(Priority::User).await.unwrap_err();
    assert_eq!(error.verdict, Verdict::Retry);
    assert_eq!(transport.sent().len(), 3);
    let health = account.health();
    assert!(!health.healthy);
    assert_eq!(health.failures, 3);
    // And the account recovers with the next answer.
    transport.set([reply(200, USER)]);
    account.account(Priority::User).await.unwrap();
    assert!(account.health().healthy);
}

#[tokio::test(start_paused = true)]
async fn what_changes_something_or_was_considered_is_not_repeated() {
    let broken = || Err(TransportError::Broken("reset".to_owned()));
    let transport = Scripted::new([broken()]);
    let account = account(Arc::clone(&transport));
    let urgent = Priority::User;
    assert!(account.add_magnet(urgent, "magnet:?").await.is_err());
    assert!(
        account
            .unrestrict(urgent, &hoster("https://x/"))
            .await
            .is_err()
    );
    assert!(account.delete(urgent, &id("A1")).await.is_err());
    assert_eq!(transport.sent().len(), 3);
    transport.set([reply(503, r#"{"error":"maintenance","error_code":17}"#)]);
    assert!(account.account(urgent).await.is_err());
    transport.set([reply(
        404,
        r#"{"error":"unknown_ressource","error_code":7}"#,
    )]);
    assert!(account.torrent(urgent, &id("A1")).await.is_err());
    assert_eq!(transport.sent().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_waits_out_the_cooldown_with_everybody() {
    let transport = Scripted::new([
        reply_with(429, ("Retry-After", "25"), THROTTLED),
        reply(200, USER),
    ]);
    let account = Arc::new(account(Arc::clone(&transport)));
    let begun = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let account = Arc::clone(&account);
        callers.spawn(async move { account.account(Priority::User).await.unwrap() });
        tokio::task::yield_now().await;
    }
    callers.join_all().await;
    let sent = transport.sent();
    let early = sent
        .iter()
        .filter(|sent| sent.at < begun + Duration::from_secs(25));
    assert_eq!(early.count(), 1);
    assert_eq!(sent.len(), 21);
    assert!(account.health().healthy);
}

#[tokio::test(start_paused = true)]
async fn retry_after_may_be_a_date() {
    // The calendar of these tests starts at 2027-01-15 08:00:00 UTC.
    let transport = Scripted::new([reply_with(
        429,
        ("Retry-After", "Fri, 15 Jan 2027 08:00:40 GMT"),
        "",
    )]);
    let account = account(transport);
    let link = hoster("https://real-debrid.com/d/AAAAAAAAAAAAA");
    let asked = account.unrestrict(Priority::User, &link).await;
    let error = asked.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(40)));
    assert_eq!(account.health().cooldown, Some(Duration::from_secs(40)));
}

/// A proxy's page, or a bad minute: every answer but one is good.
#[tokio::test(start_paused = true)]
async fn one_refusal_for_years_costs_playback_half_a_minute() {
    const LINK_ASKED: &str = "https://real-debrid.com/d/AAAAAAAAAAAAA";
    for asked in [
        "3600",
        "99999999999",
        "18446744073709551615",
        "Fri, 15 Jan 2038 08:00:00 GMT",
    ] {
        for (status, body) in [(429, "<html>slow down</html>"), (503, THROTTLED)] {
            let transport = Scripted::new([
                reply_with(status, ("Retry-After", asked), body),
                reply(200, LINK),
            ]);
            let account = account(Arc::clone(&transport));
            let link = hoster(LINK_ASKED);
            let error = account.unrestrict(Priority::Playback, &link).await;
            let error = error.unwrap_err();
            let minute = Duration::from_secs(60);
            assert_eq!(error.retry_after, Some(minute), "{asked}");
            assert_eq!(account.health().cooldown, Some(minute), "{asked}");
            let begun = Instant::now();
            account.unrestrict(Priority::Playback, &link).await.unwrap();
            assert_eq!(begun.elapsed(), Duration::from_secs(30), "{asked}");
            assert_eq!(account.health().cooldown, None, "{asked}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_of_every_kind_end_when_somebody_says_so() {
    let link = hoster("https://real-debrid.com/d/AAAAAAAAAAAAA");
    for refusal in [reply(429, THROTTLED), reply(401, BAD_TOKEN)] {
        let account = account(Scripted::new([refusal, reply(200, LINK)]));
        assert!(!account.end_pauses());
        account.unrestrict(Priority::User, &link).await.unwrap_err();
        assert!(account.end_pauses());
        let begun = Instant::now();
        account.unrestrict(Priority::User, &link).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn no_account_has_a_list_without_end() {
    for total in ["1000001", "18446744073709551615"] {
        let listed = reply_with(200, ("X-Total-Count", total), LIST);
        let account = account(Scripted::new([listed]));
        let error = account.torrents(Priority::Refresh, 0, 100).await;
        let error = error.unwrap_err();
        assert_eq!(error.verdict, Verdict::Malformed, "{total}");
        assert!(error.message.contains(total), "{error}");
    }
    // Without a total, pages are asked for as long as there are more.
    let account = account(Scripted::new([reply(200, LIST)]));
    let page = account.torrents(Priority::Refresh, 1_000_001, 100).await;
    assert_eq!(page.unwrap_err().verdict, Verdict::Malformed);
}

#[tokio::test(start_paused = true)]
async fn infringing_is_not_believed_while_throttled() {
    let transport = Scripted::new([
        reply(429, THROTTLED),
        reply(503, INFRINGING),
        reply(503, INFRINGING),
    ]);
    let account = account(Arc::clone(&transport));
    let link = hoster("https://real-debrid.com/d/AAAAAAAAAAAAA");
    let ask = || account.unrestrict(Priority::User, &link);
    assert_eq!(ask().await.unwrap_err().verdict, Verdict::BackOff);
    let begun = Instant::now();
    let doubted = ask().await.unwrap_err();
    assert_eq!((doubted.verdict, doubted.code), (Verdict::Retry, Some(35)));
    let wait = doubted.retry_after.unwrap();
    assert!(
        begun.elapsed() + wait >= Duration::from_secs(30),
        "{wait:?}"
    );
    tokio::time::sleep(wait).await;
    assert_eq!(ask().await.unwrap_err().verdict, Verdict::Infringing);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_not_tried_again_and_again() {
    let transport = Scripted::new([reply(401, BAD_TOKEN)]);
    let account = Arc::new(account(Arc::clone(&transport)));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let account = Arc::clone(&account);
        callers.spawn(async move { account.account(Priority::Refresh).await.unwrap_err() });
    }
    for error in callers.join_all().await {
        assert_eq!(error.verdict, Verdict::AccountRefused);
    }
    let burst = transport.sent().len();
    assert!(burst < 10, "{burst} calls with a refused token");
    assert!(!account.health().healthy);
    let end = Instant::now() + Duration::from_secs(3600);
    while Instant::now() < end {
        account.account(Priority::Refresh).await.unwrap_err();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let hour = transport.sent().len() - burst;
    assert!((10..25).contains(&hour), "{hour} calls in an hour");
    // The account is unlocked: seen within the longest pause.
    transport.set([reply(200, USER)]);
    tokio::time::sleep(Duration::from_secs(300)).await;
    account.account(Priority::Refresh).await.unwrap();
    assert!(account.health().healthy);
}

#[tokio::test(start_paused = true)]
async fn a_new_token_in_the_file_is_used_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "OLDTOKEN\n").unwrap();
    let mut config = config();
    config.token = None;
    config.token_file = Some(path.clone());
    let transport = Scripted::new([reply(200, USER), reply(401, BAD_TOKEN), reply(200, USER)]);
    let account = account_with(config, transport.clone());
    account.account(Priority::User).await.unwrap();
    std::fs::write(&path, "NEWTOKEN\n").unwrap();
    account.account(Priority::User).await.unwrap();
    let tokens: Vec<String> = transport
        .sent()
        .into_iter()
        .map(|sent| sent.token)
        .collect();
    assert_eq!(
        tokens,
        ["Bearer OLDTOKEN", "Bearer OLDTOKEN", "Bearer NEWTOKEN"]
    );
    // During the pause after a refusal, too.
    transport.set([reply(401, BAD_TOKEN)]);
    account.account(Priority::User).await.unwrap_err();
    std::fs::write(&path, "THIRDTOKEN\n").unwrap();
    transport.set([reply(200, USER)]);
    account.account(Priority::User).await.unwrap();
    assert_eq!(transport.sent().last().unwrap().token, "Bearer THIRDTOKEN");
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_is_no_empty_library() {
    let account = account(Scripted::new([reply(200, "")]));
    let error = account
        .torrents(Priority::Refresh, 0, 100)
        .await
        .unwrap_err();
    assert_eq!(error.verdict, Verdict::Malformed);
}

/// Two additions ten seconds apart are refused, and the refusal looks like one of the content.
#[tokio::test(start_paused = true)]
async fn additions_are_twenty_seconds_apart_and_nothing_else_is() {
    let transport = Scripted::new([reply(201, r#"{"id":"NEWID00000001","uri":"u"}"#)]);
    let account = account(Arc::clone(&transport));
    let (magnet, torrent) = ("magnet:?xt=urn:btih:a", Bytes::from_static(b"d4:infoe"));
    for _ in 0..3 {
        account.add_magnet(Priority::Import, magnet).await.unwrap();
        account
            .add_torrent(Priority::Repair, torrent.clone())
            .await
            .unwrap();
    }
    let adds = transport.sent();
    assert_eq!(adds.len(), 6);
    for pair in adds.windows(2) {
        let apart = pair[1].at - pair[0].at;
        assert!((20..25).contains(&apart.as_secs()), "{apart:?}");
    }
    // Others pass by.
    let begun = Instant::now();
    for _ in 0..50 {
        account.delete(Priority::Import, &id("A1")).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_time_between_additions_can_be_set() {
    let transport = Scripted::new([reply(201, r#"{"id":"NEWID00000001","uri":"u"}"#)]);
    let config = AccountConfig {
        add_interval: Duration::ZERO,
        ..config()
    };
    let account = account_with(config, transport.clone());
    let begun = Instant::now();
    for _ in 0..10 {
        account.add_magnet(Priority::Import, "m").await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
