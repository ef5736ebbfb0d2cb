//! What others were told of torrents is not asked again.

use std::time::Duration;

use debridfs_provider::TorrentStatus;

use crate::bench::{Bench, all, known, pass};
use crate::fake::{Fake, hash, id, torrent};

#[tokio::test(start_paused = true)]
async fn a_torrent_that_was_told_is_shown_without_a_call() {
    let bench = Bench::new(Fake::with(300));
    let run = bench.start().await;
    run.until_complete().await;
    let (lists, infos) = {
        let inside = bench.fake.inside();
        (inside.lists, inside.infos.len())
    };
    bench.fake.add(torrent(300, 2));
    run.catalogue.told("rd", torrent(300, 2)).await;
    run.catalogue.demand(hash(300)).await.unwrap();
    assert!(known(&run.library(), hash(300)));
    {
        let inside = bench.fake.inside();
        assert_eq!((inside.lists, inside.infos.len()), (lists, infos));
    }
    // The list says what was told before: one page at each poll, and nothing is asked for.
    pass(60).await;
    {
        let inside = bench.fake.inside();
        assert_eq!(inside.infos.len(), infos);
        assert!(inside.lists <= lists + 7, "{} lists", inside.lists - lists);
    }
    assert_eq!(all(&run.library()).len(), 301);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_torrent_on_its_way_that_is_told_ready_is_not_asked_for() {
    let bench = Bench::new(Fake::with(3));
    let run = bench.start().await;
    run.until_complete().await;
    let mut waiting = torrent(3, 2);
    waiting.summary.status = TorrentStatus::WaitingFilesSelection;
    waiting.summary.links.clear();
    bench.fake.add(waiting);
    pass(20).await;
    let infos = bench.fake.inside().infos.len();
    bench.fake.remove(3);
    bench.fake.add(torrent(3, 2));
    run.catalogue.told("rd", torrent(3, 2)).await;
    run.until("its files", |library| known(library, hash(3)))
        .await;
    pass(30).await;
    assert_eq!(bench.fake.inside().infos.len(), infos);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_on_its_way_takes_nothing_back() {
    let bench = Bench::new(Fake::with(3));
    let run = bench.start().await;
    run.until_complete().await;
    // The page is asked for, and was made before the torrent was.
    run.catalogue.look_now();
    tokio::time::sleep(Duration::from_millis(40)).await;
    run.catalogue.told("rd", torrent(3, 2)).await;
    run.catalogue.demand(hash(3)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.fake.add(torrent(3, 2));
    for _ in 0..30 {
        pass(1).await;
        let library = run.library();
        let entry = library.release(hash(3)).unwrap();
        assert_eq!(entry.release.bad, None);
    }
    let history = run
        .catalogue
        .history(jiff::Timestamp::UNIX_EPOCH, 100)
        .await;
    let what: Vec<_> = history
        .unwrap()
        .into_iter()
        .map(|entry| entry.what)
        .collect();
    assert!(!what.contains(&"removed".to_owned()), "{what:?}");
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn links_that_were_late_are_asked_for_later() {
    let bench = Bench::new(Fake::with(3));
    let run = bench.start().await;
    run.until_complete().await;
    let now = run.catalogue.status().providers[0].last_answer.unwrap();
    let mut fresh = torrent(3, 2);
    fresh.summary.ended = Some(now);
    let mut late = fresh.clone();
    late.summary.links.pop();
    bench.fake.add(fresh);
    run.catalogue.told("rd", late).await;
    run.until("its files", |library| known(library, hash(3)))
        .await;
    let asked = bench.fake.inside().infos.clone();
    assert!(asked.iter().any(|(asked, _)| *asked == id(3)), "{asked:?}");
    run.stop().await;
}
