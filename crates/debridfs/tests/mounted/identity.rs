//! Inode numbers, paths and handles stay what they were.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Instance, Reader, Settings, Simulator, film, find, until};

/// Compares listings and names only what differs.
fn assert_same(now: &[String], before: &[String], when: &str) {
    let differing = |these: &[String], those: &[String]| -> Vec<String> {
        these
            .iter()
            .filter(|line| !those.contains(line))
            .take(5)
            .cloned()
            .collect()
    };
    let (new, gone) = (differing(now, before), differing(before, now));
    assert!(
        new.is_empty() && gone.is_empty(),
        "{when}: new {new:#?}, gone {gone:#?}"
    );
}

#[test]
fn a_restart_and_a_lost_catalogue_change_neither_paths_nor_inode_numbers() {
    let simulator = Simulator::start_hostile();
    let mut instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let before = find(&instance.mount(), "%i %y %s %T@ %p\n");
    assert!(before.len() > 20, "{before:#?}");

    instance.stop();
    instance.launch();
    instance.wait_synced();
    assert_same(
        &find(&instance.mount(), "%i %y %s %T@ %p\n"),
        &before,
        "after a restart",
    );

    instance.stop();
    fs::remove_dir_all(instance.state()).expect("removed");
    fs::create_dir(instance.state()).expect("made");
    instance.launch();
    instance.wait_synced();
    // The time at which a view last changed is not the provider's to tell again.
    let strip = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .map(|line| {
                let mut words: Vec<&str> = line.splitn(5, ' ').collect();
                words.remove(3);
                words.join(" ")
            })
            .collect()
    };
    let after = find(&instance.mount(), "%i %y %s %T@ %p\n");
    assert_same(
        &strip(&after),
        &strip(&before),
        "after the catalogue was deleted",
    );
}

#[test]
fn a_restart_with_the_store_costs_at_most_ten_calls_and_needs_no_provider() {
    let simulator = Simulator::start_generated(200, 2);
    let settings = Settings {
        provider: "calls_per_minute = 100000".into(),
        library: "refresh_interval = \"1h\"".into(),
        ..Settings::default()
    };
    let mut instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let before = find(&instance.mount(), "%i %p\n");
    instance.stop();
    let calls = simulator.calls();
    instance.launch();
    instance.wait_synced();
    assert_eq!(find(&instance.mount(), "%i %p\n"), before);
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        simulator.calls() - calls <= 10,
        "{} calls",
        simulator.calls() - calls
    );

    instance.stop();
    simulator.outage();
    instance.launch();
    instance.wait_synced();
    assert_eq!(
        find(&instance.mount(), "%i %p\n"),
        before,
        "served from the store alone"
    );
}

#[test]
fn handles_live_through_dropped_caches_and_a_killed_engine() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 30)]);
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    let reader = Reader::start("handle", &path, key);
    for _ in 0..5 {
        fs::write("/proc/sys/vm/drop_caches", "3").expect("root");
        std::thread::sleep(Duration::from_millis(100));
        until("an engine to kill", Duration::from_secs(120), || {
            instance.signal_engine(Signal::KILL)
        });
        fs::write("/proc/sys/vm/drop_caches", "3").expect("root");
    }
    instance.engine_pid();
    reader.finish().assert_clean("handle");
}
