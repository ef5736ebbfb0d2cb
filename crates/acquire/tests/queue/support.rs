//! A queue over a simulated account, with a library that shows what the account holds.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use debridfs_acquire::qbittorrent::{Credentials, router};
use debridfs_acquire::sabnzbd;
use debridfs_acquire::{
    Acquire, AcquireConfig, AddOptions, Added, Job, Known, Library, ProbeError, Release, Shown,
    ShownFile, Step, WholeFile,
};
use debridfs_base::Secret;
use debridfs_base::{TokioClock, WallClock};
use debridfs_listen::Attempts;
use debridfs_provider::{
    AccountConfig, DebridAccount, InfoHash, Provider, TorrentId, TorrentInfo, TorrentStatus,
    vendors,
};
use debridfs_sim::{FileSpec, InProcess, Kind, LibrarySpec, ReleaseSpec, Sim, content};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub const SAB_KEY: &str = "0a1b2c3d4e5f";
pub const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

pub fn hash(text: &str) -> InfoHash {
    text.parse().unwrap()
}

pub fn magnet(hash: &str, name: &str) -> Release {
    Release::from_link(&format!("magnet:?xt=urn:btih:{hash}&dn={name}")).unwrap()
}

pub fn in_category(category: &str) -> AddOptions {
    AddOptions {
        category: category.to_owned(),
        ..AddOptions::default()
    }
}

/// A second of a paused clock that gives the store's own thread a moment of real time: tokio's clock does not wait for it.
pub async fn second() {
    #[allow(clippy::disallowed_methods, reason = "real time, on a thread for it")]
    let moment = || std::thread::sleep(Duration::from_micros(500));
    tokio::task::spawn_blocking(moment).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A release that the provider knows by `hash` and has in its cache, with a film, a sample and a text.
pub fn cached(hash: &str, name: &str) -> ReleaseSpec {
    let files = vec![
        FileSpec::generated(format!("/{name}.mkv"), 5 << 30),
        FileSpec::generated(format!("/Subs/{name}.srt"), 50_000),
        FileSpec::generated(format!("/Sample/{name}-sample.mkv"), 60 << 20),
        FileSpec::generated("/info.nfo", 4000),
    ];
    ReleaseSpec {
        hash: Some(hash.to_owned()),
        copies: 0,
        ..ReleaseSpec::new(name, files)
    }
}

/// As [`cached`], with files that can be fetched in a moment: 9 MiB and some.
pub fn small(hash: &str, name: &str) -> ReleaseSpec {
    let files = vec![
        FileSpec::generated(format!("/{name}.mkv"), SMALL),
        FileSpec::generated(format!("/Subs/{name}.srt"), 50_001),
        FileSpec::generated("/info.nfo", 4000),
    ];
    ReleaseSpec {
        files,
        ..cached(hash, name)
    }
}

/// Bytes of the film of [`small`].
pub const SMALL: u64 = (9 << 20) + 17;

/// Whether a [`small`] release lies there with the right bytes, and nothing beside it.
pub fn assert_whole(world: &World, hash: &str, name: &str) {
    let expected = [
        format!("tv/{name}/{name}.mkv"),
        format!("tv/{name}/Subs/{name}.srt"),
    ];
    assert_eq!(tree(&world.downloads()), expected);
    for (path, bytes) in [
        (format!("{name}.mkv"), SMALL),
        (format!("Subs/{name}.srt"), 50_001),
    ] {
        let found = std::fs::read(world.downloads().join("tv").join(name).join(&path)).unwrap();
        let mut right = vec![0; usize::try_from(bytes).unwrap()];
        content::fill(content::key(hash, &format!("/{path}")), 0, &mut right);
        assert!(found == right, "{path}: {} bytes", found.len());
    }
}

/// Shows what the simulated accounts hold ready, without delay.
pub struct SimLibrary {
    /// By the names of the accounts.
    pub sims: Vec<(String, Sim)>,
    pub mount: PathBuf,
    /// Whether it shows base names only.
    pub flat: AtomicBool,
    /// What probing says of a file of this base name.
    pub probes: Mutex<HashMap<String, ProbeError>>,
    /// Files probed so far.
    pub probed: Mutex<Vec<String>>,
    /// What was read of whole files.
    pub reads: Arc<Reads>,
    /// Why releases are not known to be good yet.
    pub unsettled: Mutex<Option<String>>,
    /// What lets players in.
    pub token: Mutex<Option<String>>,
    /// What the account said of torrents that are ready.
    pub told: Mutex<Vec<TorrentInfo>>,
    /// Why nothing is mounted.
    pub unmounted: watch::Sender<Option<String>>,
}

/// Reads of whole files.
pub struct Reads {
    /// Those that were answered: path, first byte, bytes.
    pub done: Mutex<Vec<(String, u64, u64)>>,
    /// What lies behind this byte gets no answer.
    pub readable: AtomicU64,
}

impl Reads {
    pub fn bytes(&self) -> u64 {
        self.done.lock().unwrap().iter().map(|read| read.2).sum()
    }
}

/// A generated file of the simulator.
struct SimFile {
    path: String,
    key: u64,
    reads: Arc<Reads>,
}

#[async_trait]
impl WholeFile for SimFile {
    async fn read(&self, offset: u64, size: u32) -> Result<Vec<Bytes>, ProbeError> {
        // So that what is under way can be looked at.
        tokio::time::sleep(Duration::from_millis(100)).await;
        if offset + u64::from(size) > self.reads.readable.load(Ordering::SeqCst) {
            return Err(ProbeError::NoAnswer("no answer".to_owned()));
        }
        let mut bytes = vec![0; size as usize];
        content::fill(self.key, offset, &mut bytes);
        let done = (self.path.clone(), offset, u64::from(size));
        self.reads.done.lock().unwrap().push(done);
        Ok(vec![bytes.into()])
    }
}

impl SimLibrary {
    /// Where a file of the torrent shows.
    fn path_of(&self, in_torrent: &str) -> String {
        let path = in_torrent.trim_start_matches('/');
        match self.flat.load(Ordering::Relaxed) {
            true => path.rsplit('/').next().unwrap_or(path).to_owned(),
            false => path.to_owned(),
        }
    }
}

#[async_trait]
impl Library for SimLibrary {
    async fn torrents(&self, hash: InfoHash) -> Vec<Known> {
        let all = self.sims.iter().flat_map(|(name, sim)| {
            let torrents = sim.torrents(0).unwrap().into_iter();
            // What waits in TorBox's own queue is in none of its lists.
            let unlisted = sim.kind() == Kind::TorBox;
            let listed = torrents.filter(move |torrent| {
                !(unlisted && torrent.status == debridfs_sim::Status::Queued)
            });
            listed.map(move |torrent| (name, torrent))
        });
        let same = all.filter(|(_, torrent)| torrent.hash == hash.to_string());
        same.map(|(name, torrent)| Known {
            provider: name.clone(),
            torrent: id_of(name, &self.sims, torrent.id, hash),
            status: TorrentStatus::from_word(&status_word(torrent.status)),
        })
        .collect()
    }

    async fn shown(&self, hash: InfoHash) -> Option<Shown> {
        let all = self.sims.iter().flat_map(|(_, sim)| {
            let mut torrents = sim.torrents(0).unwrap();
            // Elsewhere nothing is selected.
            if sim.kind() != Kind::RealDebrid {
                let files = torrents.iter_mut().flat_map(|torrent| &mut torrent.files);
                files.for_each(|file| file.selected = true);
            }
            torrents
        });
        let mut torrents: Vec<_> = all.collect();
        torrents.retain(|torrent| {
            torrent.hash == hash.to_string() && status_word(torrent.status) == "downloaded"
        });
        let name = torrents.first()?.filename.clone();
        // What any of them has, as the catalogue has it.
        let files = torrents.into_iter().flat_map(|torrent| torrent.files);
        let selected = files.filter(|file| file.selected);
        let files: BTreeMap<_, _> = selected.map(|file| (file.path, file.bytes)).collect();
        Some(Shown {
            path: self.mount.join("__all__").join(&name),
            name,
            files: files
                .into_iter()
                .map(|(path, bytes)| ShownFile {
                    path: self.path_of(&path),
                    in_torrent: path.trim_start_matches('/').to_owned(),
                    bytes,
                })
                .collect(),
            bad: None,
            unsettled: self.unsettled.lock().unwrap().clone(),
        })
    }

    async fn told(&self, _: &str, info: TorrentInfo) {
        self.told.lock().unwrap().push(info);
    }

    fn look_now(&self) {}

    fn unmounted(&self) -> Option<String> {
        self.unmounted.borrow().clone()
    }

    async fn mounted(&self) {
        let mut news = self.unmounted.subscribe();
        news.wait_for(Option::is_none).await.unwrap();
    }

    async fn changed(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    async fn probe(&self, _: InfoHash, path: &str) -> Result<(), ProbeError> {
        self.probed.lock().unwrap().push(path.to_owned());
        let base = path.rsplit('/').next().unwrap();
        match self.probes.lock().unwrap().get(base) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    async fn whole(&self, hash: InfoHash, path: &str) -> Option<Box<dyn WholeFile>> {
        self.shown(hash).await?;
        Some(Box::new(SimFile {
            path: path.to_owned(),
            key: content::key(&hash.to_string(), &format!("/{path}")),
            reads: self.reads.clone(),
        }))
    }

    fn url(&self, hash: InfoHash, path: &str) -> Result<String, String> {
        let token = self.token.lock().unwrap().clone();
        let token = token.ok_or_else(|| "nobody serves files".to_owned())?;
        Ok(format!("http://debridfs:8284/{token}/{hash}/{path}"))
    }
}

pub fn folder() -> TempDir {
    let named = tempfile::Builder::new()
        .prefix("debridfs-acquire-")
        .tempdir();
    named.unwrap()
}

/// What the account calls a torrent: Premiumize keeps a grab in a folder that is called by its hash.
fn id_of(account: &str, sims: &[(String, Sim)], id: String, hash: InfoHash) -> TorrentId {
    let sim = sims.iter().find(|(name, _)| name == account);
    match sim.map(|(_, sim)| sim.kind()) {
        Some(Kind::Premiumize) => TorrentId(format!("/debridfs/{hash}")),
        _ => TorrentId(id),
    }
}

fn status_word(status: debridfs_sim::Status) -> String {
    match serde_json::to_value(status).unwrap() {
        Value::String(word) => word,
        other => panic!("{other}"),
    }
}

/// A vendor's declaration.
fn kind_of(sim: &Sim) -> &'static vendors::Kind {
    match sim.kind() {
        Kind::RealDebrid => &vendors::real_debrid::KIND,
        Kind::TorBox => &vendors::torbox::KIND,
        Kind::AllDebrid => &vendors::all_debrid::KIND,
        Kind::DebridLink => &vendors::debrid_link::KIND,
        Kind::Premiumize => &vendors::premiumize::KIND,
    }
}

/// An account behind `sim`.
fn account(name: &str, sim: &Sim, change: impl FnOnce(&mut AccountConfig)) -> Arc<dyn Provider> {
    let mut config = AccountConfig {
        name: name.to_owned(),
        token: Some(Secret::new(sim.token())),
        // Some tests run in real time.
        add_interval: Duration::ZERO,
        ..AccountConfig::of(kind_of(sim))
    };
    change(&mut config);
    let transport = Arc::new(InProcess::new(sim.router()));
    let calendar = Arc::new(TokioClock::starting_at(start()));
    Arc::new(DebridAccount::with_transport(config, transport, calendar).unwrap())
}

/// A vendor's cloud that knows `releases`, without a limit of calls.
pub fn cloud(kind: Kind, releases: Vec<ReleaseSpec>) -> Sim {
    let library = LibrarySpec { seed: 3, releases };
    let sim = Sim::of_starting_at(kind, &library, start()).unwrap();
    sim.configure(|settings| settings.calls_per_minute = 0);
    sim
}

/// Accounts, one downloads folder, and one queue at a time over them.
pub struct World {
    /// That of the first account.
    pub sim: Sim,
    pub library: Arc<SimLibrary>,
    pub dir: TempDir,
    providers: Vec<Arc<dyn Provider>>,
    clock: Arc<dyn WallClock>,
    pub acquire: Arc<Acquire>,
    /// Failed logins at both fronts.
    pub attempts: Arc<Attempts>,
    shutdown: CancellationToken,
}

impl World {
    /// A world with `releases` known to the provider; its queue runs.
    pub async fn with(releases: Vec<ReleaseSpec>, change: impl FnOnce(&mut AcquireConfig)) -> Self {
        Self::over(cloud(Kind::RealDebrid, releases), folder(), change).await
    }

    /// A world of several accounts, in this order; its queue runs.
    pub async fn among(accounts: &[(&str, &Sim)], change: impl FnOnce(&mut AcquireConfig)) -> Self {
        let named = accounts.iter();
        let named = named.map(|(name, sim)| ((*name).to_owned(), (*sim).clone()));
        Self::over_all(named.collect(), folder(), change).await
    }

    /// A queue over accounts and a directory that are there.
    pub async fn over_all(
        sims: Vec<(String, Sim)>,
        dir: TempDir,
        change: impl FnOnce(&mut AcquireConfig),
    ) -> Self {
        let all = sims.iter();
        let all = all.map(|(name, sim)| account(name, sim, |_| {}));
        let all = all.collect();
        Self::of(sims, all, dir, change).await
    }

    /// As [`Self::with`], with an account that is set up otherwise.
    pub async fn with_account(
        releases: Vec<ReleaseSpec>,
        set_up: impl FnOnce(&mut AccountConfig),
    ) -> Self {
        let sim = cloud(Kind::RealDebrid, releases);
        let provider = account("rd", &sim, set_up);
        let sims = vec![("rd".to_owned(), sim)];
        Self::of(sims, vec![provider], folder(), |_| {}).await
    }

    /// A queue over an account and a directory that are there.
    pub async fn over(sim: Sim, dir: TempDir, change: impl FnOnce(&mut AcquireConfig)) -> Self {
        Self::over_all(vec![("rd".to_owned(), sim)], dir, change).await
    }

    async fn of(
        sims: Vec<(String, Sim)>,
        providers: Vec<Arc<dyn Provider>>,
        dir: TempDir,
        change: impl FnOnce(&mut AcquireConfig),
    ) -> Self {
        let clock: Arc<dyn WallClock> = Arc::new(TokioClock::starting_at(start()));
        let sim = sims[0].1.clone();
        let library = Arc::new(SimLibrary {
            sims,
            mount: "/mnt/dfs".into(),
            flat: AtomicBool::new(false),
            probes: Mutex::default(),
            probed: Mutex::default(),
            reads: Arc::new(Reads {
                done: Mutex::default(),
                readable: AtomicU64::new(u64::MAX),
            }),
            unsettled: Mutex::default(),
            token: Mutex::new(Some("first".to_owned())),
            told: Mutex::default(),
            unmounted: watch::Sender::new(None),
        });
        let mut config = config_in(dir.path(), clock.clone());
        change(&mut config);
        let acquire = Acquire::open(config, providers.clone(), library.clone())
            .await
            .unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(acquire.clone().run(shutdown.clone()));
        Self {
            sim,
            library,
            dir,
            providers,
            clock,
            acquire,
            attempts: Arc::default(),
            shutdown,
        }
    }

    pub async fn new(releases: Vec<ReleaseSpec>) -> Self {
        Self::with(releases, |_| {}).await
    }

    /// Ends the queue and opens it again.
    pub async fn restart(&mut self, change: impl FnOnce(&mut AcquireConfig)) {
        self.shutdown.cancel();
        let mut config = config_in(self.dir.path(), self.clock.clone());
        change(&mut config);
        self.acquire = Acquire::open(config, self.providers.clone(), self.library.clone())
            .await
            .unwrap();
        self.shutdown = CancellationToken::new();
        tokio::spawn(self.acquire.clone().run(self.shutdown.clone()));
    }

    /// Ends the queue and lets go of its store.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        second().await;
    }

    /// Opens the store in `dir`, and goes on with nothing.
    pub async fn open_in(&self, dir: &Path) -> Result<Arc<Acquire>, debridfs_acquire::Error> {
        let config = config_in(dir, self.clock.clone());
        Acquire::open(config, self.providers.clone(), self.library.clone()).await
    }

    pub fn clock(&self) -> Arc<dyn WallClock> {
        self.clock.clone()
    }

    pub fn accounts(&self) -> Vec<Arc<dyn Provider>> {
        self.providers.clone()
    }

    pub fn downloads(&self) -> PathBuf {
        self.dir.path().join("downloads")
    }

    /// Waits, in the clock's time, until the job `hash` is as `done` says.
    pub async fn until(&self, hash: InfoHash, done: impl Fn(&Job) -> bool) -> Arc<Job> {
        // A day of the paused clock: only what never comes ends it.
        for _ in 0..86_400 {
            if let Some(job) = self.acquire.job(hash).filter(|job| done(job)) {
                return job;
            }
            second().await;
        }
        panic!("not within a day: {:?}", self.acquire.job(hash));
    }

    /// Waits until the account has `count` torrents of `hash`.
    pub async fn until_torrents(&self, hash: &str, count: usize) {
        for _ in 0..86_400 {
            if self.torrents(hash).len() == count {
                return;
            }
            second().await;
        }
        panic!("not within a day: {:?}", self.torrents(hash));
    }

    pub async fn settled(&self, hash: InfoHash) -> Arc<Job> {
        self.until(hash, |job| job.step.is_settled()).await
    }

    /// As [`Self::settled`], in real time.
    pub async fn settled_soon(&self, hash: InfoHash) -> Arc<Job> {
        for _ in 0..6000 {
            if let Some(job) = self.acquire.job(hash).filter(|job| job.step.is_settled()) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within a minute: {:?}", self.acquire.job(hash));
    }

    /// What an arr does: adds the magnet of `hash` to the category `tv`.
    pub async fn grab(&self, hash: &str, name: &str) -> Added {
        let added = (self.acquire).add(magnet(hash, name), in_category("tv"));
        added.await.unwrap()
    }

    pub async fn complete(&self, hash: InfoHash) -> Arc<Job> {
        let job = self.settled(hash).await;
        assert_eq!(job.step, Step::Complete, "{:?}", job.reason);
        job
    }

    /// The only job in `category`, once it is complete.
    pub async fn complete_in(&self, category: &str) -> Arc<Job> {
        for _ in 0..86_400 {
            let mut jobs = self.acquire.jobs();
            jobs.retain(|job| job.category == category);
            if jobs.len() == 1 && jobs[0].step.is_settled() {
                assert_eq!(jobs[0].step, Step::Complete, "{:?}", jobs[0].reason);
                return jobs.remove(0);
            }
            second().await;
        }
        panic!("not within a day: {:?}", self.acquire.jobs());
    }

    /// How many files of `hash` the library shows.
    pub async fn shown_files(&self, text: &str) -> usize {
        let shown = self.library.shown(hash(text)).await;
        shown.map_or(0, |shown| shown.files.len())
    }

    /// Ids of the account's torrents of `hash`.
    pub fn torrents(&self, hash: &str) -> Vec<String> {
        let torrents = self.sim.torrents(0).unwrap();
        let same = torrents.into_iter().filter(|torrent| torrent.hash == hash);
        same.map(|torrent| torrent.id).collect()
    }

    pub fn api(&self) -> Client {
        self.api_with(Credentials::default())
    }

    pub fn api_with(&self, credentials: Credentials) -> Client {
        Client {
            router: router(self.acquire.clone(), credentials, self.attempts.clone()),
            prefix: "/api/v2",
            headers: Vec::new(),
            peer: [127, 0, 0, 1],
        }
    }

    /// The SABnzbd front; its key is [`SAB_KEY`].
    pub fn sab(&self) -> Client {
        let credentials = sabnzbd::Credentials {
            key: Secret::new(SAB_KEY),
            login: Some(("admin".to_owned(), Secret::new("adminadmin"))),
        };
        Client {
            router: sabnzbd::router(self.acquire.clone(), credentials, self.attempts.clone()),
            prefix: "/sabnzbd",
            headers: Vec::new(),
            peer: [127, 0, 0, 1],
        }
    }
}

pub fn config_in(dir: &Path, clock: Arc<dyn WallClock>) -> AcquireConfig {
    let mut config = AcquireConfig::new(dir.join("state/jobs.db"), dir.join("downloads"));
    config.clock = clock;
    config
}

/// Paths below `root`, with where they lead for symlinks; sorted.
pub fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            match entry.file_type().unwrap() {
                kind if kind.is_symlink() => {
                    let target = std::fs::read_link(&path).unwrap();
                    found.push(format!("{shown} -> {}", target.display()));
                }
                kind if kind.is_dir() => left.push(path),
                _ => found.push(shown),
            }
        }
    }
    found.sort();
    found
}

/// A caller of the API.
#[derive(Clone)]
pub struct Client {
    router: Router,
    prefix: &'static str,
    pub headers: Vec<(String, String)>,
    pub peer: [u8; 4],
}

/// What it was answered.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub text: String,
    pub cookie: Option<String>,
    /// Of the content.
    pub kind: Option<String>,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub async fn get(&self, call: &str) -> Said {
        self.send("GET", call, None, Vec::new()).await
    }

    /// A form in the body.
    pub async fn post(&self, call: &str, form: &[(&str, &str)]) -> Said {
        let body = form_of(form);
        let kind = "application/x-www-form-urlencoded";
        self.send("POST", call, Some(kind), body.into_bytes()).await
    }

    /// A multipart body, as arrs send one: fields, then a `.torrent`.
    pub async fn upload(&self, fields: &[(&str, &str)], file: &[u8]) -> Said {
        self.upload_to("torrents/add", fields, "torrents", file)
            .await
    }

    /// A multipart body: fields, then a file as `part`.
    pub async fn upload_to(
        &self,
        call: &str,
        fields: &[(&str, &str)],
        part: &str,
        file: &[u8],
    ) -> Said {
        let mut body = Vec::new();
        for (name, value) in fields {
            let field = format!(
                "--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(field.as_bytes());
        }
        let head = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"{part}\"; filename=\"a.file\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n--XX--\r\n");
        let kind = "multipart/form-data; boundary=XX";
        self.send("POST", call, Some(kind), body).await
    }

    async fn send(&self, method: &str, call: &str, kind: Option<&str>, body: Vec<u8>) -> Said {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}/{call}", self.prefix));
        let names_host = self.headers.iter().any(|(name, _)| name == "host");
        if !names_host {
            request = request.header("host", "127.0.0.1:8283");
        }
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        let peer = debridfs_listen::Peer(self.peer.into());
        request.extensions_mut().insert(peer);
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let header = |name| {
            let value = answer.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        let (cookie, kind) = (header("set-cookie"), header("content-type"));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Said {
            status,
            text: String::from_utf8(body.to_vec()).unwrap(),
            cookie,
            kind,
        }
    }
}

fn form_of(form: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect::<String>()
    };
    form.iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}
