//! What is asked of TorBox, and how often.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/origin.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod origin;
#[path = "support/scripted.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod scripted;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use debridfs_base::http::Transport;
use debridfs_provider::vendors::torbox::KIND;
use debridfs_provider::{
    Addition, CacheCheck, DebridAccount, HosterLink, Priority, Provider, TorrentId, TorrentPage,
    Verdict,
};
use origin::Server;
use scripted::{Reply, Scripted, account_with, config_of, reply};

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";
const ADDED: &str = include_str!("bodies/torbox/added.json");

/// Torrents that go, and torrents that come.
type Change = (Vec<u64>, Vec<u64>);

/// A TorBox of lists alone: how many things each has, and what happens to the torrents before which page.
#[derive(Default)]
struct Lists {
    torrents: Mutex<Vec<u64>>,
    usenet: u64,
    web: u64,
    /// Plans without usenet.
    restricted: bool,
    /// What changes once that many pages of torrents were asked for.
    changes: Mutex<BTreeMap<usize, Change>>,
    asked: Mutex<Vec<String>>,
}

fn entry(id: u64) -> String {
    let minute = id / 60 % 60;
    let hour = id / 3600;
    format!(
        r#"{{"id":{id},"hash":"{id:040x}","name":"n{id}","size":1,"created_at":"2026-01-02T{hour:02}:{minute:02}:{:02}Z","download_state":"cached","download_finished":true,"download_present":true,"files":[{{"id":0,"name":"a","size":1}}]}}"#,
        id % 60
    )
}

impl Lists {
    fn of(torrents: u64) -> Self {
        Self {
            torrents: Mutex::new((1..=torrents).rev().collect()),
            ..Self::default()
        }
    }

    fn asked_of(&self, list: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|path| path.contains(list)).count()
    }
}

#[async_trait]
impl Transport for Lists {
    async fn send(&self, request: http::Request<Bytes>, _: usize) -> Reply {
        let path = request.uri().path_and_query().unwrap().to_string();
        self.asked.lock().unwrap().push(path.clone());
        assert!(path.contains("bypass_cache=true"), "{path}");
        let number = |key: &str| -> usize {
            let rest = path.split_once(&format!("{key}=")).unwrap().1;
            rest.split('&').next().unwrap().parse().unwrap()
        };
        let (offset, limit) = (number("offset"), number("limit"));
        assert!((1..=1000).contains(&limit), "{path}");
        let ids: Vec<u64> = if path.contains("/torrents/") {
            let pages = self.asked_of("/torrents/");
            let mut torrents = self.torrents.lock().unwrap();
            if let Some((gone, new)) = self.changes.lock().unwrap().remove(&pages) {
                torrents.retain(|id| !gone.contains(id));
                torrents.splice(0..0, new);
            }
            torrents.clone()
        } else if path.contains("/usenet/") {
            if self.restricted {
                return reply(
                    403,
                    r#"{"success":false,"error":"PLAN_RESTRICTED_FEATURE","detail":"d"}"#,
                );
            }
            (1..=self.usenet).rev().collect()
        } else {
            (1..=self.web).rev().collect()
        };
        let entries: Vec<_> = ids
            .iter()
            .skip(offset)
            .take(limit)
            .map(|id| entry(*id))
            .collect();
        match entries.len() {
            0 => reply(
                404,
                r#"{"success":false,"error":null,"detail":"No items found.","data":null}"#,
            ),
            _ => reply(
                200,
                &format!(r#"{{"success":true,"data":[{}]}}"#, entries.join(",")),
            ),
        }
    }
}

fn account(transport: Arc<dyn Transport>) -> DebridAccount {
    account_with(config_of("tb", &KIND), transport)
}

async fn whole(account: &DebridAccount) -> TorrentPage {
    account
        .torrents(Priority::Refresh, 0, u32::MAX)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn three_lists_are_read_to_their_ends_as_one() {
    let lists = Arc::new(Lists {
        usenet: 2,
        web: 1,
        ..Lists::of(3000)
    });
    let account = account(lists.clone());
    let page = whole(&account).await;
    assert_eq!((page.items.len(), page.total), (3003, Some(3003)));
    let mut ids: Vec<_> = page.items.iter().map(|item| item.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3003);
    assert!(
        page.items.is_sorted_by(|a, b| a.added >= b.added),
        "newest first"
    );
    assert!(ids.contains(&TorrentId("usenet:2".to_owned())));
    assert!(page.items.iter().all(|item| item.files.is_some()));
    assert_eq!(
        lists.asked_of("mylist"),
        4 + 1 + 1,
        "pages of lists, and nothing else"
    );
}

#[tokio::test(start_paused = true)]
async fn the_newest_have_a_total_only_when_they_are_all() {
    let lists = Arc::new(Lists {
        usenet: 3,
        ..Lists::of(150)
    });
    let account = account(lists.clone());
    let page = account.torrents(Priority::Refresh, 0, 100).await.unwrap();
    assert_eq!((page.items.len(), page.total), (100, None));
    assert_eq!(page.items[0].id.0, "150");
    assert_eq!(lists.asked_of("mylist"), 3);
    let page = account.torrents(Priority::Refresh, 100, 100).await.unwrap();
    assert_eq!((page.items.len(), page.total), (53, Some(153)));
    let empty = account_with(config_of("tb", &KIND), Arc::new(Lists::default()));
    let page = whole(&empty).await;
    assert_eq!(
        (page.items.len(), page.total),
        (0, Some(0)),
        "404 is an empty list"
    );
    let health = empty.health();
    assert_eq!((health.failures, health.last_error), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_usenet_has_no_usenet_downloads() {
    let lists = Arc::new(Lists {
        restricted: true,
        ..Lists::of(2)
    });
    assert_eq!(whole(&account(lists)).await.total, Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_moves_between_two_pages_is_neither_lost_nor_listed_twice() {
    // One goes from the first page: the others move up, and one would be passed over.
    let lists = Arc::new(Lists::of(1500));
    lists
        .changes
        .lock()
        .unwrap()
        .insert(2, (vec![1400], vec![]));
    let page = whole(&account(lists.clone())).await;
    assert_eq!((page.items.len(), page.total), (1499, Some(1499)));
    assert_eq!(lists.asked_of("/torrents/"), 4, "read again");
    // Two come at the top: the others move down.
    let lists = Arc::new(Lists::of(1500));
    lists
        .changes
        .lock()
        .unwrap()
        .insert(2, (vec![], vec![1502, 1501]));
    let page = whole(&account(lists.clone())).await;
    assert_eq!((page.items.len(), page.total), (1500, Some(1500)));
    // It never holds still.
    let lists = Arc::new(Lists::of(1500));
    let gone = |id: u64| (vec![id], vec![]);
    let changes = [(2, gone(1400)), (4, gone(1401)), (6, gone(1402))];
    lists.changes.lock().unwrap().extend(changes);
    let error = account(lists)
        .torrents(Priority::Refresh, 0, u32::MAX)
        .await
        .unwrap_err();
    assert_eq!(
        error.verdict,
        Verdict::Retry,
        "no list, and not a shorter one"
    );
}

#[tokio::test(start_paused = true)]
async fn ids_lead_to_the_right_endpoints() {
    for (id, folder, link, control) in [
        (
            "5",
            "torrents",
            "torrent_id=5",
            "/torrents/controltorrent {\"all\":false,\"operation\":\"delete\",\"torrent_id\":5}",
        ),
        (
            "usenet:5",
            "usenet",
            "usenet_id=5",
            "/usenet/controlusenetdownload {\"all\":false,\"operation\":\"delete\",\"usenet_id\":5}",
        ),
        (
            "web:5",
            "webdl",
            "web_id=5",
            "/webdl/controlwebdownload {\"all\":false,\"operation\":\"delete\",\"webdl_id\":5}",
        ),
    ] {
        let transport = Scripted::new([
            reply(200, include_str!("bodies/torbox/torrent.json")),
            reply(200, include_str!("bodies/torbox/link.json")),
            reply(
                200,
                r#"{"success":true,"error":null,"detail":"d","data":null}"#,
            ),
        ]);
        let account = account(transport.clone());
        let torrent = TorrentId(id.to_owned());
        assert_eq!(
            account
                .torrent(Priority::User, &torrent)
                .await
                .unwrap()
                .summary
                .id,
            torrent
        );
        let hoster = HosterLink(format!("{id}/0"));
        account
            .unrestrict(Priority::Playback, &hoster)
            .await
            .unwrap();
        account.delete(Priority::User, &torrent).await.unwrap();
        let [info, made, deleted] = &transport.sent()[..] else {
            panic!("{:?}", transport.sent());
        };
        assert_eq!(
            info.path,
            format!("/v1/api/{folder}/mylist?id=5&bypass_cache=true")
        );
        let path =
            format!("/v1/api/{folder}/requestdl?{link}&file_id=0&redirect=false&token=SECRETTOKEN");
        assert_eq!(made.path, path);
        assert_eq!(
            format!("{} {}", deleted.path, deleted.body),
            format!("/v1/api{control}")
        );
        assert_eq!(deleted.method, "POST");
    }
    // What is not an id of ours is not asked for.
    let none = account(Scripted::new([]));
    let id = TorrentId("1&operation=x".to_owned());
    let error = none.delete(Priority::User, &id).await.unwrap_err();
    assert_eq!(error.verdict, Verdict::BadRequest);
}

#[tokio::test(start_paused = true)]
async fn additions_never_seed_and_say_when_only_what_is_cached_is_wanted() {
    let transport = Scripted::new([reply(200, ADDED)]);
    let account = account(transport.clone());
    let magnet = format!("magnet:?xt=urn:btih:{HASH}");
    let torrent = Bytes::from_static(b"d4:infod4:name1:aee\r\n--\xff");
    let id = account.add_magnet(Priority::Import, &magnet).await.unwrap();
    assert_eq!(id.0, "41");
    account
        .add_torrent(Priority::Import, torrent.clone())
        .await
        .unwrap();
    for what in [Addition::Magnet(magnet), Addition::Torrent(torrent)] {
        account.add_cached(Priority::Import, what).await.unwrap();
    }
    let sent = transport.sent();
    assert!(
        sent.iter()
            .all(|sent| sent.path == "/v1/api/torrents/createtorrent" && sent.method == "POST")
    );
    let magnet = "magnet=magnet%3A%3Fxt%3Durn%3Abtih%3A0123456789abcdef0123456789abcdef01234567";
    assert_eq!(sent[0].body, format!("seed=3&allow_zip=false&{magnet}"));
    assert_eq!(
        sent[2].body,
        format!("seed=3&allow_zip=false&add_only_if_cached=true&{magnet}")
    );
    for (sent, cached) in [(&sent[1], false), (&sent[3], true)] {
        let parts: Vec<_> = sent
            .body
            .split("Content-Disposition: form-data; ")
            .collect();
        assert_eq!(parts.len(), if cached { 5 } else { 4 }, "{}", sent.body);
        assert!(
            parts[1].starts_with("name=\"seed\"\r\n\r\n3\r\n--"),
            "{}",
            sent.body
        );
        let file = parts.last().unwrap();
        assert!(file.starts_with("name=\"file\"; filename=\"release.torrent\"\r\nContent-Type: application/x-bittorrent\r\n\r\nd4:infod4:name1:aee\r\n--"), "{file}");
        assert!(file.ends_with("--\r\n"), "{file}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_account_has_is_found_and_not_added_twice() {
    let magnet = format!("magnet:?xt=urn:btih:{HASH}&dn=x");
    let list = reply(200, include_str!("bodies/torbox/torrents.json"));
    let lost = Err(debridfs_base::http::TransportError::Broken(
        "lost".to_owned(),
    ));
    let duplicate = reply(
        400,
        r#"{"success":false,"error":"DUPLICATE_ITEM","detail":"d"}"#,
    );
    for first in [duplicate.clone(), lost, reply(502, "<html>")] {
        let transport = Scripted::new([first, list.clone()]);
        let id = account(transport.clone())
            .add_magnet(Priority::Import, &magnet)
            .await
            .unwrap();
        assert_eq!(id.0, "5");
        let adds = transport
            .sent()
            .into_iter()
            .filter(|sent| sent.method == "POST");
        assert_eq!(adds.count(), 1);
    }
    // The vendor has it, and its list has not: it waits in the queue.
    let other = magnet.replace("0123", "ffff");
    let transport = Scripted::new([duplicate, list]);
    let error = account(transport)
        .add_magnet(Priority::Import, &other)
        .await
        .unwrap_err();
    assert_eq!(error.verdict, Verdict::SlotsFull);
    // As it says itself, in place of the torrent's number.
    let queued = r#"{"success":true,"error":null,"detail":"d","data":{"queued_id":3,"hash":"h"}}"#;
    let transport = Scripted::new([reply(200, queued)]);
    let account = account(transport.clone());
    let error = account.add_magnet(Priority::Import, &magnet).await;
    let error = error.unwrap_err();
    assert_eq!(error.verdict, Verdict::SlotsFull);
    assert!(error.message.contains("queue"), "{error}");
    assert_eq!(transport.sent().len(), 1, "no retry");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_cached_is_not_added() {
    let body = r#"{"success":false,"error":"DOWNLOAD_NOT_CACHED","detail":"d","data":null}"#;
    let account = account(Scripted::new([reply(400, body)]));
    let what = Addition::Magnet(format!("magnet:?xt=urn:btih:{HASH}"));
    let error = account
        .add_cached(Priority::Import, what)
        .await
        .unwrap_err();
    assert_eq!(error.verdict, Verdict::NotCached);
}

#[tokio::test(start_paused = true)]
async fn what_is_cached_is_asked_without_an_addition() {
    let yes = format!(r#"{{"success":true,"data":{{"{HASH}":{{"name":"x"}}}}}}"#);
    let none = r#"{"success":false,"error":"ITEM_NOT_FOUND","detail":"d","data":null}"#;
    let transport = Scripted::new([
        reply(200, &yes),
        reply(200, r#"{"success":true,"data":{}}"#),
        reply(404, none),
    ]);
    let account = account(transport.clone());
    assert_eq!(account.cache_check(), CacheCheck::Asked);
    for cached in [true, false, false] {
        let hash = HASH.parse().unwrap();
        let said = account.is_cached(Priority::Import, hash).await.unwrap();
        assert_eq!(said, cached);
    }
    let sent = transport.sent();
    assert!(sent.iter().all(|sent| sent.method == "GET"), "{sent:?}");
    let asked = format!("/v1/api/torrents/checkcached?hash={HASH}&format=object&list_files=false");
    assert_eq!(sent[0].path, asked);
    assert!(account.health().healthy);
}

/// 60 additions an hour, and less than 100 links in five minutes, whatever is asked.
#[tokio::test(start_paused = true)]
async fn declared_budgets_are_kept() {
    let transport = Scripted::new([reply(200, ADDED)]);
    let adding = account(transport.clone());
    for number in 0..61 {
        let added = adding.add_magnet(Priority::Import, "magnet:?dn=x").await;
        assert_eq!(added.is_ok(), number < 60, "{number}");
    }
    assert_eq!(transport.sent().len(), 60);
    let transport = Scripted::new([reply(200, include_str!("bodies/torbox/link.json"))]);
    let account = account(transport.clone());
    let link = HosterLink("5/0".to_owned());
    for _ in 0..100 {
        account.unrestrict(Priority::Playback, &link).await.unwrap();
    }
    let sent = transport.sent();
    for (number, first) in sent.iter().enumerate() {
        let until = first.at + Duration::from_secs(300);
        let burst = sent[number..].iter().filter(|sent| sent.at < until);
        assert!(burst.count() <= 96);
    }
}

/// The token stands in the address of one call: nothing that is said has it.
#[tokio::test]
async fn the_token_in_an_address_is_never_said() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n<htm>";
    let server = Server::origin(SocketAddr::from(([127, 0, 0, 1], 0)), answer, None).await;
    let mut config = config_of("tb", &KIND);
    config.api_url = format!("http://{}/v1/api", server.address);
    let account = DebridAccount::new(config.clone()).unwrap();
    let link = HosterLink("5/0".to_owned());
    let wrong = account
        .unrestrict(Priority::Playback, &link)
        .await
        .unwrap_err();
    let head = &server.seen()[0];
    assert!(head.starts_with("GET /v1/api/torrents/requestdl?torrent_id=5&file_id=0&redirect=false&token=SECRETTOKEN HTTP/1.1"), "{head}");
    drop(server);
    config.api_url = "http://127.0.0.1:1/v1/api".to_owned();
    let nobody = DebridAccount::new(config).unwrap();
    let refused = nobody
        .unrestrict(Priority::Playback, &link)
        .await
        .unwrap_err();
    let said = format!(
        "{wrong} {wrong:?} {refused} {refused:?} {:?} {account:?}",
        nobody.health()
    );
    assert!(!said.contains("SECRETTOKEN"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_lacks_much_is_read_once_more() {
    let lists = Arc::new(Lists::of(800));
    let account = account(lists.clone());
    let change = |gone: Vec<u64>, new: Vec<u64>| {
        let next = lists.asked_of("/torrents/") + 1;
        let mut changes = lists.changes.lock().unwrap();
        changes.insert(next, (gone, vec![]));
        changes.insert(next + 1, (vec![], new));
    };
    let listed = async || whole(&account).await.items.len();
    assert_eq!(listed().await, 800);
    // An old answer: 150 are missing in one list, and there in the next.
    let stale: Vec<u64> = (651..=800).rev().collect();
    change(stale.clone(), stale.clone());
    let begun = tokio::time::Instant::now();
    assert_eq!(listed().await, 800);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    // So many went.
    change(stale, vec![]);
    let before = lists.asked_of("/torrents/");
    assert_eq!(listed().await, 650);
    assert_eq!(lists.asked_of("/torrents/"), before + 2);
    // Fewer are believed at once.
    change((1..=100).collect(), vec![]);
    let before = lists.asked_of("/torrents/");
    assert_eq!(listed().await, 550);
    assert_eq!(lists.asked_of("/torrents/"), before + 1);
}
