//! One grab, several accounts: who gets it, and what is left in the others.

use std::collections::BTreeMap;
use std::time::Duration;

use debridfs_acquire::qbittorrent::Credentials;
use debridfs_acquire::{
    Acquire, AcquireConfig, Action, CategoryRule, Chosen, DeletePolicy, Evidence, Job, ProbeError,
    Refusal, Selection, Step, Uncached,
};
use debridfs_sim::arr::{Arr, ItemStatus};
use debridfs_sim::{
    ApiFault, FullSlots, Kind, Outage, OutageMode, Outcome, ReleaseSpec, Sim, Status, content,
};

use crate::support::{
    HASH, SAB_KEY, SMALL, World, cached, cloud, hash, in_category, magnet, second, small, tree,
};

const NAME: &str = "Film.2024";
const KINDS: [(&str, Kind); 5] = [
    ("rd", Kind::RealDebrid),
    ("tb", Kind::TorBox),
    ("ad", Kind::AllDebrid),
    ("dl", Kind::DebridLink),
    ("pm", Kind::Premiumize),
];

/// Accounts by name, of which those in `having` have the release in their cache.
fn clouds(having: &[&str]) -> BTreeMap<&'static str, Sim> {
    let cloud = |(name, kind): (&'static str, Kind)| {
        let release = ReleaseSpec {
            cached: having.contains(&name),
            ..cached(HASH, NAME)
        };
        let sim = cloud(kind, vec![release]);
        sim.configure(|settings| settings.downloading_ms = 3_600_000);
        (name, sim)
    };
    KINDS.into_iter().map(cloud).collect()
}

async fn world(
    clouds: &BTreeMap<&'static str, Sim>,
    order: &[&str],
    change: impl FnOnce(&mut AcquireConfig),
) -> World {
    let accounts: Vec<_> = clouds.iter().map(|(name, sim)| (*name, sim)).collect();
    let order = order.iter().map(|name| (*name).to_owned()).collect();
    World::among(&accounts, |config| {
        config.order = order;
        change(config);
    })
    .await
}

/// Torrents of the release in each account that has one.
fn held(clouds: &BTreeMap<&'static str, Sim>) -> Vec<(&'static str, usize)> {
    let count = |sim: &Sim| sim.torrents(0).unwrap().len();
    let all = clouds.iter().map(|(name, sim)| (*name, count(sim)));
    all.filter(|(_, count)| *count > 0).collect()
}

fn at(job: &Job) -> (&str, Option<Chosen>) {
    let at = job.at.as_ref().unwrap();
    (&*at.provider, at.chosen)
}

/// Until nothing is owed any more.
async fn paid(world: &World) {
    for _ in 0..600 {
        if world.acquire.status().deletions == 0 {
            return;
        }
        second().await;
    }
    panic!("{:?}", world.acquire.status());
}

fn adds(sim: &Sim) -> u64 {
    let calls = sim.counters();
    [
        "torrents/addMagnet",
        "torrents/createtorrent",
        "v4/magnet/upload",
        "seedbox/add",
        "transfer/create",
    ]
    .into_iter()
    .map(|endpoint| calls.calls_of(endpoint))
    .sum()
}

#[tokio::test(start_paused = true)]
async fn a_grab_goes_to_the_first_of_its_order_that_has_it() {
    for (order, having, gets) in [
        (["rd", "tb", "ad"], &["rd", "tb", "ad"][..], "rd"),
        (["tb", "rd", "ad"], &["rd", "ad"], "rd"),
        (["rd", "tb", "ad"], &["tb", "ad"], "tb"),
        (["rd", "tb", "ad"], &["ad"], "ad"),
        (["rd", "dl", "ad"], &["dl", "ad"], "dl"),
        (["dl", "rd", "ad"], &["ad"], "ad"),
        (["ad", "tb", "rd"], &["rd"], "rd"),
        (["ad", "rd", "tb"], &["tb"], "tb"),
    ] {
        let clouds = clouds(having);
        let world = world(&clouds, &order, |_| {}).await;
        world.grab(HASH, NAME).await;
        let job = world.complete(hash(HASH)).await;
        assert_eq!(
            at(&job),
            (gets, Some(Chosen::Cached)),
            "{order:?} {having:?}"
        );
        let before = order.iter().take_while(|name| **name != gets);
        let passed: Vec<_> = job.passed.iter().map(|passed| &*passed.provider).collect();
        assert_eq!(passed, before.copied().collect::<Vec<_>>());
        assert!(
            job.passed
                .iter()
                .all(|passed| passed.why == Refusal::Uncached)
        );
        let route = job.route().unwrap();
        assert!(
            route.starts_with(&format!("at {gets}, which has it cached")),
            "{route}"
        );
        paid(&world).await;
        assert_eq!(
            held(&clouds),
            [(gets, 1)],
            "what was only looked at is gone"
        );
        let comment = world
            .api()
            .get(&format!("torrents/properties?hash={HASH}"))
            .await;
        assert_eq!(comment.json()["comment"], route);
    }
}

#[tokio::test(start_paused = true)]
async fn a_category_has_an_order_of_its_own() {
    let clouds = clouds(&["rd", "tb", "ad"]);
    let world = world(&clouds, &["rd", "tb"], |config| {
        let rule = CategoryRule {
            order: Some(vec!["ad".to_owned(), "rd".to_owned()]),
            ..CategoryRule::default()
        };
        config.categories.insert("tv".to_owned(), rule);
    })
    .await;
    world.grab(HASH, NAME).await;
    let job = world.complete(hash(HASH)).await;
    assert_eq!(at(&job).0, "ad");
    let missing = |config: &mut AcquireConfig| config.order = vec!["none".to_owned()];
    let mut config = crate::support::config_in(world.dir.path(), world.clock());
    missing(&mut config);
    let opened = Acquire::open(config, world.accounts(), world.library.clone()).await;
    assert!(opened.unwrap_err().to_string().contains("\"none\""));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_waits_at_the_first_without_a_second_addition() {
    let clouds = clouds(&[]);
    let world = world(&clouds, &["rd", "tb", "ad"], |_| {}).await;
    world.grab(HASH, NAME).await;
    let job = world
        .until(hash(HASH), |job| {
            job.at
                .as_ref()
                .is_some_and(|at| at.chosen == Some(Chosen::Waits))
        })
        .await;
    assert_eq!(at(&job).0, "rd");
    let route = job.route().unwrap();
    assert!(
        route.starts_with("at rd, as no provider has it cached"),
        "{route}"
    );
    let job = world.complete(hash(HASH)).await;
    assert_eq!(at(&job), ("rd", Some(Chosen::Waits)));
    assert_eq!(
        adds(&clouds["rd"]),
        1,
        "what was looked at is what is waited for"
    );
    assert_eq!(adds(&clouds["tb"]), 0, "it was asked, not added");
    assert_eq!(held(&clouds), [("rd", 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_is_refused_or_moves_on_by_the_policy_of_its_category() {
    let uncached = |policy| move |config: &mut AcquireConfig| config.uncached = policy;
    let refused = clouds(&[]);
    let world_of = world(&refused, &["rd", "tb", "ad"], uncached(Uncached::Refuse)).await;
    world_of.grab(HASH, NAME).await;
    let job = world_of.settled(hash(HASH)).await;
    assert_eq!(
        (job.step, job.evidence),
        (Step::Failed, Some(Evidence::Uncached))
    );
    let reason = job.reason.clone().unwrap();
    for name in ["rd does not have it", "tb does not have it", "ad: "] {
        assert!(reason.contains(name), "{reason}");
    }
    paid(&world_of).await;
    assert_eq!(held(&refused), []);

    let moves = clouds(&[]);
    moves["tb"].configure(|settings| settings.downloading_ms = 60_000);
    let patience = Uncached::UpTo(Duration::from_secs(600));
    let world_of = world(&moves, &["rd", "tb", "ad"], uncached(patience)).await;
    world_of.grab(HASH, NAME).await;
    let job = world_of.complete(hash(HASH)).await;
    assert_eq!(at(&job), ("tb", Some(Chosen::Waits)));
    let rd = job.passed.iter().find(|passed| passed.provider == "rd");
    assert_eq!(rd.unwrap().why, Refusal::TooLong);
    paid(&world_of).await;
    assert_eq!(held(&moves), [("tb", 1)]);

    let nowhere = clouds(&[]);
    let world_of = world(&nowhere, &["rd", "tb", "ad"], uncached(patience)).await;
    world_of.grab(HASH, NAME).await;
    let job = world_of.settled(hash(HASH)).await;
    assert_eq!(
        (job.step, job.evidence),
        (Step::Failed, Some(Evidence::Uncached))
    );
    paid(&world_of).await;
    assert_eq!(held(&nowhere), []);
}

/// A torrent that is there and not ready, in the first account of the order.
fn underway(kind: Kind) -> Sim {
    let release = ReleaseSpec {
        cached: false,
        copies: 1,
        status: Status::Downloading,
        ..cached(HASH, NAME)
    };
    let sim = cloud(kind, vec![release]);
    sim.configure(|settings| settings.downloading_ms = 360_000_000);
    sim
}

#[tokio::test(start_paused = true)]
async fn what_an_account_held_before_is_never_deleted() {
    for (name, kind) in KINDS {
        for policy in [Uncached::Wait, Uncached::Refuse] {
            let mut accounts = clouds(&["rd", "tb", "ad"]);
            accounts.insert(name, underway(kind));
            let others = ["rd", "tb", "ad"]
                .into_iter()
                .filter(|other| *other != name);
            let order: Vec<_> = [name].into_iter().chain(others).collect();
            let world = world(&accounts, &order, |config| {
                config.uncached = policy;
                config.delete = DeletePolicy::Provider;
            })
            .await;
            let before = accounts[name].torrents(0).unwrap();
            world.grab(HASH, NAME).await;
            let job = world.complete(hash(HASH)).await;
            assert_eq!(at(&job), (order[1], Some(Chosen::Cached)), "{name}");
            world.acquire.remove(Selection::All, true).await.unwrap();
            paid(&world).await;
            let after = accounts[name].torrents(0).unwrap();
            assert_eq!(after.len(), 1, "{name} {policy:?}");
            assert_eq!(after[0].id, before[0].id);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_adds_nothing_twice_and_deletes_nothing() {
    for (name, endpoint) in [
        ("rd", "torrents/addMagnet"),
        ("tb", "torrents/createtorrent"),
    ] {
        for having in [&[name][..], &["ad"]] {
            let clouds = clouds(having);
            let world = world(&clouds, &[name, "ad"], |_| {}).await;
            clouds[name].fail_api(ApiFault {
                endpoint: Some(endpoint.to_owned()),
                times: Some(1),
                lose_answer: true,
                ..ApiFault::default()
            });
            world.grab(HASH, NAME).await;
            let job = world.complete(hash(HASH)).await;
            paid(&world).await;
            let there = clouds[name].torrents(0).unwrap().len();
            // TorBox was asked first, so that nothing was added where it has nothing.
            let expected = usize::from(name == "rd" || having == [name]);
            assert_eq!(there, expected, "{name} {having:?}");
            if having == ["ad"] {
                assert_eq!(at(&job).0, "ad");
            }
        }
    }
}

/// It may be somebody else's, who added it at that moment.
#[tokio::test(start_paused = true)]
async fn what_is_found_after_a_lost_answer_is_used_and_not_deleted() {
    let clouds = clouds(&[]);
    let world = world(&clouds, &["rd"], |config| {
        config.uncached = Uncached::Refuse
    })
    .await;
    clouds["rd"].fail_api(ApiFault {
        endpoint: Some("torrents/addMagnet".to_owned()),
        times: Some(1),
        lose_answer: true,
        ..ApiFault::default()
    });
    world.grab(HASH, NAME).await;
    let job = world.settled(hash(HASH)).await;
    assert_eq!(job.evidence, Some(Evidence::Uncached), "{:?}", job.reason);
    paid(&world).await;
    assert_eq!(adds(&clouds["rd"]), 1);
    assert_eq!(held(&clouds), [("rd", 1)]);
}

#[tokio::test(start_paused = true)]
async fn one_in_trouble_holds_nothing_up_that_another_has() {
    let clouds = clouds(&["ad"]);
    let world = world(&clouds, &["rd", "tb", "ad"], |_| {}).await;
    for name in ["rd", "tb"] {
        clouds[name].set_outage(Outage {
            api: OutageMode::Unavailable,
            ..Outage::default()
        });
    }
    world.grab(HASH, NAME).await;
    let job = world.complete(hash(HASH)).await;
    assert_eq!(at(&job), ("ad", Some(Chosen::Cached)));
    assert_eq!(job.passed, [], "trouble says nothing of the release");
}

#[tokio::test(start_paused = true)]
async fn one_magnet_makes_a_bounded_number_of_calls() {
    let clouds = clouds(&[]);
    let world = world(&clouds, &["rd", "tb", "ad"], |_| {}).await;
    world.grab(HASH, NAME).await;
    let waits = |job: &Job| {
        job.at
            .as_ref()
            .is_some_and(|at| at.chosen == Some(Chosen::Waits))
    };
    world.until(hash(HASH), waits).await;
    let calls = |name: &str| clouds[name].counters().calls;
    // A list, an addition and looks for 15 s; a question; a list, an addition and a deletion.
    for (name, most) in [("rd", 10), ("tb", 2), ("ad", 6)] {
        assert!(calls(name) <= most, "{name}: {}", calls(name));
    }
    // A provider that was asked is not asked again.
    let (tb, ad) = (calls("tb"), calls("ad"));
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert_eq!((calls("tb"), calls("ad")), (tb, ad));
}

#[tokio::test(start_paused = true)]
async fn full_slots_are_waited_for_and_asked_about_once_a_minute() {
    for (name, kind) in KINDS {
        for full in [FullSlots::Refuse, FullSlots::Queue] {
            // Ten that are under way: all slots of TorBox's best plan.
            let releases = (0..30).map(|number| ReleaseSpec {
                cached: false,
                copies: u32::from(number >= 20),
                status: Status::Downloading,
                ..cached(&format!("{number:040x}"), &format!("Film.{number}"))
            });
            let sim = cloud(kind, releases.collect());
            let slots = |free: bool| {
                sim.configure(|settings| {
                    settings.downloading_ms = if free { 1000 } else { 360_000_000 };
                    settings.active_limit = if free { 100 } else { 10 };
                    settings.torbox.full_slots = full;
                });
            };
            slots(false);
            let world = World::among(&[(name, &sim)], |_| {}).await;
            for number in 0..12 {
                world
                    .grab(&format!("{number:040x}"), &format!("Film.{number}"))
                    .await;
            }
            tokio::time::sleep(Duration::from_secs(600)).await;
            for job in world.acquire.jobs() {
                assert_eq!(job.step, Step::Placed, "{name}: {:?}", job.reason);
                let why = job.live.trouble.as_ref().unwrap();
                assert!(
                    why.contains("active") || why.contains("slot"),
                    "{name}: {why}"
                );
            }
            let asked = adds(&sim);
            assert!(
                (5..=20).contains(&asked),
                "{name}: {asked} additions in ten minutes"
            );
            slots(true);
            let first = world.acquire.jobs().remove(0);
            world.complete(first.hash).await;
            if kind != Kind::TorBox {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn additions_at_real_debrid_are_spaced_and_none_is_refused() {
    let releases =
        (0..6).map(|number| cached(&format!("{number:040x}"), &format!("Film.{number}")));
    let world = World::with_account(releases.collect(), |account| {
        account.add_interval = Duration::from_secs(20);
    })
    .await;
    world
        .sim
        .configure(|settings| settings.realdebrid.adds_apart_ms = 20_000);
    let begun = tokio::time::Instant::now();
    for number in 0..6 {
        world
            .grab(&format!("{number:040x}"), &format!("Film.{number}"))
            .await;
    }
    for number in 0..6 {
        let job = world.complete(hash(&format!("{number:040x}"))).await;
        assert_eq!(job.passed, []);
    }
    let took = begun.elapsed().as_secs();
    assert!((100..400).contains(&took), "{took} s");
    assert_eq!(adds(&world.sim), 6);
}

const FILTERED: &str = "Film.2024.1080p.WEBRip";

fn filtering() -> Sim {
    let sim = cloud(Kind::RealDebrid, vec![cached(HASH, FILTERED)]);
    sim.configure(|settings| settings.realdebrid.refuse_names = true);
    sim
}

#[tokio::test(start_paused = true)]
async fn a_refused_name_goes_to_the_next_provider() {
    let (rd, ad) = (
        filtering(),
        cloud(Kind::AllDebrid, vec![cached(HASH, FILTERED)]),
    );
    let world = World::among(&[("rd", &rd), ("ad", &ad)], |_| {}).await;
    world.grab(HASH, FILTERED).await;
    let job = world.complete(hash(HASH)).await;
    assert_eq!(at(&job), ("ad", Some(Chosen::Cached)));
    assert_eq!(job.passed[0].why, Refusal::Blocked);
    assert_eq!(adds(&rd), 1, "not asked twice");
    assert_eq!(
        ad.torrents(0).unwrap()[0].filename,
        FILTERED,
        "under its own name"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_name_blocks_the_download_and_says_nothing_of_the_release() {
    let rd = filtering();
    let world = World::among(&[("rd", &rd)], |_| {}).await;
    world.grab(HASH, FILTERED).await;
    let job = world.settled(hash(HASH)).await;
    assert_eq!(
        (job.step, job.blocked, job.evidence),
        (Step::Failed, true, None)
    );
    let reason = job.reason.clone().unwrap();
    assert!(
        reason.contains("451") && reason.contains("for its name"),
        "{reason}"
    );
    tokio::time::sleep(Duration::from_secs(48 * 3600)).await;
    assert_eq!(adds(&rd), 1, "nobody tries again");
    // A qBittorrent in error is a warning to an arr; in a SABnzbd's history it would be a failure.
    let info = world.api().get("torrents/info").await.json();
    assert_eq!(info[0]["state"], "error");
    let sab = world.sab();
    let list = async |mode: &str| {
        let call = format!("api?mode={mode}&output=json&apikey={SAB_KEY}");
        sab.get(&call).await
    };
    let queue = list("queue").await.json();
    assert_eq!(queue["queue"]["slots"][0]["status"], "Paused", "{queue}");
    assert_eq!(queue["queue"]["slots"][0]["labels"][0], reason);
    let history = list("history").await.json();
    assert_eq!(history["history"]["slots"].as_array().unwrap().len(), 0);
    // By hand.
    rd.configure(|settings| settings.realdebrid.refuse_names = false);
    let one = Selection::Some(vec![hash(HASH)]);
    world.acquire.recheck(one).await.unwrap();
    let job = world.complete(hash(HASH)).await;
    assert!(!job.blocked);
}

#[tokio::test(start_paused = true)]
async fn links_to_what_is_held_are_refused_for_the_name_as_well() {
    let refused = || ProbeError::Refused("rd: the provider refuses the content (451)".to_owned());
    for others in [false, true] {
        let mut held = cached(HASH, FILTERED);
        held.copies = 1;
        let (rd, ad) = (
            cloud(Kind::RealDebrid, vec![held]),
            cloud(Kind::AllDebrid, vec![cached(HASH, FILTERED)]),
        );
        let accounts = [("rd", &rd), ("ad", &ad)];
        let accounts = &accounts[..if others { 2 } else { 1 }];
        let world = World::among(accounts, |config| config.delete = DeletePolicy::Provider).await;
        let file = format!("{FILTERED}.mkv");
        let probes = &world.library.probes;
        probes.lock().unwrap().insert(file.clone(), refused());
        world.grab(HASH, FILTERED).await;
        if others {
            let moved = |job: &Job| job.at.as_ref().is_some_and(|at| at.provider == "ad");
            world.until(hash(HASH), moved).await;
            probes.lock().unwrap().clear();
            world.complete(hash(HASH)).await;
        } else {
            let job = world.settled(hash(HASH)).await;
            assert_eq!(
                (job.blocked, job.evidence),
                (true, None),
                "{:?}",
                job.reason
            );
            let probed = world.library.probed.lock().unwrap();
            assert_eq!(probed.iter().filter(|path| **path == file).count(), 1);
        }
        assert_eq!(rd.torrents(0).unwrap().len(), 1, "it was there before");
    }
}

#[tokio::test(start_paused = true)]
async fn a_takedown_and_a_penalty_are_no_refusals_of_the_name() {
    // A takedown: said twice, a minute apart; the next provider is asked.
    let taken_down = ReleaseSpec {
        outcome: Outcome::Infringing,
        ..cached(HASH, NAME)
    };
    let rd = cloud(Kind::RealDebrid, vec![taken_down]);
    let ad = cloud(
        Kind::AllDebrid,
        vec![ReleaseSpec {
            cached: false,
            ..cached(HASH, NAME)
        }],
    );
    let world = World::among(&[("rd", &rd), ("ad", &ad)], |_| {}).await;
    world.grab(HASH, NAME).await;
    let job = world.complete(hash(HASH)).await;
    assert_eq!(at(&job), ("ad", Some(Chosen::Waits)));
    let passed: BTreeMap<_, _> = job
        .passed
        .iter()
        .map(|one| (&*one.provider, one.why))
        .collect();
    assert_eq!(passed["rd"], Refusal::Infringing);
    assert_eq!(adds(&rd), 2);

    // While calls are throttled, a name that would be refused is refused for the calls.
    let rd = filtering();
    rd.configure(|settings| {
        settings.realdebrid.refuse_names = false;
        settings.penalty_infringing = true;
        settings.calls_per_minute = 1;
    });
    let world = World::among(&[("rd", &rd)], |_| {}).await;
    world.grab(HASH, FILTERED).await;
    let throttled = |job: &Job| job.live.trouble.is_some();
    let job = world.until(hash(HASH), throttled).await;
    assert_eq!(job.passed, []);
    rd.configure(|settings| settings.calls_per_minute = 0);
    let job = world.complete(hash(HASH)).await;
    assert!(!job.blocked);
}

#[tokio::test(start_paused = true)]
async fn an_arr_grabs_imports_and_removes_at_every_provider() {
    for (name, kind) in KINDS {
        let sim = cloud(kind, vec![small(HASH, NAME)]);
        let world = World::among(&[(name, &sim)], |config| {
            config.action = Action::Download;
            config.delete = DeletePolicy::Provider;
        })
        .await;
        let peer = debridfs_listen::Peer([127, 0, 0, 1].into());
        let front = debridfs_acquire::qbittorrent::router(
            world.acquire.clone(),
            Credentials::default(),
            Default::default(),
        );
        let sonarr = Arr::in_process(front.layer(axum::Extension(peer)), "", "", "tv");
        sonarr.test().await.unwrap();
        let uri = format!("magnet:?xt=urn:btih:{HASH}&dn={NAME}");
        sonarr.grab_magnet(&uri).await.unwrap();
        let mut item = sonarr.poll().await.unwrap().remove(0);
        for _ in 0..3600 {
            if item.status == ItemStatus::Completed {
                break;
            }
            second().await;
            item = sonarr.poll().await.unwrap().remove(0);
        }
        assert_eq!(item.status, ItemStatus::Completed, "{name}: {item:?}");
        let library = world.dir.path().join("series");
        std::fs::create_dir(&library).unwrap();
        let files = sonarr.import(&item, &library).unwrap();
        let film = files
            .iter()
            .find(|path| path.extension().is_some_and(|end| end == "mkv"));
        let found = std::fs::read(film.unwrap()).unwrap();
        let mut right = vec![0; usize::try_from(SMALL).unwrap()];
        content::fill(content::key(HASH, &format!("/{NAME}.mkv")), 0, &mut right);
        assert!(found == right, "{name}: {} bytes", found.len());
        sonarr.remove(&item).await.unwrap();
        assert_eq!(sonarr.poll().await.unwrap(), []);
        paid(&world).await;
        assert_eq!(tree(&world.downloads()), [""; 0], "{name}");
        assert_eq!(
            sim.torrents(0).unwrap().len(),
            0,
            "{name}: what it added is gone"
        );
    }
}

/// The torrent that is looked at while others are asked is not left behind, whatever becomes of the grab.
#[tokio::test(start_paused = true)]
async fn what_is_kept_while_others_are_asked_goes_with_the_grab() {
    let clouds = clouds(&[]);
    let world = world(&clouds, &["rd", "ad"], |_| {}).await;
    clouds["ad"].set_outage(Outage {
        api: OutageMode::Hang,
        ..Outage::default()
    });
    let added = world.acquire.add(magnet(HASH, NAME), in_category("tv"));
    added.await.unwrap();
    world.until(hash(HASH), |job| job.kept.is_some()).await;
    assert_eq!(held(&clouds), [("rd", 1)]);
    world.acquire.remove(Selection::All, true).await.unwrap();
    paid(&world).await;
    assert_eq!(held(&clouds), []);
}
