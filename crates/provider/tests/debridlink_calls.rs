//! What is asked of Debrid-Link, and how often.
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
use debridfs_provider::vendors::debrid_link::KIND;
use debridfs_provider::{
    Addition, DebridAccount, HosterLink, Priority, Provider, TorrentId, TorrentPage, Verdict,
};
use scripted::{Reply, Scripted, account_with, config_of, reply};

const LIST: &str = include_str!("bodies/debridlink/list.json");
const ADDED: &str = include_str!("bodies/debridlink/added.json");
const HASH: &str = "89abcdef0123456789abcdef0123456789abcdef";

fn account(transport: Arc<Scripted>) -> DebridAccount {
    account_with(config_of("dl", &KIND), transport)
}

fn error(status: u16, word: &str) -> Reply {
    let body = format!(r#"{{"success":false,"error":"{word}"}}"#);
    reply(status, &body)
}

fn torrent(id: u32) -> String {
    let url = format!("https://h.example/dl/t{id}/a.mkv");
    format!(
        r#"{{"id":"t{id}","hashString":"{id:040x}","name":"n{id}","created":{id},"status":100,"totalSize":9,"downloadPercent":100,"files":[{{"id":"t{id}-0","name":"a.mkv","size":9,"downloadPercent":100,"downloadUrl":"{url}"}}]}}"#
    )
}

/// A page of these torrents, and the number of the next one.
fn page(ids: impl IntoIterator<Item = u32>, next: i32) -> Reply {
    let items: Vec<_> = ids.into_iter().map(torrent).collect();
    let body = format!(
        r#"{{"success":true,"value":[{}],"pagination":{{"page":0,"pages":9,"next":{next},"previous":-1}}}}"#,
        items.join(",")
    );
    reply(200, &body)
}

async fn list(account: &DebridAccount, limit: u32) -> TorrentPage {
    account.torrents(Priority::Refresh, 0, limit).await.unwrap()
}

fn ids(page: &TorrentPage) -> Vec<&str> {
    page.items.iter().map(|item| &*item.id.0).collect()
}

/// Method, path and body of each request.
fn asked(transport: &Scripted) -> Vec<String> {
    let sent = transport.sent().into_iter();
    sent.map(|sent| {
        format!("{} {} {}", sent.method, sent.path, sent.body)
            .trim()
            .to_owned()
    })
    .collect()
}

fn list_call(page: u32) -> String {
    format!("GET /api/v2/seedbox/list?structureType=list&page={page}&perPage=100")
}

fn ids_call(ids: &str) -> String {
    format!("GET /api/v2/seedbox/list?structureType=list&perPage=100&ids={ids}")
}

#[tokio::test(start_paused = true)]
async fn a_look_is_one_page_and_a_list_is_all_of_them() {
    let transport = Scripted::new([
        page(101..201, 1),
        page(101..201, 1),
        page(1..101, 2),
        page([], -1),
    ]);
    let account = account(transport.clone());
    let look = list(&account, 100).await;
    assert_eq!(
        (look.items.len(), look.total, look.goes_on),
        (100, None, true)
    );
    let whole = list(&account, u32::MAX).await;
    assert_eq!(
        (whole.items.len(), whole.total, whole.goes_on),
        (200, Some(200), false)
    );
    let calls = [list_call(0), list_call(0), list_call(1), list_call(2)];
    assert_eq!(asked(&transport), calls);
}

#[tokio::test(start_paused = true)]
async fn what_moves_while_the_list_is_read_is_neither_doubled_nor_lost() {
    let transport = Scripted::new([page([5, 4], 1), page([3, 2], 2), page([1], -1)]);
    let account = account(transport.clone());
    assert_eq!(list(&account, 1000).await.total, Some(5));
    // 6 came between the first page and the second.
    transport.set([page([5, 4], 1), page([4, 3], 2), page([2, 1], -1)]);
    let moved = list(&account, 1000).await;
    assert_eq!(
        (ids(&moved), moved.total),
        (vec!["t5", "t4", "t3", "t2", "t1"], Some(5))
    );
    // 5 went between them: 3 moved over the edge of the page.
    transport.set([page([5, 4], 1), page([2, 1], -1), page([3], -1)]);
    let moved = list(&account, 1000).await;
    assert_eq!(
        (ids(&moved), moved.total),
        (vec!["t5", "t4", "t3", "t2", "t1"], Some(5))
    );
    assert_eq!(asked(&transport).last(), Some(&ids_call("t3")));
    // What is gone is not known any more: all others come in its place.
    transport.set([page([4, 3], 1), page([2], -1), page([4, 3, 2], -1)]);
    let gone = list(&account, 1000).await;
    assert_eq!((ids(&gone), gone.total), (vec!["t4", "t3", "t2"], Some(3)));
    // Once it is known to be gone it is not asked for again.
    transport.set([page([4, 3], 1), page([2], -1)]);
    let calls = transport.sent().len();
    list(&account, 1000).await;
    assert_eq!(transport.sent().len() - calls, 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_half_way_is_none() {
    let transport = Scripted::new([page([2], 1), error(400, "badArguments")]);
    let account = account(transport);
    let failed = account.torrents(Priority::Refresh, 0, 1000).await;
    assert_eq!(failed.unwrap_err().verdict, Verdict::BadRequest);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_is_answered_with_other_torrents_and_is_none_of_them() {
    let transport = Scripted::new([reply(200, LIST)]);
    let account = account(transport.clone());
    let info = async |id: &str| {
        let id = TorrentId(id.to_owned());
        account.torrent(Priority::User, &id).await
    };
    let show = info("b2").await.unwrap();
    assert_eq!((show.files.len(), show.summary.links.len()), (3, 2));
    assert_eq!(info("zz").await.unwrap_err().verdict, Verdict::NotFound);
    // A ZIP is no list of files.
    assert_eq!(info("a1").await.unwrap_err().verdict, Verdict::Malformed);
    let calls = transport.sent().len();
    for bad in ["", "a,b", "a/b", "a?b"] {
        assert_eq!(info(bad).await.unwrap_err().verdict, Verdict::BadRequest);
    }
    assert_eq!(transport.sent().len(), calls, "nobody was asked");
}

#[tokio::test(start_paused = true)]
async fn one_call_gives_the_links_of_all_files_once() {
    let transport = Scripted::new([reply(200, LIST)]);
    let account = account(transport.clone());
    let link = async |text: &str| {
        let link = HosterLink(text.to_owned());
        account.unrestrict(Priority::Playback, &link).await
    };
    let first = link("b2/b2-0").await.unwrap();
    assert_eq!(first.url, "https://seed12.example/dl/b2/0/E01.mkv");
    assert_eq!(link("b2/b2-1").await.unwrap().bytes, Some(1024));
    assert_eq!(transport.sent().len(), 1);
    // Who asks again was refused with it.
    assert_eq!(link("b2/b2-0").await.unwrap(), first);
    assert_eq!(asked(&transport), [ids_call("b2"), ids_call("b2")]);
    // Kept for a while.
    tokio::time::advance(Duration::from_secs(601)).await;
    link("b2/b2-1").await.unwrap();
    assert_eq!(transport.sent().len(), 3);
    for (text, verdict) in [
        ("b2/b2-2", Verdict::LinkBroken),
        ("b2/b2-9", Verdict::LinkBroken),
        ("zz/zz-0", Verdict::NotFound),
        ("https://h.example/d/1", Verdict::BadRequest),
    ] {
        assert_eq!(link(text).await.unwrap_err().verdict, verdict, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_magnet_is_added_and_a_hash_alone_if_it_is_cached() {
    let transport = Scripted::new([reply(200, ADDED)]);
    let account = account(transport.clone());
    let magnet = format!("magnet:?xt=urn:btih:{}&dn=x", HASH.to_uppercase());
    let id = account.add_magnet(Priority::Import, &magnet).await;
    assert_eq!(id.unwrap().0, "d4");
    let sent = asked(&transport).pop().unwrap();
    let (path, body) = sent.split_once(" {").unwrap();
    assert_eq!(path, "POST /api/v2/seedbox/add");
    assert!(
        body.contains(r#""async":true"#) && body.contains("magnet:?"),
        "{body}"
    );

    let add = async |what: Addition| account.add_cached(Priority::Import, what).await;
    let torrent = Bytes::from("d4:infod6:lengthi42e4:name5:a.mkv6:pieces0:ee");
    // By `printf 'd6:lengthi42e4:name5:a.mkv6:pieces0:e' | sha1sum`.
    let of_torrent = "a56eb7addaeffde10967ce560cba89611824cd5d";
    for (what, hash) in [
        (Addition::Magnet(magnet), HASH),
        (Addition::Torrent(torrent.clone()), of_torrent),
    ] {
        add(what).await.unwrap();
        let body = transport.sent().pop().unwrap().body;
        assert!(body.contains(&format!(r#""url":"{hash}""#)), "{body}");
        assert!(body.contains(r#""async":false"#), "{body}");
    }
    transport.set([error(400, "notAddTorrent")]);
    let hash = format!("magnet:?xt=urn:btih:{HASH}");
    let refused = add(Addition::Magnet(hash.clone())).await.unwrap_err();
    assert_eq!(refused.verdict, Verdict::NotCached);
    // Of a whole magnet the same word is about the magnet.
    let refused = account
        .add_magnet(Priority::Import, &hash)
        .await
        .unwrap_err();
    assert_eq!(refused.verdict, Verdict::Rejected);
    let calls = transport.sent().len();
    let none = add(Addition::Torrent(Bytes::from("x"))).await.unwrap_err();
    assert_eq!(
        (none.verdict, transport.sent().len()),
        (Verdict::Rejected, calls)
    );

    transport.set([reply(200, ADDED)]);
    account
        .add_torrent(Priority::Import, torrent)
        .await
        .unwrap();
    let body = transport.sent().pop().unwrap().body;
    assert!(
        body.contains(r#"name="file"; filename="#) && body.contains("6:pieces"),
        "{body}"
    );
}

#[tokio::test(start_paused = true)]
async fn full_slots_and_used_up_days_are_waited_for() {
    for word in ["maxTransfer", "maxTorrent"] {
        let transport = Scripted::new([error(400, word)]);
        let account = account(transport.clone());
        let magnet = format!("magnet:?xt=urn:btih:{HASH}");
        let refused = account.add_magnet(Priority::Import, &magnet).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.verdict, Verdict::SlotsFull, "{word}");
        assert!(!refused.is_final());
        assert_eq!(transport.sent().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_is_told() {
    let done = reply(200, r#"{"success":true,"value":[]}"#);
    let transport = Scripted::new([reply(200, LIST), done.clone(), done]);
    let account = account(transport.clone());
    let id = TorrentId("b2".to_owned());
    let select = async |files: &[u32]| account.select_files(Priority::Import, &id, files).await;
    select(&[1, 2]).await.unwrap();
    select(&[]).await.unwrap();
    assert_eq!(
        asked(&transport),
        [
            ids_call("b2"),
            r#"POST /api/v2/seedbox/b2/config {"files-unwanted":["b2-2"]}"#.to_owned(),
            r#"POST /api/v2/seedbox/b2/config {"files-unwanted":[]}"#.to_owned(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn deleting_account_and_slots() {
    let transport = Scripted::new([
        reply(200, r#"{"success":true,"value":["b2"]}"#),
        reply(200, include_str!("bodies/debridlink/infos.json")),
        reply(200, include_str!("bodies/debridlink/limits.json")),
    ]);
    let account = account(transport.clone());
    let delete = async |id: &str| {
        let id = TorrentId(id.to_owned());
        account.delete(Priority::Import, &id).await
    };
    delete("b2").await.unwrap();
    assert!(account.account(Priority::User).await.unwrap().premium);
    let slots = account.active_count(Priority::User).await.unwrap();
    assert_eq!((slots.active, slots.limit), (3, 20));
    let calls = [
        "DELETE /api/v2/seedbox/b2/remove",
        "GET /api/v2/account/infos",
        "GET /api/v2/seedbox/limits",
    ];
    assert_eq!(asked(&transport), calls);
    assert_eq!(
        delete("a,b2").await.unwrap_err().verdict,
        Verdict::BadRequest
    );
    assert_eq!(transport.sent().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_flood_closes_one_endpoint_for_an_hour_and_no_other() {
    let transport = Scripted::new([error(503, "floodDetected")]);
    let account = account(transport.clone());
    let look = async || account.torrents(Priority::Refresh, 0, 100).await;
    let refused = look().await.unwrap_err();
    assert_eq!(refused.verdict, Verdict::BackOff);
    transport.set([reply(200, ADDED)]);
    let calls = transport.sent().len();
    let refused = look().await.unwrap_err();
    assert_eq!(refused.verdict, Verdict::BackOff);
    let wait = refused.retry_after.unwrap();
    assert!(
        wait > Duration::from_secs(3590) && wait <= Duration::from_secs(3600),
        "{wait:?}"
    );
    let link = HosterLink("b2/b2-0".to_owned());
    let link = account.unrestrict(Priority::Playback, &link).await;
    assert_eq!(
        link.unwrap_err().verdict,
        Verdict::BackOff,
        "it is the same endpoint"
    );
    assert_eq!(transport.sent().len(), calls, "nobody was asked");
    let magnet = format!("magnet:?xt=urn:btih:{HASH}");
    account.add_magnet(Priority::Import, &magnet).await.unwrap();
    assert_eq!(transport.sent().len(), calls + 1, "another endpoint");
    transport.set([page([1], -1)]);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(ids(&look().await.unwrap()), ["t1"]);
}
