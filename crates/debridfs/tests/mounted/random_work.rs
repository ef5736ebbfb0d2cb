//! Random work on the whole read path, for as long as one likes (`DEBRIDFS_TEST_WORK_SECONDS`, an hour in `make soak`): players, copies, scans, probes and
//! people who jump about, while the CDN and the API fail, releases come and go, files are pinned, warmed and purged, and the cache is far too small. The
//! engine is killed in the first quarter; then one engine does the rest, so that a leak shows. Every byte is checked, and memory, descriptors and disk are
//! looked at all the time.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use debridfs_base::ByteSize;
use debridfs_cache::{Cache, CacheConfig, FileId, KeepFree, Supply};
use debridfs_sim::{CdnFault, content};
use rustix::process::Signal;

use crate::storm::matrix;
use crate::support::{Instance, Settings, Simulator, film, until};

mod gauges;
mod readers;

use gauges::Gauges;
use readers::Crowd;

const MIB: u64 = 1 << 20;
const FILMS: usize = 12;
const EPISODES: usize = 6;
/// Played: larger than anybody gets through.
const FILM: u64 = 8 << 30;
/// Copied: quickly enough that 8 MB/s are a copy and no playback.
const EPISODE: u64 = 300 * MIB;
const NEWCOMER: u64 = 60 * MIB;
/// Newcomers that are there at once.
const NEWCOMERS: usize = 3;
/// What is on disk is a fraction of what is read in a minute.
const CACHE: u64 = 256 * MIB;
const PROBES: u64 = 32 * MIB;
/// Far beyond what a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Far below the deadline of a read.
const TROUBLE_LASTS: Duration = Duration::from_secs(2);
/// A run that is shorter tells nothing of leaks: what is kept for good fills up in its first minutes.
const LONG_RUN: Duration = Duration::from_secs(600);

/// A file that is read, and what it holds.
#[derive(Debug, Clone)]
pub struct Title {
    path: PathBuf,
    key: u64,
    size: u64,
}

/// What is known of files in the cache by their inode number: key and size.
type Known = HashMap<u64, (u64, u64)>;

fn title(instance: &Instance, simulator: &Simulator, name: &str, size: u64) -> Title {
    let (file, key) = simulator.file(&format!("{name}.mkv"));
    let path = instance.mount().join("__all__").join(name).join(file);
    Title { path, key, size }
}

fn note(known: &mut Known, title: &Title) {
    let inode = fs::metadata(&title.path).expect("a file").ino();
    known.insert(inode, (title.key, title.size));
}

/// xorshift64: any spread will do.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// What is done to the instance beside reading from it.
struct Work<'a> {
    simulator: &'a Simulator,
    instance: &'a Instance,
    episodes: &'a [Title],
    known: Known,
    random: Random,
    newcomers: Vec<(String, String)>,
    came: usize,
    kills: usize,
}

impl Work<'_> {
    /// Something of the CDN or the whole provider fails for a while.
    fn trouble(&mut self) {
        let faults = matrix();
        match self.random.below(faults.len() as u64 + 1) as usize {
            at if at < faults.len() => self
                .simulator
                .fault(CdnFault::everywhere(faults[at].clone())),
            _ => self.simulator.outage(),
        }
        std::thread::sleep(TROUBLE_LASTS);
        self.simulator.clear_faults();
        self.simulator.outage_over();
    }

    fn cache(&self, arguments: &[&str]) {
        let output = Command::new(env!("CARGO_BIN_EXE_debridfs"))
            .arg("cache")
            .args(arguments)
            .arg("--socket")
            .arg(self.instance.runtime().join("control.sock"))
            .output()
            .expect("debridfs cache");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cache {arguments:?}: {error}");
    }

    /// One of the commands of the cache.
    fn command(&mut self) {
        let path = &self.random.pick(self.episodes).path;
        let path = path.to_str().expect("text").to_owned();
        match self.random.below(6) {
            0 => {
                // All that are there at once fit.
                if let Some((name, _)) = self.newcomers.last() {
                    self.cache(&["pin", &format!("__all__/{name}")]);
                }
            }
            1 => self.cache(&["purge", &path]),
            2 => self.cache(&["purge", "--all"]),
            _ => self.cache(&["ls", "--json"]),
        }
    }

    /// A release goes, another one comes, is looked at and fetched. It is pinned meanwhile: the others displace all of the cache in seconds.
    fn newcomer(&mut self) {
        if self.newcomers.len() == NEWCOMERS {
            let (name, id) = self.newcomers.remove(0);
            self.cache(&["unpin", &format!("__all__/{name}")]);
            self.simulator.remove(&id);
        }
        self.came += 1;
        let name = format!("Newcomer.{}", self.came);
        let id = self.simulator.add(film(&name, NEWCOMER));
        let title = title(self.instance, self.simulator, &name, NEWCOMER);
        until("the newcomer shows", PATIENCE, || title.path.exists());
        note(&mut self.known, &title);
        for what in ["pin", "warm", "unpin"] {
            self.cache(&[what, &format!("__all__/{name}")]);
        }
        self.newcomers.push((name, id));
    }

    fn kill(&mut self) {
        let victim = self.instance.engine_pid();
        assert!(self.instance.signal_engine(Signal::KILL));
        until("another engine serves", PATIENCE, || {
            self.instance.engine_pid() != victim
        });
        self.instance.wait_listed();
        self.kills += 1;
    }
}

fn bytes_of(instance: &Instance, class: &str) -> u64 {
    let status = instance.status();
    let readers = status["content"]["readers"].as_array();
    let line = readers.and_then(|lines| lines.iter().find(|line| line["class"] == class));
    line.and_then(|line| line["read"].as_u64()).unwrap_or(0)
}

/// Opens what the killed engine left and checks all that is said to be there; how much.
fn verify(directory: &Path, known: &Known) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let config = CacheConfig {
        size: ByteSize(CACHE),
        probe_size: ByteSize(PROBES),
        keep_free: Some(KeepFree::Bytes(ByteSize(0))),
        ..CacheConfig::default()
    };
    let cache = Cache::open(directory.to_path_buf(), config).expect("a cache");
    until("the cache is free", PATIENCE, || cache.is_usable());
    let mut verified = 0;
    let ids: Vec<u64> = cache.list().iter().map(|file| file.id).collect();
    for id in ids {
        let &(key, size) = known.get(&id).expect("nothing else was read");
        let file = FileId { id, size };
        let mut at = 0;
        while at < size {
            at = match cache.supply(file, &(at..size.min(at + MIB))) {
                Supply::Absent(part) => part.end,
                Supply::Cached(part) => {
                    let read = runtime.block_on(cache.read(file, &part, PATIENCE));
                    let bytes = read.expect("it is said to be there").concat();
                    let mut expected = vec![0; bytes.len()];
                    content::fill(key, part.start, &mut expected);
                    assert!(bytes == expected, "wrong bytes of {id:x} at {part:?}");
                    verified += bytes.len() as u64;
                    part.end
                }
            }
        }
    }
    assert_eq!(cache.stats().damaged, 0);
    verified
}

#[test]
fn random_work_stays_within_its_limits() {
    let seconds = std::env::var("DEBRIDFS_TEST_WORK_SECONDS");
    let length =
        Duration::from_secs(seconds.map_or(20, |seconds| seconds.parse().expect("seconds")));
    let names = |kind: &str, count| -> Vec<String> {
        (0..count)
            .map(|number| format!("{kind}.{number}"))
            .collect()
    };
    let (films, episodes) = (names("Film", FILMS), names("Episode", EPISODES));
    let releases = films.iter().map(|name| film(name, FILM));
    let simulator = Simulator::start(
        releases
            .chain(episodes.iter().map(|name| film(name, EPISODE)))
            .collect(),
    );
    // Refusals and expiries ask for links: of the API's limit there are other tests.
    simulator.calls_per_minute(0);
    simulator.shape(20, 20_000_000);
    let variable = |name: &str, bytes: u64| {
        (
            format!("DEBRIDFS__CONTENT__CACHE__{name}"),
            bytes.to_string(),
        )
    };
    let settings = Settings {
        toml:
            "[content]\nmemory = \"64 MiB\"\nfirst_byte_timeout_ms = 1000\nstall_timeout_ms = 1000"
                .into(),
        cache: true,
        env: vec![
            variable("SIZE", CACHE),
            variable("PROBE_SIZE", PROBES),
            variable("KEEP_FREE", 0),
        ],
        ..Settings::default()
    };
    let mut instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let titles = |names: &[String], size| -> Vec<Title> {
        let title = |name: &String| title(&instance, &simulator, name, size);
        names.iter().map(title).collect()
    };
    let (films, episodes) = (titles(&films, FILM), titles(&episodes, EPISODE));
    let mut known = Known::new();
    for title in films.iter().chain(&episodes) {
        note(&mut known, title);
    }

    let started = Instant::now();
    let gauges = Gauges::start(&instance);
    // First of all, so that it is dropped before the mount is.
    let crowd = Crowd::start(&films, &episodes);
    let mut work = Work {
        simulator: &simulator,
        instance: &instance,
        episodes: &episodes,
        known,
        random: Random(0x5eed),
        newcomers: Vec::new(),
        came: 0,
        kills: 0,
    };
    let mut turn = 0;
    let classes = ["probe", "scan", "playback", "copy"];
    let mut seen = [false; 4];
    while started.elapsed() < length || work.came == 0 || !seen.iter().all(|seen| *seen) {
        assert!(
            started.elapsed() < length + PATIENCE,
            "classes seen: {seen:?} of {classes:?}"
        );
        turn += 1;
        match turn % 6 {
            1 if started.elapsed() < length / 4 || work.kills == 0 => {
                work.kill();
                gauges.engine_changed(&instance);
            }
            2 => work.newcomer(),
            3 | 5 => work.trouble(),
            _ => work.command(),
        }
        crowd.assert_clean(&instance);
        for (seen, class) in seen.iter_mut().zip(classes) {
            *seen |= bytes_of(&instance, class) > 0;
        }
    }
    until("the cache holds something", PATIENCE, || {
        instance.status()["content"]["cache"]["bytes"].as_u64() > Some(16 * MIB)
    });
    // A kill costs what was read in the last second.
    std::thread::sleep(TROUBLE_LASTS);
    crowd.all_go_on();
    crowd.assert_clean(&instance);
    let (kills, came, known) = (work.kills, work.came, work.known);
    let read = crowd.end();

    let status = instance.status();
    let cache = &status["content"]["cache"];
    let engine = &status["content"];
    println!(
        "{} s, {kills} kills, {came} newcomers, {read}",
        started.elapsed().as_secs()
    );
    println!("{gauges}\nthe last engine: {engine}");
    gauges.assert_within_limits(length);
    assert!(kills > 0 && came > 0, "{kills} kills, {came} newcomers");
    assert_eq!(
        (&cache["damaged"], &cache["errors"]),
        (&0.into(), &0.into())
    );
    assert!(cache["hits"].as_u64() > Some(0) && cache["evicted"].as_u64() > Some(0));
    instance.kill_all();
    let verified = verify(&instance.state().with_file_name("cache"), &known);
    println!("{} MiB in the cache, all right", verified / MIB);
    assert!(verified > 0);
}
