//! Two arrs and an account that changes beneath them, in any order: each request ends with all its files in its folder, or failed with
//! a reason, and nobody loses what another one removes.

use std::collections::BTreeSet;
use std::time::Duration;

use debridfs_acquire::qbittorrent::Credentials;
use debridfs_acquire::{AcquireConfig, DeletePolicy, Job, Step};
use debridfs_base::Secret;
use debridfs_sim::{FileSpec, ReleaseSpec, Status, TorrentChange};
use proptest::prelude::*;

use crate::support::{Client, HASH, World, cached, second, tree};

const CATEGORIES: [&str; 2] = ["tv", "tv-2"];
/// Where arrs move what they have imported, if they are told to.
const IMPORTED: &str = "imported";
const EPISODES: usize = 3;

#[derive(Debug, Clone)]
enum Op {
    Add(usize),
    /// The arr moves the links away, if it may.
    Import(usize),
    Move(usize),
    Delete(usize),
    /// All torrents are deleted from the account.
    Gone,
    /// They have one of their files selected.
    Partial(u32),
    Dead,
    /// Somebody adds the torrent with one file.
    Foreign(u32),
    Restart,
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let arr = 0..2usize;
    prop_oneof![
        5 => arr.clone().prop_map(Op::Add),
        3 => arr.clone().prop_map(Op::Import),
        1 => arr.clone().prop_map(Op::Move),
        2 => arr.prop_map(Op::Delete),
        1 => Just(Op::Gone),
        1 => (1..=3u32).prop_map(Op::Partial),
        1 => Just(Op::Dead),
        1 => (1..=3u32).prop_map(Op::Foreign),
        1 => Just(Op::Restart),
        4 => (1..40u64).prop_map(Op::Wait),
    ]
}

fn season(selected: Option<u32>) -> ReleaseSpec {
    let episode = |number: u32| FileSpec {
        selected: selected.is_none_or(|only| only == number),
        ..FileSpec::generated(
            format!("/Show.S01E0{number}.mkv"),
            (900 << 20) + u64::from(number),
        )
    };
    ReleaseSpec {
        files: (1..=3).map(episode).collect(),
        copies: u32::from(selected.is_some()),
        ..cached(HASH, "Show.S01")
    }
}

struct Home {
    world: World,
    policy: DeletePolicy,
    arrs: Vec<Client>,
    /// Whether each arr has a request in its category.
    wants: [bool; 2],
    /// Whether it has moved the links away since it asked last.
    imported: [bool; 2],
    /// Whether there is a request that was moved.
    moved: bool,
    /// Torrents that somebody else added.
    foreign: BTreeSet<String>,
}

impl Home {
    async fn new(policy: DeletePolicy) -> Self {
        let world = World::with(vec![season(None)], configured(policy)).await;
        let made = world
            .acquire
            .create_category(IMPORTED.to_owned(), String::new());
        made.await.unwrap();
        let mut home = Self {
            world,
            policy,
            arrs: Vec::new(),
            wants: [false; 2],
            imported: [false; 2],
            moved: false,
            foreign: BTreeSet::new(),
        };
        home.log_in().await;
        home
    }

    /// Each arr logs in and lists its downloads, as it does before all else.
    async fn log_in(&mut self) {
        let credentials = Credentials {
            user: "debridfs".to_owned(),
            password: Some(Secret::new("password")),
            ..Credentials::default()
        };
        let front = self.world.api_with(credentials);
        self.arrs.clear();
        for (arr, category) in CATEGORIES.into_iter().enumerate() {
            let form = [("username", "debridfs"), ("password", "password")];
            let cookie = front.post("auth/login", &form).await.cookie.unwrap();
            let cookie = cookie.split(';').next().unwrap().to_owned();
            self.arrs.push(front.clone().header("cookie", cookie));
            self.list(arr, category).await;
        }
    }

    async fn list(&self, arr: usize, category: &str) -> usize {
        let call = format!("torrents/info?category={category}");
        let list = self.arrs[arr].get(&call).await.json();
        list.as_array().unwrap().len()
    }

    fn job(&self, arr: usize) -> Option<std::sync::Arc<Job>> {
        let mut jobs = self.world.acquire.jobs().into_iter();
        jobs.find(|job| job.category == CATEGORIES[arr])
    }

    fn alter(&self, change: impl Fn() -> TorrentChange) {
        for torrent in self.world.torrents(HASH) {
            self.world.sim.alter_torrent(0, &torrent, change()).unwrap();
        }
    }

    async fn add(&mut self, arr: usize) {
        let link = format!("magnet:?xt=urn:btih:{HASH}&dn=Show.S01");
        let form = [("urls", &*link), ("category", CATEGORIES[arr])];
        let said = self.arrs[arr].post("torrents/add", &form).await;
        assert_eq!(said.text, "Ok.");
        (self.wants[arr], self.imported[arr]) = (true, false);
    }

    async fn step(&mut self, op: &Op) {
        match *op {
            Op::Add(arr) => self.add(arr).await,
            Op::Import(arr) => {
                if self.job(arr).is_some_and(|job| job.step == Step::Complete) {
                    let folder = self.world.downloads().join(CATEGORIES[arr]);
                    let _ = std::fs::remove_dir_all(folder);
                    self.imported[arr] = true;
                }
            }
            Op::Move(arr) => {
                if self.wants[arr] {
                    let form = [("hashes", HASH), ("category", IMPORTED)];
                    let said = self.arrs[arr].post("torrents/setCategory", &form).await;
                    assert_eq!(said.status, 200);
                    (self.wants[arr], self.moved) = (false, true);
                }
            }
            Op::Delete(arr) => {
                let form = [("hashes", HASH), ("deleteFiles", "true")];
                let said = self.arrs[arr].post("torrents/delete", &form).await;
                assert_eq!(said.status, 200);
                match self.wants[arr] {
                    true => self.wants[arr] = false,
                    false => self.moved = false,
                }
            }
            Op::Gone => {
                for torrent in self.world.torrents(HASH) {
                    self.world.sim.remove_torrent(0, &torrent).unwrap();
                }
                self.foreign.clear();
            }
            Op::Partial(number) => self.alter(|| TorrentChange {
                selected: Some(vec![number]),
                ..TorrentChange::default()
            }),
            Op::Dead => self.alter(|| TorrentChange {
                status: Some(Status::Dead),
                ..TorrentChange::default()
            }),
            Op::Foreign(number) => {
                let added = self.world.sim.add_release(0, &season(Some(number)));
                self.foreign.extend(added.unwrap());
            }
            Op::Restart => {
                self.world.restart(configured(self.policy)).await;
                self.log_in().await;
            }
            Op::Wait(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
    }

    /// Waits until nothing is left to do; what never shows is given up within half an hour.
    async fn settle(&self) {
        for _ in 0..7200 {
            if self
                .world
                .acquire
                .jobs()
                .iter()
                .all(|job| job.step.is_settled())
            {
                return;
            }
            second().await;
        }
        panic!("not settled: {:?}", self.world.acquire.jobs());
    }

    async fn check(&self, now: bool) {
        let links = |category: &str| {
            let links = tree(&self.world.downloads().join(category));
            links.iter().filter(|link| link.contains(" -> ")).count()
        };
        for (arr, category) in CATEGORIES.into_iter().enumerate() {
            let shown = self.list(arr, category).await;
            assert_eq!(shown, usize::from(self.wants[arr]), "{category}");
            let Some(job) = self.job(arr) else { continue };
            match job.step {
                Step::Complete if !self.imported[arr] => {
                    assert_eq!(links(category), EPISODES, "{job:?}");
                }
                Step::Complete => {}
                _ => assert!(!now && job.reason.is_some(), "{job:?}"),
            }
        }
        assert_eq!(
            self.world
                .acquire
                .jobs()
                .iter()
                .any(|job| job.category == IMPORTED),
            self.moved
        );
        let torrents = self.world.torrents(HASH);
        assert!(
            self.foreign.iter().all(|id| torrents.contains(id)),
            "{torrents:?}"
        );
        if now && self.wants.contains(&true) {
            assert_eq!(self.world.shown_files(HASH).await, EPISODES);
        }
    }
}

fn configured(policy: DeletePolicy) -> impl Fn(&mut AcquireConfig) {
    move |config| config.delete = policy
}

async fn play(ops: &[Op], policy: DeletePolicy) {
    let mut home = Home::new(policy).await;
    for op in ops {
        home.step(op).await;
    }
    home.settle().await;
    home.check(false).await;
    // Whoever still wants it asks once more: then all of it is there, whatever became of the account.
    for arr in 0..2 {
        if home.wants[arr] {
            home.add(arr).await;
        }
    }
    home.settle().await;
    home.check(true).await;
}

/// `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    let more = std::env::var("PROPTEST_CASES").ok();
    more.and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_request_is_whole_or_says_why_not(
        ops in prop::collection::vec(op(), 1..16),
        deletes in any::<bool>(),
    ) {
        let policy = if deletes { DeletePolicy::Provider } else { DeletePolicy::Ignore };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(play(&ops, policy));
    }
}
