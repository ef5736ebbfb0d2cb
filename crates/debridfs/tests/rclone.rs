//! rclone's remote for Premiumize, which others wrote, against `debridfs sim`.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::path::Path;
use std::process::Command;

const LIBRARY: &str = r#"{ "releases": [
    { "name": "Show.S01", "files": [{ "path": "/E01.mkv", "bytes": 5000 }, { "path": "/Subs/E01.srt", "bytes": 50 }] },
    { "name": "Film.2020", "files": [{ "path": "/Film.2020.mkv", "bytes": 500000 }] }
] }"#;

#[test]
fn rclone_lists_reads_and_changes_the_simulated_cloud() {
    let work = tempfile::tempdir().expect("a directory");
    std::fs::write(work.path().join("library.json"), LIBRARY).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rclone_premiumize.sh");
    let said = Command::new("unshare")
        .args(["--net", "--mount", "bash"])
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_debridfs"))
        .arg(work.path())
        .output()
        .expect("unshare runs");
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{words}");
    let last = String::from_utf8_lossy(&said.stdout);
    assert_eq!(last.trim(), "all calls did as they say", "{words}");
}
