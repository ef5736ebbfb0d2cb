//! The library follows the account.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Instance, Settings, Simulator, film, find, find_while_it_changes, until};

#[test]
fn a_torrent_added_or_removed_elsewhere_shows_although_the_kernel_has_cached_the_view() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let all = instance.mount().join("__all__");
    let list = || find_while_it_changes(&all, "%f\n").len();
    assert_eq!(list(), 3, "the view, the release, the file");
    let second = simulator.add(film("Second.2024", 1 << 20));
    until("the new release shows", Duration::from_secs(120), || {
        all.join("Second.2024/Second.2024.mkv").exists()
    });
    until("the listing has it", Duration::from_secs(120), || {
        list() == 5
    });

    simulator.remove(&second);
    until(
        "the removed release is gone",
        Duration::from_secs(120),
        || !all.join("Second.2024").exists(),
    );
    until(
        "the listing is without it",
        Duration::from_secs(120),
        || list() == 3,
    );
    assert!(instance.mount().join("__bad__/Second.2024").exists());
    let reason = crate::support::run(
        "getfattr",
        &[
            "--only-values",
            "-n",
            "user.debridfs.reason",
            instance
                .mount()
                .join("__bad__/Second.2024")
                .to_str()
                .expect("text"),
        ],
    );
    assert_eq!(reason, "removed");
}

#[test]
fn changes_while_no_engine_ran_reach_the_kernel() {
    let simulator = Simulator::start(vec![
        film("First.2024", 1 << 20),
        film("Second.2024", 1 << 20),
    ]);
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let all = instance.mount().join("__all__");
    assert!(all.join("Second.2024/Second.2024.mkv").exists());
    let second = simulator.id("Second.2024");
    for round in 0..5 {
        // The engine is stopped while the account changes, then killed: its successor finds the change at its start.
        instance.signal_engine(Signal::STOP);
        simulator.remove(&second);
        instance.signal_engine(Signal::KILL);
        until(
            "the removed release is gone",
            Duration::from_secs(120),
            || !all.join("Second.2024").exists(),
        );
        let name = format!("New.{round}");
        simulator.add(film(&name, 1 << 20));
        until("the new release shows", Duration::from_secs(120), || {
            fs::read_dir(&all)
                .expect("listed")
                .any(|entry| entry.expect("listed").file_name() == name.as_str())
        });
    }
}

#[test]
fn a_first_sync_killed_three_times_shows_early_and_misses_nothing() {
    let simulator = Simulator::start_generated(3000, 1);
    // The vendor's limit in fast motion: 6000 calls a minute instead of 250.
    simulator.calls_per_minute(6000);
    let settings = Settings {
        provider: "calls_per_minute = 6000".into(),
        ..Settings::default()
    };
    let started = Instant::now();
    let instance = Instance::start(&simulator, settings);
    let all = instance.mount().join("__all__");
    until("all entries", Duration::from_secs(120), || {
        fs::read_dir(&all).is_ok_and(|entries| entries.count() == 3000)
    });
    let unknown = instance.status()["library"]["unknown"].clone();
    assert!(unknown.as_u64() > Some(0), "shown late: {unknown} unknown");
    println!("3000 releases listed after {:?}", started.elapsed());
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(3));
        until("an engine to kill", Duration::from_secs(120), || {
            instance.signal_engine(Signal::KILL)
        });
    }
    let reading = Instant::now();
    let somewhere = fs::read_dir(&all)
        .expect("listed")
        .nth(2000)
        .expect("3000 entries")
        .expect("listed")
        .path();
    let file = fs::read_dir(&somewhere)
        .expect("looked into")
        .next()
        .expect("a file")
        .expect("listed")
        .path();
    let mut bytes = [0; 4096];
    std::os::unix::fs::FileExt::read_exact_at(
        &fs::File::open(&file).expect("opened"),
        &mut bytes,
        0,
    )
    .expect("read");
    println!("a read during the first sync took {:?}", reading.elapsed());
    instance.wait_synced();
    let took = started.elapsed();
    println!(
        "complete after {took:?}; the limit alone: {:?}",
        Duration::from_secs(30)
    );
    assert_eq!(
        find(&all, "%y\n")
            .iter()
            .filter(|kind| *kind == "f")
            .count(),
        3000
    );
    assert_eq!(simulator.refused(), 0, "calls above the limit");
    // Each release once, and a little for calls that died with an engine.
    let calls = simulator.calls_of("torrents/info");
    assert!((3000..3000 + 300).contains(&calls), "{calls} calls");
}

#[test]
fn a_large_loss_is_held_until_it_is_accepted() {
    let simulator = Simulator::start_generated(100, 1);
    let settings = Settings {
        library: "refresh_interval = \"300ms\"\nfull_interval = \"1s\"".into(),
        provider: "calls_per_minute = 100000".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let all = instance.mount().join("__all__");
    let count = || fs::read_dir(&all).expect("listed").count();
    assert_eq!(count(), 100);
    simulator.remove_some(40);
    until(
        "status names the held loss",
        Duration::from_secs(120),
        || {
            instance
                .try_status()
                .is_some_and(|status| status["library"]["held"][0]["releases"] == 40)
        },
    );
    assert_eq!(count(), 100);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .args(["library", "accept", "--socket"])
        .arg(instance.runtime().join("control.sock"))
        .output()
        .expect("debridfs runs");
    assert!(output.status.success(), "{output:?}");
    until("the loss is taken over", Duration::from_secs(120), || {
        count() == 60
    });
}
