//! The command line and the configuration, as a user meets them: the real program, its output and its exit codes.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const TOKEN: &str = "SECRETTOKEN0123456789";

/// The program with an environment and a home of its own.
fn debridfs(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_debridfs"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("DEBRIDFS__STATE_DIR", home.join("state"))
        .env("DEBRIDFS__RUNTIME_DIR", home.join("run"))
        .env("DEBRIDFS__MOUNT__PATH", home.join("mnt"))
        .stdin(Stdio::null());
    command
}

fn home() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("debridfs-cli-")
        .tempdir()
        .expect("directory")
}

fn output(command: &mut Command) -> Output {
    command.output().expect("debridfs runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `debridfs sim`, ended when dropped.
struct Simulator {
    child: Child,
    url: String,
    token: String,
    ca: Option<String>,
}

impl Simulator {
    fn start(home: &Path, arguments: &[&str]) -> Self {
        let mut child = debridfs(home)
            .arg("sim")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("sim starts");
        let (mut url, mut token, mut ca) = (None, None, None);
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        for line in lines.map_while(Result::ok) {
            match line.split_once(' ').expect("KEY VALUE") {
                ("url", value) => url = Some(value.to_owned()),
                ("token", value) => token = Some(value.to_owned()),
                ("ca", value) => ca = Some(value.to_owned()),
                ("control", _) => break,
                other => panic!("unexpected line {other:?}"),
            }
        }
        Self {
            child,
            url: url.expect("url"),
            token: token.expect("token"),
            ca,
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

#[test]
fn help_teaches() {
    let home = home();
    let help = out(&output(debridfs(home.path()).arg("--help")));
    for word in [
        "serve",
        "demo",
        "doctor",
        "status",
        "DEBRIDFS__PROVIDER__RD__TOKEN",
        "completions",
    ] {
        assert!(help.contains(word), "{word} in\n{help}");
    }
    assert!(!help.contains("mount-probe"), "helpers are hidden");
    let help = out(&output(debridfs(home.path()).args(["serve", "--help"])));
    assert!(help.contains("Examples:"), "{help}");
    let wrong = output(debridfs(home.path()).arg("srve"));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(err(&wrong).contains("serve"), "{}", err(&wrong));
}

#[test]
fn completions_for_every_shell() {
    let home = home();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let made = output(debridfs(home.path()).args(["completions", shell]));
        assert!(made.status.success());
        assert!(out(&made).contains("doctor"), "{shell}");
    }
}

#[test]
fn unknown_keys_are_named_with_their_place_and_the_nearest_key() {
    let home = home();
    let file = home.path().join("debridfs.toml");
    let text = format!("[mount]\npaht = \"/x\"\n[provider.rd]\ntokn = \"{TOKEN}\"\n");
    std::fs::write(&file, text).unwrap();
    let checked = output(
        debridfs(home.path())
            .args(["config", "check", "--config"])
            .arg(&file)
            .env("DEBRIDFS__SERVER__LISTN", "127.0.0.1:1"),
    );
    assert_eq!(checked.status.code(), Some(2));
    let said = err(&checked);
    for part in [
        "debridfs.toml, line 2: unknown key `mount.paht`",
        "did you mean `path`?",
        "line 4: unknown key `provider.rd.tokn`",
        "did you mean `token`?",
        "environment, DEBRIDFS__SERVER__LISTN: unknown key `server.listn`",
        "did you mean `listen`?",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    assert!(!said.contains(TOKEN), "{said}");
}

#[test]
fn service_links_are_ignored_with_one_line() {
    let home = home();
    let mut command = debridfs(home.path());
    command
        .env("DEBRIDFS_PORT", "tcp://10.43.0.7:8282")
        .env("DEBRIDFS_SERVICE_HOST", "10.43.0.7")
        .env("DEBRIDFS_SERVICE_PORT", "8282")
        .env("DEBRIDFS_PORT_8282_TCP", "tcp://10.43.0.7:8282")
        .env("DEBRIDFS_PORT_8282_TCP_ADDR", "10.43.0.7")
        .env("DEBRIDFS__PROVIDER__RD__TOKEN", TOKEN);
    let checked = output(command.args(["config", "check"]));
    assert!(checked.status.success(), "{}", err(&checked));
    let notes: Vec<String> = out(&checked)
        .lines()
        .filter(|line| line.starts_with("note:"))
        .map(str::to_owned)
        .collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("DEBRIDFS_PORT_8282_TCP_ADDR"));
}

#[test]
fn what_is_in_force_is_shown_and_secrets_are_not() {
    let home = home();
    let file = home.path().join("debridfs.toml");
    let text = "[folders.series]\nfilters = { regex = \"S[0-9]+\" }\n\
                [provider.rd]\nproxy = \"socks5://me:pw9pw@host:1\"\n";
    std::fs::write(&file, text).unwrap();
    let mut command = debridfs(home.path());
    command
        .args(["config", "show", "--config"])
        .arg(&file)
        .env("DEBRIDFS__PROVIDER__RD__TOKEN", TOKEN)
        .env("DEBRIDFS__CONTENT__MEMORY", "64MiB")
        .env("PUID", "1234")
        .env("UMASK", "077");
    let shown = output(&mut command);
    assert!(shown.status.success(), "{}", err(&shown));
    let text = out(&shown);
    assert!(!text.contains(TOKEN) && !text.contains("pw9pw"), "{text}");
    let table: toml::Table = text.parse().expect("TOML");
    assert_eq!(table["mount"]["uid"].as_integer(), Some(1234));
    assert_eq!(table["mount"]["umask"].as_str(), Some("0077"));
    assert_eq!(table["library"]["refresh_interval"].as_str(), Some("10s"));
    assert_eq!(
        table["provider"]["rd"]["kind"].as_str(),
        Some("real-debrid")
    );
    let filters = &table["folders"]["series"]["filters"];
    assert_eq!(filters["regex"].as_str(), Some("S[0-9]+"));
}

#[test]
fn serve_without_an_account_says_what_to_do() {
    let home = home();
    let refused = output(debridfs(home.path()).arg("serve"));
    assert_eq!(refused.status.code(), Some(2), "{}", err(&refused));
    let said = err(&refused);
    assert!(said.contains("DEBRIDFS__PROVIDER__RD__TOKEN"), "{said}");
    let missing = output(debridfs(home.path()).args(["serve", "--config", "/nonexistent.toml"]));
    assert_eq!(missing.status.code(), Some(2));
    assert!(err(&missing).contains("/nonexistent.toml"));
    let unreadable = output(
        debridfs(home.path())
            .arg("serve")
            .env("DEBRIDFS__PROVIDER__RD__TOKEN_FILE", "/nonexistent/token"),
    );
    assert_eq!(unreadable.status.code(), Some(2));
    let said = err(&unreadable);
    assert!(said.contains("/nonexistent/token"), "{said}");
    assert!(
        said.contains("make it, or correct `provider.rd.token_file`"),
        "{said}"
    );
    let of_compose = output(debridfs(home.path()).arg("serve").env("RD_TOKEN", TOKEN));
    let said = err(&of_compose);
    assert!(
        said.contains("RD_TOKEN is for compose.yaml alone"),
        "{said}"
    );
}

/// Said on one line, whatever the width.
fn line(said: &str) -> String {
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_refusal_names_what_it_is_about_and_what_to_do() {
    let home = home();
    let file = home.path().join("file");
    std::fs::write(&file, "").expect("written");
    let file = file.to_str().expect("text");
    let start = "start one with `debridfs serve`, or choose it with --socket or DEBRIDFS_CONTROL";
    let account = |command: &mut Command| {
        command.env("DEBRIDFS__PROVIDER__RD__TOKEN", TOKEN);
    };
    let at_file = |command: &mut Command| {
        command
            .env("DEBRIDFS__PROVIDER__RD__TOKEN", TOKEN)
            .env("DEBRIDFS__MOUNT__PATH", file);
    };
    type Set<'a> = &'a dyn Fn(&mut Command);
    let rows: [(&str, Set<'_>, &[&str]); 7] = [
        (
            "why x",
            &account,
            &["no instance answers: ", "run/control.sock", start],
        ),
        (
            "queue ls",
            &account,
            &["no instance answers: ", "run/control.sock", start],
        ),
        (
            "upgrade",
            &account,
            &["no instance answers: ", "run/keeper.sock", start],
        ),
        (
            "status",
            &account,
            &[
                "no instance answers: ",
                "run/control.sock",
                "run/keeper.sock",
                start,
            ],
        ),
        (
            "import decypharr /nonexistent.json",
            &account,
            &[
                "/nonexistent.json: No such file",
                "correct that file, or name another one",
            ],
        ),
        (
            "config check",
            &at_file,
            &[
                file,
                "is no directory",
                "`mount.path` has to name a directory",
            ],
        ),
        (
            "serve",
            &at_file,
            &[file, "no directory", "`mount.path` has to name a directory"],
        ),
    ];
    for (command, set, words) in rows {
        let mut asked = debridfs(home.path());
        asked.args(command.split(' '));
        set(&mut asked);
        let ended = output(&mut asked);
        let said = line(&err(&ended));
        assert!(!ended.status.success(), "{command}: {said}");
        for part in words {
            assert!(said.contains(part), "{command}: {part} in {said}");
        }
    }
}

#[test]
fn a_read_only_place_is_named_with_its_setting() {
    let home = home();
    for key in ["state_dir", "runtime_dir"] {
        for command in ["config check", "serve"] {
            let dir = home.path().join("read-only");
            let script = format!(
                "mkdir -p {dir} && mount -t tmpfs none {dir} && mkdir {dir}/in && mount -o remount,ro {dir} && exec '{program}' {command}",
                dir = dir.display(),
                program = env!("CARGO_BIN_EXE_debridfs"),
            );
            let mut asked = Command::new("unshare");
            asked
                .args(["--mount", "sh", "-ec", &script])
                .env("DEBRIDFS__STATE_DIR", home.path().join("state"))
                .env("DEBRIDFS__CACHE_DIR", home.path().join("cache"))
                .env("DEBRIDFS__RUNTIME_DIR", home.path().join("run"))
                .env(format!("DEBRIDFS__{}", key.to_uppercase()), dir.join("in"))
                .env("DEBRIDFS__MOUNT__PATH", home.path().join("mnt"))
                .env("DEBRIDFS__PROVIDER__RD__TOKEN", TOKEN)
                .stdin(Stdio::null());
            let ended = output(&mut asked);
            let said = line(&err(&ended));
            let fix = format!("mount its file system writable, or set another `{key}`");
            assert!(
                !ended.status.success() && said.contains(&fix),
                "{key}, {command}: {said}"
            );
        }
    }
}

#[test]
fn status_without_an_instance_says_so() {
    let home = home();
    let asked = output(debridfs(home.path()).args(["status", "--json"]));
    assert_eq!(asked.status.code(), Some(3), "{}", err(&asked));
    assert!(err(&asked).contains("control.sock"), "{}", err(&asked));
    let socket = home.path().join("other/control.sock");
    let mut command = debridfs(home.path());
    let asked = output(command.arg("status").env("DEBRIDFS_CONTROL", &socket));
    assert_eq!(asked.status.code(), Some(3));
    assert!(err(&asked).contains("other/control.sock"));
    let accept = output(debridfs(home.path()).args(["library", "accept"]));
    assert_eq!(accept.status.code(), Some(3));
}

fn doctor(command: &mut Command) -> (Option<i32>, Value) {
    let report = output(command.args(["doctor", "--json"]));
    let json = serde_json::from_slice(&report.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", out(&report), err(&report)));
    (report.status.code(), json)
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("checks");
    checks
        .iter()
        .find(|check| check["name"] == name)
        .unwrap_or_else(|| panic!("{name} in {report:#}"))
}

#[test]
fn doctor_checks_token_and_clock() {
    let home = home();
    let simulator = Simulator::start(home.path(), &["--tls", "--library", "3"]);
    let with_token = |token: &str| {
        let mut command = debridfs(home.path());
        command
            .env("DEBRIDFS__PROVIDER__SIM__API_URL", &simulator.url)
            .env(
                "DEBRIDFS__PROVIDER__SIM__CA_FILE",
                simulator.ca.as_deref().expect("ca"),
            )
            .env("DEBRIDFS__PROVIDER__SIM__TOKEN", token);
        doctor(&mut command)
    };
    let (code, report) = with_token(&simulator.token);
    for name in ["provider.sim", "clock", "state_dir", "mount point"] {
        assert_eq!(check(&report, name)["outcome"], "ok", "{report:#}");
    }
    assert_eq!(code == Some(0), report["ok"] == true);
    let (code, report) = with_token(TOKEN);
    assert_eq!(code, Some(1));
    let refused = check(&report, "provider.sim");
    assert_eq!(refused["outcome"], "failed");
    let fix = refused["fix"].as_str().expect("fix");
    assert!(fix.contains("apitoken"), "{fix}");
    assert!(!report.to_string().contains(TOKEN));
}

/// Runs the program with an empty `/dev`; needs root.
fn without_dev(home: &Path, arguments: &str) -> Output {
    let script = format!(
        "mount -t tmpfs none /dev && exec '{}' {arguments}",
        env!("CARGO_BIN_EXE_debridfs")
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &script])
        .env("DEBRIDFS__STATE_DIR", home.join("state"))
        .env("DEBRIDFS__RUNTIME_DIR", home.join("run"))
        .env("DEBRIDFS__MOUNT__PATH", home.join("mnt"))
        .env("DEBRIDFS__FUSE__REQUIRED", "true")
        .env("DEBRIDFS__PROVIDER__RD__TOKEN", TOKEN)
        .env("DEBRIDFS__PROVIDER__RD__API_URL", "http://127.0.0.1:1")
        .stdin(Stdio::null());
    output(&mut command)
}

#[test]
fn without_the_fuse_device_everybody_says_what_to_do() {
    assert!(
        rustix::process::geteuid().is_root(),
        "needs root for a mount namespace"
    );
    let home = home();
    for arguments in ["doctor", "serve", "demo"] {
        let refused = without_dev(home.path(), arguments);
        assert_eq!(
            refused.status.code(),
            Some(1),
            "{arguments}: {}",
            err(&refused)
        );
        let said = out(&refused) + &err(&refused);
        assert!(said.contains("/dev/fuse"), "{arguments}: {said}");
        assert!(said.contains("--device /dev/fuse"), "{arguments}: {said}");
    }
    assert!(!home.path().join("run").exists(), "nothing is made in vain");
}

#[test]
fn the_simulator_answers_like_the_vendor() {
    let home = home();
    let simulator = Simulator::start(home.path(), &["--library", "5"]);
    let curl = |path: &str, token: &str| {
        let answer = Command::new("curl")
            .args(["-s", "-H", &format!("Authorization: Bearer {token}")])
            .arg(format!("{}{path}", simulator.url))
            .output()
            .expect("curl runs");
        serde_json::from_slice::<Value>(&answer.stdout).expect("JSON")
    };
    let list = curl("/torrents", &simulator.token);
    assert_eq!(list.as_array().map(Vec::len), Some(5), "{list:#}");
    assert_eq!(curl("/torrents", "wrong")["error_code"], 8);
}

/// Engine, keeper and their helpers are started by way of `/proc/self/exe`: they would all be called `exe`.
#[test]
fn a_process_is_called_as_the_program_whatever_started_it() {
    let home = home();
    let link = home.path().join("exe");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_debridfs"), &link).expect("link");
    let mut child = Command::new(link)
        .args(["sim", "--library", "1", "--tls", "--host", "sim.example"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("sim starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let ca = lines.find_map(|line| line.ok()?.strip_prefix("ca ").map(str::to_owned));
    let name = std::fs::read_to_string(format!("/proc/{}/comm", child.id()));
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .expect("killed");
    child.wait().expect("ended");
    assert_eq!(name.expect("running").trim(), "debridfs");
    assert!(ca.is_some());
}

/// An engine that waits for a keeper which never comes, killed when dropped.
struct WaitingEngine(Child);

impl WaitingEngine {
    /// Returns once it has its directories.
    fn start(mut instance: Command) -> Self {
        let engine = instance
            .args(["engine", "--replace"])
            .stderr(Stdio::piped());
        let mut engine = Self(engine.spawn().expect("engine starts"));
        let said = engine.0.stderr.take().expect("piped");
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        let waits = lines.any(|line| line.contains("waiting for the keeper"));
        assert!(waits, "it ended: {:?}", engine.0.wait());
        engine
    }
}

impl Drop for WaitingEngine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_instances_never_share_a_state_directory() {
    let home = home();
    let [one, two] = ["one", "two"].map(|name| {
        std::fs::create_dir(home.path().join(name)).expect("directory");
        let home = home.path();
        move || {
            let mut command = debridfs(home);
            command
                .env("DEBRIDFS__RUNTIME_DIR", home.join(name))
                .env("DEBRIDFS__CACHE_DIR", home.join(name).join("cache"))
                .env("DEBRIDFS__MOUNT__PATH", format!("/mnt/{name}"))
                .env("DEBRIDFS__SERVER__LISTEN", "127.0.0.1:0")
                .env("DEBRIDFS__PROVIDER__RD__TOKEN", TOKEN)
                .env("DEBRIDFS__PROVIDER__RD__API_URL", "http://127.0.0.1:9");
            command
        }
    });
    let old = WaitingEngine::start(one());
    // Of the same keeper, as in a rollout.
    let new = WaitingEngine::start(one());
    let pid = new.0.id();
    drop(old);
    let words = format!(
        "{} is in use by another instance: pid {pid}, mounted at /mnt/one",
        home.path().join("state").display()
    );
    let help = "give this instance a `state_dir` of its own, or stop the other one first";
    for (command, code) in [("serve", 5), ("engine", 5), ("config check", 2)] {
        let ended = output(two().args(command.split(' ')));
        let said = line(&err(&ended));
        assert!(
            said.contains(&words) && said.contains(help),
            "{command}: {said}"
        );
        assert_eq!(ended.status.code(), Some(code), "{command}: {said}");
    }
    let (_, report) = doctor(&mut two());
    let checks = report["checks"].as_array().expect("checks").iter();
    let state = |check: &&Value| check["name"] == "state_dir" && check["outcome"] == "failed";
    let seen: Vec<&Value> = checks.filter(state).collect();
    assert!(seen.len() == 1 && seen[0]["seen"] == words, "{seen:?}");
    // Nothing is kept of an instance that was killed.
    drop(new);
    WaitingEngine::start(two());
}

/// A run on a directory of a tmpfs, and what its reports say of another one.
#[test]
fn any_directory_is_measured_and_two_runs_are_compared() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    // A tmpfs on every Linux with POSIX shared memory.
    let measured = tempfile::tempdir_in("/dev/shm").expect("directory");
    let bench = |arguments: &[&str]| output(debridfs(home.path()).arg("bench").args(arguments));
    let (dir, json) = (measured.path().display(), at("a.json"));
    let target = format!("tmpfs={dir}");
    let mut run = vec![
        "run",
        &target,
        "--iterations",
        "20",
        "--warm-up",
        "4",
        "--seconds",
        "5",
    ];

    let empty = bench(&run);
    assert_eq!(empty.status.code(), Some(2));
    assert!(
        line(&err(&empty))
            .contains("is empty: name a directory with files in it, or let --prepare")
    );

    std::fs::write(measured.path().join("small"), [1; 100]).expect("written");
    std::fs::write(measured.path().join("large"), vec![1; 3 << 20]).expect("written");
    let page = at("a.html");
    run.extend([
        "--json",
        json.to_str().expect("UTF-8"),
        "--html",
        page.to_str().expect("UTF-8"),
    ]);
    let ended = bench(&run);
    assert_eq!(ended.status.code(), Some(0), "{}", err(&ended));
    assert!(
        out(&ended).contains("mount (from the command's start"),
        "{}",
        out(&ended)
    );
    let mut left: Vec<_> = std::fs::read_dir(measured.path())
        .expect("listed")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["large", "small"]);

    let mut record: Value =
        serde_json::from_slice(&std::fs::read(&json).expect("read")).expect("JSON");
    assert_eq!(record["targets"][0]["file_system"], "tmpfs");
    let operations = record["targets"][0]["operations"]
        .as_array_mut()
        .expect("operations");
    let mut counts = 0;
    for operation in operations {
        let name = operation["operation"].as_str().expect("name").to_owned();
        if name.ends_with("mount") {
            assert!(
                operation["outcome"]["not_applicable"].is_string(),
                "{operation}"
            );
            continue;
        }
        let samples = operation["outcome"]["measured"]["nanoseconds"].as_array_mut();
        let samples = samples.unwrap_or_else(|| panic!("{name} was not measured"));
        assert_eq!(samples.len(), 20, "{name}");
        counts += 1;
        // The run after it: the quickest took four times as long as the slowest of this one, however busy the machine was.
        let number = |sample: &Value| sample.as_u64().expect("number");
        let slowest = samples.iter().map(number).max().expect("samples");
        for sample in samples {
            *sample = (slowest * 4 + number(sample)).into();
        }
    }
    assert_eq!(counts, 8);
    assert!(
        std::fs::read_to_string(&page)
            .expect("page")
            .contains("<polyline")
    );

    let slower = at("b.json");
    std::fs::write(&slower, record.to_string()).expect("written");
    let (before, after) = (
        json.to_str().expect("UTF-8"),
        slower.to_str().expect("UTF-8"),
    );
    for (one, other, code, word) in [
        (before, before, 0, "no difference"),
        (before, after, 1, "SLOWER"),
        (after, before, 0, "faster"),
    ] {
        let compared = bench(&["compare", one, other]);
        assert_eq!(compared.status.code(), Some(code), "{}", out(&compared));
        assert_eq!(
            out(&compared).matches(word).count(),
            8,
            "{}",
            out(&compared)
        );
    }
    let other = bench(&["compare", before, page.to_str().expect("UTF-8")]);
    assert_eq!(other.status.code(), Some(2));
    assert!(line(&err(&other)).contains("is no report of `debridfs bench run --json`"));
}
