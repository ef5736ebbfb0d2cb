//! Somebody takes the mount away.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Instance, Settings, Simulator, connection, film, until};

fn comes_back(how: &str, take_away: impl Fn(&Instance)) {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 20)]);
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let release = instance.mount().join("__all__/Film.2024.1080p");
    assert!(fs::read_dir(&release).is_ok());
    for round in 0..3 {
        assert!(connection(&instance.mount()).is_some());
        take_away(&instance);
        let lost = Instant::now();
        until(
            &format!("{how}: mounted again"),
            Duration::from_secs(120),
            || connection(&instance.mount()).is_some() && fs::read_dir(&release).is_ok(),
        );
        println!("{how}, round {round}: back after {:?}", lost.elapsed());
    }
}

#[test]
fn after_umount_lazy() {
    comes_back("umount -l", |instance| {
        crate::support::run("umount", &["-l", instance.mount().to_str().expect("text")]);
    });
}

#[test]
fn after_umount_force() {
    comes_back("umount -f", |instance| {
        crate::support::run("umount", &["-f", instance.mount().to_str().expect("text")]);
    });
}

#[test]
fn after_an_aborted_connection() {
    comes_back("abort", Instance::abort);
}

#[test]
fn a_dead_mount_is_cleaned_at_start() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 20)]);
    let mut instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let killed = Instant::now();
    instance.kill_all();
    until("the mount is dead", Duration::from_secs(120), || {
        fs::metadata(instance.mount())
            .is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN))
    });
    println!("both killed: an error after {:?}", killed.elapsed());
    let launched = Instant::now();
    instance.launch();
    until("listed again", Duration::from_secs(120), || {
        fs::read_dir(instance.mount().join("__all__/Film.2024.1080p")).is_ok()
    });
    println!(
        "both killed: listed {:?} after the start of the next",
        launched.elapsed()
    );
    instance.wait_synced();
    assert!(fs::read_dir(instance.mount().join("__all__/Film.2024.1080p")).is_ok());
}

#[test]
fn nothing_is_written_where_the_mount_was() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 20)]);
    let mut instance = Instance::start(&simulator, Settings::default());
    let refused = |instance: &Instance, when: &str| {
        let error = fs::write(instance.mount().join("Download.mkv"), "x").expect_err(when);
        assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{when}: {error}");
    };
    instance.stop();
    refused(&instance, "after a clean stop");
    instance.launch();
    instance.wait_synced();
    instance.kill_all();
    crate::support::run("umount", &["-l", instance.mount().to_str().expect("text")]);
    refused(&instance, "after both were killed");
    instance.launch();
    instance.wait_synced();
}
