//! Accounts whose lists carry files and tell no total before they end.

use debridfs_provider::{TorrentStatus, Verdict};

use crate::bench::{Bench, all, known, pass};
use crate::fake::{Fake, Fault, hash, torrent};

async fn bench(count: u32) -> Bench {
    let bench = Bench::new(Fake::with(count));
    {
        let mut inside = bench.fake.inside();
        inside.whole_lines = true;
        inside.page = usize::MAX;
    }
    bench
}

#[tokio::test(start_paused = true)]
async fn the_first_sync_takes_nothing_but_the_list() {
    let bench = bench(3000).await;
    let run = bench.start().await;
    run.until_complete().await;
    assert!((0..3000).all(|number| known(&run.library(), hash(number))));
    assert_eq!(run.catalogue.status().files, 6000);
    {
        let inside = bench.fake.inside();
        assert_eq!((inside.lists, inside.infos.len()), (1, 0));
    }
    // Over a restart as well.
    run.stop().await;
    let run = bench.start().await;
    pass(60).await;
    run.until_complete().await;
    assert_eq!(bench.fake.inside().infos.len(), 0);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_changes_is_seen_without_a_total_and_without_a_call_of_its_own() {
    let bench = bench(300).await;
    let run = bench.start().await;
    run.until_complete().await;
    let lists = bench.fake.inside().lists;
    let mut coming = torrent(300, 2);
    coming.summary.status = TorrentStatus::Downloading;
    bench.fake.add(coming);
    pass(30).await;
    assert_eq!(all(&run.library()).len(), 300, "not ready");
    bench.fake.inside().torrents[0] = torrent(300, 3);
    run.until("ready", |library| known(library, hash(300)))
        .await;
    assert_eq!(run.catalogue.status().files, 603);
    // A file that gets another name.
    bench.fake.inside().torrents[1].files[0].path = "/Other.mkv".to_owned();
    pass(30).await;
    let library = run.library();
    let release = library.release(hash(299).info_hash().unwrap()).unwrap();
    let tree = release.release.tree().unwrap();
    assert!(
        tree.files
            .iter()
            .any(|file| tree.path_of(debridfs_catalogue::Layout::Tree, file) == "Other.mkv")
    );
    let (infos, asked) = {
        let inside = bench.fake.inside();
        (inside.infos.len(), inside.lists - lists)
    };
    assert_eq!(infos, 0);
    assert!(asked < 20, "{asked}: first pages, not whole lists at each");
    assert_eq!(run.catalogue.status().providers[0].trouble, None);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_end_proves_nothing_gone() {
    let bench = bench(300).await;
    let run = bench.start().await;
    run.until_complete().await;
    // A full list is asked for, and does not tell that it ended.
    {
        let mut inside = bench.fake.inside();
        inside.torrents.truncate(150);
        inside.fault = Some(Fault::NoCount);
    }
    pass(7 * 3600).await;
    assert_eq!(all(&run.library()).len(), 300);
    bench.fake.inside().fault = Some(Fault::Fails(Verdict::Retry));
    pass(60).await;
    assert_eq!(all(&run.library()).len(), 300);
    run.stop().await;
}
