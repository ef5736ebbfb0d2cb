//! Large losses are held.

use std::collections::BTreeSet;

use debridfs_provider::TorrentId;

use crate::bench::{Bench, all, pass, view};
use crate::fake::{Fake, Fault, id, name, torrent};

async fn lose_half(bench: &Bench) -> BTreeSet<TorrentId> {
    let lost: BTreeSet<_> = (0..50).map(id).collect();
    bench
        .fake
        .inside()
        .torrents
        .retain(|torrent| !lost.contains(&torrent.summary.id));
    pass(15).await;
    lost
}

#[tokio::test(start_paused = true)]
async fn a_lasting_loss_is_believed_after_two_more_lists() {
    let bench = Bench::new(Fake::with(100));
    let run = bench.start().await;
    run.until_complete().await;
    lose_half(&bench).await;
    assert_eq!(all(&run.library()).len(), 100);
    let status = run.catalogue.status();
    assert_eq!(status.held.len(), 1, "{status:#?}");
    assert_eq!(status.held[0].torrents, 50);
    assert_eq!(status.held[0].names.len(), 10);
    let wait = status.held[0]
        .next_check
        .unwrap()
        .duration_since(status.held[0].since);
    assert_eq!(wait.as_mins(), 10);
    // What comes meanwhile shows, and does not confirm anything.
    let lists = bench.fake.inside().lists;
    bench.fake.add(torrent(200, 1));
    pass(60).await;
    assert!(all(&run.library()).contains(&name(200)));
    assert!(bench.fake.inside().lists - lists <= 8);
    pass(18 * 60).await;
    assert_eq!(all(&run.library()).len(), 101);
    assert_eq!(run.catalogue.status().held[0].confirmations, 1);
    pass(2 * 60).await;
    assert_eq!(all(&run.library()).len(), 51);
    assert_eq!(view(&run.library(), "__bad__").len(), 50);
    assert!(run.catalogue.status().held.is_empty());
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_holding() {
    let bench = Bench::new(Fake::with(100));
    let run = bench.start().await;
    run.until_complete().await;
    lose_half(&bench).await;
    let held = run.catalogue.status().held;
    run.kill().await;
    pass(300).await;
    let run = bench.start().await;
    pass(15).await;
    assert_eq!(run.catalogue.status().held, held);
    assert_eq!(all(&run.library()).len(), 100);
    pass(20 * 60).await;
    assert_eq!(all(&run.library()).len(), 50);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_passing_loss_is_forgotten() {
    for fault in [Fault::Half, Fault::Empty] {
        let bench = Bench::new(Fake::with(100));
        let run = bench.start().await;
        run.until_complete().await;
        bench.fake.inside().fault = Some(fault);
        for _ in 0..60 {
            pass(10).await;
            assert_eq!(all(&run.library()).len(), 100);
        }
        assert!(!run.catalogue.status().held.is_empty());
        bench.fake.inside().fault = None;
        pass(15).await;
        assert!(run.catalogue.status().held.is_empty(), "{fault:?}");
        pass(3600).await;
        assert_eq!(all(&run.library()).len(), 100);
        run.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_held_however_small_the_library() {
    let bench = Bench::new(Fake::with(3));
    let run = bench.start().await;
    run.until_complete().await;
    bench.fake.inside().fault = Some(Fault::Empty);
    pass(19 * 60).await;
    assert_eq!(all(&run.library()).len(), 3);
    assert_eq!(run.catalogue.status().held[0].torrents, 3);
    pass(3 * 60).await;
    assert!(all(&run.library()).is_empty());
    assert!(run.library().listed);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn accepting_ends_the_wait() {
    let bench = Bench::new(Fake::with(100));
    let run = bench.start().await;
    run.until_complete().await;
    lose_half(&bench).await;
    assert_eq!(run.catalogue.accept().await, 50);
    run.until("gone", |library| all(library).len() == 50).await;
    assert!(run.catalogue.status().held.is_empty());
    let history = run
        .catalogue
        .history(jiff::Timestamp::UNIX_EPOCH, 100_000)
        .await
        .unwrap();
    let count = |what: &str| history.iter().filter(|entry| entry.what == what).count();
    assert_eq!((count("held"), count("accepted")), (50, 50));
    assert_eq!(run.catalogue.accept().await, 0);
    run.stop().await;
}
