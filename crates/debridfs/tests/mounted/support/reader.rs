//! Readers in processes of their own: `examples/verified_reader.rs`.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::until;

/// What a reader found.
#[derive(Debug, Clone, Deserialize)]
pub struct Outcome {
    pub reads: u64,
    pub wrong: u64,
    pub worst_ms: f64,
    pub errors: Vec<String>,
}

impl Outcome {
    /// # Panics
    /// Unless everything was read, and right.
    pub fn assert_clean(&self, who: &str) {
        assert!(self.errors.is_empty(), "{who}: {self:?}");
        assert_eq!(self.wrong, 0, "{who}: {self:?}");
        assert!(self.reads > 0, "{who} read nothing: {self:?}");
    }
}

fn program() -> PathBuf {
    // Cargo puts examples beside the binary of the package and builds them for its tests.
    let binary = Path::new(env!("CARGO_BIN_EXE_debridfs"));
    let reader = binary.with_file_name("examples").join("verified_reader");
    assert!(
        reader.exists(),
        "cargo build --package debridfs --examples first"
    );
    reader
}

/// The reader's program, as a container would run it: what its runtime binds is said by the script.
fn apart(script: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("set -e; {script}; exec \"$0\" \"$@\"");
    command
        .args(["--mount", "--propagation", "slave", "sh", "-c", &script])
        .arg(program());
    command
}

/// A running reader; killed when dropped.
pub struct Reader {
    child: Child,
    name: String,
}

impl Reader {
    /// Starts one in `mode` (`buffered`, `direct`, `mmap`, `walk`, `handle`).
    pub fn start(mode: &str, path: &Path, key: u64) -> Self {
        Self::start_in(Command::new(program()), mode, path, key)
    }

    /// Starts one in a mount namespace of its own, after a script that may rearrange mounts there.
    pub fn start_after(script: &str, mode: &str, path: &Path, key: u64) -> Self {
        Self::start_in(apart(script), mode, path, key)
    }

    fn start_in(mut command: Command, mode: &str, path: &Path, key: u64) -> Self {
        let child = command
            .arg(mode)
            .arg(path)
            .arg(key.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("verified_reader starts");
        Self {
            child,
            name: format!("{mode} {}", path.display()),
        }
    }

    /// Lets it finish and returns what it found.
    pub fn finish(mut self) -> Outcome {
        drop(self.child.stdin.take());
        let mut line = String::new();
        let mut output = self.child.stdout.take().expect("piped");
        let started = std::time::Instant::now();
        until(
            &format!("{} ends", self.name),
            Duration::from_secs(120),
            || self.child.try_wait().expect("a child of ours").is_some(),
        );
        output.read_to_string(&mut line).expect("text");
        let status = self.child.wait().expect("a child of ours");
        serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!(
                "{}: {status}, after {:?}: {error} in {line:?}",
                self.name,
                started.elapsed()
            )
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One read of a page in a process of its own, which may not even come as far as to open the file.
pub fn spawn_once(path: &Path, offset: u64) -> Child {
    once_by(Command::new(program()), path, offset)
}

/// As `spawn_once`, of a consumer as in [`Reader::start_after`].
pub fn spawn_once_after(script: &str, path: &Path, offset: u64) -> Child {
    once_by(apart(script), path, offset)
}

fn once_by(mut reader: Command, path: &Path, offset: u64) -> Child {
    reader
        .arg("once")
        .arg(path)
        .args([offset.to_string(), "4096".to_owned()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("verified_reader starts")
}

/// As `spawn_once`: the child, after it has opened the file and begun to read.
pub fn once(path: &Path, offset: u64) -> Child {
    let mut child = spawn_once(path, offset);
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    output.read_line(&mut line).expect("text");
    assert_eq!(line.trim(), "reading", "{}", path.display());
    child.stdout = Some(output.into_inner());
    child
}
