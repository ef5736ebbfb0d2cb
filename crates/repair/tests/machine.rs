//! The machine alone: every order of events, with a clock that the test turns.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use debridfs_provider::InfoHash;
use debridfs_repair::{
    Checked, Finding, Machine, ProviderState, Rules, Stage, Treated, Treatment, Wish,
};
use jiff::Timestamp;
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn hash(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

fn finding(number: u8, providers: &[&str]) -> Finding {
    Finding {
        hash: hash(number),
        name: format!("Release.{number}"),
        file: Some("film.mkv".to_owned()),
        providers: providers.iter().map(|&name| name.to_owned()).collect(),
        broken: BTreeSet::new(),
        words: "the provider says that it cannot serve this file".to_owned(),
    }
}

/// A machine, a clock, and a world that answers as a test says.
struct World {
    machine: Machine,
    now: Timestamp,
    providers: Vec<ProviderState>,
    releases: usize,
    arrs: bool,
    /// Releases that cannot be read.
    bad: BTreeSet<InfoHash>,
    /// Releases that these providers refuse for their names.
    refused: BTreeMap<InfoHash, BTreeSet<String>>,
    /// Releases that can be read, but not at these providers.
    spared: BTreeMap<InfoHash, BTreeSet<String>>,
    /// What helps them.
    cure: BTreeMap<InfoHash, Treatment>,
    treated: Vec<(Timestamp, InfoHash, Treatment)>,
    checks: Vec<(Timestamp, InfoHash)>,
    /// What a treatment comes to.
    outcome: fn(String) -> Treated,
    /// When checks of a release failed while its providers were well, since it was last well or treated.
    against: BTreeMap<InfoHash, Vec<Timestamp>>,
    /// When a provider was last seen in trouble, or nothing was known of it.
    troubled: BTreeMap<String, Timestamp>,
    rules: Rules,
}

impl World {
    fn new(rules: Rules, providers: &[&str]) -> Self {
        let settle = rules.settle;
        let state = |name: &&str| ProviderState {
            name: (*name).to_owned(),
            trouble: None,
            may_add: true,
        };
        let mut world = Self {
            outcome: Treated::Done,
            against: BTreeMap::new(),
            troubled: BTreeMap::new(),
            machine: Machine::new(rules.clone(), Vec::new(), VecDeque::new()),
            rules,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            providers: providers.iter().map(state).collect(),
            releases: 1000,
            arrs: true,
            bad: BTreeSet::new(),
            refused: BTreeMap::new(),
            spared: BTreeMap::new(),
            cure: BTreeMap::new(),
            treated: Vec::new(),
            checks: Vec::new(),
        };
        // At first nothing is believed, as after any trouble.
        world.observe();
        world.pass(settle);
        world
    }

    fn trouble(&mut self, name: &str, words: Option<&str>) {
        let state = self.providers.iter_mut().find(|one| one.name == name);
        state.unwrap().trouble = words.map(str::to_owned);
    }

    fn observe(&mut self) {
        let arrs = self.arrs;
        let troubled = self.providers.iter().filter(|one| one.trouble.is_some());
        for state in troubled {
            self.troubled.insert(state.name.clone(), self.now);
        }
        self.machine
            .observe(self.now, &self.providers, self.releases, arrs);
    }

    /// One look: everything that is wished for is answered at once.
    fn step(&mut self) {
        self.observe();
        for wish in self.machine.wishes(self.now) {
            let (Wish::Check(hash) | Wish::Treat(hash, _)) = &wish;
            assert!(self.all_calm(*hash), "{wish:?}");
            match wish {
                Wish::Check(hash) => {
                    self.checks.push((self.now, hash));
                    self.check(hash);
                }
                Wish::Treat(hash, treatment) => {
                    self.is_justified(hash);
                    let how = (self.outcome)("done".to_owned());
                    if matches!(how, Treated::Done(_)) {
                        // What was added has to be found bad by itself.
                        self.against.remove(&hash);
                        if self.cure.get(&hash) == Some(&treatment) {
                            self.bad.remove(&hash);
                            self.spared.remove(&hash);
                        }
                    }
                    self.treated.push((self.now, hash, treatment));
                    self.machine.treated(self.now, hash, &how);
                }
            }
        }
    }

    /// Whether the providers of a patient are well, and have been for as long as it takes until they are believed.
    fn all_calm(&self, hash: InfoHash) -> bool {
        let providers = &self.machine.patient(hash).unwrap().providers;
        providers.iter().all(|name| {
            let settled = self.troubled.get(name).map(|at| *at + self.rules.settle);
            settled.is_none_or(|at| at <= self.now)
        })
    }

    /// Looks at a patient, by the machine's wish or by hand.
    fn check(&mut self, hash: InfoHash) {
        let words = "no link".to_owned();
        let found = match (self.bad.contains(&hash), self.spared.get(&hash)) {
            (true, _) if let Some(by) = self.refused.get(&hash) => Checked::Blocked {
                by: by.clone(),
                words,
            },
            (true, _) => Checked::Bad(words),
            (false, Some(broken)) => Checked::Spared {
                broken: broken.clone(),
                words,
            },
            (false, None) => Checked::Well,
        };
        if found == Checked::Well {
            self.against.remove(&hash);
        } else if self.all_calm(hash) {
            self.against.entry(hash).or_default().push(self.now);
        }
        self.machine.checked(self.now, hash, &found);
    }

    /// A treatment has all the evidence that is asked for, from checks that were apart, and the last of it is fresh.
    fn is_justified(&self, hash: InfoHash) {
        let against = self.against.get(&hash).map_or(&[][..], Vec::as_slice);
        let apart = self.rules.apart;
        let (mut counted, mut next) = (0, Timestamp::MIN);
        for at in against {
            if *at >= next {
                (counted, next) = (counted + 1, *at + apart);
            }
        }
        // A refusal of a name depends on nothing else.
        let enough = if self.refused.contains_key(&hash) {
            1
        } else {
            3
        };
        assert!(counted >= enough, "{hash} too soon: {against:?}");
        let fresh = against.last().is_some_and(|at| *at + apart >= self.now);
        assert!(fresh, "{hash} too late, at {}: {against:?}", self.now);
    }

    /// Another process goes on from what was stored; it knows of no provider how it did a moment ago.
    fn restart(&mut self) {
        let patients: Vec<_> = self.machine.patients().cloned().collect();
        let text = serde_json::to_string(&patients).unwrap();
        let read = serde_json::from_str(&text).unwrap();
        self.machine = Machine::new(self.rules.clone(), read, self.machine.spent().clone());
        for state in &self.providers {
            self.troubled.insert(state.name.clone(), self.now);
        }
        self.observe();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += MINUTE / 2;
            self.step();
        }
    }

    fn report(&mut self, number: u8, providers: &[&str]) {
        self.observe();
        self.machine.report(self.now, &finding(number, providers));
    }

    fn stage(&self, number: u8) -> Option<&Stage> {
        self.machine.patient(hash(number)).map(|one| &one.stage)
    }
}

fn add(provider: &str) -> Treatment {
    Treatment::Add {
        provider: provider.to_owned(),
    }
}

#[test]
fn one_answer_is_believed_by_nobody() {
    let mut world = World::new(Rules::default(), &["rd"]);
    world.bad.insert(hash(1));
    world.report(1, &["rd"]);
    assert_eq!(world.stage(1), Some(&Stage::Suspect));
    // However often it is said, and checked by hand.
    for _ in 0..100 {
        world.now += Duration::from_secs(1);
        world.report(1, &["rd"]);
        let bad = Checked::Bad("no link".to_owned());
        world.machine.checked(world.now, hash(1), &bad);
    }
    assert_eq!(world.stage(1), Some(&Stage::Suspect));
    world.pass(2 * HOUR);
    let confirmed = world.treated[0].0;
    assert!(world.checks.len() >= 3);
    assert!(confirmed >= world.checks[0].0 + 2 * Rules::default().apart);
}

#[test]
fn the_order_is_where_it_is_then_elsewhere_then_the_arr() {
    let mut world = World::new(Rules::default(), &["rd", "ad"]);
    world.bad.insert(hash(1));
    world.report(1, &["ad"]);
    world.pass(24 * HOUR);
    let order: Vec<_> = world.treated.iter().map(|(.., one)| one.clone()).collect();
    assert_eq!(order, [add("ad"), add("rd"), Treatment::AskArr]);
    assert_eq!(world.stage(1), Some(&Stage::Replaced));
    world.pass(30 * 24 * HOUR);
    assert_eq!(world.treated.len(), 3, "and then it is over");

    let mut without = World::new(
        Rules {
            ask_arrs: false,
            ..Rules::default()
        },
        &["rd"],
    );
    without.bad.insert(hash(1));
    without.report(1, &["rd"]);
    without.pass(24 * HOUR);
    assert_eq!(without.stage(1), Some(&Stage::GivenUp));
    assert_eq!(without.treated.len(), 1);
}

/// A release that `b` serves, while its copy at `a` is bad.
fn spare(world: &mut World, number: u8) {
    let broken = BTreeSet::from(["a".to_owned()]);
    world.spared.insert(hash(number), broken.clone());
    world.observe();
    let finding = Finding {
        broken,
        ..finding(number, &["a", "b"])
    };
    world.machine.report(world.now, &finding);
}

#[test]
fn what_another_copy_serves_is_no_broken_release_and_is_mended_where_its_copy_is_bad_without_haste()
{
    let mut world = World::new(Rules::default(), &["a", "b", "c"]);
    spare(&mut world, 1);
    world.cure.insert(hash(1), add("a"));
    let begun = world.now;
    world.pass(23 * HOUR);
    assert_eq!(world.stage(1), Some(&Stage::Spared));
    assert!(!world.machine.patient(hash(1)).unwrap().is_bad());
    assert_eq!(world.treated, [], "there is no hurry");
    world.pass(4 * HOUR);
    let [(at, _, treatment)] = &world.treated[..] else {
        panic!("{:?}", world.treated);
    };
    assert_eq!(*treatment, add("a"));
    assert!(*at >= begun + Rules::default().unhurried);
    assert_eq!(world.stage(1), None, "healed");

    // Where that does not help, neither another provider nor the arr is troubled, not in weeks; and it is never called bad.
    let mut vain = World::new(Rules::default(), &["a", "b", "c"]);
    spare(&mut vain, 1);
    for _ in 0..30 * 24 {
        vain.pass(HOUR);
        assert!(!vain.machine.patient(hash(1)).unwrap().is_bad());
    }
    let tried: Vec<_> = vain.treated.iter().map(|(.., one)| one).collect();
    assert_eq!(tried, [&add("a")]);
    assert_eq!(vain.stage(1), Some(&Stage::Spared));
    let looks = vain.checks.iter().filter(|(at, _)| *at > begun + 48 * HOUR);
    assert!(looks.count() <= 5, "a look a week");

    // The other copy goes as well: now it is broken, and nothing of what was confirmed before counts.
    vain.spared.clear();
    vain.bad.insert(hash(1));
    vain.against.clear();
    vain.pass(9 * 24 * HOUR);
    let tried: Vec<_> = vain.treated.iter().map(|(.., one)| one.clone()).collect();
    assert_eq!(tried, [add("a"), add("b"), add("c"), Treatment::AskArr]);
}

#[test]
fn what_cannot_be_read_at_all_comes_before_what_other_copies_serve() {
    let mut world = World::new(Rules::default(), &["a", "b"]);
    for number in 1..=4 {
        spare(&mut world, number);
    }
    world.pass(23 * HOUR);
    for number in 11..=14 {
        world.bad.insert(hash(number));
        world.report(number, &["b"]);
        world.pass(MINUTE);
    }
    world.pass(26 * HOUR);
    let of = |world: &World, numbers: std::ops::RangeInclusive<u8>| {
        let treated = world.treated.iter();
        let treated = treated.filter(|(_, of, _)| numbers.clone().any(|one| hash(one) == *of));
        treated.map(|(at, ..)| *at).collect::<Vec<_>>()
    };
    let (spared, bad) = (of(&world, 1..=4), of(&world, 11..=14));
    assert_eq!((spared.len(), bad.len()), (4, 12));
    // In any hour spared ones have half of the treatments at most.
    for (number, at) in spared.iter().enumerate() {
        let within = spared[..number].iter().filter(|one| **one + HOUR > *at);
        assert!(within.count() < 3, "{spared:?}");
    }
    assert!(bad[0] < spared[0], "{bad:?} {spared:?}");
}

#[test]
fn bad_copies_of_one_provider_do_not_make_the_provider_suspect_that_serves_them() {
    let mut world = World::new(Rules::default(), &["a", "b"]);
    world.releases = 100;
    for number in 1..=20 {
        spare(&mut world, number);
    }
    world.observe();
    assert_eq!(world.machine.held().collect::<Vec<_>>(), ["a"]);
    world.bad.insert(hash(50));
    world.report(50, &["b"]);
    world.pass(3 * HOUR);
    assert!(world.treated.iter().any(|(_, of, _)| *of == hash(50)));
    world.pass(48 * HOUR);
    let spared = world.treated.iter().filter(|(_, of, _)| *of != hash(50));
    assert_eq!(spared.count(), 0, "a mass is not treated");
}

#[test]
fn nothing_is_added_where_the_terms_forbid_it() {
    let mut world = World::new(Rules::default(), &["rd", "tb"]);
    world.providers[1].may_add = false;
    for number in 1..=2 {
        world.bad.insert(hash(number));
    }
    world.report(1, &["tb"]);
    world.report(2, &["rd"]);
    let spared = Finding {
        broken: BTreeSet::from(["tb".to_owned()]),
        ..finding(3, &["rd", "tb"])
    };
    world.spared.insert(hash(3), spared.broken.clone());
    world.machine.report(world.now, &spared);
    world.pass(60 * 24 * HOUR);
    let treated = |number| {
        let treated = world.treated.iter();
        let treated = treated.filter(move |(_, of, _)| *of == hash(number));
        treated.map(|(.., one)| one.clone()).collect::<Vec<_>>()
    };
    // What would not be done costs no treatment of the hour either.
    assert_eq!(treated(1), [add("rd"), Treatment::AskArr]);
    assert_eq!(treated(2), [add("rd"), Treatment::AskArr]);
    assert_eq!(treated(3), []);
    let never: Vec<_> = world.machine.never_added().collect();
    assert_eq!(never, ["tb"]);
}

#[test]
fn a_kill_while_a_spared_release_is_treated_does_not_make_it_broken() {
    let mut world = World::new(Rules::default(), &["a", "b"]);
    spare(&mut world, 1);
    world.outcome = Treated::Later;
    world.pass(25 * HOUR);
    assert!(!world.treated.is_empty());
    assert_eq!(world.stage(1), Some(&Stage::Spared));
    let mut machine = world.machine.clone();
    let mut at = world.now;
    while !machine.patients().any(|one| one.busy) {
        at += MINUTE;
        machine.observe(at, &world.providers, 1000, true);
        for wish in machine.wishes(at) {
            if let Wish::Check(hash) = wish {
                let (broken, words) = (BTreeSet::from(["a".to_owned()]), "no link".to_owned());
                machine.checked(at, hash, &Checked::Spared { broken, words });
            }
        }
    }
    machine.nobody_is_busy();
    assert_eq!(machine.patient(hash(1)).unwrap().stage, Stage::Spared);
}

#[test]
fn what_helps_ends_it() {
    let mut world = World::new(Rules::default(), &["rd"]);
    world.bad.insert(hash(1));
    world.cure.insert(hash(1), add("rd"));
    world.report(1, &["rd"]);
    world.pass(24 * HOUR);
    assert_eq!(world.treated.len(), 1);
    assert_eq!(world.stage(1), None);
    assert_eq!(world.machine.healed(), 1);
}

#[test]
fn an_outage_of_ten_minutes_is_no_illness() {
    // As some are: every link is said to be dead, and the provider looks well all the time.
    let mut world = World::new(Rules::default(), &["rd"]);
    for number in 0..40 {
        world.bad.insert(hash(number));
    }
    for minute in 0..10 {
        for number in minute * 4..minute * 4 + 4 {
            world.report(number, &["rd"]);
        }
        world.pass(MINUTE);
    }
    world.bad.clear();
    world.pass(48 * HOUR);
    assert_eq!(world.treated, []);
    assert_eq!(world.machine.patients().len(), 0, "all were cleared");
}

#[test]
fn nothing_is_believed_while_a_provider_is_in_trouble_or_was_a_moment_ago() {
    let mut world = World::new(Rules::default(), &["rd"]);
    world.trouble("rd", Some("503"));
    world.report(1, &["rd"]);
    assert_eq!(world.stage(1), None);
    world.trouble("rd", None);
    world.pass(MINUTE);
    world.report(1, &["rd"]);
    assert_eq!(world.stage(1), None, "it has to settle first");
    world.pass(Rules::default().settle);
    world.bad.insert(hash(1));
    world.report(1, &["rd"]);
    assert_eq!(world.stage(1), Some(&Stage::Suspect));
    // Trouble for a day in the middle: nothing is asked.
    world.trouble("rd", Some("no traffic"));
    world.pass(MINUTE);
    let checks = world.checks.len();
    world.pass(24 * HOUR);
    assert_eq!((world.checks.len(), world.treated.len()), (checks, 0));
    assert_eq!(world.machine.quiet(world.now).len(), 1);
}

#[test]
fn many_at_once_are_the_providers_fault() {
    let mut world = World::new(Rules::default(), &["rd", "ad"]);
    // 3 % of the library, for days.
    for number in 0..30 {
        world.bad.insert(hash(number));
        world.report(number, &["rd"]);
    }
    world.pass(72 * HOUR);
    assert_eq!(world.treated, []);
    assert_eq!(world.machine.held().collect::<Vec<_>>(), ["rd"]);
    let a_day = 24 * 60 / 5;
    assert!(world.checks.len() <= 3 * a_day + 10, "few are looked at");
    // Those of another provider are treated as ever.
    world.bad.insert(hash(200));
    world.report(200, &["ad"]);
    world.pass(3 * HOUR);
    assert!(world.treated.iter().all(|(_, one, _)| *one == hash(200)));
    assert!(!world.treated.is_empty());
    // Somebody looked and wants it done: few an hour, one after the other.
    world.treated.clear();
    assert_eq!(world.machine.approve(None), 31);
    world.pass(6 * HOUR);
    assert!(world.treated.len() > 6, "{}", world.treated.len());
    // And when the provider is well again, all are cleared soon.
    let mut well = World::new(Rules::default(), &["rd"]);
    for number in 0..200 {
        well.bad.insert(hash(number));
        well.report(number, &["rd"]);
    }
    well.pass(10 * HOUR);
    well.bad.clear();
    well.pass(3 * HOUR);
    assert_eq!((well.treated.len(), well.machine.patients().len()), (0, 0));
}

#[test]
fn a_restart_forgets_no_limit_and_no_confirmation() {
    let mut world = World::new(Rules::default(), &["rd"]);
    for number in 0..4 {
        world.bad.insert(hash(number));
        world.report(number, &["rd"]);
    }
    world.pass(HOUR);
    let patients: Vec<_> = world.machine.patients().cloned().collect();
    let spent = world.machine.spent().clone();
    assert!(!spent.is_empty());
    world.restart();
    let read: Vec<_> = world.machine.patients().cloned().collect();
    assert_eq!((read, world.machine.spent()), (patients, &spent));
    world.pass(24 * HOUR);
    limits_hold(&world.treated, &Rules::default());
    for number in 0..4 {
        assert_eq!(world.stage(number), Some(&Stage::Replaced));
    }
    assert_eq!(world.treated.len(), 8, "none twice");
}

/// No hour has more treatments than allowed, and no release has the same one twice.
fn limits_hold(treated: &[(Timestamp, InfoHash, Treatment)], rules: &Rules) {
    for (at, ..) in treated {
        let hour = treated
            .iter()
            .filter(|(other, ..)| *other >= *at && *other < *at + HOUR);
        assert!(hour.count() <= rules.per_hour);
    }
    let mut seen = BTreeSet::new();
    for (_, hash, treatment) in treated {
        assert!(seen.insert((*hash, treatment.clone())), "{treated:?}");
    }
}

#[test]
fn what_was_confirmed_long_ago_is_looked_at_again_before_it_is_treated() {
    let one_an_hour = Rules {
        per_hour: 1,
        ..Rules::default()
    };
    let mut world = World::new(one_an_hour, &["rd"]);
    for number in 0..4 {
        world.bad.insert(hash(number));
        world.report(number, &["rd"]);
    }
    world.pass(HOUR);
    let ill = |world: &World| {
        world
            .machine
            .patients()
            .map(|one| one.hash)
            .collect::<Vec<_>>()
    };
    assert_eq!((ill(&world).len(), world.treated.len()), (4, 1));
    // While three of them wait for their turn they become well again.
    world.bad.clear();
    world.pass(24 * HOUR);
    assert_eq!((ill(&world), world.treated.len()), (vec![], 1));
    // And the same after a trouble of the provider.
    world.bad.insert(hash(5));
    world.report(5, &["rd"]);
    let quarantined = |world: &mut World| {
        world.pass(MINUTE);
        world.stage(5) == Some(&Stage::Quarantined)
    };
    world.outcome = Treated::Later;
    while !quarantined(&mut world) {}
    world.trouble("rd", Some("503"));
    world.pass(HOUR);
    world.bad.clear();
    world.trouble("rd", None);
    let treated = world.treated.len();
    world.pass(24 * HOUR);
    assert_eq!((ill(&world), world.treated.len()), (vec![], treated));
}

#[test]
fn what_was_replaced_is_let_go_when_another_one_is_there_and_after_new_evidence() {
    let rules = Rules {
        let_go: true,
        ..Rules::default()
    };
    let mut world = World::new(rules, &["rd"]);
    world.bad.insert(hash(1));
    world.report(1, &["rd"]);
    while world.stage(1) != Some(&Stage::Replaced) {
        world.pass(MINUTE);
    }
    assert_eq!(world.treated.len(), 2);
    // Nothing is in its place for a day: it is asked for a few times, and not as often as treatments may be.
    world.outcome = Treated::Later;
    world.pass(24 * HOUR);
    let asked = world.treated.split_off(2);
    assert!((4..=12).contains(&asked.len()), "{asked:?}");
    assert!(asked.iter().all(|(.., one)| *one == Treatment::LetGo));
    assert_eq!(world.stage(1), Some(&Stage::Replaced));
    world.outcome = Treated::Done;
    world.pass(30 * 24 * HOUR);
    let last: Vec<_> = world.treated[2..].iter().map(|(.., one)| one).collect();
    assert_eq!(last, [&Treatment::LetGo], "once, and then it is over");
    // What is readable again stays, whatever an arr has in its place.
    let mut world = World::new(world.rules.clone(), &["rd"]);
    world.bad.insert(hash(1));
    world.report(1, &["rd"]);
    while world.stage(1) != Some(&Stage::Replaced) {
        world.pass(MINUTE);
    }
    world.pass(2 * HOUR);
    world.bad.clear();
    world.pass(24 * HOUR);
    assert_eq!((world.treated.len(), world.stage(1)), (2, None));
}

#[test]
fn what_is_refused_for_its_name_is_tried_elsewhere_and_many_are_not_the_providers_fault() {
    let mut world = World::new(Rules::default(), &["rd", "ad", "tb"]);
    let elsewhere = |name: &str| Treatment::Add {
        provider: name.to_owned(),
    };
    // A tenth of the library, as a scan by a media server finds it.
    for number in 0..100 {
        world.bad.insert(hash(number));
        let by = BTreeSet::from(["rd".to_owned()]);
        world.refused.insert(hash(number), by);
        world.report(number, &["rd"]);
    }
    world.cure.insert(hash(1), elsewhere("tb"));
    world.pass(HOUR);
    assert_eq!(world.machine.held().count(), 0);
    assert_eq!(world.stage(50), Some(&Stage::Blocked));
    world.pass(48 * HOUR);
    limits_hold(&world.treated, &Rules::default());
    let tried = |number: u8| {
        let of = move |one: &&(Timestamp, InfoHash, Treatment)| one.1 == hash(number);
        world.treated.iter().filter(of).map(|one| one.2.clone())
    };
    for number in [0, 1, 50, 99] {
        let tried: Vec<_> = tried(number).collect();
        assert_eq!(tried, [elsewhere("ad"), elsewhere("tb")], "{number}");
    }
    assert_eq!(world.stage(1), None, "healed");
    assert_eq!(world.stage(2), Some(&Stage::Blocked));
    // After a restart the same; and one that another provider holds and cannot give either is no matter of a name.
    world.restart();
    let treated = world.treated.len();
    world.bad.insert(hash(200));
    world
        .refused
        .insert(hash(200), BTreeSet::from(["rd".to_owned()]));
    world.pass(HOUR);
    world.report(200, &["rd", "ad"]);
    world.pass(24 * HOUR);
    assert_eq!(world.stage(200), Some(&Stage::Replaced));
    let later = world.treated[treated..].iter().map(|one| one.2.clone());
    let wanted = [elsewhere("ad"), elsewhere("tb"), Treatment::AskArr];
    assert_eq!(later.collect::<Vec<_>>(), wanted);
}

#[derive(Debug, Clone)]
enum Event {
    Report(u8, bool),
    Turn(u8, bool),
    Trouble(bool, bool),
    Pass(u64),
    Hand(u8),
    Outcome(fn(String) -> Treated),
    Restart,
}

/// Few releases, so that much happens to each of them.
const RELEASES: u8 = 12;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let outcomes: Vec<fn(String) -> Treated> =
        vec![Treated::Done, Treated::Useless, Treated::Later];
    let one = prop_oneof![
        4 => (0..RELEASES, any::<bool>()).prop_map(|(number, rd)| Event::Report(number, rd)),
        3 => (0..RELEASES, any::<bool>()).prop_map(|(number, bad)| Event::Turn(number, bad)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(rd, on)| Event::Trouble(rd, on)),
        4 => (1..120u64).prop_map(Event::Pass),
        2 => (0..RELEASES).prop_map(Event::Hand),
        1 => proptest::sample::select(outcomes).prop_map(Event::Outcome),
        1 => Just(Event::Restart),
    ];
    proptest::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_order_of_events_breaks_a_limit(events in events(), per_hour in 1..8usize, let_go in any::<bool>()) {
        // Sometimes they are called a mass, mostly not.
        let rules = Rules { per_hour, let_go, mass_least: 8, ..Rules::default() };
        let mut world = World::new(rules.clone(), &["rd", "ad"]);
        let name = |rd: bool| if rd { "rd" } else { "ad" };
        for event in events {
            match event {
                Event::Report(number, rd) => world.report(number, &[name(rd)]),
                Event::Turn(number, true) => _ = world.bad.insert(hash(number)),
                Event::Turn(number, false) => _ = world.bad.remove(&hash(number)),
                Event::Trouble(rd, on) => {
                    world.trouble(name(rd), on.then_some("503"));
                    world.observe();
                }
                Event::Pass(minutes) => world.pass(Duration::from_secs(60 * minutes)),
                Event::Hand(number) => {
                    let patient = world.machine.patient(hash(number));
                    if patient.is_some_and(|one| !one.busy) {
                        world.check(hash(number));
                    }
                }
                Event::Outcome(outcome) => world.outcome = outcome,
                Event::Restart => world.restart(),
            }
            for at in &world.treated {
                let hour = world.treated.iter().filter(|one| one.0 >= at.0 && one.0 < at.0 + HOUR);
                prop_assert!(hour.count() <= rules.per_hour);
            }
        }
    }
}
