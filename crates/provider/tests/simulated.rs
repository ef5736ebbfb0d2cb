//! The client against the simulated provider: under a paused clock in one process, and over TCP with TLS.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::sync::Arc;
use std::time::Duration;

use debridfs_base::Secret;
use debridfs_base::TokioClock;
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{AccountConfig, DebridAccount, Priority, Provider, TorrentStatus, Verdict};
use debridfs_sim::{
    AccountState, ApiFault, Generated, InProcess, LibrarySpec, Outage, OutageMode, Page,
    ServeOptions, Sim, content, serve,
};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn simulation(releases: u32) -> Sim {
    let library = LibrarySpec::generated(&Generated {
        releases,
        files_per_release: 2,
        seed: 7,
    });
    Sim::starting_at(&library, start()).unwrap()
}

fn account_of(sim: &Sim, change: impl FnOnce(&mut AccountConfig)) -> DebridAccount {
    let mut config = AccountConfig {
        name: "rd".to_owned(),
        token: Some(Secret::new(sim.token())),
        ..AccountConfig::of(&real_debrid::KIND)
    };
    change(&mut config);
    let transport = InProcess::new(sim.router()).with_delay(Duration::from_millis(40));
    let clock = Arc::new(TokioClock::starting_at(start()));
    DebridAccount::with_transport(config, Arc::new(transport), clock).unwrap()
}

#[tokio::test(start_paused = true)]
async fn fifty_clients_for_an_hour() {
    let sim = simulation(200);
    let account = Arc::new(account_of(&sim, |_| {}));
    let ids: Vec<_> = account
        .torrents(Priority::User, 0, 5000)
        .await
        .unwrap()
        .items;
    assert_eq!(ids.len(), 200);
    let ids = Arc::new(ids);
    let end = Instant::now() + Duration::from_secs(3600);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..50usize {
        let (account, ids) = (Arc::clone(&account), Arc::clone(&ids));
        clients.spawn(async move {
            let priority = [
                Priority::Playback,
                Priority::User,
                Priority::Refresh,
                Priority::Probe,
            ];
            for step in number.. {
                if Instant::now() >= end {
                    break;
                }
                let item = &ids[step * 31 % ids.len()];
                let priority = priority[step % priority.len()];
                match step % 3 {
                    0 => drop(account.torrents(priority, 0, 10).await.unwrap()),
                    1 => drop(account.torrent(priority, &item.id).await.unwrap()),
                    _ => drop(account.unrestrict(priority, &item.links[0]).await.unwrap()),
                }
            }
        });
    }
    clients.join_all().await;
    let counters = sim.counters();
    assert_eq!(counters.above_limit, 0);
    assert!(counters.calls > 60 * 250 * 83 / 100, "{}", counters.calls);
    let health = account.health();
    assert_eq!((health.failures, health.calls), (0, counters.calls));
}

#[tokio::test(start_paused = true)]
async fn three_thousand_torrents_in_time() {
    let sim = simulation(3000);
    let account = Arc::new(account_of(&sim, |_| {}));
    let begun = Instant::now();
    let list = account.torrents(Priority::Refresh, 0, 5000).await.unwrap();
    assert_eq!((list.items.len(), list.total), (3000, Some(3000)));
    let mut sync = tokio::task::JoinSet::new();
    for item in list.items {
        let account = Arc::clone(&account);
        sync.spawn(async move { account.torrent(Priority::Refresh, &item.id).await.unwrap() });
    }
    sleep(Duration::from_secs(100)).await;
    let asked = Instant::now();
    account.account(Priority::Playback).await.unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(sync.join_all().await.len(), 3000);
    let limit_time = 3000.0 * 60.0 / 250.0;
    assert!(
        begun.elapsed().as_secs_f64() <= 1.3 * limit_time,
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(sim.counters().above_limit, 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lower_than_thought() {
    let sim = simulation(20);
    sim.configure(|settings| {
        settings.calls_per_minute = 60;
        settings.penalty_infringing = true;
    });
    let account = Arc::new(account_of(&sim, |_| {}));
    let link = {
        let list = account.torrents(Priority::User, 0, 1).await.unwrap();
        list.items[0].links[0].clone()
    };
    let end = Instant::now() + Duration::from_secs(3600);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (account, link) = (Arc::clone(&account), link.clone());
        clients.spawn(async move {
            let mut made = 0u32;
            while Instant::now() < end {
                match account.unrestrict(Priority::Playback, &link).await {
                    Ok(_) => made += 1,
                    Err(error) => assert!(
                        matches!(error.verdict, Verdict::BackOff | Verdict::Retry),
                        "a penalty was believed: {error}"
                    ),
                }
                sleep(Duration::from_millis(100)).await;
            }
            made
        });
    }
    let made: u32 = clients.join_all().await.into_iter().sum();
    let counters = sim.counters();
    assert!(made > 600, "{made} links in an hour");
    assert!(counters.above_limit < counters.calls / 5, "{counters:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_token_is_told_and_never_an_empty_library() {
    let sim = simulation(5);
    let account = account_of(&sim, |config| config.token = Some(Secret::new("WRONG")));
    for _ in 0..100 {
        let error = account
            .torrents(Priority::Refresh, 0, 100)
            .await
            .unwrap_err();
        assert_eq!(error.verdict, Verdict::AccountRefused);
        assert_eq!(error.code, Some(8));
    }
    assert!(sim.counters().calls < 5, "{}", sim.counters().calls);
    let health = account.health();
    assert!(!health.healthy);
    let (_, said) = health.last_error.unwrap();
    assert!(
        said.contains("token is not valid") && !said.contains("WRONG"),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_account_in_trouble() {
    let sim = simulation(5);
    for code in [9, 10, 14, 15, 22] {
        let state = AccountState {
            refuse_code: Some(code),
            ..AccountState::default()
        };
        sim.set_account(0, state).unwrap();
        let account = account_of(&sim, |_| {});
        let error = account
            .torrents(Priority::Refresh, 0, 100)
            .await
            .unwrap_err();
        assert_eq!(
            (error.verdict, error.code),
            (Verdict::AccountRefused, Some(i64::from(code)))
        );
    }
    let state = AccountState {
        premium: false,
        ..AccountState::default()
    };
    sim.set_account(0, state).unwrap();
    let account = account_of(&sim, |_| {});
    assert!(!account.account(Priority::User).await.unwrap().premium);
    let list = account.torrents(Priority::User, 0, 100).await.unwrap();
    let link = &list.items[0].links[0];
    let error = account.unrestrict(Priority::User, link).await.unwrap_err();
    assert_eq!(
        (error.verdict, error.code),
        (Verdict::AccountRefused, Some(20))
    );
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_the_api_is_an_error_or_repaired() {
    let sim = simulation(20);
    let once = |fault: ApiFault| ApiFault {
        endpoint: Some("torrents".to_owned()),
        times: Some(1),
        ..fault
    };
    let faults = [
        ApiFault {
            hang: true,
            ..ApiFault::default()
        },
        ApiFault {
            reset: true,
            ..ApiFault::default()
        },
        ApiFault {
            lose_answer: true,
            ..ApiFault::default()
        },
        ApiFault {
            cut_body: Some(100),
            ..ApiFault::default()
        },
        ApiFault {
            status: Some(502),
            page: Some(Page::Html),
            ..ApiFault::default()
        },
        ApiFault {
            page: Some(Page::Html),
            ..ApiFault::default()
        },
        ApiFault {
            page: Some(Page::Malformed),
            ..ApiFault::default()
        },
        ApiFault {
            status: Some(200),
            body: Some(String::new()),
            ..ApiFault::default()
        },
        ApiFault {
            code: Some(-1),
            ..ApiFault::default()
        },
        ApiFault {
            code: Some(34),
            ..ApiFault::default()
        },
        ApiFault {
            code: Some(5),
            ..ApiFault::default()
        },
    ];
    for fault in faults {
        let account = account_of(&sim, |_| {});
        sleep(Duration::from_secs(61)).await;
        sim.clear_faults();
        sim.fail_api(once(fault.clone()));
        let list = account.torrents(Priority::Refresh, 0, 100).await.unwrap();
        assert_eq!(list.items.len(), 20, "{fault:?}");
        assert_eq!(account.health().failures, 1, "{fault:?}");
        // For good, it is an error.
        sim.clear_faults();
        sim.fail_api(ApiFault {
            times: None,
            ..once(fault.clone())
        });
        let error = account
            .torrents(Priority::Refresh, 0, 100)
            .await
            .unwrap_err();
        let wanted = [Verdict::Retry, Verdict::Malformed, Verdict::BackOff];
        assert!(wanted.contains(&error.verdict), "{fault:?}: {error}");
        assert!(!account.health().healthy, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_minutes() {
    let sim = simulation(20);
    for mode in [OutageMode::Unavailable, OutageMode::Hang, OutageMode::Reset] {
        let account = account_of(&sim, |_| {});
        sim.set_outage(Outage {
            api: mode,
            cdn: mode,
        });
        let end = Instant::now() + Duration::from_secs(600);
        while Instant::now() < end {
            let error = account
                .torrents(Priority::Refresh, 0, 100)
                .await
                .unwrap_err();
            assert_eq!(error.verdict, Verdict::Retry, "{mode:?}: {error}");
            sleep(Duration::from_secs(15)).await;
        }
        assert!(!account.health().healthy);
        sim.set_outage(Outage::default());
        let list = account.torrents(Priority::Refresh, 0, 100).await.unwrap();
        assert_eq!(list.items.len(), 20);
        assert!(account.health().healthy);
    }
    assert_eq!(sim.counters().above_limit, 0);
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_torrent() {
    let sim = simulation(0);
    let account = account_of(&sim, |_| {});
    let now = Priority::Import;
    let empty = account.torrents(now, 0, 100).await.unwrap();
    assert!(empty.items.is_empty() && empty.unreadable.is_empty());
    let magnet = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&dn=A+Film";
    let id = account.add_magnet(now, magnet).await.unwrap();
    let twin = account.add_magnet(now, magnet).await.unwrap();
    assert_ne!(id, twin);
    account.delete(now, &twin).await.unwrap();
    let gone = account.delete(now, &twin).await.unwrap_err();
    assert_eq!((gone.verdict, gone.code), (Verdict::NotFound, Some(7)));
    sleep(Duration::from_secs(5)).await;
    let info = account.torrent(now, &id).await.unwrap();
    assert_eq!(info.summary.status, TorrentStatus::WaitingFilesSelection);
    assert_eq!(account.active_count(now).await.unwrap().limit, 100);
    account.select_files(now, &id, &[]).await.unwrap();
    // Once more is as good as once.
    account.select_files(now, &id, &[]).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let info = account.torrent(now, &id).await.unwrap();
    assert_eq!(info.summary.status, TorrentStatus::Downloaded);
    assert_eq!(
        info.summary.content.to_string(),
        "0123456789abcdef0123456789abcdef01234567"
    );
    let link = account
        .unrestrict(now, &info.summary.links[0])
        .await
        .unwrap();
    let downloads = account.downloads(now, 0, 10).await.unwrap();
    assert_eq!(downloads.items[0].direct.url, link.url);
    assert_eq!(downloads.items[0].link, info.summary.links[0]);
    account.traffic(now).await.unwrap();
    let clock = account.server_time(now).await.unwrap();
    let drift = clock.duration_since(sim.clock().now()).as_secs().abs();
    assert!(drift <= 1, "{drift} s");
}

#[tokio::test(start_paused = true)]
async fn hostile_names_are_read_as_they_are() {
    let sim = Sim::starting_at(&LibrarySpec::hostile(), start()).unwrap();
    let account = account_of(&sim, |_| {});
    let list = account.torrents(Priority::User, 0, 5000).await.unwrap();
    assert_eq!(list.unreadable, Vec::<String>::new());
    assert_eq!(list.items.len() as u64, list.total.unwrap());
    for item in &list.items {
        let info = account.torrent(Priority::User, &item.id).await.unwrap();
        assert_eq!(info.summary.filename, item.filename);
    }
}

#[tokio::test]
async fn over_tcp_and_tls() {
    let sim = simulation(10);
    let options = ServeOptions {
        tls: true,
        ..ServeOptions::default()
    };
    let served = serve(sim.clone(), options).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, served.ca_pem().unwrap()).unwrap();
    let account = DebridAccount::new(AccountConfig {
        name: "rd".to_owned(),
        token: Some(Secret::new(served.token())),
        api_url: served.api_url(),
        ca_file: Some(ca),
        ..AccountConfig::of(&real_debrid::KIND)
    })
    .unwrap();
    let list = account.torrents(Priority::User, 0, 5000).await.unwrap();
    assert_eq!(list.items.len(), 10);
    let info = account
        .torrent(Priority::User, &list.items[3].id)
        .await
        .unwrap();
    let view = sim.torrents(0).unwrap();
    let view = view
        .iter()
        .find(|view| view.id == info.summary.id.0)
        .unwrap();
    assert_eq!(info.files.len(), view.files.len());
    let link = account
        .unrestrict(Priority::Playback, &info.summary.links[1])
        .await
        .unwrap();
    assert_eq!(link.bytes, Some(view.files[1].bytes));
    let mut headers = http::HeaderMap::new();
    headers.insert("range", "bytes=1000-4999".parse().unwrap());
    let url = debridfs_base::http::Url::parse(&link.url).unwrap();
    let answer = account.cdn().client.get(url, headers).await.unwrap();
    assert_eq!(answer.status(), 206);
    let got: Vec<_> = answer.into_body().try_collect().await.unwrap();
    let mut wanted = vec![0; 4000];
    content::fill(view.files[1].key.unwrap(), 1000, &mut wanted);
    assert_eq!(got.concat(), wanted);
    let counters = sim.counters();
    assert_eq!((counters.calls, counters.cdn.gets), (3, 1));
    served.stop().await;
    let error = account.account(Priority::User).await.unwrap_err();
    assert_eq!(error.verdict, Verdict::Retry);
    assert!(error.message.contains("cannot connect"), "{error}");
}
