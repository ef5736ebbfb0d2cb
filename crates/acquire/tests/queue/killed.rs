//! The program killed at every point of a job: nothing is lost, nothing is done twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use debridfs_acquire::{Action, DeletePolicy, FETCH_POINTS, POINTS, Selection, Step};
use debridfs_base::SystemClock;
use debridfs_sim::{Kind, ReleaseSpec, Sim};

use crate::support::{
    World, assert_whole, cached, cloud, folder, hash, in_category, magnet, small, tree,
};

/// Rounds at each point.
const ROUNDS: usize = 10;

/// Runs a world on a thread of its own until it comes to `point`, where the thread stands still for ever, as a killed process
/// would. Gives what it left behind.
fn run_into(
    point: &'static str,
    action: Action,
    accounts: Vec<(String, Sim)>,
    text: String,
    name: String,
) -> tempfile::TempDir {
    let (stopped, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (here, there) = (Arc::new(AtomicBool::new(false)), stopped.clone());
            let given = Arc::new(std::sync::Mutex::new(None));
            let left = given.clone();
            let world = World::over_all(accounts, folder(), |config| {
                config.delete = DeletePolicy::Provider;
                config.action = action;
                config.clock = Arc::new(SystemClock);
                config.checkpoint = Arc::new(move |at| {
                    if at == point && !here.swap(true, Ordering::SeqCst) {
                        there.send(left.lock().unwrap().take()).unwrap();
                        loop {
                            std::thread::park();
                        }
                    }
                });
            })
            .await;
            let World { dir, acquire, .. } = world;
            *given.lock().unwrap() = Some(dir);
            acquire
                .add(magnet(&text, &name), in_category("tv"))
                .await
                .unwrap();
            while !acquire.job(hash(&text)).unwrap().step.is_settled() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // What comes after the last step is stored is to be reached as well.
            tokio::time::sleep(Duration::from_millis(200)).await;
            acquire.remove(Selection::All, true).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(stopped);
        });
    });
    let left = wait.recv_timeout(Duration::from_secs(60));
    left.unwrap_or_else(|error| panic!("never came to {point}: {error}"))
        .expect("the world was made")
}

/// One whose files are small where they are fetched.
fn release(action: Action, text: &str, name: &str) -> ReleaseSpec {
    match action {
        Action::Download => small(text, name),
        _ => cached(text, name),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_killed_anywhere_is_neither_lost_nor_doubled() {
    for (number, point) in POINTS.into_iter().enumerate() {
        for round in 0..ROUNDS {
            kill(Action::Symlink, point, number * 1000 + round + 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_killed_anywhere_is_whole_in_the_end() {
    let points = FETCH_POINTS
        .into_iter()
        .chain(["linking", "linked", "completed", "unlinked"]);
    for (number, point) in points.enumerate() {
        for round in 0..ROUNDS {
            kill(Action::Download, point, number * 1000 + round + 1).await;
        }
    }
}

/// Another provider is asked first, and does not have it: the torrent is added elsewhere, to see whether it is cached there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grab_that_went_to_the_next_provider_is_not_doubled_by_a_kill() {
    let points = ["add-intended", "added", "add-stored", "selected"];
    for (number, point) in points.into_iter().enumerate() {
        for (round, action) in [Action::Symlink; 2].into_iter().enumerate() {
            let number = 50_000 + number * 10 + round;
            let elsewhere = ReleaseSpec {
                cached: false,
                ..release(action, &format!("{number:040x}"), &format!("Film.{number}"))
            };
            let torbox = cloud(Kind::TorBox, vec![elsewhere]);
            let before = vec![("tb".to_owned(), torbox.clone())];
            kill_after(before, action, point, number).await;
            assert_eq!(torbox.torrents(0).unwrap().len(), 0, "{point}");
        }
    }
}

async fn kill(action: Action, point: &'static str, number: usize) {
    kill_after(Vec::new(), action, point, number).await;
}

/// Real-Debrid has it, and is asked after those `before`.
async fn kill_after(
    before: Vec<(String, Sim)>,
    action: Action,
    point: &'static str,
    number: usize,
) {
    let text = format!("{number:040x}");
    let name = format!("Film.{number}");
    let rd = cloud(Kind::RealDebrid, vec![release(action, &text, &name)]);
    let mut accounts = before;
    accounts.push(("rd".to_owned(), rd.clone()));
    let dir = {
        let (accounts, text, name) = (accounts.clone(), text.clone(), name.clone());
        tokio::task::spawn_blocking(move || run_into(point, action, accounts, text, name))
            .await
            .unwrap()
    };
    let mut world = World::over_all(accounts, dir, |config| {
        config.delete = DeletePolicy::Provider;
        config.action = action;
        config.clock = Arc::new(SystemClock);
    })
    .await;
    world.sim = rd;
    if point == "deleted" {
        assert!(world.acquire.jobs().is_empty());
        until_gone(&world, &text).await;
        return;
    }
    assert_eq!(world.acquire.jobs().len(), 1, "{point}: lost");
    let job = world.settled_soon(hash(&text)).await;
    assert_eq!(job.step, Step::Complete, "{point}: {:?}", job.reason);
    assert_eq!(world.torrents(&text).len(), 1, "{point}: added twice");
    match action {
        _ if point == "unlinked" => {}
        Action::Download => assert_whole(&world, &text, &name),
        _ => {
            let links = tree(&world.downloads());
            assert_eq!(links.len(), 2, "{point}: {links:?}");
        }
    }
    world.acquire.remove(Selection::All, true).await.unwrap();
    assert!(tree(&world.downloads()).is_empty(), "{point}");
    until_gone(&world, &text).await;
}

async fn until_gone(world: &World, text: &str) {
    for _ in 0..6000 {
        if world.torrents(text).is_empty() && world.acquire.status().deletions == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not deleted: {:?}", world.acquire.status());
}
