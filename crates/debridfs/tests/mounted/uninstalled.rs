//! What a keeper leaves when it stops, and what takes it away.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Instance, Settings, Simulator, film, until};

fn command(instance: &Instance) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_debridfs"));
    command.arg("--config").arg(instance.config());
    command.arg("uninstall");
    command
}

fn uninstall(instance: &Instance) -> Output {
    command(instance).output().expect("debridfs runs")
}

/// For a DaemonSet: once the node is clean it stays, so its pod is ready, and where it cannot be it ends.
#[test]
fn it_stays_when_nothing_is_left_if_it_is_told_to() {
    let simulator = Simulator::start(vec![film("Film.2024", 1 << 30)]);
    let mut instance = Instance::start(&simulator, Settings::default());
    let refused = command(&instance).arg("--stay").output();
    assert_eq!(refused.expect("debridfs runs").status.code(), Some(1));
    instance.stop();
    let mut staying = command(&instance);
    staying.arg("--stay").stdout(Stdio::null());
    let mut staying = staying.spawn().expect("debridfs runs");
    until("the mount point goes", Duration::from_secs(60), || {
        !instance.mount().exists()
    });
    std::thread::sleep(Duration::from_millis(500));
    assert!(staying.try_wait().expect("a child of ours").is_none());
    kill_process(Pid::from_child(&staying), Signal::TERM).expect("a child of ours");
    assert!(staying.wait().expect("a child of ours").success());
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
