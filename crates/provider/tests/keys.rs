//! Several keys on the simulated provider, each with its own account, calls and traffic.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::sync::Arc;

use axum::body::Body;
use debridfs_base::ByteSize;
use debridfs_base::Secret;
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{
    AccountConfig, DebridAccount, DirectLink, HosterLink, Priority, Provider, Verdict,
};
use debridfs_sim::{AccountState, FileSpec, InProcess, LibrarySpec, ReleaseSpec, Sim};
use http_body_util::BodyExt;
use std::time::Duration;
use tower::ServiceExt;

const MIB: u64 = 1 << 20;

/// An account with one film, and two more accounts with nothing.
fn simulation() -> (Sim, HosterLink) {
    let library = LibrarySpec {
        seed: 1,
        releases: vec![ReleaseSpec::new(
            "Film.2024",
            vec![FileSpec::generated("/Film.2024.mkv", 100 * MIB)],
        )],
    };
    let sim = Sim::starting_at(&library, "2026-06-01T12:00:00Z".parse().unwrap()).unwrap();
    for token in ["SECOND", "THIRD"] {
        sim.add_account(token, &LibrarySpec::default()).unwrap();
    }
    let link = sim.torrents(0).unwrap()[0].links[0].clone();
    (sim, HosterLink(link))
}

fn account(sim: &Sim, change: impl FnOnce(&mut AccountConfig)) -> DebridAccount {
    let mut config = AccountConfig {
        name: "rd".to_owned(),
        token: Some(Secret::new(sim.token())),
        download_tokens: vec![Secret::new("SECOND"), Secret::new("THIRD")],
        ..AccountConfig::of(&real_debrid::KIND)
    };
    change(&mut config);
    let transport = InProcess::new(sim.router());
    DebridAccount::with_transport(config, Arc::new(transport), Arc::new(sim.clone())).unwrap()
}

/// Fetches from the simulated CDN and counts as a reader would.
async fn fetch(sim: &Sim, account: &DebridAccount, link: &DirectLink, bytes: u64) -> bool {
    let path = link.url.split_once("/d/").unwrap().1;
    let request = http::Request::get(format!("/d/{path}"))
        .header("range", format!("bytes=0-{}", bytes - 1))
        .body(Body::empty())
        .unwrap();
    let answer = sim.router().oneshot(request).await.unwrap();
    let traffic = account.key_traffic(&link.key).unwrap();
    if answer.status() == 503 {
        assert_eq!(answer.headers()["x-error"], "bandwidth_exceeded");
        traffic.refused();
        return false;
    }
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    traffic.add(body.len() as u64);
    true
}

/// Which key the next link is made with, by its number.
async fn next(account: &DebridAccount, link: &HosterLink) -> Result<usize, Verdict> {
    let made = account.unrestrict(Priority::Playback, link).await;
    let made = made.map_err(|error| error.verdict)?;
    let keys = account.keys();
    let key = keys.iter().find(|key| key.id == made.key);
    Ok(key.expect("a configured key").number)
}

#[tokio::test(start_paused = true)]
async fn keys_take_over_from_each_other_until_midnight() {
    let (sim, link) = simulation();
    let account = account(&sim, |_| {});
    sim.configure(|settings| settings.traffic_cap = 10 * MIB);
    for number in 1..=3 {
        let made = account.unrestrict(Priority::Playback, &link).await.unwrap();
        assert_eq!(account.keys()[number - 1].id, made.key);
        assert!(fetch(&sim, &account, &made, 10 * MIB).await);
        assert!(!fetch(&sim, &account, &made, MIB).await);
        assert!(account.keys()[number - 1].traffic.used_up);
    }
    // Nobody is left: each is asked once whether that is so, and then nobody.
    let calls = sim.counters().calls;
    for number in 0..100 {
        let error = account
            .unrestrict(Priority::Playback, &link)
            .await
            .unwrap_err();
        assert_eq!(error.verdict, Verdict::OutOfTraffic);
        let told = error.message.contains("resets at 2026-06-01T22:00:00Z");
        assert!(told || number < 3, "{error}");
    }
    assert_eq!(sim.counters().calls, calls + 3);
    // Listing goes on with the first key.
    assert_eq!(
        account
            .torrents(Priority::User, 0, 10)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert!(account.health().healthy);
    // One careful trial of each a while later, which fails.
    sim.advance(Duration::from_secs(11));
    let calls = sim.counters().calls;
    for _ in 0..10 {
        assert_eq!(next(&account, &link).await, Err(Verdict::OutOfTraffic));
    }
    let trials = sim.counters().calls - calls;
    assert!((1..=3).contains(&trials), "{trials}");
    sim.advance(Duration::from_secs(10 * 3600));
    assert_eq!(next(&account, &link).await, Ok(1));
    assert_eq!(account.keys()[0].traffic.used, 0);
}

/// The API's word counts as well as the CDN's; both of its codes.
#[tokio::test(start_paused = true)]
async fn what_another_program_used_up_is_believed() {
    for code in [23, 36] {
        let (sim, link) = simulation();
        sim.configure(|settings| (settings.traffic_cap, settings.traffic_code) = (MIB, code));
        let other = account(&sim, |config| config.download_tokens.clear());
        let theirs = other.unrestrict(Priority::Playback, &link).await.unwrap();
        assert!(fetch(&sim, &other, &theirs, MIB).await);
        let ours = account(&sim, |_| {});
        assert_eq!(next(&ours, &link).await, Ok(2), "code {code}");
        assert!(ours.keys()[0].traffic.used_up, "code {code}");
        let calls = sim.counters().calls;
        assert_eq!(next(&ours, &link).await, Ok(2), "code {code}");
        assert_eq!(sim.counters().calls, calls + 1, "code {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_passed_over_and_comes_back() {
    let (sim, link) = simulation();
    let account = account(&sim, |_| {});
    for code in [9, 14, 20, 22] {
        let refused = AccountState {
            refuse_code: Some(code),
            ..AccountState::default()
        };
        sim.set_account(0, refused).unwrap();
        assert_eq!(next(&account, &link).await, Ok(2), "code {code}");
        let calls = sim.counters().calls;
        assert_eq!(next(&account, &link).await, Ok(2), "code {code}");
        // The refused one was not asked again.
        assert_eq!(sim.counters().calls, calls + 1, "code {code}");
        assert!(account.keys()[0].refused.is_some());
        sim.set_account(0, AccountState::default()).unwrap();
        tokio::time::sleep(Duration::from_secs(301)).await;
        assert_eq!(next(&account, &link).await, Ok(1), "code {code}");
        assert_eq!(account.keys()[0].refused, None);
    }
    // A token that is no longer valid: 401, code 8.
    let revoked = AccountState {
        revoked: true,
        ..AccountState::default()
    };
    for number in [0, 1] {
        sim.set_account(number, revoked.clone()).unwrap();
        assert_eq!(next(&account, &link).await, Ok(number + 2));
    }
    sim.set_account(2, revoked).unwrap();
    assert_eq!(next(&account, &link).await, Err(Verdict::AccountRefused));
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_budget_of_calls_of_its_own() {
    let (sim, link) = simulation();
    sim.configure(|settings| settings.calls_per_minute = 10);
    let account = account(&sim, |config| config.calls_per_minute = 10);
    let begun = tokio::time::Instant::now();
    let mut made = [0; 3];
    for _ in 0..30 {
        made[next(&account, &link).await.unwrap() - 1] += 1;
    }
    assert_eq!((made, begun.elapsed()), ([10, 10, 10], Duration::ZERO));
    assert_eq!(sim.counters().above_limit, 0);
    // The limit is there all the same.
    next(&account, &link).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(60));
    // Somebody else uses up the first account's calls.
    sim.configure(|settings| settings.calls_per_minute = 1);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let others = self::account(&sim, |_| {});
    for _ in 0..2 {
        let _ = others.account(Priority::Playback).await;
    }
    assert_eq!(next(&account, &link).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn near_the_limit_only_playback_gets_links() {
    let (sim, link) = simulation();
    let account = account(&sim, |config| {
        config.download_tokens.clear();
        config.daily_traffic = Some(ByteSize(10 * MIB));
        config.traffic_reserve_percent = 20;
    });
    let made = account.unrestrict(Priority::Probe, &link).await.unwrap();
    assert!(fetch(&sim, &account, &made, 8 * MIB).await);
    for priority in [Priority::Probe, Priority::User, Priority::Import] {
        let calls = sim.counters().calls;
        let error = account.unrestrict(priority, &link).await.unwrap_err();
        assert_eq!(error.verdict, Verdict::OutOfTraffic);
        assert!(error.message.contains("kept for playback"), "{error}");
        assert!(account.room_for(priority).is_err());
        assert_eq!(sim.counters().calls, calls);
    }
    assert!(account.keys()[0].traffic.playback_only);
    account.room_for(Priority::Playback).unwrap();
    let made = account.unrestrict(Priority::Playback, &link).await.unwrap();
    assert!(fetch(&sim, &account, &made, 2 * MIB).await);
    let error = account
        .unrestrict(Priority::Playback, &link)
        .await
        .unwrap_err();
    assert!(error.message.contains("daily_traffic"), "{error}");
    // A limit of our own is not tried.
    sim.advance(Duration::from_secs(3600));
    assert_eq!(next(&account, &link).await, Err(Verdict::OutOfTraffic));
}

#[tokio::test(start_paused = true)]
async fn what_other_programs_fetch_is_read_back() {
    let (sim, link) = simulation();
    let ours = account(&sim, |config| {
        config.download_tokens.clear();
        config.daily_traffic = Some(ByteSize(10 * MIB));
    });
    let other = account(&sim, |config| config.download_tokens.clear());
    let made = ours.unrestrict(Priority::Playback, &link).await.unwrap();
    assert!(fetch(&sim, &ours, &made, 4 * MIB).await);
    let theirs = other.unrestrict(Priority::Playback, &link).await.unwrap();
    assert!(fetch(&sim, &other, &theirs, 5 * MIB).await);
    assert_eq!(ours.keys()[0].traffic.used, 4 * MIB);
    ours.read_traffic().await.unwrap();
    let traffic = ours.keys()[0].traffic;
    assert_eq!((traffic.counted, traffic.used), (4 * MIB, 9 * MIB));
    assert!(traffic.playback_only);
    // Who fetched nothing and has no limit asks for nothing.
    let idle = account(&sim, |config| config.download_tokens.clear());
    let calls = sim.counters().calls;
    idle.read_traffic().await.unwrap();
    assert_eq!(sim.counters().calls, calls);
}
