//! The program killed at every point of a job: nothing is lost, nothing is done twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use debridfs_acquire::{DeletePolicy, POINTS, Selection, Step};
use debridfs_provider::SystemClock;

use crate::support::{World, cached, hash, in_category, magnet, tree};

/// Rounds at each point.
const ROUNDS: usize = 10;

/// Runs a world on a thread of its own until it comes to `point`, where the thread stands still for ever, as a killed process
/// would. Gives what it left behind.
fn run_into(
    point: &'static str,
    text: String,
    name: String,
) -> (debridfs_sim::Sim, tempfile::TempDir) {
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
            let world = World::with(vec![cached(&text, &name)], |config| {
                config.delete = DeletePolicy::Provider;
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
            let World {
                sim, dir, acquire, ..
            } = world;
            *given.lock().unwrap() = Some((sim, dir));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_killed_anywhere_is_neither_lost_nor_doubled() {
    for (number, point) in POINTS.into_iter().enumerate() {
        for round in 0..ROUNDS {
            let text = format!("{:040x}", number * 1000 + round + 1);
            let name = format!("Film.{number}.{round}");
            let (sim, dir) = {
                let (text, name) = (text.clone(), name.clone());
                tokio::task::spawn_blocking(move || run_into(point, text, name))
                    .await
                    .unwrap()
            };
            let world = World::over(sim, dir, |config| {
                config.delete = DeletePolicy::Provider;
                config.clock = Arc::new(SystemClock);
            })
            .await;
            if point == "deleted" {
                assert!(world.acquire.jobs().is_empty());
                until_gone(&world, &text).await;
                continue;
            }
            assert_eq!(world.acquire.jobs().len(), 1, "{point}: lost");
            let job = world.settled_soon(hash(&text)).await;
            assert_eq!(job.step, Step::Complete, "{point}: {:?}", job.reason);
            assert_eq!(world.torrents(&text).len(), 1, "{point}: added twice");
            if point != "unlinked" {
                let links = tree(&world.downloads());
                assert_eq!(links.len(), 2, "{point}: {links:?}");
            }
            world.acquire.remove(Selection::All, true).await.unwrap();
            assert!(tree(&world.downloads()).is_empty(), "{point}");
            until_gone(&world, &text).await;
        }
    }
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
