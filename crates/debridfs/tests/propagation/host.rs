//! A machine as far as mounts go, and what is left on it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A busy machine may be slow; a broken program would take for ever.
pub const LIMIT: Duration = Duration::from_secs(90);

/// A mount namespace whose mounts are all private, and a directory.
pub struct Host {
    place: tempfile::TempDir,
    /// For temporary files of the program.
    scratch: tempfile::TempDir,
    holder: Child,
}

impl Host {
    /// As on machines without systemd.
    pub fn private() -> Self {
        let place = tempfile::Builder::new()
            .prefix("debridfs-propagation-test-")
            .tempdir()
            .expect("directory");
        // Ends with its standard input, so with this process.
        let mut holder = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                "echo; cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut line = [0];
        let stdout = holder.stdout.as_mut().expect("piped");
        stdout.read_exact(&mut line).expect("a namespace");
        let scratch = tempfile::tempdir().expect("directory");
        Self {
            place,
            scratch,
            holder,
        }
    }

    /// With the directory as a shared mount.
    pub fn shared() -> Self {
        let host = Self::private();
        host.share();
        host
    }

    /// What the fix says.
    pub fn share(&self) {
        let dir = self.dir();
        self.shell(&format!(
            "mount --rbind {dir} {dir} && mount --make-rshared {dir}"
        ));
    }

    pub fn dir(&self) -> &str {
        self.place.path().to_str().expect("text")
    }

    /// A process of this host.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// Something run on this host.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()))
            .arg(program);
        command
    }

    pub fn shell(&self, script: &str) -> String {
        let output = self.command("sh").args(["-ec", script]).output();
        let output = output.expect("sh runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{script}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Our program on this host, in a session of its own, by which what it leaves is found.
    pub fn debridfs(&self, arguments: &[&str]) -> Running {
        self.debridfs_by(&[], arguments)
    }

    /// As [`Host::debridfs`], started by another program.
    pub fn debridfs_by(&self, starter: &[&str], arguments: &[&str]) -> Running {
        let mut command = self.command("setsid");
        command
            .args(starter)
            .arg(env!("CARGO_BIN_EXE_debridfs"))
            .args(arguments)
            .env("TMPDIR", self.scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running::new(command.spawn().expect("debridfs starts"))
    }

    /// Mounts of ours on this host.
    pub fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", self.holder.id()));
        let table = table.expect("mountinfo");
        let here = |line: &&str| line.contains(self.dir()) && line.contains("fuse.debridfs");
        table.lines().filter(here).map(str::to_owned).collect()
    }

    /// Names in the directory.
    pub fn names(&self) -> Vec<String> {
        let names = self.shell(&format!("ls -A {}", self.dir()));
        names.lines().map(str::to_owned).collect()
    }

    /// Neither mount nor file.
    pub fn assert_clean(&self) {
        let temporary = fs::read_dir(self.scratch.path()).expect("directory");
        assert_eq!(temporary.count(), 0, "temporary files are left");
        assert_eq!(self.mounts(), [""; 0]);
        assert_eq!(self.names(), [""; 0]);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What a failed test left in the directory itself; the mounts go with the namespace.
        let _ = Command::new("chattr")
            .args(["-R", "-i"])
            .arg(self.place.path())
            .output();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A started program, whose process id is its session's.
pub struct Running {
    child: Child,
    stdout: Said,
    stderr: Said,
}

/// How it ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Running {
    fn new(mut child: Child) -> Self {
        Self {
            stdout: Said::by(child.stdout.take().expect("piped")),
            stderr: Said::by(child.stderr.take().expect("piped")),
            child,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has said this on standard output.
    pub fn says(&mut self, text: &str) {
        until(text, || {
            let said = self.stdout.text.lock().expect("no panic").contains(text);
            assert!(said || self.is_running(), "it ended without saying {text}");
            said
        });
    }

    /// Waits for its end, and then until no process of it is left.
    pub fn end(mut self) -> Ended {
        let session = self.pid();
        until("it ends", || !self.is_running());
        let code = self.child.wait().expect("a child of ours").code();
        until("no process is left", || in_session(session).is_empty());
        Ended {
            code,
            stdout: self.stdout.all(),
            stderr: self.stderr.all(),
        }
    }
}

/// What a stream has said so far; somebody has to read it, or the program waits.
struct Said {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn by(stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let taken = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut lines = BufReader::new(stream);
            let mut line = String::new();
            while matches!(lines.read_line(&mut line), Ok(length) if length > 0) {
                taken.lock().expect("no panic").push_str(&line);
                line.clear();
            }
        });
        Self {
            text,
            reader: Some(reader),
        }
    }

    /// All of it: nobody holds the other end any more.
    fn all(&mut self) -> String {
        let reader = self.reader.take().expect("once");
        reader.join().expect("no panic");
        self.text.lock().expect("no panic").clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let session = self.pid();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in in_session(session) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Ended {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }

    /// Steps with this outcome: phase, what, and code.
    pub fn steps(&self, outcome: &str) -> Vec<[String; 3]> {
        let report = self.json();
        let steps = report["steps"].as_array().expect("steps");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        steps
            .iter()
            .filter(|step| step["outcome"] == outcome)
            .map(|step| {
                [
                    text(&step["phase"]),
                    text(&step["what"]),
                    text(&step["code"]),
                ]
            })
            .collect()
    }
}

/// Living processes of a session, the oldest first. By `stat`, which answers for stuck processes as well.
pub fn in_session(session: u32) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // The name, in parentheses, may hold anything.
        let Some((head, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = rest.split(' ').collect();
        let lives = !matches!(fields.first(), Some(&"Z" | &"X"));
        if lives && fields.get(3) == Some(&session.to_string().as_str()) {
            let pid = head.split(' ').next().and_then(|pid| pid.parse().ok());
            found.extend(pid.and_then(Pid::from_raw));
        }
    }
    found.sort_unstable_by_key(|pid| pid.as_raw_nonzero());
    found
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LIMIT, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The test's own directory, once it is there.
pub fn base(host: &Host) -> PathBuf {
    let dir = Path::new(host.dir());
    let mut found = None;
    until("the test has its directory", || {
        found = host.names().into_iter().next();
        found.is_some()
    });
    dir.join(found.expect("found"))
}
