//! Who the processes run as: `PUID` and `PGID` as root, and no root at all. Needs root itself, to become somebody else.
#![allow(
    clippy::disallowed_methods,
    reason = "a test has no runtime to block; it looks again every few milliseconds"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A busy machine may be slow; a broken program would take for ever.
const LIMIT: Duration = Duration::from_secs(60);
/// Nobody in particular.
const UID: u32 = 54_321;
const GID: u32 = 54_322;
/// `nobody`: fusermount3 wants a user with a name.
const NOBODY: u32 = 65_534;
/// Becomes `nobody`.
const AS_NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

/// A process that is asked to end when dropped, and made to if it does not.
struct Process(Child);

impl Process {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn end(&mut self) -> Option<i32> {
        let _ = kill_process(self.pid(), Signal::TERM);
        let started = Instant::now();
        while started.elapsed() < LIMIT {
            if let Some(status) = self.0.try_wait().expect("a child of ours") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) && self.end().is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A directory that others may enter, with the program in it: the build's own may lie below a closed one.
fn place() -> tempfile::TempDir {
    let dir = tempfile::Builder::new()
        .prefix("debridfs-owner-")
        .tempdir()
        .expect("directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    // By a process of its own: a file that a test beside this one still holds open for writing cannot be started.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_debridfs"))
        .arg(dir.path().join("debridfs"))
        .status()
        .expect("cp runs");
    assert!(copied.success());
    dir
}

fn first_file(dir: &Path) -> std::path::PathBuf {
    let found = Command::new("find")
        .arg(dir)
        .args(["-type", "f", "-size", "+0"])
        .output()
        .expect("find runs");
    let text = String::from_utf8(found.stdout).expect("text");
    text.lines().next().expect("a file").into()
}

/// With its base URL and its token.
fn simulator(program: &Path) -> (Process, String, String) {
    let mut simulator = Command::new(program);
    simulator
        .args(["sim", "--library", "3"])
        .stdout(Stdio::piped());
    let mut simulator = Process(simulator.spawn().expect("sim starts"));
    let mut lines = BufReader::new(simulator.0.stdout.take().expect("piped")).lines();
    let mut value = |key: &str| {
        let line = lines.next().expect("a line").expect("text");
        line.strip_prefix(key).expect("in order").trim().to_owned()
    };
    let (url, token) = (value("url"), value("token"));
    (simulator, url, token)
}

/// What `ask` says once the whole library is known.
fn healthy(ask: impl Fn() -> Command, log: &Path) -> Value {
    let started = Instant::now();
    loop {
        let asked = ask().output().expect("status runs");
        let status: Value = serde_json::from_slice(&asked.stdout).unwrap_or_default();
        if asked.status.success() && status["library"]["unknown"] == 0 {
            return status;
        }
        let log = || fs::read_to_string(log).unwrap_or_default();
        assert!(
            started.elapsed() < LIMIT,
            "not healthy: {status:#} {}",
            log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn root_needs_no_directories_in_its_settings() {
    let place = place();
    let program = place.path().join("debridfs");
    let (_simulator, url, token) = simulator(&program);
    let log = place.path().join("log");
    // The machine's own directories stay what they are.
    let script = "for dir in /run /var/lib /var/cache /mnt; do mount -t tmpfs none $dir; done; exec \"$0\" serve";
    let mut service = Command::new("unshare");
    service
        .args(["--mount", "--propagation", "private", "sh", "-ec", script])
        .arg(&program)
        .env_remove("XDG_RUNTIME_DIR")
        .env("DEBRIDFS__PROVIDER__SIM__API_URL", url)
        .env("DEBRIDFS__PROVIDER__SIM__TOKEN", token)
        .env("DEBRIDFS__SERVER__LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stderr(fs::File::create(&log).expect("file"));
    let mut service = Process(service.spawn().expect("serve starts"));
    let inside = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", service.0.id()));
        command.arg(program).args(arguments);
        command
    };
    let status = healthy(|| inside(&program, &["status", "--json"]), &log);
    assert_eq!(status["mount"]["path"], "/mnt/dfs", "{status:#}");
    let owners = ["/run/debridfs", "/var/lib/debridfs", "/var/cache/debridfs"];
    let mut stat = inside(Path::new("stat"), &["-c", "%u"]);
    let found = stat.args(owners).output().expect("stat runs");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "65534\n".repeat(3));
    assert_eq!(service.end(), Some(0));
}

#[test]
fn the_engine_runs_as_puid_and_owns_what_is_shown() {
    let place = place();
    let program = place.path().join("debridfs");
    let (_simulator, url, token) = simulator(&program);
    let mount = place.path().join("mnt");
    let run = place.path().join("run");
    let state = place.path().join("state");
    // What root left there from an earlier time.
    fs::create_dir(&state).expect("directory");
    fs::write(state.join("calls-sim"), "").expect("file");
    let mut service = Command::new(&program);
    service
        .arg("serve")
        .env("PUID", UID.to_string())
        .env("PGID", GID.to_string())
        .env("UMASK", "027")
        .env("DEBRIDFS__PROVIDER__SIM__API_URL", url)
        .env("DEBRIDFS__PROVIDER__SIM__TOKEN", token)
        .env("DEBRIDFS__MOUNT__PATH", &mount)
        .env("DEBRIDFS__RUNTIME_DIR", &run)
        .env("DEBRIDFS__STATE_DIR", &state)
        .env("DEBRIDFS__SERVER__LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stderr(fs::File::create(place.path().join("log")).expect("file"));
    let mut service = Process(service.spawn().expect("serve starts"));
    let status = healthy(
        || {
            let mut command = Command::new(&program);
            command.args(["status", "--json", "--socket"]);
            command.arg(run.join("control.sock"));
            command
        },
        &place.path().join("log"),
    );
    let ids = |who: &str| {
        let text =
            fs::read_to_string(format!("/proc/{}/status", status[who]["pid"])).expect("proc");
        let line = |key: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .expect("line");
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        (line("Uid:"), line("Gid:"), line("Groups:"))
    };
    let engine_status = fs::read_to_string(format!("/proc/{}/status", status["engine"]["pid"]));
    let engine_status = engine_status.expect("proc");
    let umask = engine_status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"));
    assert_eq!(
        umask.map(str::trim),
        Some("0027"),
        "what it puts into the downloads folder"
    );
    assert_eq!(ids("keeper").0, ["0"; 4]);
    let engine = ids("engine");
    assert_eq!(
        engine.0,
        [
            UID.to_string(),
            UID.to_string(),
            UID.to_string(),
            UID.to_string()
        ]
    );
    assert_eq!(engine.1[0], GID.to_string());
    assert!(engine.2.is_empty(), "no group of root's: {:?}", engine.2);
    let root = fs::metadata(&mount).expect("stat");
    assert_eq!(
        (root.uid(), root.gid(), root.mode() & 0o7777),
        (UID, GID, 0o550)
    );
    let file = first_file(&mount.join("__all__"));
    let found = fs::metadata(&file).expect("stat");
    assert_eq!(
        (found.uid(), found.gid(), found.mode() & 0o7777),
        (UID, GID, 0o440)
    );
    let mut first = [0; 1];
    fs::File::open(&file)
        .and_then(|mut file| file.read_exact(&mut first))
        .expect("read");
    assert_eq!(
        fs::metadata(run.join("control.sock")).expect("stat").mode() & 0o777,
        0o600
    );
    assert_eq!(service.end(), Some(0));
    let table = fs::read_to_string("/proc/self/mountinfo").expect("table");
    assert!(!table.contains(mount.to_str().expect("text")));
    // The closed mount point cannot be removed otherwise.
    let uninstalled = Command::new(&program)
        .arg("uninstall")
        .env("DEBRIDFS__MOUNT__PATH", &mount)
        .env("DEBRIDFS__RUNTIME_DIR", &run)
        .status();
    assert!(uninstalled.expect("uninstall runs").success() && !mount.exists());
    place.close().expect("nothing of it is left");
}

#[test]
fn what_the_engines_user_may_not_use_is_named_with_the_command_that_mends_it() {
    let place = place();
    let program = place.path().join("debridfs");
    let secrets = place.path().join("secrets");
    fs::create_dir(&secrets).expect("directory");
    let token = secrets.join("token");
    fs::write(&token, "secret").expect("file");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("mode");
    let downloads = place.path().join("downloads");
    fs::create_dir_all(downloads.join("tv")).expect("directory");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("address").to_string();
    let ask = |words: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(words)
            .env("PUID", UID.to_string())
            .env("PGID", GID.to_string())
            .env("DEBRIDFS__PROVIDER__SIM__TOKEN_FILE", &token)
            .env("DEBRIDFS__PROVIDER__SIM__API_URL", "http://127.0.0.1:9/")
            .env("DEBRIDFS__ACQUIRE__DOWNLOADS", &downloads)
            .env("DEBRIDFS__MOUNT__PATH", place.path().join("mnt"))
            .env("DEBRIDFS__SERVER__LISTEN", &address)
            .envs(["RUNTIME", "STATE", "CACHE"].map(|name| {
                let dir = place.path().join(name);
                (format!("DEBRIDFS__{name}_DIR"), dir)
            }));
        let ended = command.output().expect("debridfs runs");
        let out = String::from_utf8_lossy(&ended.stdout).into_owned();
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        (ended.status.code(), out, err)
    };
    let of_token = format!("chown {UID}:{GID} {}", token.display());
    let of_downloads = format!("chown -R {UID}:{GID} {}", downloads.display());
    let (code, _, said) = ask(&["config", "check"]);
    assert_eq!(code, Some(2), "{said}");
    for part in [
        "provider.sim.token_file: ",
        "acquire.downloads: ",
        &of_token,
        &of_downloads,
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    // It would be started again for ever.
    let (code, _, said) = ask(&["serve"]);
    assert!(code == Some(2) && said.contains(&of_token), "{said}");
    let (_, report, _) = ask(&["doctor", "--json"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let check = |name: &str| {
        let checks = report["checks"].as_array().expect("checks");
        let found = checks.iter().find(|check| check["name"] == name);
        found
            .unwrap_or_else(|| panic!("{name} in {report:#}"))
            .clone()
    };
    assert_eq!(check("acquire.downloads")["fix"], of_downloads);
    let port = check("server.listen")["seen"].to_string();
    let holder = format!("(pid {})", std::process::id());
    assert!(
        port.contains("is taken by") && port.contains(&holder),
        "{port}"
    );
    chown(&token, Some(UID), Some(GID)).expect("chown");
    chown(&downloads, Some(UID), Some(GID)).expect("chown");
    let (code, said, error) = ask(&["config", "check"]);
    assert!(code == Some(0) && said.contains("valid: "), "{error}");
    // Its own file, behind a closed door.
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o700)).expect("mode");
    let (code, _, said) = ask(&["config", "check"]);
    let fix = format!("chmod o+x {}", secrets.display());
    assert!(code == Some(2) && said.contains(&fix), "{said}");
}

#[test]
fn without_root_fusermount_does_the_mounting() {
    let place = place();
    let home = place.path().join("home");
    fs::create_dir(&home).expect("directory");
    chown(&home, Some(NOBODY), Some(NOBODY)).expect("chown");
    // Most systems let everybody open the device; this one may not.
    let script = format!(
        "mknod fuse c 10 229 && chmod 666 fuse && mount --bind fuse /dev/fuse && exec {} ./debridfs demo",
        AS_NOBODY.join(" ")
    );
    let mut demo = Command::new("unshare");
    demo.args(["--mount", "sh", "-c", &script])
        .current_dir(place.path())
        .env("TMPDIR", &home)
        .env("HOME", &home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(place.path().join("stderr")).expect("file"));
    let mut demo = Process(demo.spawn().expect("setpriv starts"));
    let mut line = String::new();
    BufReader::new(demo.0.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("text");
    let said = fs::read_to_string(place.path().join("stderr")).expect("text");
    let dir = line
        .trim_end()
        .strip_prefix("ready ")
        .unwrap_or_else(|| panic!("{line:?} {said}"));
    // Nobody else, not even root, may look into a user's mount.
    let pid = demo.0.id().to_string();
    let listed = Command::new("nsenter")
        .args(["--mount", "--target", &pid])
        .args(AS_NOBODY)
        .args(["ls", "-n", dir])
        .output()
        .expect("ls runs");
    let text = String::from_utf8_lossy(&listed.stdout);
    assert!(
        text.contains("__all__") && text.contains(&NOBODY.to_string()),
        "{text} {said}"
    );
    assert_eq!(demo.end(), Some(0));
    assert_eq!(
        fs::read_dir(&home).expect("directory").count(),
        0,
        "files are left"
    );
}
