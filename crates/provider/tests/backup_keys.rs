//! Further keys of an account only make links, at every vendor: whatever else was asked with them
//! would bring another account's library into this one. The simulated vendors count calls by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use debridfs_base::Secret;
use debridfs_provider::vendors::{Kind, all_debrid, debrid_link, premiumize, real_debrid, torbox};
use debridfs_provider::{AccountConfig, DebridAccount, HosterLink, Priority, Provider};
use debridfs_sim::{FileSpec, InProcess, Kind as SimKind, LibrarySpec, ReleaseSpec, Sim};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::Instant;

const SECOND: &str = "SECOND";
const THIRD: &str = "THIRD";
const NEW: &str = "89abcdef0123456789abcdef0123456789abcdef";
/// Of each key a minute: few, so that the further ones are used.
const CALLS: u32 = 20;
/// Releases of the account.
const HELD: usize = 5;

fn library(held: usize) -> LibrarySpec {
    let file = |name: &str| vec![FileSpec::generated(format!("/{name}.mkv"), 1 << 20)];
    let new = ReleaseSpec {
        hash: Some(NEW.to_owned()),
        copies: 0,
        ..ReleaseSpec::new("New", file("New"))
    };
    let held = (0..held).map(|number| {
        let name = format!("Film.{number}");
        ReleaseSpec::new(name.clone(), file(&name))
    });
    LibrarySpec {
        seed: 4,
        releases: held.chain([new]).collect(),
    }
}

/// An account with two further keys. At vendors whose links are the account's own they are of this
/// account, else of others, whose libraries would be noticed.
fn account(sim: &Sim, kind: &'static Kind) -> DebridAccount {
    let own = [SimKind::TorBox, SimKind::Premiumize].contains(&sim.kind());
    for token in [SECOND, THIRD] {
        match own {
            true => sim.add_token(0, token).unwrap(),
            false => drop(sim.add_account(token, &library(40)).unwrap()),
        }
    }
    let config = AccountConfig {
        name: "one".to_owned(),
        token: Some(Secret::new(sim.token())),
        download_tokens: [SECOND, THIRD].map(Secret::new).into(),
        calls_per_minute: CALLS,
        ..AccountConfig::of(kind)
    };
    let transport = Arc::new(InProcess::new(sim.router()));
    DebridAccount::with_transport(config, transport, Arc::new(sim.clone())).unwrap()
}

async fn links(account: &DebridAccount) -> Vec<HosterLink> {
    let page = account.torrents(Priority::Refresh, 0, 100).await.unwrap();
    assert_eq!(page.items.len(), HELD);
    let mut links = Vec::new();
    for item in &page.items {
        let info = account.torrent(Priority::User, &item.id).await.unwrap();
        links.extend(info.summary.links);
    }
    links
}

/// Asks whatever an engine asks.
async fn use_it(account: &DebridAccount) {
    let links = links(account).await;
    // More than the first key's limit lets through: the others take over.
    let made = links.iter().cycle().take(70);
    join_all(made.map(|link| account.unrestrict(Priority::Playback, link))).await;
    account.read_facts(Priority::User).await.unwrap();
    account.read_traffic().await.unwrap();
    let magnet = format!("magnet:?xt=urn:btih:{NEW}");
    let id = account.add_magnet(Priority::User, &magnet).await.unwrap();
    account.torrent(Priority::User, &id).await.unwrap();
    account.delete(Priority::User, &id).await.unwrap();
    let page = account.torrents(Priority::Refresh, 0, 100_000).await;
    assert_eq!(page.unwrap().items.len(), HELD);
}

async fn only_makes_links(sim: SimKind, kind: &'static Kind, allowed: &[&str]) {
    let sim = Sim::of(sim, &library(HELD)).unwrap();
    let account = account(&sim, kind);
    use_it(&account).await;
    let first = sim.counters().calls_with(&sim.token());
    assert!(first.len() > 2, "{first:?}");
    for token in [SECOND, THIRD] {
        let mut calls: BTreeMap<_, _> = sim.counters().calls_with(token);
        assert!(!calls.is_empty(), "{token} was not used");
        calls.retain(|endpoint, _| !allowed.contains(&&**endpoint));
        assert!(calls.is_empty(), "{token}: {calls:?}");
    }
    for key in account.keys() {
        let all = key.budgets[0];
        assert_eq!((all.word, all.calls), (None, CALLS));
        assert!(all.used <= CALLS, "{all:?}");
    }
}

/// Its count of traffic is each key's own.
#[tokio::test(start_paused = true)]
async fn further_keys_of_real_debrid_only_make_links() {
    let allowed = ["unrestrict/link", "traffic/details"];
    only_makes_links(SimKind::RealDebrid, &real_debrid::KIND, &allowed).await;
}

#[tokio::test(start_paused = true)]
async fn further_keys_of_torbox_only_make_links() {
    only_makes_links(SimKind::TorBox, &torbox::KIND, &["torrents/requestdl"]).await;
}

#[tokio::test(start_paused = true)]
async fn further_keys_of_all_debrid_only_make_links() {
    let allowed = ["v4/link/unlock", "v4/link/delayed"];
    only_makes_links(SimKind::AllDebrid, &all_debrid::KIND, &allowed).await;
}

/// Its links come with what is told of one torrent.
#[tokio::test(start_paused = true)]
async fn further_keys_of_debrid_link_only_make_links() {
    let allowed = ["seedbox/list?ids"];
    only_makes_links(SimKind::DebridLink, &debrid_link::KIND, &allowed).await;
}

#[tokio::test(start_paused = true)]
async fn further_keys_of_premiumize_only_make_links() {
    let allowed = ["item/details", "transfer/directdl"];
    only_makes_links(SimKind::Premiumize, &premiumize::KIND, &allowed).await;
}

/// The service allows about 100 links in five minutes to an account, whatever keys they are made
/// with, and then locks it.
#[tokio::test(start_paused = true)]
async fn keys_of_one_torbox_account_share_its_links() {
    let sim = Sim::of(SimKind::TorBox, &library(HELD)).unwrap();
    let account = account(&sim, &torbox::KIND);
    let link = links(&account).await.remove(0);
    let begun = Instant::now();
    // As many as go at once with one key.
    let twelve = (0..12).map(|_| account.unrestrict(Priority::Playback, &link));
    for made in join_all(twelve).await {
        made.unwrap();
    }
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    for token in [SECOND, THIRD] {
        assert_eq!(sim.counters().calls_with(token).values().sum::<u64>(), 4);
    }
    for _ in 0..200 {
        account.unrestrict(Priority::Playback, &link).await.unwrap();
    }
    assert_eq!(sim.counters().above_limit, 0);
}
