//! An info-hash that is told later joins copies, and changes nothing of what was shown.

use debridfs_catalogue::{ALL, Library};
use debridfs_provider::{ContentId, ContentKind, TorrentInfo};
use jiff::SignedDuration;
use sqlx::Connection;

use crate::bench::{Bench, all, pass};
use crate::downgrade::open_before;
use crate::fake::{Fake, hash, torrent};

/// The torrent of that number as another provider has it: for longer, and in another directory.
fn elsewhere(number: u32) -> TorrentInfo {
    let mut torrent = torrent(number, 2);
    torrent.summary.added -= SignedDuration::from_hours(1);
    for file in &mut torrent.files {
        file.path = file.path.replace("Season", "Staffel");
    }
    torrent
}

/// It tells no info-hash.
fn nameless(number: u32) -> TorrentInfo {
    let mut torrent = elsewhere(number);
    torrent.summary.content = digest(number);
    torrent
}

fn digest(number: u32) -> ContentId {
    ContentId::of(ContentKind::Cloud, &number.to_be_bytes())
}

/// Every entry of `__all__`, as paths and handles know it: name, time, numbers of directories and files.
fn shown(library: &Library) -> Vec<String> {
    let entries = library.view(ALL).unwrap().entries.iter();
    let entries = entries.map(|entry| {
        let tree = entry.release.tree().unwrap();
        let files: Vec<_> = tree
            .files
            .iter()
            .map(|file| (file.id, &file.name))
            .collect();
        let (name, time) = (&entry.name, entry.release.added);
        format!(
            "{name} {time} {:?} {:?} {files:?}",
            entry.dir_ids, tree.dirs
        )
    });
    entries.collect()
}

/// Who gives the first file of a release.
fn sources(library: &Library, content: ContentId) -> Vec<String> {
    let release = &library.release(content).unwrap().release;
    let tree = release.tree().unwrap();
    let sources = tree.sources(&tree.files[0]);
    sources.map(|source| source.provider).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hash_that_is_learnt_joins_copies_and_changes_nothing_that_was_shown() {
    let (rd, pm) = (Fake::with(2), Fake::named("pm"));
    // One that the other account has as well, and one that it has not yet.
    pm.add(nameless(1));
    pm.add(nameless(7));
    let mut bench = Bench::new(rd.clone());
    bench.others.push(pm.clone());
    let run = bench.start().await;
    run.until_complete().await;
    run.until("all", |library| all(library).len() == 4).await;
    let before = shown(&run.library());
    assert_eq!(sources(&run.library(), digest(1)), ["pm"]);

    for number in [1, 7] {
        pm.remove(number);
        pm.add(elsewhere(number));
    }
    run.until("the hash", |library| {
        library.release(hash(7)).is_some() && library.release(hash(1)).is_some()
    })
    .await;
    pass(60).await;
    let joined = |library: &Library| {
        assert_eq!(shown(library), before);
        for content in [digest(1), hash(1)] {
            assert_eq!(sources(library, content), ["rd", "pm"]);
        }
    };
    joined(&run.library());
    assert_eq!(sources(&run.library(), digest(7)), ["pm"]);

    // The hash is told no more.
    pm.remove(7);
    pm.add(nameless(7));
    pass(60).await;
    assert_eq!(sources(&run.library(), hash(7)), ["pm"]);
    pm.remove(7);
    pm.add(elsewhere(7));

    // The other account gets it, from an older time: it is a copy of what is there.
    let mut older = torrent(7, 2);
    older.summary.id.0 = "older".to_owned();
    older.summary.added -= SignedDuration::from_hours(2);
    rd.add(older);
    run.until("two copies", |library| {
        sources(library, digest(7)) == ["rd", "pm"]
    })
    .await;
    joined(&run.library());
    assert_eq!(run.catalogue.copies(hash(7)).await.len(), 2);
    assert_eq!(run.catalogue.copies(digest(7)).await.len(), 2);
    run.catalogue.demand(digest(7)).await.unwrap();
    let release = run.library().release(digest(7)).unwrap().release.clone();
    assert_eq!(Some(hash(7)), release.info_hash().map(ContentId::from));

    // So it is after a kill, and when the account that had no hash loses it.
    pass(1).await;
    run.kill().await;
    let run = bench.start().await;
    joined(&run.library());
    pm.remove(7);
    run.until("one copy", |library| sources(library, digest(7)) == ["rd"])
        .await;
    assert_eq!(shown(&run.library()), before);
    run.stop().await;

    // The version before shows the torrent by its hash. That stays, beside what was shown.
    let mut old = open_before(&bench.path()).await;
    sqlx::query("INSERT INTO shown (hash, name, added, good) VALUES (?, 'Film', 0, 1)")
        .bind(hash(7).to_string())
        .execute(&mut old)
        .await
        .unwrap();
    old.close().await.unwrap();
    let again = bench.open().await;
    let library = again.library().borrow().clone();
    assert_eq!(all(&library).len(), 5);
    for line in &before {
        assert!(shown(&library).contains(line), "{line}");
    }
    for content in [digest(7), hash(7)] {
        assert_eq!(sources(&library, content), ["rd"]);
    }
}
