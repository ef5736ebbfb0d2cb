//! What becomes of a grab.

use std::sync::atomic::Ordering;
use std::time::Duration;

use debridfs_acquire::{
    Action, Added, CategoryRule, DeletePolicy, FileFilter, ProbeError, Release, Selection, Step,
    Uncached,
};
use debridfs_sim::{ApiFault, FileSpec, Outage, OutageMode, Outcome, ReleaseSpec};

use crate::support::{HASH, World, cached, hash, in_category, magnet, tree};

#[tokio::test(start_paused = true)]
async fn a_cached_magnet_becomes_links_of_the_wanted_files() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let added = world
        .acquire
        .add(magnet(HASH, "Film.2024"), in_category("tv"))
        .await;
    assert_eq!(added.unwrap(), Added::New);
    let job = world.complete(hash(HASH)).await;
    assert_eq!(job.content_path(), world.downloads().join("tv/Film.2024"));
    assert_eq!(
        tree(&world.downloads()),
        [
            "tv/Film.2024/Film.2024.mkv -> /mnt/dfs/__all__/Film.2024/Film.2024.mkv",
            "tv/Film.2024/Subs/Film.2024.srt -> /mnt/dfs/__all__/Film.2024/Subs/Film.2024.srt",
        ]
    );
    let mut probed = world.library.probed.lock().unwrap().clone();
    probed.sort();
    assert_eq!(
        probed,
        ["Film.2024.mkv", "Subs/Film.2024.srt"],
        "every wanted file, no other"
    );
    let selected = world.sim.torrents(0).unwrap().remove(0).files;
    let selected: Vec<bool> = selected.iter().map(|file| file.selected).collect();
    assert_eq!(
        selected,
        [true, true, false, false],
        "the rest is not asked of the provider"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_account_said_of_a_ready_torrent_is_handed_to_the_library() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    world.grab(HASH, "x").await;
    world.complete(hash(HASH)).await;
    let told = world.library.told.lock().unwrap().clone();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].summary.content, hash(HASH).into());
    assert_eq!(told[0].files.len(), 4);
    let asked = world.sim.counters().calls_of("torrents/info");
    assert_eq!(asked, 2, "before and after its files were selected");
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_in_twice_is_added_once() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    for _ in 0..3 {
        let release = magnet(HASH, "Film.2024");
        world.acquire.add(release, in_category("tv")).await.unwrap();
    }
    world.complete(hash(HASH)).await;
    let again = world
        .acquire
        .add(magnet(&HASH.to_uppercase(), "x"), in_category("tv"))
        .await;
    assert_eq!(again.unwrap(), Added::Known);
    world.complete(hash(HASH)).await;
    assert_eq!(world.acquire.jobs().len(), 1);
    assert_eq!(world.torrents(HASH).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_account_holds_is_not_added_again_nor_ever_deleted() {
    let mut there = cached(HASH, "Film.2024");
    there.copies = 1;
    let world = World::with(vec![there], |config| config.delete = DeletePolicy::Provider).await;
    let before = world.torrents(HASH);
    world.grab(HASH, "x").await;
    world.complete(hash(HASH)).await;
    assert_eq!(world.torrents(HASH), before);
    world.acquire.remove(Selection::All, true).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.torrents(HASH), before);
    assert!(tree(&world.downloads()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_an_add_makes_no_second_torrent() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    // The call is made, and its answer is cut off.
    world.sim.fail_api(ApiFault {
        endpoint: Some("torrents/addMagnet".to_owned()),
        times: Some(1),
        cut_body: Some(3),
        ..ApiFault::default()
    });
    world.grab(HASH, "Film.2024").await;
    world.complete(hash(HASH)).await;
    assert_eq!(world.torrents(HASH).len(), 1);
}

fn uncached(name: &str) -> ReleaseSpec {
    ReleaseSpec {
        cached: false,
        ..cached(HASH, name)
    }
}

async fn grab_uncached(policy: Uncached) -> (World, std::sync::Arc<debridfs_acquire::Job>) {
    let world = World::with(vec![uncached("Slow.2024")], |config| {
        let rule = CategoryRule {
            uncached: Some(policy),
            ..CategoryRule::default()
        };
        config.categories.insert("slow".to_owned(), rule);
    })
    .await;
    world.sim.configure(|settings| {
        settings.magnet_conversion_ms = 3_000;
        settings.downloading_ms = 600_000;
    });
    world
        .acquire
        .add(magnet(HASH, "Slow.2024"), in_category("slow"))
        .await
        .unwrap();
    let job = world.settled(hash(HASH)).await;
    (world, job)
}

#[tokio::test(start_paused = true)]
async fn an_uncached_release_follows_the_policy_of_its_category() {
    let (world, job) = grab_uncached(Uncached::Wait).await;
    assert_eq!(job.step, Step::Complete);
    let info = world.sim.counters().calls_of("torrents/info");
    assert!(
        info < 20,
        "{info} calls of its own in ten minutes: the list tells the progress"
    );

    for policy in [Uncached::Refuse, Uncached::UpTo(Duration::from_secs(120))] {
        let (world, job) = grab_uncached(policy).await;
        assert_eq!(job.step, Step::Failed, "{policy:?}");
        let reason = job.reason.clone().unwrap();
        assert!(reason.contains("does not have it"), "{reason}");
        world.until_torrents(HASH, 0).await;
    }
    let (_, job) = grab_uncached(Uncached::UpTo(Duration::from_secs(3600))).await;
    assert_eq!(job.step, Step::Complete);
}

#[tokio::test(start_paused = true)]
async fn which_files_are_wanted_follows_the_category() {
    let films = FileFilter {
        extensions: vec!["mkv".to_owned()],
        samples: true,
        ..FileFilter::default()
    };
    let world = World::with(vec![cached(HASH, "Film.2024")], |config| {
        let rule = CategoryRule {
            filter: Some(films),
            ..CategoryRule::default()
        };
        config.categories.insert("films".to_owned(), rule);
    })
    .await;
    for (category, wanted) in [
        ("films", ["Film.2024.mkv", "Sample/Film.2024-sample.mkv"]),
        ("other", ["Film.2024.mkv", "Subs/Film.2024.srt"]),
    ] {
        let added = world
            .acquire
            .add(magnet(HASH, "Film.2024"), in_category(category));
        added.await.unwrap();
        let job = world.complete(hash(HASH)).await;
        let files = job.files.iter().filter(|file| file.wanted);
        let mut paths: Vec<&str> = files.map(|file| &*file.path).collect();
        paths.sort_unstable();
        assert_eq!(paths, wanted, "{category}");
        let one = Selection::Some(vec![hash(HASH)]);
        world.acquire.remove(one, true).await.unwrap();
        for torrent in world.torrents(HASH) {
            world.sim.remove_torrent(0, &torrent).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_fails_with_its_reason() {
    for (outcome, word) in [
        (Outcome::MagnetError, "magnet_error"),
        (Outcome::Error, "error"),
        (Outcome::Virus, "virus"),
        (Outcome::Dead, "dead"),
        (Outcome::Infringing, "infringing"),
    ] {
        let release = ReleaseSpec {
            outcome,
            ..uncached("Dead.2024")
        };
        let world = World::new(vec![release]).await;
        world.grab(HASH, "x").await;
        let job = world.settled(hash(HASH)).await;
        assert_eq!(job.step, Step::Failed);
        let reason = job.reason.clone().unwrap();
        assert!(reason.contains(word), "{word}: {reason}");
    }
    let only_text = ReleaseSpec {
        files: vec![FileSpec::generated("/readme.txt", 10)],
        ..cached(HASH, "Text")
    };
    let world = World::new(vec![only_text]).await;
    world.grab(HASH, "x").await;
    let job = world.settled(hash(HASH)).await;
    assert_eq!(job.reason.as_deref(), Some("none of its 1 files is wanted"));
}

#[tokio::test(start_paused = true)]
async fn an_archive_inside_the_torrent_is_refused_in_plain_words() {
    let packed = ReleaseSpec {
        files: vec![
            FileSpec::generated("/film.rar", 50 << 20),
            FileSpec::generated("/film.r00", 50 << 20),
        ],
        ..cached(HASH, "Packed")
    };
    let world = World::new(vec![packed]).await;
    world.grab(HASH, "x").await;
    let job = world.settled(hash(HASH)).await;
    let reason = job.reason.clone().unwrap();
    assert!(reason.contains("film.rar and 1 more"), "{reason}");
    world.until_torrents(HASH, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_whose_archive_was_not_looked_into_yet_is_waited_for() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    *world.library.unsettled.lock().unwrap() = Some("its RAR was not looked into yet".into());
    world.grab(HASH, "x").await;
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    let job = world.acquire.job(hash(HASH)).unwrap();
    assert_eq!(job.step, Step::Ready, "{:?}", job.reason);
    assert_eq!(
        job.live.trouble.as_deref(),
        Some("its RAR was not looked into yet")
    );
    *world.library.unsettled.lock().unwrap() = None;
    world.complete(hash(HASH)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pack_of_seasons_keeps_its_folders() {
    let episode = |path: &str| FileSpec::generated(path, 500 << 20);
    let pack = ReleaseSpec {
        files: vec![
            episode("/Season 1/E01.mkv"),
            episode("/Season 2/E01.mkv"),
            episode("/Season 0/E01 - Special.mkv"),
        ],
        ..cached(HASH, "Show.S00-S02")
    };
    let world = World::new(vec![pack]).await;
    world.grab(HASH, "x").await;
    world.complete(hash(HASH)).await;
    let links = tree(&world.downloads());
    assert_eq!(links.len(), 3, "{links:?}");
    let second =
        "tv/Show.S00-S02/Season 2/E01.mkv -> /mnt/dfs/__all__/Show.S00-S02/Season 2/E01.mkv";
    assert!(links.iter().any(|link| link == second), "{links:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_fails_nothing() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    world.sim.set_outage(Outage {
        api: OutageMode::Unavailable,
        cdn: OutageMode::Unavailable,
    });
    world.grab(HASH, "Film.2024").await;
    let job = world
        .until(hash(HASH), |job| job.live.trouble.is_some())
        .await;
    assert_eq!(job.step, Step::Placed);
    tokio::time::sleep(Duration::from_secs(600)).await;
    world.sim.set_outage(Outage::default());
    world.complete(hash(HASH)).await;
    assert_eq!(world.torrents(HASH).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_file_holds_the_job_and_a_refused_one_fails_it() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let set = |error: Option<ProbeError>| {
        let mut probes = world.library.probes.lock().unwrap();
        probes.clear();
        probes.extend(error.map(|error| ("Film.2024.mkv".to_owned(), error)));
    };
    set(Some(ProbeError::NoAnswer("stalled".into())));
    world.grab(HASH, "Film.2024").await;
    world
        .until(hash(HASH), |job| job.live.trouble.is_some())
        .await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let job = world.acquire.job(hash(HASH)).unwrap();
    assert_eq!(job.step, Step::Ready, "no answer says nothing of the file");
    assert!(
        tree(&world.downloads()).is_empty(),
        "nothing is shown to the arr before it can be read"
    );
    set(None);
    world.complete(hash(HASH)).await;

    set(Some(ProbeError::Refused("404".into())));
    world.acquire.recheck(Selection::All).await.unwrap();
    let job = world.settled(hash(HASH)).await;
    let reason = job.reason.clone().unwrap();
    assert!(
        reason.contains("Film.2024.mkv cannot be read: 404"),
        "{reason}"
    );
    // Handed in again, it is tried again.
    set(None);
    world.grab(HASH, "Film.2024").await;
    world.complete(hash(HASH)).await;
}

#[tokio::test(start_paused = true)]
async fn a_torrent_file_is_handed_on_and_what_happens_on_deletion_is_policy() {
    let file = b"d4:infod5:filesld6:lengthi5000000000e4:pathl10:Film.A.mkveee4:name6:Film.A12:piece lengthi1e6:pieces0:ee";
    for policy in [
        DeletePolicy::Ignore,
        DeletePolicy::Trash,
        DeletePolicy::Provider,
    ] {
        let world = World::with(Vec::new(), |config| config.delete = policy).await;
        world
            .sim
            .configure(|settings| settings.unknown_hashes_cached = true);
        let release = Release::from_torrent(bytes::Bytes::from_static(file)).unwrap();
        let (id, text) = (release.hash, release.hash.to_string());
        world
            .acquire
            .add(release.clone(), in_category("tv"))
            .await
            .unwrap();
        world.complete(id).await;
        assert_eq!(tree(&world.downloads()).len(), 1);
        assert_eq!(world.acquire.remove(Selection::All, true).await.unwrap(), 1);
        assert!(world.acquire.jobs().is_empty());
        assert!(tree(&world.downloads()).is_empty());
        tokio::time::sleep(Duration::from_secs(120)).await;
        let left = world.torrents(&text).len();
        assert_eq!(
            left,
            usize::from(policy != DeletePolicy::Provider),
            "{policy:?}"
        );
        if policy == DeletePolicy::Trash {
            tokio::time::sleep(Duration::from_secs(8 * 24 * 3600)).await;
            assert!(world.torrents(&text).is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_trash_is_taken_out_when_it_is_asked_for_again() {
    let world = World::with(vec![cached(HASH, "Film.2024")], |config| {
        config.delete = DeletePolicy::Trash;
    })
    .await;
    world.grab(HASH, "x").await;
    world.complete(hash(HASH)).await;
    world.acquire.remove(Selection::All, true).await.unwrap();
    world.grab(HASH, "x").await;
    world.complete(hash(HASH)).await;
    tokio::time::sleep(Duration::from_secs(30 * 24 * 3600)).await;
    assert_eq!(world.torrents(HASH).len(), 1);
    assert_eq!(world.acquire.status().deletions, 0);
}

#[tokio::test(start_paused = true)]
async fn without_files_only_the_job_goes() {
    let world = World::with(vec![cached(HASH, "Film.2024")], |config| {
        config.delete = DeletePolicy::Provider;
    })
    .await;
    world.grab(HASH, "x").await;
    world.complete(hash(HASH)).await;
    world
        .acquire
        .remove(Selection::Some(vec![hash(HASH)]), false)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(tree(&world.downloads()).len(), 2);
    assert_eq!(world.torrents(HASH).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_action_none_points_at_the_mount() {
    let world = World::with(vec![cached(HASH, "Film.2024")], |config| {
        config.action = Action::None;
    })
    .await;
    world.grab(HASH, "x").await;
    let job = world.complete(hash(HASH)).await;
    assert_eq!(
        job.content_path().to_str(),
        Some("/mnt/dfs/__all__/Film.2024")
    );
    assert!(tree(&world.downloads()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn links_that_are_gone_come_back_with_a_restart_and_a_recheck() {
    let mut world = World::new(vec![cached(HASH, "Film.2024")]).await;
    world.grab(HASH, "x").await;
    world.complete(hash(HASH)).await;
    let links = tree(&world.downloads());
    std::fs::remove_dir_all(world.downloads()).unwrap();
    world.restart(|_| {}).await;
    for _ in 0..1000 {
        if tree(&world.downloads()) == links {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(tree(&world.downloads()), links);
    std::fs::remove_file(world.downloads().join("tv/Film.2024/Film.2024.mkv")).unwrap();
    world.acquire.recheck(Selection::All).await.unwrap();
    world.complete(hash(HASH)).await;
    assert_eq!(tree(&world.downloads()), links);
}

#[tokio::test(start_paused = true)]
async fn jobs_are_begun_in_their_order_and_not_while_stopped() {
    let hashes: Vec<String> = (0..30).map(|n| format!("{n:040x}")).collect();
    let releases = hashes
        .iter()
        .map(|hash| cached(hash, &format!("R{hash:.38}{}", &hash[38..])));
    let world = World::new(releases.collect()).await;
    let mut options = in_category("tv");
    options.stopped = true;
    for text in &hashes {
        world
            .acquire
            .add(magnet(text, "x"), options.clone())
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.sim.torrents(0).unwrap().is_empty());
    let last = Selection::Some(vec![hash(&hashes[29])]);
    world
        .acquire
        .reorder(last.clone(), debridfs_acquire::Move::First)
        .await
        .unwrap();
    world
        .acquire
        .edit(last, |job| job.forced = true)
        .await
        .unwrap();
    world.complete(hash(&hashes[29])).await;
    assert_eq!(
        world.sim.torrents(0).unwrap().len(),
        1,
        "only the forced one"
    );
    world
        .acquire
        .edit(Selection::All, |job| job.stopped = false)
        .await
        .unwrap();
    for text in &hashes {
        world.complete(hash(text)).await;
    }
    assert_eq!(world.sim.torrents(0).unwrap().len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_dead_subtitle_is_left_out_and_told_and_the_film_is_complete() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let dead = ProbeError::Refused("the file is unavailable".into());
    let probes = &world.library.probes;
    probes
        .lock()
        .unwrap()
        .insert("Film.2024.srt".to_owned(), dead);
    world.grab(HASH, "Film.2024").await;
    let job = world.complete(hash(HASH)).await;
    assert_eq!(
        tree(&world.downloads()),
        ["tv/Film.2024/Film.2024.mkv -> /mnt/dfs/__all__/Film.2024/Film.2024.mkv"]
    );
    assert_eq!(
        job.reason.as_deref(),
        Some("left out: Subs/Film.2024.srt cannot be read: the file is unavailable")
    );
    assert_eq!(job.evidence, None);
    let asked = world.library.probed.lock().unwrap().clone();
    let times = asked.iter().filter(|path| path.ends_with("srt")).count();
    assert_eq!(times, 3, "one refusal may be a slip");
    // Mended, and looked at again: it is there, and nothing is told any more.
    probes.lock().unwrap().clear();
    world.acquire.recheck(Selection::All).await.unwrap();
    let job = world.complete(hash(HASH)).await;
    assert_eq!(tree(&world.downloads()).len(), 2);
    assert_eq!(job.reason, None);
}

#[tokio::test(start_paused = true)]
async fn a_dead_film_fails_the_job_whatever_else_is_well_or_dead() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let dead = ProbeError::Refused("the file is unavailable".into());
    for file in ["Film.2024.srt", "Film.2024.mkv"] {
        let probes = &world.library.probes;
        probes.lock().unwrap().insert(file.to_owned(), dead.clone());
    }
    world.grab(HASH, "Film.2024").await;
    let job = world.settled(hash(HASH)).await;
    assert_eq!(job.evidence, Some(debridfs_acquire::Evidence::Unreadable));
    assert!(job.reason.as_ref().unwrap().starts_with("Film.2024.mkv"));
}

#[tokio::test(start_paused = true)]
async fn in_a_flat_layout_files_are_judged_by_their_path_in_the_torrent() {
    let release = ReleaseSpec {
        files: vec![
            FileSpec::generated("/Film.2024.mkv", 5 << 30),
            FileSpec::generated("/Sample/film.mkv", 60 << 20),
            FileSpec::generated("/Subs/English.srt", 50_000),
            FileSpec::generated("/Subs/French.srt", 50_000),
        ],
        // Somebody has all of it in the account.
        copies: 1,
        ..cached(HASH, "Film.2024")
    };
    let world = World::new(vec![release]).await;
    world.library.flat.store(true, Ordering::Relaxed);
    world.grab(HASH, "Film.2024").await;
    world.complete(hash(HASH)).await;
    assert_eq!(
        tree(&world.downloads()),
        [
            "tv/Film.2024/English.srt -> /mnt/dfs/__all__/Film.2024/English.srt",
            "tv/Film.2024/Film.2024.mkv -> /mnt/dfs/__all__/Film.2024/Film.2024.mkv",
            "tv/Film.2024/French.srt -> /mnt/dfs/__all__/Film.2024/French.srt",
        ]
    );
}
