//! What a keeper leaves when it stops, and what takes it away.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output};

use crate::support::{Instance, Settings, Simulator, film};

fn uninstall(instance: &Instance) -> Output {
    Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .arg("--config")
        .arg(instance.config())
        .arg("uninstall")
        .output()
        .expect("debridfs runs")
}

/// Consumers would take an empty directory for an empty library, none for one that was deleted, and root would write into either.
#[test]
fn the_closed_mount_point_stays_until_it_is_uninstalled() {
    let simulator = Simulator::start(vec![film("Film.2024", 1 << 30)]);
    let mut instance = Instance::start(&simulator, Settings::default());
    let refused = uninstall(&instance);
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && words.contains("a keeper holds"),
        "{words}"
    );
    for _ in 0..2 {
        instance.stop();
        let left = fs::symlink_metadata(instance.mount()).expect("it stays");
        assert_eq!(left.mode() & 0o7777, 0);
        let written = fs::create_dir(instance.mount().join("series"));
        let errno = written.expect_err("immutable").raw_os_error();
        assert_eq!(errno, Some(libc::EPERM));
        instance.launch();
        instance.wait_listed();
    }
    instance.stop();
    let done = uninstall(&instance);
    let words = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && words.contains("removed"),
        "{words}"
    );
    assert!(!instance.mount().exists() && instance.state().exists());
    // What another has made is his.
    fs::create_dir(instance.mount()).expect("made");
    let refused = uninstall(&instance);
    assert!(!refused.status.success() && instance.mount().exists());
}
