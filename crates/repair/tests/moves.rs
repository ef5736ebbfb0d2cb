//! Moves between two simulated accounts, with a paused clock and kills anywhere.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use debridfs_base::{Secret, TokioClock, WallClock};
use debridfs_provider::vendors::{Kind, real_debrid, torbox};
use debridfs_provider::{AccountConfig, DebridAccount, InfoHash, Provider, TorrentId, TorrentInfo};
use debridfs_repair::{
    Again, Ask, Compared, Move, MoveError, MoveStep, MoveWard, Moves, SourceCopy,
};
use debridfs_sim::{
    ApiFault, FileSpec, InProcess, Kind as SimKind, LibrarySpec, Outcome, ReleaseSpec, Sim,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const FILES: [&str; 2] = ["Film.mkv", "Film.srt"];

/// What every comparison finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Same,
    Others,
    SourceRefuses,
    NoAnswer,
}

struct SimWard {
    rd: Sim,
    tb: Sim,
    providers: [Arc<dyn Provider>; 2],
    bytes: Mutex<Bytes>,
}

impl SimWard {
    fn torrents(&self, name: &str) -> Vec<TorrentId> {
        let sim = if name == "rd" { &self.rd } else { &self.tb };
        let torrents = sim.torrents(0).unwrap().into_iter();
        let ours = torrents.filter(|one| one.hash == hash().to_string());
        ours.map(|one| TorrentId(one.id)).collect()
    }
}

#[async_trait]
impl MoveWard for SimWard {
    fn provider(&self, name: &str) -> Option<Arc<dyn Provider>> {
        let mut providers = self.providers.iter();
        providers.find(|one| one.name() == name).cloned()
    }

    async fn copies(&self, _: InfoHash) -> Vec<SourceCopy> {
        let copies = ["rd", "tb"].into_iter().flat_map(|name| {
            let ids = self.torrents(name).into_iter();
            ids.map(move |id| SourceCopy {
                provider: name.to_owned(),
                id,
            })
        });
        copies.collect()
    }

    async fn addition(&self, hash: InfoHash, provider: &str) -> Option<Again> {
        Some(Again {
            provider: self.provider(provider)?,
            magnet: format!("magnet:?xt=urn:btih:{hash}"),
            files: BTreeSet::new(),
            known: BTreeSet::new(),
            cached: false,
            refuses_name: false,
        })
    }

    async fn told(&self, _: &str, _: TorrentInfo) {}

    async fn compare(
        &self,
        _: InfoHash,
        from: &[SourceCopy],
        to: &str,
        after: Option<&str>,
    ) -> Compared {
        // Nothing is compared of what was deleted, or is not there yet.
        assert!(!self.torrents(&from[0].provider).is_empty());
        assert!(!self.torrents(to).is_empty());
        let mut left = FILES
            .iter()
            .filter(|file| after.is_none_or(|after| **file > after));
        match (left.next(), *self.bytes.lock()) {
            (None, _) => Compared::Over,
            (Some(file), Bytes::Same) => Compared::Same((*file).to_owned()),
            (Some(file), Bytes::Others) => Compared::Differs(format!("{file} has other bytes")),
            (Some(_), Bytes::SourceRefuses) => Compared::NoSource("unavailable".to_owned()),
            (Some(_), Bytes::NoAnswer) => Compared::NotNow("no answer".to_owned()),
        }
    }
}

fn hash() -> InfoHash {
    InfoHash([7; 20])
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn release() -> ReleaseSpec {
    let files = FILES.map(|name| FileSpec::generated(format!("/{name}"), 5 << 20));
    ReleaseSpec {
        hash: Some(hash().to_string()),
        ..ReleaseSpec::new("Film.2024", files.to_vec())
    }
}

struct World {
    ward: Arc<SimWard>,
    dir: TempDir,
    clock: Arc<dyn WallClock>,
    moves: Arc<Moves>,
    task: JoinHandle<()>,
}

impl World {
    /// Real-Debrid holds the release; `target` is what TorBox knows of it.
    fn new(target: ReleaseSpec) -> Self {
        let library = |release| LibrarySpec {
            seed: 3,
            releases: vec![release],
        };
        let sim = |kind, release| Sim::of_starting_at(kind, &library(release), start()).unwrap();
        let rd = sim(SimKind::RealDebrid, release());
        let tb = sim(SimKind::TorBox, target);
        let providers = [
            account("rd", &rd, &real_debrid::KIND),
            account("tb", &tb, &torbox::KIND),
        ];
        let bytes = Mutex::new(Bytes::Same);
        let ward = Arc::new(SimWard {
            rd,
            tb,
            providers,
            bytes,
        });
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn WallClock> = Arc::new(TokioClock::starting_at(start()));
        let (moves, task) = open(&dir, &ward, &clock);
        Self {
            ward,
            dir,
            clock,
            moves,
            task,
        }
    }

    fn kill(&mut self) {
        self.task.abort();
        (self.moves, self.task) = open(&self.dir, &self.ward, &self.clock);
    }

    async fn over(&self) -> Move {
        for _ in 0..100_000 {
            let one = self.moves.list().remove(0);
            if one.step.is_over() {
                return one;
            }
            pass(Duration::from_secs(1)).await;
        }
        panic!("{:?}", self.moves.list());
    }

    /// Calls that TorBox answered, by endpoint.
    fn calls(&self, endpoint: &str) -> u64 {
        self.ward.tb.counters().calls_of(endpoint)
    }

    fn held(&self) -> (usize, usize) {
        (
            self.ward.torrents("rd").len(),
            self.ward.torrents("tb").len(),
        )
    }
}

/// What TorBox has in its cache and not in the account.
fn cached() -> ReleaseSpec {
    ReleaseSpec {
        copies: 0,
        ..release()
    }
}

fn account(name: &str, sim: &Sim, kind: &'static Kind) -> Arc<dyn Provider> {
    let config = AccountConfig {
        name: name.to_owned(),
        token: Some(Secret::new(sim.token())),
        // What is tested here are other limits.
        add_interval: Duration::ZERO,
        ..AccountConfig::of(kind)
    };
    let transport = InProcess::new(sim.router()).with_delay(Duration::from_millis(40));
    let clock = Arc::new(TokioClock::starting_at(start()));
    Arc::new(DebridAccount::with_transport(config, Arc::new(transport), clock).unwrap())
}

fn open(
    dir: &TempDir,
    ward: &Arc<SimWard>,
    clock: &Arc<dyn WallClock>,
) -> (Arc<Moves>, JoinHandle<()>) {
    let path = dir.path().join("moves.json");
    let moves = Moves::open(&path, ward.clone(), clock.clone()).unwrap();
    let task = tokio::spawn(moves.clone().run(CancellationToken::new()));
    (moves, task)
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

fn ask() -> Ask {
    Ask {
        hash: hash(),
        name: "Film.2024".to_owned(),
        to: "tb".to_owned(),
        from: None,
        remove_source: false,
        cached: false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_is_moved_and_its_source_goes_only_if_that_was_asked() {
    let world = World::new(cached());
    world.moves.ask(ask()).await.unwrap();
    let one = world.over().await;
    assert_eq!((&one.step, one.compared), (&MoveStep::Done, 2), "{one:?}");
    assert_eq!(world.held(), (1, 1));
    // Asked again, it is compared once more, added no more, and deleted.
    let remove = Ask {
        remove_source: true,
        ..ask()
    };
    world.moves.ask(remove).await.unwrap();
    let one = world.over().await;
    assert_eq!((&one.step, one.compared), (&MoveStep::Done, 2), "{one:?}");
    assert_eq!(world.held(), (0, 1));
    assert_eq!(world.calls("torrents/createtorrent"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kill_anywhere_doubles_nothing_and_loses_nothing() {
    let remove = Ask {
        remove_source: true,
        ..ask()
    };
    for cut in 0..32 {
        let mut world = World::new(cached());
        if cut % 2 == 1 {
            world.ward.tb.fail_api(ApiFault {
                endpoint: Some("torrents/createtorrent".to_owned()),
                times: Some(1),
                lose_answer: true,
                ..ApiFault::default()
            });
        }
        world.moves.ask(remove.clone()).await.unwrap();
        pass(Duration::from_millis(25 * cut)).await;
        world.kill();
        // Whoever asks again gets the one that is under way, or that is over.
        if world.moves.list().iter().all(|one| !one.step.is_over()) {
            world.moves.ask(remove.clone()).await.unwrap();
        }
        let one = world.over().await;
        assert_eq!(
            (&one.step, one.compared),
            (&MoveStep::Done, 2),
            "{cut}: {one:?}"
        );
        assert_eq!(world.held(), (0, 1), "{cut}");
        assert_eq!(world.calls("torrents/createtorrent"), 1, "{cut}");
        assert_eq!(world.calls("torrents/controltorrent"), 0, "{cut}");
        assert_eq!(world.ward.tb.counters().above_limit, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_compared_or_differs_deletes_nothing() {
    let remove = Ask {
        remove_source: true,
        ..ask()
    };
    for (bytes, step, words) in [
        (Bytes::Others, MoveStep::Failed, "other bytes"),
        (
            Bytes::SourceRefuses,
            MoveStep::Done,
            "not compared, and not deleted",
        ),
    ] {
        let world = World::new(cached());
        *world.ward.bytes.lock() = bytes;
        world.moves.ask(remove.clone()).await.unwrap();
        let one = world.over().await;
        assert_eq!(one.step, step, "{one:?}");
        assert!(one.words.contains(words), "{one:?}");
        pass(Duration::from_secs(3600)).await;
        assert_eq!(world.held(), (1, 1), "{bytes:?}");
    }
    // No answer says nothing: who wants the source deleted waits, who does not has the release.
    let world = World::new(cached());
    *world.ward.bytes.lock() = Bytes::NoAnswer;
    world.moves.ask(remove).await.unwrap();
    pass(Duration::from_secs(24 * 3600)).await;
    let one = world.moves.list().remove(0);
    assert!(matches!(one.step, MoveStep::Comparing { .. }), "{one:?}");
    assert_eq!(world.held(), (1, 1));
    *world.ward.bytes.lock() = Bytes::Same;
    assert_eq!(world.over().await.step, MoveStep::Done);
    assert_eq!(world.held(), (0, 1));
    let kept = World::new(cached());
    *kept.ward.bytes.lock() = Bytes::NoAnswer;
    kept.moves.ask(ask()).await.unwrap();
    let one = kept.over().await;
    assert_eq!(one.step, MoveStep::Done);
    assert!(one.words.contains("not compared"), "{one:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_target_cannot_get_is_taken_back_and_what_it_had_is_not() {
    let dead = |copies| ReleaseSpec {
        copies,
        cached: false,
        outcome: Outcome::Error,
        ..release()
    };
    let world = World::new(dead(0));
    world.moves.ask(ask()).await.unwrap();
    let one = world.over().await;
    assert_eq!(one.step, MoveStep::Failed, "{one:?}");
    assert_eq!(world.held(), (1, 0));
    // Only what is there already was wanted: nothing is added at all.
    let cached = World::new(dead(0));
    let only = Ask {
        cached: true,
        ..ask()
    };
    cached.moves.ask(only).await.unwrap();
    let one = cached.over().await;
    assert_eq!(one.step, MoveStep::Failed, "{one:?}");
    assert_eq!(cached.held(), (1, 0));
    // What the account had before is its own.
    let had = World::new(dead(1));
    had.moves.ask(ask()).await.unwrap();
    let one = had.over().await;
    assert_eq!(one.step, MoveStep::Done, "{one:?}");
    assert_eq!(had.calls("torrents/createtorrent"), 0);
    assert_eq!(had.held(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_begun_is_refused_with_a_reason_and_a_move_can_be_stopped() {
    let mut world = World::new(ReleaseSpec {
        cached: false,
        ..cached()
    });
    let to = |name: &str| Ask {
        to: name.to_owned(),
        ..ask()
    };
    let refused = world.moves.ask(to("xx")).await.unwrap_err();
    assert_eq!(refused, MoveError::NoProvider("xx".to_owned()));
    let refused = world.moves.ask(to("rd")).await.unwrap_err();
    assert_eq!(refused, MoveError::NothingToMove("rd".to_owned()));
    let from = Ask {
        from: Some("tb".to_owned()),
        ..to("rd")
    };
    let refused = world.moves.ask(from).await.unwrap_err();
    assert_eq!(refused, MoveError::NotThere("tb".to_owned()));
    assert_eq!(world.moves.list(), []);

    world
        .ward
        .tb
        .configure(|settings| settings.downloading_ms = 3_600_000);
    world.moves.ask(ask()).await.unwrap();
    pass(Duration::from_secs(600)).await;
    let one = world.moves.list().remove(0);
    assert!(
        matches!(one.step, MoveStep::Waiting { ours: true, .. }),
        "{one:?}"
    );
    assert!(one.progress > 0.05 && one.progress < 0.5, "{one:?}");
    world.moves.stop(hash()).await.unwrap();
    assert_eq!(world.moves.stop(hash()).await, Err(MoveError::Unknown));
    world.kill();
    assert_eq!(world.moves.list(), []);
    assert_eq!(world.held(), (1, 1), "what was added stays");
}
