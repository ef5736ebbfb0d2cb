//! What the tests of a mounted library share.

pub mod browser;
mod household;
mod instance;
mod network;
mod reader;
mod samba;
mod server;
mod service_manager;
mod simulator;

pub use household::{Household, free_address};
pub use instance::{ENGINE_USER, Instance, Settings, connection};
pub use network::Network;
pub use reader::{Outcome, Reader, once, spawn_once, spawn_once_after};
pub use samba::Samba;
pub use server::Server;
pub use service_manager::ServiceManager;
pub use simulator::{Simulator, broken, film};

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Looks again every 20 ms until `done` holds. A limit is for what would never come: far beyond what a busy machine takes.
///
/// # Panics
/// After `limit`, naming `what`.
pub fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a program and returns what it printed on its standard output.
///
/// # Panics
/// If it cannot be run or fails.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// The kinds of the streams of a film (a path or an address), as ffprobe finds them.
pub fn streams(film: &str) -> String {
    let shown = ["-show_entries", "stream=codec_type", "-of", "csv=p=0"];
    run("ffprobe", &[&["-v", "error"], &shown[..], &[film]].concat())
}

/// `find` over `root` with `-printf format`, sorted.
pub fn find(root: &Path, format: &str) -> Vec<String> {
    found(root, &["-printf", format])
}

/// As [`find`], while entries may go between their listing and the look at them.
pub fn find_while_it_changes(root: &Path, format: &str) -> Vec<String> {
    found(root, &["-ignore_readdir_race", "-printf", format])
}

fn found(root: &Path, how: &[&str]) -> Vec<String> {
    let text = run("find", &[&[root.to_str().expect("text")], how].concat());
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
