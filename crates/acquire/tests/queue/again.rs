//! What is grabbed again, and what the account holds in part: each add checks that all that is wanted is there.

use std::time::Duration;

use debridfs_acquire::{DeletePolicy, Selection, Step};
use debridfs_sim::{FileSpec, ReleaseSpec};

use crate::support::{HASH, World, cached, hash, tree};

/// A season of three episodes, of which the account holds those that are `selected`.
fn season(selected: [bool; 3]) -> ReleaseSpec {
    let episode = |number: usize| FileSpec {
        selected: selected[number],
        ..FileSpec::generated(
            format!("/Show.S01E0{}.mkv", number + 1),
            (900 << 20) + number as u64,
        )
    };
    ReleaseSpec {
        files: (0..3).map(episode).collect(),
        copies: 1,
        ..cached(HASH, "Show.S01")
    }
}

#[tokio::test(start_paused = true)]
async fn a_season_of_which_the_account_holds_one_episode_is_got_whole() {
    let world = World::new(vec![season([false, true, false])]).await;
    let there = world.torrents(HASH);
    world.grab(HASH, "Show.S01").await;
    world.complete(hash(HASH)).await;
    let links: Vec<String> = (1..=3)
        .map(|number| format!("tv/Show.S01/Show.S01E0{number}.mkv -> /mnt/dfs/__all__/Show.S01/Show.S01E0{number}.mkv"))
        .collect();
    assert_eq!(tree(&world.downloads()), links);
    let torrents = world.torrents(HASH);
    assert!(
        torrents.len() == 2 && torrents.contains(&there[0]),
        "{torrents:?}"
    );
    // Handed in again, the whole one is found.
    world.grab(HASH, "Show.S01").await;
    world
        .until(hash(HASH), |job| job.step == Step::Complete)
        .await;
    assert_eq!(world.torrents(HASH).len(), 2);
    // What was there before is not its own.
    let job = world.acquire.job(hash(HASH)).unwrap();
    let at = job.at.as_ref().unwrap();
    assert!(at.ours && at.torrent.0 != there[0]);
}

#[tokio::test(start_paused = true)]
async fn a_torrent_that_has_what_is_wanted_is_not_added_again() {
    let world = World::new(vec![season([true; 3])]).await;
    world.grab(HASH, "Show.S01").await;
    world.complete(hash(HASH)).await;
    assert_eq!(world.torrents(HASH).len(), 1);
    assert!(
        !world
            .acquire
            .job(hash(HASH))
            .unwrap()
            .at
            .as_ref()
            .unwrap()
            .ours
    );
}

#[tokio::test(start_paused = true)]
async fn links_that_were_imported_are_made_again_for_the_next_grab() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    world.grab(HASH, "Film.2024").await;
    world.complete(hash(HASH)).await;
    let links = tree(&world.downloads());
    let film = world.downloads().join("tv/Film.2024");
    for all in [false, true] {
        match all {
            false => std::fs::remove_file(film.join("Film.2024.mkv")).unwrap(),
            true => std::fs::remove_dir_all(&film).unwrap(),
        }
        world.grab(HASH, "Film.2024").await;
        let job = world.acquire.job(hash(HASH)).unwrap();
        assert_ne!(job.step, Step::Complete, "the arr must not look too soon");
        world.complete(hash(HASH)).await;
        assert_eq!(tree(&world.downloads()), links, "{all}");
    }
    assert_eq!(world.torrents(HASH).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_from_the_account_is_added_again_and_stays_ours() {
    let world = World::with(vec![cached(HASH, "Film.2024")], |config| {
        config.delete = DeletePolicy::Provider;
    })
    .await;
    world.grab(HASH, "Film.2024").await;
    world.complete(hash(HASH)).await;
    let first = world.torrents(HASH);
    world.sim.remove_torrent(0, &first[0]).unwrap();
    world.grab(HASH, "Film.2024").await;
    world.complete(hash(HASH)).await;
    let second = world.torrents(HASH);
    assert!(second.len() == 1 && second != first, "{second:?}");
    // A grab of what is there finds what it added the first time.
    world.grab(HASH, "Film.2024").await;
    world.complete(hash(HASH)).await;
    assert_eq!(world.torrents(HASH), second);
    world.acquire.remove(Selection::All, true).await.unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(world.torrents(HASH).is_empty());
}
