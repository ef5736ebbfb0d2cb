//! Repair over a simulated account and a simulated arr, with a paused clock.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use debridfs_base::{Secret, TokioClock, WallClock, state_file};
use debridfs_catalogue::BadReason;
use debridfs_provider::vendors::{all_debrid, real_debrid};
use debridfs_provider::{
    AccountConfig, DebridAccount, HosterLink, InfoHash, Priority, Provider, TorrentId, Verdict,
};
use debridfs_repair::{
    AddedAgain, Again, Checked, Finding, ProviderState, Repair, Rules, Stage, Treated, Ward,
};
use debridfs_sim::{
    ApiFault, FileSpec, InProcess, Kind, LibrarySpec, Outage, OutageMode, Outcome, ReleaseSpec,
    Sim, Status, TorrentView,
};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A library that shows what the account holds, and readers that report whatever cannot be had.
struct SimWard {
    sim: Sim,
    provider: Arc<dyn Provider>,
    /// What readers said.
    reports: Mutex<Vec<Finding>>,
    asked: Mutex<Vec<InfoHash>>,
    shown_bad: Mutex<BTreeMap<InfoHash, BadReason>>,
}

impl SimWard {
    fn torrents(&self, hash: InfoHash) -> Vec<TorrentView> {
        let mut torrents = self.sim.torrents(0).unwrap();
        torrents.retain(|one| one.hash == hash.to_string());
        torrents
    }
}

#[async_trait]
impl Ward for SimWard {
    fn releases(&self) -> usize {
        self.sim.torrents(0).unwrap().len()
    }

    fn providers(&self) -> Vec<ProviderState> {
        let health = self.provider.health();
        vec![ProviderState {
            name: "rd".to_owned(),
            trouble: (!health.healthy).then(|| "failing".to_owned()),
            may_add: self.provider.may_add_again(),
        }]
    }

    async fn findings(&self) -> Vec<Finding> {
        // As the sync does all the time: its answer is what makes a provider well again.
        let _ = self.provider.torrents(Priority::Refresh, 0, 1).await;
        std::mem::take(&mut *self.reports.lock().unwrap())
    }

    async fn check(&self, hash: InfoHash, _: &BTreeSet<String>) -> Checked {
        let links: Vec<String> = self
            .torrents(hash)
            .into_iter()
            .flat_map(|one| one.links)
            .collect();
        let mut found = Checked::Bad("no link".to_owned());
        for link in links {
            let link = HosterLink(link);
            match self.provider.unrestrict(Priority::Repair, &link).await {
                Ok(_) => return Checked::Well,
                Err(error) if error.verdict == Verdict::LinkBroken => {}
                Err(error) if error.verdict == Verdict::Infringing => {
                    found = Checked::Blocked {
                        by: BTreeSet::from(["rd".to_owned()]),
                        words: error.to_string(),
                    };
                }
                Err(error) => found = Checked::Unclear(error.to_string()),
            }
        }
        found
    }

    async fn again(&self, hash: InfoHash, _: &str) -> Option<Again> {
        Some(Again {
            provider: self.provider.clone(),
            magnet: format!("magnet:?xt=urn:btih:{hash}"),
            files: BTreeSet::from(["Film.mkv".to_owned()]),
            known: BTreeSet::new(),
            cached: false,
            refuses_name: self.provider.refuses_name(&self.torrents(hash)[0].filename),
        })
    }

    async fn quarantined(&self, releases: BTreeMap<InfoHash, BadReason>) {
        *self.shown_bad.lock().unwrap() = releases;
    }

    fn look_now(&self) {}

    fn has_arrs(&self) -> bool {
        true
    }

    async fn ask_arrs(&self, hash: InfoHash, _: &BTreeSet<String>) -> Treated {
        self.asked.lock().unwrap().push(hash);
        Treated::Done("asked".to_owned())
    }

    async fn let_go(&self, _: InfoHash) -> Treated {
        unreachable!("no rule of these tests lets anything go")
    }
}

struct World {
    sim: Sim,
    ward: Arc<SimWard>,
    repair: Arc<Repair>,
    clock: Arc<dyn WallClock>,
    dir: TempDir,
    shutdown: CancellationToken,
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn release(number: u8) -> ReleaseSpec {
    let files = vec![
        FileSpec::generated("/Film.mkv", 5 << 30),
        FileSpec {
            selected: false,
            ..FileSpec::generated("/Film.nfo", 100)
        },
    ];
    ReleaseSpec {
        hash: Some(hash(number).to_string()),
        ..ReleaseSpec::new(format!("Release.{number}"), files)
    }
}

fn hash(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

impl World {
    async fn new(releases: Vec<ReleaseSpec>) -> Self {
        let library = LibrarySpec { seed: 3, releases };
        let sim = Sim::starting_at(&library, start()).unwrap();
        let config = AccountConfig {
            name: "rd".to_owned(),
            token: Some(Secret::new(sim.token())),
            add_interval: Duration::ZERO,
            ..AccountConfig::of(&real_debrid::KIND)
        };
        let transport = Arc::new(InProcess::new(sim.router()));
        let calendar = Arc::new(TokioClock::starting_at(start()));
        let real = DebridAccount::with_transport(config, transport, calendar);
        let ward = Arc::new(SimWard {
            sim: sim.clone(),
            provider: Arc::new(real.unwrap()),
            reports: Mutex::default(),
            asked: Mutex::default(),
            shown_bad: Mutex::default(),
        });
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn WallClock> = Arc::new(TokioClock::starting_at(start()));
        let (repair, shutdown) = open(&dir, &ward, &clock);
        // At first nothing is believed, as after any trouble.
        pass(2 * Rules::default().settle).await;
        Self {
            sim,
            ward,
            repair,
            clock,
            dir,
            shutdown,
        }
    }

    /// As after a kill: what was under way is gone.
    fn restart(&mut self) {
        self.shutdown.cancel();
        (self.repair, self.shutdown) = open(&self.dir, &self.ward, &self.clock);
    }

    fn read(&self, number: u8) {
        self.ward.reports.lock().unwrap().push(Finding {
            hash: hash(number),
            name: format!("Release.{number}"),
            file: Some("Film.mkv".to_owned()),
            providers: vec!["rd".to_owned()],
            broken: BTreeSet::new(),
            words: "it cannot be read".to_owned(),
        });
    }

    fn break_links(&self, number: u8) {
        for torrent in self.ward.torrents(hash(number)) {
            for link in torrent.links {
                self.sim.break_link(0, &link, Some(19)).unwrap();
            }
        }
    }

    fn ids(&self, number: u8) -> Vec<TorrentId> {
        let torrents = self.ward.torrents(hash(number));
        torrents.into_iter().map(|one| TorrentId(one.id)).collect()
    }

    fn calls(&self, endpoint: &str) -> u64 {
        self.sim.counters().calls_of(endpoint)
    }

    /// Waits, in the clock's time, until `done`.
    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..100_000 {
            if done(self) {
                return;
            }
            pass(Duration::from_secs(5)).await;
        }
        panic!("{what}: {:?}", self.repair.status());
    }
}

fn open(
    dir: &TempDir,
    ward: &Arc<SimWard>,
    clock: &Arc<dyn WallClock>,
) -> (Arc<Repair>, CancellationToken) {
    let path = dir.path().join("repair.json");
    let repair = Repair::open(Rules::default(), &path, ward.clone(), clock.clone()).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(repair.clone().run(shutdown.clone()));
    (repair, shutdown)
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_link_is_healed_by_adding_the_torrent_again_and_nothing_is_deleted() {
    let world = World::new(vec![release(1), release(2)]).await;
    let before = world.ids(1);
    world.break_links(1);
    world.read(1);
    world
        .until("healed", |world| world.repair.status().healed == 1)
        .await;
    let after = world.ids(1);
    assert_eq!(after.len(), 2);
    assert!(before.iter().all(|id| after.contains(id)), "it is kept");
    let added = world.ward.torrents(hash(1)).remove(0);
    let selected: Vec<bool> = added.files.iter().map(|file| file.selected).collect();
    assert_eq!(selected, [true, false], "the same files are selected");
    assert_eq!(world.repair.patient(hash(1)), None);
    assert_eq!(world.calls("torrents/delete"), 0);
    assert_eq!(*world.ward.asked.lock().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_any_more_goes_to_the_arr() {
    for outcome in [Outcome::Dead, Outcome::Infringing, Outcome::Downloaded] {
        // The last: a provider that would have to download it first.
        let gone = ReleaseSpec {
            cached: false,
            outcome,
            ..release(1)
        };
        let world = World::new(vec![gone, release(2)]).await;
        world
            .sim
            .configure(|settings| settings.downloading_ms = 3_600_000);
        let before = world.ids(1);
        world.break_links(1);
        world.read(1);
        world
            .until("asked", |world| {
                !world.ward.asked.lock().unwrap().is_empty()
            })
            .await;
        pass(Duration::from_secs(24 * 3600)).await;
        assert_eq!(*world.ward.asked.lock().unwrap(), [hash(1)], "once");
        let stage = world.repair.patient(hash(1)).map(|one| one.stage);
        assert_eq!(stage, Some(Stage::Replaced), "{outcome:?}");
        let shown = world.ward.shown_bad.lock().unwrap().clone();
        assert_eq!(shown, BTreeMap::from([(hash(1), BadReason::Unreadable)]));
        assert_eq!(
            world.ids(1),
            before,
            "{outcome:?}: what was added in vain is gone"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_its_name_is_blocked_and_no_arr_is_told() {
    // Its links are refused, or are dead and it cannot be added again.
    for links_are_dead in [false, true] {
        let named = ReleaseSpec {
            name: "Film.2024.1080p.WEB-DL".to_owned(),
            outcome: Outcome::Infringing,
            ..release(1)
        };
        let world = World::new(vec![named, release(2)]).await;
        match links_are_dead {
            true => world.break_links(1),
            false => world
                .sim
                .configure(|settings| settings.realdebrid.refuse_names = true),
        }
        let held = world.ids(1);
        world.read(1);
        let blocked = |world: &World| {
            let patient = world.repair.patient(hash(1));
            patient.is_some_and(|one| one.stage == Stage::Blocked)
        };
        world.until("blocked", blocked).await;
        // Offered once where its links are dead, and not at all where those are refused.
        let (offered, asked) = (u64::from(links_are_dead), world.calls("unrestrict/link"));
        assert_eq!(world.calls("torrents/addMagnet"), offered);
        assert_eq!(asked, if links_are_dead { 3 } else { 1 });
        world.read(1);
        pass(Duration::from_secs(24 * 3600)).await;
        assert_eq!(world.calls("torrents/addMagnet"), offered);
        assert_eq!(world.calls("unrestrict/link"), asked, "no retries");
        assert_eq!(*world.ward.asked.lock().unwrap(), [], "no blocklist");
        assert_eq!(world.ids(1), held, "it stays");
        let shown = world.ward.shown_bad.lock().unwrap().clone();
        assert_eq!(shown, BTreeMap::from([(hash(1), BadReason::Blocked)]));
        let patient = world.repair.patient(hash(1)).unwrap();
        assert_eq!(patient.refused, BTreeSet::from(["rd".to_owned()]));
        let mut words = patient.evidence.iter().map(|one| &one.words);
        assert!(words.any(|words| words.contains("refuses the content")));
        // Looked at again after a week; what is served by then is well.
        world
            .sim
            .configure(|settings| settings.realdebrid.refuse_names = false);
        for torrent in world.ward.torrents(hash(1)) {
            for link in torrent.links {
                world.sim.break_link(0, &link, None).unwrap();
            }
        }
        pass(Duration::from_secs(7 * 24 * 3600)).await;
        assert_eq!(world.repair.status().patients, []);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_minutes_leaves_no_trace() {
    // Three kinds: everything is 503; every link is said to be dead; the API is well and says so only of links.
    for kind in 0..3 {
        let world = World::new((0..8).map(release).collect()).await;
        pass(Duration::from_secs(3600)).await;
        match kind {
            0 => world.sim.set_outage(Outage {
                api: OutageMode::Unavailable,
                cdn: OutageMode::Unavailable,
            }),
            _ => (0..8).for_each(|number| world.break_links(number)),
        }
        for minute in 0..10 {
            let link = world.ward.torrents(hash(0)).remove(0).links.remove(0);
            let link = HosterLink(link);
            let asked = world.ward.provider.unrestrict(Priority::Playback, &link);
            asked.await.unwrap_err();
            for number in 0..8 {
                if kind != 1 || minute % 3 == 0 {
                    world.read(number);
                }
            }
            pass(Duration::from_secs(60)).await;
        }
        world.sim.set_outage(Outage::default());
        for number in 0..8 {
            for torrent in world.ward.torrents(hash(number)) {
                for link in torrent.links {
                    world.sim.break_link(0, &link, None).unwrap();
                }
            }
        }
        pass(Duration::from_secs(24 * 3600)).await;
        for endpoint in ["torrents/addMagnet", "torrents/delete"] {
            assert_eq!(world.calls(endpoint), 0, "{kind}: {endpoint}");
        }
        assert_eq!(*world.ward.asked.lock().unwrap(), []);
        assert_eq!(world.repair.status().patients, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_or_a_kill_doubles_nothing() {
    let mut world = World::new(vec![release(1), release(2)]).await;
    world.sim.fail_api(ApiFault {
        endpoint: Some("torrents/addMagnet".to_owned()),
        times: Some(1),
        lose_answer: true,
        ..ApiFault::default()
    });
    world.break_links(1);
    world.read(1);
    world.until("added", |world| world.ids(1).len() == 2).await;
    world.restart();
    world
        .until("healed", |world| world.repair.status().healed == 1)
        .await;
    assert_eq!(world.ids(1).len(), 2);
    assert_eq!(world.calls("torrents/addMagnet"), 1);
    // And the state that was stored is read again.
    world.restart();
    assert_eq!(world.repair.status().patients, []);
    assert_eq!(
        world.repair.status().spent,
        2,
        "the limit outlives a restart"
    );
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_not_readable_is_set_aside_and_a_newer_one_is_left_alone() {
    let world = World::new(vec![release(1)]).await;
    world.shutdown.cancel();
    let path = world.dir.path().join("repair.json");
    std::fs::write(&path, "no JSON").unwrap();
    let opened = Repair::open(
        Rules::default(),
        &path,
        world.ward.clone(),
        world.clock.clone(),
    );
    assert_eq!(opened.unwrap().status().patients, []);
    let aside = state_file::moved_aside_in(world.dir.path());
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read(&aside[0]).unwrap(), b"no JSON");
    std::fs::write(&path, r#"{"version": 99}"#).unwrap();
    let newer = Repair::open(
        Rules::default(),
        &path,
        world.ward.clone(),
        world.clock.clone(),
    );
    assert!(newer.unwrap_err().to_string().contains("newer version"));
}

#[tokio::test(start_paused = true)]
async fn a_torrent_that_the_account_had_before_is_never_taken_back() {
    // AllDebrid answers an addition with the torrent that is there already.
    let slow = ReleaseSpec {
        cached: false,
        outcome: Outcome::Dead,
        status: Status::Dead,
        ..release(1)
    };
    let library = LibrarySpec {
        seed: 3,
        releases: vec![slow],
    };
    let sim = Sim::of_starting_at(Kind::AllDebrid, &library, start()).unwrap();
    let config = AccountConfig {
        name: "ad".to_owned(),
        token: Some(Secret::new(sim.token())),
        ..AccountConfig::of(&all_debrid::KIND)
    };
    let transport = Arc::new(InProcess::new(sim.router()));
    let calendar = Arc::new(TokioClock::starting_at(start()));
    let account = DebridAccount::with_transport(config, transport, calendar).unwrap();
    let held = sim.torrents(0).unwrap().remove(0).id;
    let again = Again {
        provider: Arc::new(account),
        magnet: format!("magnet:?xt=urn:btih:{}", hash(1)),
        files: BTreeSet::new(),
        known: BTreeSet::new(),
        cached: false,
        refuses_name: false,
    };
    let before = again.before(hash(1)).await.unwrap();
    assert_eq!(before, BTreeSet::from([TorrentId(held.clone())]));
    let added = again.add(hash(1), &before).await.unwrap();
    assert!(matches!(added, AddedAgain::Refused(_)), "{added:?}");
    assert_eq!(sim.torrents(0).unwrap().remove(0).id, held);
    // Where the account never had it, only what is cached is added.
    sim.remove_torrent(0, &held).unwrap();
    let elsewhere = Again {
        cached: true,
        ..again
    };
    let added = elsewhere.add(hash(1), &BTreeSet::new()).await.unwrap();
    assert!(matches!(added, AddedAgain::Refused(_)), "{added:?}");
    assert!(sim.torrents(0).unwrap().is_empty());
}
