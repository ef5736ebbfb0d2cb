//! What happens when all is well.

use std::time::Duration;

use debridfs_provider::{HosterLink, Priority, TorrentStatus, Verdict};
use tokio::time::Instant;

use crate::bench::{Bench, all, known, pass, view};
use crate::fake::{Fake, hash, id, name, torrent};

#[tokio::test(start_paused = true)]
async fn the_first_sync_shows_names_at_once_and_files_as_they_come() {
    let bench = Bench::new(Fake::with(3000));
    let began = Instant::now();
    let run = bench.start().await;
    run.until("listed", |library| library.listed).await;
    run.until("first files", |library| known(library, hash(2999)))
        .await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(all(&run.library()).len(), 3000);
    run.until_complete().await;
    // 3001 calls at 250 a minute take 12 minutes.
    let limit = Duration::from_secs(3001 * 60 / 250);
    assert!(
        began.elapsed() < limit.mul_f64(1.3),
        "{:?} of {limit:?}",
        began.elapsed()
    );
    assert!((0..3000).all(|number| known(&run.library(), hash(number))));
    assert_eq!(run.catalogue.status().files, 6000);
    run.stop().await;
    assert!(bench.fake.inside().busiest <= 250);
}

#[tokio::test(start_paused = true)]
async fn a_first_sync_killed_three_times_asks_for_nothing_twice() {
    let bench = Bench::new(Fake::with(3000));
    let began = Instant::now();
    for _ in 0..3 {
        let run = bench.start().await;
        pass(150).await;
        run.kill().await;
    }
    let run = bench.start().await;
    run.until_complete().await;
    assert!(began.elapsed() < Duration::from_secs(3001 * 60 / 250).mul_f64(1.3));
    assert_eq!(run.catalogue.status().releases, 3000);
    run.stop().await;
    let calls = bench.fake.inside().infos.len();
    // Each kill may lose what was on its way.
    assert!((3000..=3000 + 3 * 8).contains(&calls), "{calls}");
    assert!(bench.fake.inside().busiest <= 250);
}

#[tokio::test(start_paused = true)]
async fn a_restart_serves_the_store_first_and_costs_next_to_nothing() {
    let bench = Bench::new(Fake::with(300));
    let run = bench.start().await;
    run.until_complete().await;
    let before = run.library();
    run.stop().await;
    let (lists, infos) = {
        let inside = bench.fake.inside();
        (inside.lists, inside.infos.len())
    };
    let catalogue = bench.open().await;
    let stored = catalogue.library().borrow().clone();
    assert!(stored.listed && stored.generation > before.generation);
    assert_eq!(all(&stored), all(&before));
    assert!((0..300).all(|number| known(&stored, hash(number))));
    assert_eq!(bench.fake.inside().lists, lists, "no call to show it");
    drop(catalogue);
    let run = bench.start().await;
    pass(60).await;
    assert!(bench.fake.inside().lists - lists <= 10);
    assert_eq!(bench.fake.inside().infos.len(), infos);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_shows_soon_and_costs_one_list_and_one_info_call() {
    let bench = Bench::new(Fake::with(500));
    let run = bench.start().await;
    run.until_complete().await;
    pass(60).await;
    let infos = bench.fake.inside().infos.len();
    bench.fake.add(torrent(500, 3));
    let began = Instant::now();
    run.until("shown", |library| known(library, hash(500)))
        .await;
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(bench.fake.inside().infos.len(), infos + 1);
    let lists = bench.fake.inside().lists;
    pass(3600).await;
    let hour = bench.fake.inside().lists - lists;
    assert!((300..=361).contains(&hour), "{hour} lists in an hour");
    assert_eq!(bench.fake.inside().infos.len(), infos + 1);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_goes_or_changes_shows_soon() {
    let bench = Bench::new(Fake::with(500));
    let run = bench.start().await;
    run.until_complete().await;
    bench.fake.remove(17);
    let began = Instant::now();
    run.until("gone", |library| !all(library).contains(&name(17)))
        .await;
    assert!(began.elapsed() < Duration::from_secs(15));
    assert!(view(&run.library(), "__bad__").contains(&name(17)));
    // One comes while another goes: the count is as before.
    bench.fake.remove(18);
    bench.fake.add(torrent(500, 1));
    run.until("both", |library| {
        !all(library).contains(&name(18)) && all(library).contains(&name(500))
    })
    .await;
    // On its way, then ready.
    let mut late = torrent(501, 2);
    late.summary.status = TorrentStatus::Downloading;
    late.summary.links.clear();
    bench.fake.add(late);
    for number in 502..900 {
        bench.fake.add(torrent(number, 1));
    }
    run.until("many", |library| all(library).contains(&name(899)))
        .await;
    run.until_complete().await;
    pass(60).await;
    assert!(!all(&run.library()).contains(&name(501)));
    {
        let mut inside = bench.fake.inside();
        let place = inside
            .torrents
            .iter()
            .position(|torrent| torrent.summary.id == id(501))
            .unwrap();
        inside.torrents[place] = torrent(501, 2);
    }
    let began = Instant::now();
    run.until("ready", |library| known(library, hash(501)))
        .await;
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    let history = run
        .catalogue
        .history(jiff::Timestamp::UNIX_EPOCH, 100_000)
        .await
        .unwrap();
    let told: Vec<_> = history
        .iter()
        .filter(|entry| entry.torrent == id(17))
        .map(|entry| entry.what.as_str())
        .collect();
    assert_eq!(told, ["added", "removed"]);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_looks_into_comes_first() {
    let bench = Bench::new(Fake::with(3000));
    let run = bench.start().await;
    run.until("listed", |library| library.listed).await;
    pass(10).await;
    let began = Instant::now();
    run.catalogue.demand(hash(0)).await.unwrap();
    assert!(known(&run.library(), hash(0)));
    // Nothing waits for the whole sync; the fake's scheduler knows no priorities, so a window may have to pass.
    assert!(
        began.elapsed() < Duration::from_secs(61),
        "{:?}",
        began.elapsed()
    );
    assert!(bench.fake.inside().infos.contains(&(id(0), Priority::User)));
    let calls = bench.fake.inside().infos.len();
    run.catalogue.demand(hash(0)).await.unwrap();
    assert_eq!(bench.fake.inside().infos.len(), calls);
    assert!(run.catalogue.demand(hash(9999)).await.is_err());
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn demands_end_when_the_catalogue_does() {
    let bench = Bench::new(Fake::with(3));
    let mut fresh = torrent(3, 2);
    fresh.summary.ended = Some(bench.clock.now());
    bench.fake.add(fresh);
    bench.fake.inside().few_links.insert(id(3), 0);
    let run = bench.start().await;
    run.until("listed", |library| library.listed).await;
    let waiting = tokio::spawn(run.catalogue.demand(hash(3)));
    pass(5).await;
    assert!(!waiting.is_finished());
    run.stop().await;
    let ended = tokio::time::timeout(Duration::from_secs(1), waiting).await;
    assert!(ended.unwrap().unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_failing_info_call_is_never_forgotten_and_never_a_proof() {
    let fake = Fake::with(30);
    fake.inside()
        .broken_infos
        .insert(id(5), (4, Verdict::NotFound));
    fake.inside()
        .broken_infos
        .insert(id(6), (3, Verdict::Malformed));
    let bench = Bench::new(fake);
    let run = bench.start().await;
    run.until("the others", |library| known(library, hash(0)))
        .await;
    let error = run.catalogue.demand(hash(5)).await.unwrap_err();
    assert!(error.to_string().contains("not_found"), "{error}");
    assert!(all(&run.library()).contains(&name(5)));
    run.until_complete().await;
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn late_links_are_asked_for_again_before_they_count_as_missing() {
    let fake = Fake::with(3);
    let bench = Bench::new(fake);
    let run = bench.start().await;
    run.until_complete().await;
    for (number, links) in [(10, 1), (11, 0)] {
        let mut fresh = torrent(number, 3);
        let now = bench.clock.now();
        fresh.summary.added = now;
        fresh.summary.ended = Some(now);
        bench.fake.add(fresh);
        bench.fake.inside().few_links.insert(id(number), links);
    }
    run.until("listed", |library| all(library).contains(&name(10)))
        .await;
    pass(60).await;
    bench.fake.inside().few_links.remove(&id(10));
    run.until("good", |library| known(library, hash(10))).await;
    let bad = view(&run.library(), "__bad__");
    assert!(bad.is_empty(), "{bad:?}");
    pass(120).await;
    let bad = view(&run.library(), "__bad__");
    assert!(
        bad.contains(&name(11)) && !bad.contains(&name(10)),
        "{bad:?}"
    );
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn changed_links_are_asked_for_again() {
    let bench = Bench::new(Fake::with(3));
    let run = bench.start().await;
    run.until_complete().await;
    let calls = bench.fake.inside().infos.len();
    bench.fake.inside().torrents[1].summary.links[0] =
        HosterLink("https://real-debrid.com/d/NEW".to_owned());
    pass(30).await;
    assert_eq!(bench.fake.inside().infos.len(), calls + 1);
    pass(300).await;
    assert_eq!(bench.fake.inside().infos.len(), calls + 1);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_torrents_of_a_hash_are_one_release_that_outlives_one_of_them() {
    let bench = Bench::new(Fake::with(3));
    let mut twin = torrent(50, 2);
    twin.summary.content = hash(1);
    bench.fake.add(twin);
    let run = bench.start().await;
    run.until_complete().await;
    assert_eq!(all(&run.library()).len(), 3);
    bench.fake.remove(1);
    pass(30).await;
    assert!(all(&run.library()).contains(&name(1)));
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn names_that_went_are_told_to_who_comes_later() {
    let bench = Bench::new(Fake::with(3));
    let run = bench.start().await;
    run.until_complete().await;
    let before = bench.clock.now();
    pass(1).await;
    bench.fake.remove(1);
    run.until("gone", |library| !all(library).contains(&name(1)))
        .await;
    run.stop().await;
    pass(1).await;
    let catalogue = bench.open().await;
    let library = catalogue.library().borrow().clone();
    let everything = library
        .views
        .iter()
        .find(|view| view.name == "__all__")
        .unwrap()
        .id;
    let retired = catalogue.retired_since(before);
    assert!(retired.contains(&(everything, name(1))), "{retired:?}");
    assert!(catalogue.retired_since(bench.clock.now()).is_empty());
}
