//! Torrents that the provider packed into one archive.

use debridfs_catalogue::{BadReason, Findings, Library, Member};
use debridfs_provider::{HosterLink, Part, Source};

use crate::bench::{Bench, all, pass, view};
use crate::fake::{Fake, hash, id, name, torrent};

/// The number of the torrent that comes as one archive of its two files.
const PACKED: u32 = 1;
/// The number of another one.
const OTHER: u32 = 2;

fn bench() -> Bench {
    let fake = Fake::new();
    fake.add(torrent(0, 2));
    let mut packed = torrent(PACKED, 2);
    packed.summary.links.truncate(1);
    fake.add(packed);
    Bench::new(fake)
}

fn members() -> Findings {
    let member = |number: u64| Member {
        path: format!("Season 0/Episode {number:04}.mkv"),
        offset: 100 + number * 2000,
        size: 1000,
    };
    Findings::Members {
        size: 5000,
        members: vec![member(0), member(1)],
    }
}

fn sources(library: &Library) -> Vec<Source> {
    library
        .views
        .iter()
        .filter(|view| view.name == "__all__")
        .flat_map(|view| view.entries.iter())
        .filter(|entry| entry.release.id == hash(PACKED))
        .filter_map(|entry| match &entry.release.contents {
            debridfs_catalogue::Contents::Known(tree) => Some(tree),
            debridfs_catalogue::Contents::Unknown => None,
        })
        .flat_map(|tree| tree.files.iter().flat_map(|file| tree.sources(file)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_found_shows_and_is_not_asked_for_again() {
    let bench = bench();
    let run = bench.start().await;
    run.until_complete().await;
    let bad = |library: &Library| view(library, "__bad__").contains(&name(PACKED));
    run.until("bad", bad).await;
    let owed = run.catalogue.unexamined().await;
    assert_eq!(owed.len(), 1);
    assert_eq!(owed[0].torrent, id(PACKED));
    run.catalogue.examined(&owed[0], members()).await;
    run.until("shown", |library| !bad(library)).await;
    assert!(run.catalogue.unexamined().await.is_empty());
    let before = sources(&run.library());
    let part = |offset| {
        Some(Part {
            offset,
            container: 5000,
        })
    };
    let parts: Vec<_> = before.iter().map(|source| source.part).collect();
    assert_eq!(parts, [part(100), part(2100)]);
    assert!(before.iter().all(|source| source.link == owed[0].links[0]));
    run.stop().await;

    // The same without asking anybody.
    let catalogue = bench.open().await;
    assert_eq!(sources(&catalogue.library().borrow().clone()), before);
    assert!(catalogue.unexamined().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_kept_as_well_and_a_new_link_is_a_new_archive() {
    let bench = bench();
    let run = bench.start().await;
    run.until_complete().await;
    let owed = run.catalogue.unexamined().await.remove(0);
    let refused = Findings::Refused(BadReason::RarCompressed);
    run.catalogue.examined(&owed, refused).await;
    let reason = |library: &Library| {
        let mut bad = library.views[1].entries.iter();
        bad.find(|entry| entry.release.id == hash(PACKED))
            .and_then(|entry| entry.release.bad)
    };
    run.until("the reason shows", |library| {
        reason(library) == Some(BadReason::RarCompressed)
    })
    .await;
    run.stop().await;
    let run = bench.start().await;
    assert_eq!(reason(&run.library()), Some(BadReason::RarCompressed));
    assert!(run.catalogue.unexamined().await.is_empty());

    let new = HosterLink("https://real-debrid.com/d/NEW".into());
    bench.fake.inside().torrents[0].summary.links = vec![new.clone()];
    run.until("unknown again", |library| {
        reason(library) == Some(BadReason::PackedRar)
    })
    .await;
    // An examination of the old link that ends now has nothing to say.
    run.catalogue.examined(&owed, members()).await;
    pass(60).await;
    let again = run.catalogue.unexamined().await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].links, [new]);
    run.catalogue.examined(&again[0], members()).await;
    run.until("shown", |library| reason(library).is_none())
        .await;
    assert!(all(&run.library()).contains(&name(PACKED)));
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_release_waits_for_one_look_at_what_its_links_give() {
    let bench = bench();
    let mut other = torrent(OTHER, 2);
    other.summary.links.truncate(1);
    bench.fake.add(other);
    let run = bench.start().await;
    run.until_complete().await;
    let ask = |number| tokio::spawn(run.catalogue.demand(hash(number)));
    let first = async || run.catalogue.unexamined().await.remove(0);
    for number in [PACKED, OTHER] {
        let asking = ask(number);
        pass(5).await;
        assert!(!asking.is_finished());
        let owed = first().await;
        assert_eq!(owed.torrent, id(number), "it is looked at before others");
        run.catalogue.not_examined(&owed);
        asking.await.unwrap().unwrap();
        // For nobody waits for the next attempt.
        ask(number).await.unwrap().unwrap();
    }
    run.stop().await;

    let run = bench.start().await;
    let asking = tokio::spawn(run.catalogue.demand(hash(PACKED)));
    pass(5).await;
    assert!(!asking.is_finished(), "another program looks again");
    let owed = run.catalogue.unexamined().await.remove(0);
    run.catalogue.examined(&owed, members()).await;
    asking.await.unwrap().unwrap();
    assert_eq!(sources(&run.library()).len(), 2, "they are shown by then");
    run.stop().await;
}
