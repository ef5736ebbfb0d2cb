//! A CDN that does not answer, and an engine that is gone or stopped: nothing else waits, and everybody can be killed.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Instance, Settings, Simulator, film, once, run, spawn_once, until};

const READERS: usize = 2000;

/// `stat` and `statfs` of the root, in a process of its own with a limit, so that a failure is a failure and no hang.
fn assert_root_answers(instance: &Instance, when: &str) {
    let root = instance.mount();
    let root = root.to_str().expect("text");
    let started = Instant::now();
    run(
        "timeout",
        &[
            "-s",
            "KILL",
            "60",
            "stat",
            "--cached=never",
            "-c",
            "%i",
            root,
        ],
    );
    run(
        "timeout",
        &["-s", "KILL", "60", "stat", "-f", "-c", "%s", root],
    );
    println!(
        "{when}: stat and statfs of the root took {:?}",
        started.elapsed()
    );
}

fn assert_killable(mut reader: Child, when: &str) {
    std::thread::sleep(Duration::from_millis(200));
    assert!(
        reader.try_wait().expect("a child of ours").is_none(),
        "{when}: it waits"
    );
    reader.kill().expect("a child of ours");
    let killed = Instant::now();
    until(
        &format!("a killed reader is gone {when}"),
        Duration::from_secs(120),
        || reader.try_wait().expect("a child of ours").is_some(),
    );
    println!(
        "{when}: a killed reader was gone after {:?}",
        killed.elapsed()
    );
}

#[test]
fn two_thousand_stalled_readers_hold_nobody_up() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 64 << 30)]);
    let settings = Settings {
        // Neither is met while two thousand processes are started on a slow machine.
        keeper: "hang_limit = \"600s\"".into(),
        mount: "read_deadline = \"600s\"".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let (name, _) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    simulator.stall();
    let mut readers: Vec<Child> = (0..READERS)
        .map(|n| once(&path, (n as u64) << 24))
        .collect();
    until("reads wait for the CDN", Duration::from_secs(120), || {
        simulator.transfers() > 0
    });

    assert_root_answers(&instance, "with 2000 stalled readers");
    assert_killable(readers.pop().expect("one"), "with an engine");

    let engine = instance.engine_child().expect("an engine");
    rustix::process::kill_process(engine, Signal::STOP).expect("stopped");
    assert_root_answers(&instance, "with a stopped engine");
    assert_killable(readers.pop().expect("one"), "with a stopped engine");
    assert_killable(
        spawn_once(&path, 60 << 30),
        "that came while the engine was stopped",
    );
    rustix::process::kill_process(engine, Signal::CONT).expect("going on");
    instance.status();

    instance.signal_engine(Signal::KILL);
    assert_root_answers(&instance, "while the engine is gone");
    assert_killable(readers.pop().expect("one"), "while the engine is gone");

    simulator.clear_faults();
    let deadline = Instant::now() + Duration::from_secs(300);
    let mut failed = 0;
    for mut reader in readers {
        while reader.try_wait().expect("a child of ours").is_none() {
            if Instant::now() > deadline {
                reader.kill().expect("a child of ours");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        failed += usize::from(!reader.wait().expect("a child of ours").success());
    }
    assert_eq!(failed, 0, "readers that failed after the CDN came back");
}

#[test]
fn readiness_fails_and_recovers_with_the_engine() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 30)]);
    let settings = Settings {
        keeper: "hang_limit = \"3s\"".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let engine = instance.engine_child().expect("an engine");
    rustix::process::kill_process(engine, Signal::STOP).expect("stopped");
    until(
        "a stopped engine is replaced",
        Duration::from_secs(120),
        || instance.engine_child().is_some_and(|pid| pid != engine),
    );
    instance.engine_pid();
    let listed = std::fs::read_dir(instance.mount().join("__all__"))
        .expect("listed")
        .count();
    assert_eq!(listed, 1);
}
