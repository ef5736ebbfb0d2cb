//! Whatever lies in the place of a state file, the library is served, and every part either runs or
//! says what is wrong. Without processes and mount, so that hundreds of cases take seconds.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_acquire::{AddOptions, Release};
use debridfs_base::instance_lock::{IN_OWN, IN_SHARED};
use debridfs_base::{AttentionKind, Secret, state_file};
use debridfs_control::DOWNLOADS;
use debridfs_fuse::{BackendKind, Backends};
use debridfs_listen::TokenRights;
use debridfs_preflight::Alone;
use debridfs_provider::AccountConfig;
use debridfs_provider::vendors::real_debrid;
use debridfs_sim::{FileSpec, LibrarySpec, ReleaseSpec, ServeOptions, Served, Sim, serve};
use debridfs_vfs::Vfs;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::parts::{self, Parts};
use super::tasks::Tasks;
use super::{sockets, state};
use debridfs_config::{Config, HookSection};

const NAMES: [&str; 3] = ["One", "Two", "Three"];
/// Real time for what takes milliseconds: only a fault ends it.
const LONG: Duration = Duration::from_secs(60);
/// Cases at once.
const AT_ONCE: usize = 8;

async fn account() -> Served {
    let releases = NAMES.map(|name| {
        let file = FileSpec::generated(format!("/{name}.mkv"), 1 << 20);
        ReleaseSpec::new(name, vec![file])
    });
    let library = LibrarySpec {
        seed: 7,
        releases: releases.into(),
    };
    let sim = Sim::new(&library).unwrap();
    sim.configure(|settings| settings.calls_per_minute = 0);
    serve(sim, ServeOptions::default()).await.unwrap()
}

/// An engine but for its mount, in directories of its own.
struct Bed {
    _dir: TempDir,
    state: PathBuf,
    tasks: Tasks,
}

fn config(account: &Served, dir: &Path) -> Config {
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let mut config = Config {
        state_dir: dir.join("state"),
        cache_dir: dir.join("cache"),
        runtime_dir: dir.join("run"),
        ..Config::default()
    };
    let rd = AccountConfig {
        name: "rd".to_owned(),
        token: Some(Secret::new(account.token())),
        api_url: account.api_url(),
        ..AccountConfig::of(&real_debrid::KIND)
    };
    config.provider.insert("rd".to_owned(), rd);
    config.acquire.downloads = Some(dir.join("downloads"));
    config.acquire.action = debridfs_acquire::Action::Strm;
    config.qbittorrent.listen = anywhere;
    config.http.listen = Some(anywhere);
    config.http.url = "http://files".to_owned();
    let hook: HookSection =
        serde_json::from_str(r#"{"kind": "webhook", "url": "http://127.0.0.1:9/"}"#).unwrap();
    config.hook.insert("x".to_owned(), hook);
    config
}

impl Bed {
    /// Starts one over a copy of `good` that `spoil` was let at.
    async fn start(account: &Served, good: Option<&Path>, spoil: impl FnOnce(&Path)) -> Self {
        Self::start_with(account, good, spoil, |_| {}).await
    }

    /// As [`Self::start`], with settings that `set` changes.
    async fn start_with(
        account: &Served,
        good: Option<&Path>,
        spoil: impl FnOnce(&Path),
        set: impl FnOnce(&mut Config),
    ) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("debridfs-parts-")
            .tempdir()
            .unwrap();
        let mut config = config(account, dir.path());
        set(&mut config);
        let state = config.state_dir.clone();
        fs::create_dir(&state).unwrap();
        for entry in good
            .into_iter()
            .flat_map(|good| fs::read_dir(good).unwrap())
        {
            let path = entry.unwrap().path();
            fs::copy(&path, state.join(path.file_name().unwrap())).unwrap();
        }
        spoil(&state);
        let loaded = Parts::load(&config, parts::cache(&config), true).await;
        let parts = loaded.unwrap_or_else(|_| panic!("the library is not served"));
        let shutdown = CancellationToken::new();
        let (parts, listeners) = (Arc::new(parts), sockets::listeners(&config));
        let alone = Alone::new(Arc::new(config.clone()));
        let tasks = Tasks::new(
            &config,
            parts,
            listeners,
            ("/mnt/none".into(), tokio::sync::watch::channel(None).1),
            alone,
            shutdown,
        );
        let vfs: Arc<dyn Vfs> = tasks.parts.tree.clone();
        let native = BackendKind::Native;
        tasks.start(&Arc::new(Backends::new(&vfs, native, None, native)));
        Self {
            _dir: dir,
            state,
            tasks,
        }
    }

    /// Waits until the line of attention `kind` is there and says all of `words`; without words until
    /// there is none.
    async fn attends(&self, kind: AttentionKind, words: &[&str]) {
        let begun = Instant::now();
        loop {
            let lines = self.tasks.board.lines().into_iter();
            let of_kind: Vec<_> = lines.filter(|line| line.kind == kind).collect();
            let said = match (words, &of_kind[..]) {
                ([], lines) => lines.is_empty(),
                (words, [line]) => words.iter().all(|word| line.to_string().contains(word)),
                _ => false,
            };
            if said {
                return;
            }
            assert!(begun.elapsed() < LONG, "{kind:?} {words:?}: {of_kind:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn names(&self) -> BTreeSet<String> {
        let library = self.tasks.parts.catalogue.library().borrow().clone();
        let all = library.view("__all__").map(|view| view.entries.clone());
        let all = all.iter().flat_map(|entries| entries.iter());
        all.map(|entry| entry.name.to_string()).collect()
    }

    fn is_down(&self, part: &str) -> Option<String> {
        let down = self.tasks.supervisor.down();
        let down = down.into_iter().find(|down| down.part == part);
        down.map(|down| down.to_string())
    }

    /// Waits until the library is shown, and every part runs or says why not.
    async fn settles(&self, case: &str) {
        let begun = Instant::now();
        let all: BTreeSet<String> = NAMES.map(str::to_owned).into();
        loop {
            let queue = self.tasks.queue.get().is_some() || self.is_down(DOWNLOADS).is_some();
            let repair = self.tasks.repair.get().is_some() || self.is_down("repair").is_some();
            let shown = self.names() == all;
            if shown && queue && repair {
                return;
            }
            assert!(
                begun.elapsed() < LONG,
                "{case}: shown {shown}, downloads {queue}, repair {repair}: {:?}",
                self.tasks.supervisor
            );
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(self) {
        self.tasks.shutdown.cancel();
        if let Some(cache) = self.tasks.parts.content.cache() {
            cache.close(LONG);
        }
    }
}

/// A state directory with everything in it, as an engine leaves it.
async fn good(account: &Served) -> TempDir {
    let bed = Bed::start(account, None, |_| {}).await;
    bed.settles("the first").await;
    let queue = bed.tasks.queue.get().unwrap();
    let release = Release::from_link("0123456789abcdef0123456789abcdef01234567").unwrap();
    let stopped = AddOptions {
        stopped: true,
        ..AddOptions::default()
    };
    queue.add(release, stopped).await.unwrap();
    let tokens = bed.tasks.tokens.tokens.clone();
    let begun = Instant::now();
    let is_there = |name: &str| bed.state.join(name).exists();
    while !is_there("hooks.json") || !is_there("strm-address.json") {
        assert!(begun.elapsed() < LONG, "{:?}", bed.tasks.supervisor);
        sleep(Duration::from_millis(5)).await;
    }
    tokens
        .create("kodi", TokenRights::default(), Timestamp::now())
        .unwrap();
    for (name, text) in [
        (
            "repair.json",
            r#"{"version": 1, "patients": [], "spent": []}"#,
        ),
        ("unfilled.json", "[1, 2]"),
        ("traffic-rd", "{}"),
        ("events.jsonl", "\n"),
    ] {
        let path = bed.state.join(name);
        if !path.exists() {
            fs::write(path, text).unwrap();
        }
    }
    let kept = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&bed.state).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "db-shm") {
            fs::copy(&path, kept.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    bed.stop().await;
    kept
}

/// Numbers that are the same in every run (xorshift, <https://www.jstatsoft.org/v08/i14/>).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.roll() as u8).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Garbage,
    Empty,
    Cut,
    Flipped,
    Directory,
    Pipe,
    LinkToNowhere,
    /// What cannot be read, whoever asks: root may read what the mode forbids.
    LinkToItself,
}

impl How {
    const ALL: [Self; 8] = [
        Self::Garbage,
        Self::Empty,
        Self::Cut,
        Self::Flipped,
        Self::Directory,
        Self::Pipe,
        Self::LinkToNowhere,
        Self::LinkToItself,
    ];

    fn spoil(self, path: &Path, dice: &mut Dice) {
        let mut bytes = fs::read(path).unwrap();
        let at = |dice: &mut Dice, len: usize| (dice.roll() % len.max(1) as u64) as usize;
        match self {
            Self::Garbage => {
                let count = 1 + dice.roll() % 9000;
                fs::write(path, dice.bytes(count)).unwrap();
            }
            Self::Empty => fs::write(path, "").unwrap(),
            Self::Cut => {
                bytes.truncate(at(dice, bytes.len()));
                fs::write(path, bytes).unwrap();
            }
            Self::Flipped => {
                for _ in 0..=dice.roll() % 40 {
                    let at = at(dice, bytes.len());
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << (dice.roll() % 8);
                    }
                }
                fs::write(path, bytes).unwrap();
            }
            Self::Directory | Self::Pipe | Self::LinkToNowhere | Self::LinkToItself => {
                fs::remove_file(path).unwrap();
                match self {
                    Self::Directory => fs::create_dir(path).unwrap(),
                    Self::Pipe => {
                        let made = std::process::Command::new("mkfifo").arg(path).status();
                        assert!(made.unwrap().success());
                    }
                    Self::LinkToNowhere => symlink("/nowhere/at/all", path).unwrap(),
                    _ => symlink(path, path).unwrap(),
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_is_served_whatever_lies_in_the_place_of_a_state_file() {
    let account = Arc::new(account().await);
    let good = Arc::new(good(&account).await);
    let mut names: Vec<PathBuf> = fs::read_dir(good.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    for name in [
        "catalogue.db",
        "acquire.db",
        "http-tokens.json",
        "strm-address.json",
        "calls-rd",
        "hooks.json",
    ] {
        assert!(
            names.contains(&good.path().join(name)),
            "{name} in {names:?}"
        );
    }
    let mut cases = JoinSet::new();
    for (number, path) in names.iter().enumerate() {
        // Of databases there are more ways to be half right.
        let is_database = path.to_string_lossy().contains(".db");
        let rounds = if is_database { 6 } else { 1 };
        let name = path.file_name().unwrap().to_owned();
        for how in How::ALL {
            let random = matches!(how, How::Cut | How::Flipped);
            for round in 0..if random { rounds } else { 1 } {
                let (account, good, name) = (account.clone(), good.clone(), name.clone());
                let mut dice = Dice(0x9e37_79b9 + (number * 100 + round) as u64);
                cases.spawn(async move {
                    let case = format!("{} {how:?} {round}", name.display());
                    let spoil = |state: &Path| how.spoil(&state.join(&name), &mut dice);
                    let bed = Bed::start(&account, Some(good.path()), spoil).await;
                    bed.settles(&case).await;
                    bed.stop().await;
                });
                if cases.len() >= AT_ONCE {
                    cases.join_next().await.unwrap().unwrap();
                }
            }
        }
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_cannot_be_opened_says_so_and_comes_back_when_it_can() {
    let account = account().await;
    let good = good(&account).await;
    let lost = [
        "acquire.db",
        "http-tokens.json",
        "repair.json",
        "hooks.json",
        "traffic-rd",
        "calls-rd",
    ];
    let spoil = |state: &Path| {
        for name in lost {
            let path = state.join(name);
            fs::rename(&path, state.join("was").with_extension(name)).unwrap();
            symlink("/nowhere/at/all", &path).unwrap();
        }
    };
    let bed = Bed::start(&account, Some(good.path()), spoil).await;
    bed.settles("links to nowhere").await;
    for (part, file) in [
        (DOWNLOADS, "acquire.db"),
        ("tokens for files over HTTP", "http-tokens.json"),
        ("repair", "repair.json"),
        ("the files of calls and traffic of rd", "calls-rd"),
    ] {
        let begun = Instant::now();
        let words = loop {
            if let Some(words) = bed.is_down(part) {
                break words;
            }
            assert!(begun.elapsed() < LONG, "{:?}", bed.tasks.supervisor);
            sleep(Duration::from_millis(5)).await;
        };
        assert!(
            words.contains("link to nowhere") && words.contains("has to be able to read"),
            "{words}"
        );
        assert!(words.contains(file) || part == DOWNLOADS, "{words}");
    }
    let tokens = &bed.tasks.tokens.tokens;
    assert!(tokens.list().is_empty());
    for name in lost {
        let path = bed.state.join(name);
        assert!(path.is_symlink(), "{name} is left alone");
        fs::remove_file(&path).unwrap();
        fs::rename(bed.state.join("was").with_extension(name), path).unwrap();
    }
    let begun = Instant::now();
    while !bed.tasks.supervisor.down().is_empty() {
        assert!(begun.elapsed() < LONG, "{:?}", bed.tasks.supervisor);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bed.tasks.queue.get().unwrap().jobs().len(), 1);
    assert_eq!(tokens.list().len(), 2);
    assert!(state_file::moved_aside_in(&bed.state).is_empty());
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_broke_has_a_line_until_it_is_mended() {
    let account = account().await;
    let listen = async || tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (taken, away) = (listen().await, listen().await);
    let port = taken.local_addr().unwrap();
    let arr = away.local_addr().unwrap();
    drop(away);
    let set = |config: &mut Config| {
        config.qbittorrent.listen = port;
        fs::write(config.acquire.downloads.as_ref().unwrap(), "no directory").unwrap();
        let url = format!("http://{arr}");
        let section = serde_json::json!({ "url": url, "api_key": "k" });
        let section = serde_json::from_value(section).unwrap();
        config.arr.insert("sonarr".to_owned(), section);
        let hook = serde_json::json!({ "kind": "jellyfin", "url": url, "token": "k" });
        let hook = serde_json::from_value(hook).unwrap();
        config.hook.insert("jellyfin".to_owned(), hook);
    };
    let bed = Bed::start_with(&account, None, |_| {}, set).await;
    let own = format!("(pid {})", std::process::id());
    let port_words = [
        "no qBittorrent API",
        &port.to_string(),
        &own,
        "`qbittorrent.listen`",
    ];
    bed.attends(AttentionKind::Port, &port_words).await;
    let folder = bed.tasks.config.acquire.downloads.clone().unwrap();
    let folder_words = [
        folder.to_str().unwrap(),
        "is no directory",
        "another `acquire.downloads`",
    ];
    bed.attends(AttentionKind::Downloads, &folder_words).await;
    let arr_words = ["arr.sonarr does not answer", "`arr.sonarr.url`"];
    bed.attends(AttentionKind::Arr, &arr_words).await;
    let hook_words = ["hook.jellyfin does not answer", "`hook.jellyfin.url`"];
    bed.attends(AttentionKind::Hook, &hook_words).await;

    drop(taken);
    fs::remove_file(&folder).unwrap();
    let refuses = axum::Router::new().fallback(async || axum::http::StatusCode::UNAUTHORIZED);
    let arr = tokio::net::TcpListener::bind(arr).await.unwrap();
    let arr = tokio::spawn(axum::serve(arr, refuses).into_future());
    bed.attends(AttentionKind::Port, &[]).await;
    bed.attends(AttentionKind::Downloads, &[]).await;
    assert!(
        fs::read_dir(&folder).unwrap().next().is_none(),
        "nothing is left"
    );
    let key_words = ["arr.sonarr refuses the api key", "`arr.sonarr.api_key`"];
    bed.attends(AttentionKind::Arr, &key_words).await;
    arr.abort();
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_instance_has_is_not_used_and_its_place_is_told() {
    let account = account().await;
    let other = tempfile::tempdir().unwrap();
    let at = |name: &str| other.path().join(name);
    for name in ["run", "cache", "downloads", "state"] {
        fs::create_dir(at(name)).unwrap();
    }
    let theirs = Arc::new(Config {
        runtime_dir: at("run"),
        ..Config::default()
    });
    let theirs = Alone::new(theirs);
    theirs.keep("cache_dir", &at("cache"), IN_OWN).unwrap();
    theirs
        .keep("acquire.downloads", &at("downloads"), IN_SHARED)
        .unwrap();
    theirs.keep("state_dir", &at("state"), IN_OWN).unwrap();
    let (cache, downloads) = (at("cache"), at("downloads"));
    let bed = Bed::start_with(
        &account,
        None,
        |_| {},
        move |config| {
            fs::create_dir(&config.runtime_dir).unwrap();
            config.cache_dir = cache;
            config.acquire.downloads = Some(downloads);
        },
    );
    let bed = bed.await;
    let begun = Instant::now();
    while bed.is_down("the cache").is_none() || bed.is_down(DOWNLOADS).is_none() {
        assert!(begun.elapsed() < LONG, "{:?}", bed.tasks.supervisor);
        sleep(Duration::from_millis(5)).await;
    }
    for (part, key) in [("the cache", "cache_dir"), (DOWNLOADS, "acquire.downloads")] {
        let said = bed.is_down(part).unwrap();
        let pid = format!(
            "in use by another instance: pid {}, mounted at",
            std::process::id()
        );
        let help = format!("give this instance a `{key}` of its own");
        assert!(said.contains(&pid) && said.contains(&help), "{said}");
    }
    let refused = state::keep_alone(&bed.tasks.alone, &at("state")).await;
    refused.unwrap_err();
    bed.stop().await;
}
