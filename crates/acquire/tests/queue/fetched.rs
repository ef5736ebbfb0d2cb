//! The actions that make real files: `download` and `strm`.

use std::fs;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use debridfs_acquire::{Action, CategoryRule, Selection, Step};
use debridfs_sim::{FileSpec, ReleaseSpec, content};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    HASH, SMALL, World, assert_whole, cached, hash, in_category, magnet, small, tree,
};

const MIB: u64 = 1 << 20;
/// What is stored of a file's progress is at most so far behind.
const STORED_EVERY: u64 = 32 * MIB;

async fn downloading(releases: Vec<ReleaseSpec>) -> World {
    World::with(releases, |config| config.action = Action::Download).await
}

/// A release of one film of `bytes`.
fn film(bytes: u64) -> ReleaseSpec {
    ReleaseSpec {
        files: vec![FileSpec::generated("/Film.2024.mkv", bytes)],
        ..cached(HASH, "Film.2024")
    }
}

async fn grab(world: &World) {
    let release = magnet(HASH, "Film.2024");
    world.acquire.add(release, in_category("tv")).await.unwrap();
}

fn is_right(world: &World, bytes: u64) -> bool {
    let found = fs::read(world.downloads().join("tv/Film.2024/Film.2024.mkv")).unwrap();
    let mut right = vec![0; usize::try_from(bytes).unwrap()];
    content::fill(content::key(HASH, "/Film.2024.mkv"), 0, &mut right);
    found == right
}

#[tokio::test(start_paused = true)]
async fn files_are_fetched_whole_and_show_at_once() {
    let world = downloading(vec![small(HASH, "Film.2024")]).await;
    world.library.reads.readable.store(0, Ordering::SeqCst);
    grab(&world).await;
    world
        .until(hash(HASH), |job| {
            job.is_fetching() && job.live.trouble.is_some()
        })
        .await;
    world
        .library
        .reads
        .readable
        .store(u64::MAX, Ordering::SeqCst);
    assert!(
        !world.downloads().join("tv/Film.2024").exists(),
        "not before it is whole"
    );
    world.complete(hash(HASH)).await;
    assert_whole(&world, HASH, "Film.2024");
    assert_eq!(
        world.library.reads.bytes(),
        SMALL + 50_001,
        "each byte once"
    );
    assert_eq!(world.acquire.remove(Selection::All, true).await.unwrap(), 1);
    assert!(tree(&world.downloads()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_action_is_the_category_s() {
    let world = World::with(vec![small(HASH, "Film.2024")], |config| {
        let rule = CategoryRule {
            action: Some(Action::Download),
            ..CategoryRule::default()
        };
        config.categories.insert("tv".to_owned(), rule);
    })
    .await;
    grab(&world).await;
    world.complete(hash(HASH)).await;
    assert_whole(&world, HASH, "Film.2024");
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept_and_the_progress_is_shown() {
    let world = World::with(vec![film(100 * MIB)], |config| {
        config.action = Action::Download;
        config.download_rate = 5 * MIB;
    })
    .await;
    let api = world.api();
    let started = Instant::now();
    grab(&world).await;
    let (mut progress, mut seen) = (0.0, Vec::new());
    while world.acquire.job(hash(HASH)).unwrap().step != Step::Complete {
        let torrent = api.get("torrents/info").await.json()[0].clone();
        let now = torrent["progress"].as_f64().unwrap();
        assert!(now >= progress && now < 1.0, "{now} after {progress}");
        progress = now;
        if torrent["dlspeed"].as_u64().unwrap() > 0 {
            assert_eq!(torrent["state"], json!("downloading"));
            seen.push((
                torrent["dlspeed"].as_u64().unwrap(),
                torrent["eta"].as_i64().unwrap(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(started.elapsed() < Duration::from_secs(600), "{torrent}");
    }
    // All but the first piece of 4 MiB wait for their turn.
    assert!(
        started.elapsed() >= Duration::from_secs(19),
        "{:?}",
        started.elapsed()
    );
    assert!(seen.len() > 5, "{seen:?}");
    assert!(
        seen.iter()
            .all(|(speed, eta)| *speed <= 16 * MIB && *eta <= 40),
        "{seen:?}"
    );
    assert!(is_right(&world, 100 * MIB));
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was() {
    let mut world = downloading(vec![film(100 * MIB)]).await;
    world
        .library
        .reads
        .readable
        .store(70 * MIB, Ordering::SeqCst);
    grab(&world).await;
    let stopped = world
        .until(hash(HASH), |job| job.live.trouble.is_some())
        .await;
    assert!(
        stopped
            .live
            .trouble
            .as_ref()
            .unwrap()
            .contains("cannot be read just now")
    );
    // What came before the piece that cannot be read is on the disk.
    assert_eq!(stopped.fetched["Film.2024.mkv"], 68 * MIB);
    let part = world
        .downloads()
        .join(format!("tv/.debridfs-{HASH}.part/Film.2024.mkv"));
    // As after a loss of power: more of the file shows than ever got to the disk.
    fs::OpenOptions::new()
        .write(true)
        .open(&part)
        .unwrap()
        .set_len(90 * MIB)
        .unwrap();
    world.library.reads.done.lock().unwrap().clear();
    world
        .library
        .reads
        .readable
        .store(u64::MAX, Ordering::SeqCst);
    world
        .restart(|config| config.action = Action::Download)
        .await;
    world.complete(hash(HASH)).await;
    assert!(is_right(&world, 100 * MIB));
    assert_eq!(world.library.reads.bytes(), 32 * MIB, "only the rest");
}

#[tokio::test(start_paused = true)]
async fn a_stop_costs_little() {
    let world = World::with(vec![film(200 * MIB)], |config| {
        config.action = Action::Download;
        config.download_rate = 10 * MIB;
    })
    .await;
    grab(&world).await;
    world
        .until(hash(HASH), |job| job.fetched.values().any(|at| *at > 0))
        .await;
    world
        .acquire
        .edit(Selection::All, |job| job.stopped = true)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let at = world.library.reads.bytes();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.library.reads.bytes(), at, "stopped");
    world
        .acquire
        .edit(Selection::All, |job| job.stopped = false)
        .await
        .unwrap();
    world.complete(hash(HASH)).await;
    assert!(is_right(&world, 200 * MIB));
    let fetched = world.library.reads.bytes();
    assert!(fetched <= 200 * MIB + STORED_EVERY + 16 * MIB, "{fetched}");
}

#[tokio::test(start_paused = true)]
async fn a_job_removed_on_its_way_leaves_nothing() {
    let mut world = World::with(vec![film(200 * MIB)], |config| {
        config.action = Action::Download;
        config.download_rate = 10 * MIB;
    })
    .await;
    grab(&world).await;
    world.until(hash(HASH), |job| job.live.fetched > 0).await;
    assert_eq!(tree(&world.downloads()).len(), 1);
    // The files of one who removes only the job are of no use either while they are half there.
    world.acquire.remove(Selection::All, false).await.unwrap();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if tree(&world.downloads()).is_empty() {
            break;
        }
    }
    assert!(tree(&world.downloads()).is_empty());
    // Killed while it was removing.
    let left = world.downloads().join(format!("tv/.debridfs-{HASH}.part"));
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("x.mkv"), "x").unwrap();
    world
        .acquire
        .create_category("tv".to_owned(), String::new())
        .await
        .ok();
    world
        .restart(|config| config.action = Action::Download)
        .await;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if !left.exists() {
            return;
        }
    }
    panic!("{:?}", tree(&world.downloads()));
}

/// A volume; unmounted when dropped.
struct Volume(std::path::PathBuf);

impl Volume {
    fn mount(&self, options: &str) {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&self.0)
            .status();
        assert!(done.unwrap().success(), "mount (as root)");
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_told_of_and_costs_nothing() {
    let world = World::with(vec![film(100 * MIB)], |config| {
        config.action = Action::Download;
        config.download_rate = 10 * MIB;
    })
    .await;
    fs::create_dir_all(world.downloads()).unwrap();
    let volume = Volume(world.downloads());
    volume.mount("size=64m");
    grab(&world).await;
    let job = world
        .until(hash(HASH), |job| job.live.trouble.is_some())
        .await;
    let words = job.live.trouble.clone().unwrap();
    assert!(
        words.contains("is full") && words.contains("104857600 bytes are needed"),
        "{words}"
    );
    assert_eq!(job.step, Step::Probed);
    assert_eq!(
        world.library.reads.bytes(),
        0,
        "nothing is fetched that finds no room"
    );
    volume.mount("remount,size=120m");
    // Room enough at first; then others take it.
    world
        .until(hash(HASH), |job| job.live.fetched > 8 * MIB)
        .await;
    fs::write(world.downloads().join("theirs"), vec![1; 60 << 20]).unwrap();
    let job = world
        .until(hash(HASH), |job| job.live.trouble.is_some())
        .await;
    let words = job.live.trouble.clone().unwrap();
    assert!(words.contains("the disk is full"), "{words}");
    let kept = job.fetched["Film.2024.mkv"];
    assert!(kept > 8 * MIB, "{kept}");
    let before = world.library.reads.bytes();
    fs::remove_file(world.downloads().join("theirs")).unwrap();
    world.complete(hash(HASH)).await;
    assert!(is_right(&world, 100 * MIB));
    let after = world.library.reads.bytes() - before;
    assert_eq!(after, 100 * MIB - kept, "what was fetched before is used");
}

#[tokio::test(start_paused = true)]
async fn another_category_links_the_files_that_are_there() {
    let world = downloading(vec![small(HASH, "Film.2024")]).await;
    grab(&world).await;
    world.complete(hash(HASH)).await;
    let fetched = world.library.reads.bytes();
    let release = magnet(HASH, "Film.2024");
    world
        .acquire
        .add(release, in_category("tv-4k"))
        .await
        .unwrap();
    world.complete_in("tv-4k").await;
    assert_eq!(tree(&world.downloads().join("tv")).len(), 2);
    let found = tree(&world.downloads().join("tv-4k"));
    assert_eq!(
        found,
        ["Film.2024/Film.2024.mkv", "Film.2024/Subs/Film.2024.srt"]
    );
    assert_eq!(
        world.library.reads.bytes(),
        fetched,
        "linked, not fetched again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_film_becomes_an_address_and_its_subtitles_files() {
    let world = World::with(vec![cached(HASH, "Film.2024")], |config| {
        config.action = Action::Strm;
    })
    .await;
    grab(&world).await;
    world.complete(hash(HASH)).await;
    let place = world.downloads().join("tv/Film.2024");
    assert_eq!(tree(&place), ["Film.2024.strm", "Subs/Film.2024.srt"]);
    let text = fs::read_to_string(place.join("Film.2024.strm")).unwrap();
    let address = format!("http://debridfs:8284/first/{HASH}/Film.2024.mkv\n");
    assert_eq!(text, address);
    assert_eq!(
        fs::metadata(place.join("Subs/Film.2024.srt"))
            .unwrap()
            .len(),
        50_000
    );
    // The old token was revoked.
    *world.library.token.lock().unwrap() = Some("second".to_owned());
    world.acquire.recheck(Selection::All).await.unwrap();
    world
        .until(hash(HASH), |job| job.step != Step::Complete)
        .await;
    world.complete(hash(HASH)).await;
    let text = fs::read_to_string(place.join("Film.2024.strm")).unwrap();
    assert!(text.contains("/second/"), "{text}");
    world.acquire.remove(Selection::All, true).await.unwrap();
    assert!(tree(&world.downloads()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_an_address_it_waits() {
    let world = World::with(vec![cached(HASH, "Film.2024")], |config| {
        config.action = Action::Strm;
    })
    .await;
    let token = world.library.token.lock().unwrap().take();
    grab(&world).await;
    let job = world
        .until(hash(HASH), |job| job.live.trouble.is_some())
        .await;
    assert_eq!(job.live.trouble.as_deref(), Some("nobody serves files"));
    *world.library.token.lock().unwrap() = token;
    world.complete(hash(HASH)).await;
}

/// A link would lead nowhere, and an arr that is told of it would give the release up. What holds an
/// address needs no mount.
#[tokio::test(start_paused = true)]
async fn links_wait_for_the_mount_and_addresses_do_not() {
    for action in [Action::Symlink, Action::None, Action::Strm] {
        let world = World::with(vec![cached(HASH, "Film.2024")], |config| {
            config.action = action;
        })
        .await;
        let words = "/mnt/dfs is not mounted: cannot open /dev/fuse";
        world.library.unmounted.send_replace(Some(words.to_owned()));
        grab(&world).await;
        if action != Action::Strm {
            let job = world
                .until(hash(HASH), |job| job.live.trouble.is_some())
                .await;
            assert_eq!(job.live.trouble.as_deref(), Some(words));
            // For however long.
            tokio::time::sleep(Duration::from_secs(86_400)).await;
            let job = world.acquire.jobs().remove(0);
            assert_eq!(job.step, Step::Probed, "{action:?}");
            assert!(tree(&world.downloads()).is_empty(), "{action:?}");
            let since = Instant::now();
            world.library.unmounted.send_replace(None);
            world.complete(hash(HASH)).await;
            assert!(since.elapsed() < Duration::from_secs(3), "{action:?}");
        }
        let job = world.complete(hash(HASH)).await;
        assert_eq!(job.live.trouble, None, "{action:?}");
    }
}
