//! `debridfs demo` from start to end: what scripts rely on, and that nothing is left behind.
#![allow(
    clippy::disallowed_methods,
    reason = "a test has no runtime to block; it looks again every few milliseconds"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A busy machine may be slow; a broken program would take for ever.
const LIMIT: Duration = Duration::from_secs(90);

/// A demo with a temporary directory of its own.
struct Demo {
    child: Child,
    stdout: BufReader<ChildStdout>,
    dir: tempfile::TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("debridfs-demo-test-")
            .tempdir()
            .expect("directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_debridfs"))
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", dir.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(dir.path().join("stderr")).expect("file"))
            .spawn()
            .expect("demo starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, stdout, dir }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for the line `ready DIR`. The demo itself gives up when something is wrong.
    fn ready(&mut self) -> PathBuf {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        let Some(dir) = line.trim_end().strip_prefix("ready ") else {
            panic!("not ready: {line:?}; {}", self.errors());
        };
        dir.into()
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// The demo's own directory.
    fn place(&self) -> PathBuf {
        let found = fs::read_dir(self.dir.path())
            .expect("directory")
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.is_dir());
        found.expect("the demo made its directory")
    }

    fn status(&self) -> Value {
        let asked = Command::new(env!("CARGO_BIN_EXE_debridfs"))
            .args(["status", "--json", "--socket"])
            .arg(self.place().join("run/control.sock"))
            .output()
            .expect("status runs");
        serde_json::from_slice(&asked.stdout).unwrap_or_default()
    }

    /// A process id that `status` tells.
    fn pid_of(&self, who: &str) -> Option<Pid> {
        let pid = self.status()[who]["pid"].as_i64()?;
        Pid::from_raw(i32::try_from(pid).ok()?)
    }

    /// Sends `signal` and waits for the end; the exit code.
    fn end(&mut self, signal: Signal) -> Option<i32> {
        kill_process(self.pid(), signal).expect("a child of ours");
        self.wait()
    }

    fn wait(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status.code();
            }
            assert!(started.elapsed() < LIMIT, "no end; {}", self.errors());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nothing may be left: no process, no mount, no file.
    fn assert_nothing_left(&self) {
        until("processes are gone", || {
            processes(self.dir.path()).is_empty()
        });
        let table = fs::read_to_string("/proc/self/mountinfo").expect("table");
        let dir = self.dir.path().to_str().expect("text");
        assert!(!table.contains(dir), "mounted: {table}");
        let files: Vec<_> = fs::read_dir(self.dir.path())
            .expect("directory")
            .filter_map(Result::ok)
            .map(|entry| entry.file_name())
            .filter(|name| name != "stderr")
            .collect();
        assert!(files.is_empty(), "files: {files:?}; {}", self.errors());
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the demo said:\n{}", self.errors());
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            // In order first, so that it cleans up.
            let _ = kill_process(self.pid(), Signal::TERM);
            let started = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && started.elapsed() < LIMIT / 3 {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose environment names `dir`: every child of the demo inherits its TMPDIR.
fn processes(dir: &Path) -> Vec<String> {
    let needle = format!("TMPDIR={}", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("proc").filter_map(Result::ok) {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let mut lines = environment.split(|byte| *byte == 0);
        if lines.any(|line| line == needle.as_bytes()) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

/// All files below `dir`, through the mount.
fn files(dir: &Path) -> Vec<PathBuf> {
    let found = Command::new("find")
        .arg(dir)
        .args(["-type", "f"])
        .output()
        .expect("find runs");
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{said}");
    String::from_utf8(found.stdout)
        .expect("text")
        .lines()
        .map(PathBuf::from)
        .collect()
}

#[test]
fn ready_browsed_read_and_gone_after_ctrl_c() {
    let mut demo = Demo::start(&[]);
    let dir = demo.ready();
    let names: Vec<_> = fs::read_dir(&dir)
        .expect("the root lists")
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().into_string().expect("text"))
        .collect();
    for name in ["__all__", "__bad__", "version.txt"] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} in {names:?}"
        );
    }
    until("all files are known", || {
        demo.status()["library"]["unknown"] == 0
    });
    // A release that turned out bad after it was shown stays where it was; its reads fail.
    let bad: Vec<_> = fs::read_dir(dir.join("__bad__"))
        .expect("the view lists")
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .collect();
    let is_bad = |film: &Path| film.iter().any(|part| bad.iter().any(|name| name == part));
    let mut films = files(&dir.join("__all__"));
    films.retain(|film| !is_bad(film));
    assert!(films.len() > 10, "{films:?}");
    for film in &films {
        let mut first = Vec::new();
        let file = fs::File::open(film).expect("open");
        let wanted = file.metadata().expect("stat").len().min(4096);
        if let Err(error) = file.take(4096).read_to_end(&mut first) {
            panic!("{}: {error}; {:#}", film.display(), demo.status());
        }
        assert_eq!(first.len() as u64, wanted, "{}", film.display());
    }
    // What a decoder makes of the real clips proves that their bytes are right.
    let clips: Vec<_> = films
        .iter()
        .filter(|film| film.to_string_lossy().contains("Test.Pictures"))
        .filter(|film| {
            film.extension()
                .is_some_and(|kind| kind == "mkv" || kind == "mp4")
        })
        .collect();
    assert!(!clips.is_empty(), "{films:?}");
    for clip in clips {
        let decoded = Command::new("ffmpeg")
            .args(["-v", "error", "-xerror", "-i"])
            .arg(clip)
            .args(["-f", "null", "-"])
            .stdin(Stdio::null())
            .output()
            .expect("ffmpeg");
        let said = String::from_utf8_lossy(&decoded.stderr);
        assert!(
            decoded.status.success() && said.is_empty(),
            "{}: {said}",
            clip.display()
        );
    }
    let status = demo.status();
    assert_eq!(status["mount"]["path"].as_str(), dir.to_str(), "{status:#}");
    assert_eq!(status["backend"], "native");
    assert!(status["keeper"]["pid"].is_u64(), "{status:#}");
    assert!(status["engine"]["pid"].is_u64(), "{status:#}");
    assert_eq!(demo.end(Signal::INT), Some(0));
    demo.assert_nothing_left();
}

#[test]
fn health_and_metrics_answer_and_a_killed_engine_comes_back() {
    let mut demo = Demo::start(&["--files", "50", "--seed", "7"]);
    let dir = demo.ready();
    let status = demo.status();
    let listen = status["engine"]["listen"].as_str().expect("address");
    let curl = |path: &str| {
        let answer = Command::new("curl")
            .args([
                "-s",
                "-w",
                "\n%{http_code}",
                &format!("http://{listen}{path}"),
            ])
            .output()
            .expect("curl runs");
        String::from_utf8(answer.stdout).expect("text")
    };
    assert!(curl("/livez").ends_with("200"));
    let ready = curl("/readyz");
    assert!(ready.ends_with("200"), "{ready}");
    let metrics = curl("/metrics");
    assert!(metrics.contains("debridfs_engine_serving 1.0"), "{metrics}");
    assert!(
        metrics.contains("debridfs_fuse_requests_total{operation="),
        "{metrics}"
    );
    let address = listen.to_owned();
    let before = demo.pid_of("engine").expect("an engine");
    kill_process(before, Signal::KILL).expect("the demo's engine");
    assert!(
        !files(&dir.join("__all__")).is_empty(),
        "walks on over the death"
    );
    until("a new engine", || {
        demo.pid_of("engine").is_some_and(|now| now != before)
    });
    until("the new engine serves", || demo.status()["healthy"] == true);
    until("the browser's address is the same", || {
        demo.status()["engine"]["listen"] == *address
    });
    assert_eq!(demo.status()["keeper"]["restarts"], 1);
    assert_eq!(demo.end(Signal::TERM), Some(0));
    demo.assert_nothing_left();
}

#[test]
fn an_account_that_cannot_be_had_ends_the_demo_with_the_reason() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let served = runtime.block_on(async {
        let library = debridfs_sim::LibrarySpec {
            seed: 1,
            releases: Vec::new(),
        };
        let sim = debridfs_sim::Sim::new(&library).expect("sim");
        debridfs_sim::serve(sim, debridfs_sim::ServeOptions::default())
            .await
            .expect("served")
    });
    let nobody = "http://127.0.0.1:9/rest/1.0".to_owned();
    for (url, words) in [(served.api_url(), "token"), (nobody, "refused")] {
        let started = Instant::now();
        let variables = [
            ("DEBRIDFS__PROVIDER__RD__TOKEN", "WRONG"),
            ("DEBRIDFS__PROVIDER__RD__API_URL", &*url),
        ];
        let mut demo = Demo::start_with(&[], &variables);
        assert_eq!(demo.wait(), Some(1), "{}", demo.errors());
        let said = demo.errors();
        assert!(said.contains("rd: ") && said.contains(words), "{said}");
        assert!(
            started.elapsed() < LIMIT / 3,
            "{:?}: {said}",
            started.elapsed()
        );
        demo.assert_nothing_left();
    }
}

#[test]
fn a_mount_point_of_the_users_is_used_and_left() {
    let outside = tempfile::Builder::new()
        .prefix("debridfs-demo-mount-")
        .tempdir()
        .expect("directory");
    let mount = outside.path().join("made/here");
    let mut demo = Demo::start(&["--mount", mount.to_str().expect("text")]);
    assert!(demo.ready().ends_with("made/here"));
    assert_eq!(demo.end(Signal::INT), Some(0));
    demo.assert_nothing_left();
    assert!(
        !outside.path().join("made").exists(),
        "what was made is gone"
    );
    assert!(outside.path().exists(), "what was there is not");
}

#[test]
fn ended_while_it_starts_it_leaves_nothing() {
    let mut demo = Demo::start(&[]);
    until("a child runs", || processes(demo.dir.path()).len() > 1);
    assert_eq!(demo.end(Signal::TERM), Some(0));
    demo.assert_nothing_left();
}

#[test]
fn the_helper_of_a_service_that_ended_makes_nothing() {
    let dir = tempfile::tempdir().expect("directory");
    let wanted = dir.path().join("state");
    let make = |parent: u32| {
        let helper = Command::new(env!("CARGO_BIN_EXE_debridfs"))
            .arg("own-directories")
            .arg(&wanted)
            .arg(format!("--parent={parent}"))
            .output();
        helper.expect("a helper").status.success()
    };
    // Whoever is its parent now had another number.
    assert!(!make(std::process::id() + 1));
    assert!(!wanted.exists());
    assert!(make(std::process::id()));
    assert!(wanted.is_dir());
}

#[test]
fn a_dead_keeper_ends_the_demo_with_an_error_and_leaves_nothing() {
    let mut demo = Demo::start(&[]);
    demo.ready();
    let keeper = demo.pid_of("keeper").expect("a keeper");
    kill_process(keeper, Signal::KILL).expect("the demo's keeper");
    assert_eq!(demo.wait(), Some(1));
    let said = demo.errors();
    assert!(said.contains("the service ended"), "{said}");
    demo.assert_nothing_left();
}

#[test]
fn several_accounts_are_one_library_and_one_of_them_may_fail() {
    let names = [
        "real-debrid",
        "torbox",
        "alldebrid",
        "debrid-link",
        "premiumize",
    ];
    let mut demo = Demo::start(&[&["--provider"], &names[..]].concat());
    let dir = demo.ready();
    let mut guide = String::new();
    while !guide.contains("Ctrl-C ends it") {
        assert!(
            demo.stdout.read_line(&mut guide).expect("text") > 0,
            "{guide}"
        );
    }
    for name in names {
        assert!(
            guide.contains(&format!("  {name}: {name} at http://127.0.0.1:")),
            "{guide}"
        );
        assert!(
            fs::read_dir(dir.join(name)).expect("its view").count() > 0,
            "{name}"
        );
    }
    let status = demo.status();
    let copies = &status["library"]["copies"];
    assert!(copies["spared"].as_u64() > Some(0), "{copies}");
    // The command to try is one that works.
    let command = guide
        .lines()
        .find(|line| line.contains("unavailable"))
        .expect("a command");
    let tried = Command::new("sh")
        .args(["-c", command.trim()])
        .output()
        .expect("sh runs");
    assert!(tried.status.success(), "{command}: {tried:?}");
    let film = walk(&dir.join("real-debrid"));
    assert!(
        !fs::read(film)
            .expect("served by another account")
            .is_empty()
    );
    assert_eq!(demo.end(Signal::INT), Some(0), "{}", demo.errors());
    demo.assert_nothing_left();
}

/// The smallest film of a view.
fn walk(view: &Path) -> PathBuf {
    let mut films = files(view);
    films.retain(|path| path.extension().is_some_and(|ending| ending == "mkv"));
    films.sort_by_key(|path| fs::metadata(path).map_or(u64::MAX, |known| known.len()));
    films.into_iter().next().expect("a film")
}
