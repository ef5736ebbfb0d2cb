//! Consumers that have the library bound, as containers do, while the engine hangs (SIGSTOP): none is stuck for longer than the limit.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::support::{
    Instance, Reader, Settings, Simulator, film, spawn_once, spawn_once_after, until,
};

/// How a consumer has it, what does that in its mount namespace, and where the library is then.
fn volumes(instance: &Instance) -> [(&'static str, String, PathBuf); 3] {
    let mount = instance.mount();
    let parent = mount.parent().expect("a parent");
    let media = parent.join("media");
    std::fs::create_dir_all(&media).expect("directory");
    let (from, above, to) = (mount.display(), parent.display(), media.display());
    [
        ("the host's path", "true".into(), mount.clone()),
        (
            "the parent",
            format!("mount --rbind {above} {to}"),
            media.join("mnt"),
        ),
        (
            "the mount point",
            format!("mount --bind --make-private {from} {to}"),
            media,
        ),
    ]
}

#[test]
fn a_hung_engine_is_a_pause_for_every_consumer() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let settings = Settings {
        keeper: "hang_limit = \"3s\"".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let below = PathBuf::from("__all__/Film.2024.1080p").join(name);
    let readers = volumes(&instance).map(|(volume, script, library)| {
        (
            volume,
            Reader::start_after(&script, "direct", &library.join(&below), key),
        )
    });
    until("the film is read", Duration::from_secs(120), || {
        simulator.unrestricted() > 0
    });
    std::thread::sleep(Duration::from_secs(1));
    let engine = instance.engine_child().expect("an engine");
    kill_process(engine, Signal::STOP).expect("stopped");
    until(
        "a hung engine is replaced",
        Duration::from_secs(120),
        || instance.engine_child().is_some_and(|pid| pid != engine),
    );
    instance.engine_pid();
    std::thread::sleep(Duration::from_millis(500));
    for (volume, reader) in readers {
        let outcome = reader.finish();
        println!("hung engine, {volume}: {outcome:?}");
        outcome.assert_clean(volume);
        assert!(
            outcome.worst_ms > 1000.0,
            "{volume} did not notice: {outcome:?}"
        );
        assert!(outcome.worst_ms < 30_000.0, "{volume}: {outcome:?}");
    }
}

#[test]
fn a_read_ends_by_its_deadline_while_the_engine_hangs() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let settings = Settings {
        // Longer than the deadline: nobody replaces it in time.
        keeper: "hang_limit = \"120s\"".into(),
        mount: "read_deadline = \"4s\"".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let (name, _) = simulator.file("Film.2024.1080p.mkv");
    let below = PathBuf::from("__all__/Film.2024.1080p").join(name);
    let engine = instance.engine_child().expect("an engine");
    let all = volumes(&instance);
    kill_process(engine, Signal::STOP).expect("stopped");
    let started = Instant::now();
    // Six of each, as all look for the same names and the kernel lets them wait in a row.
    let readers = all
        .iter()
        .cycle()
        .take(6 * all.len())
        .map(|(volume, script, library)| {
            let reader = spawn_once_after(script, &library.join(&below), 1 << 30);
            (volume, reader)
        });
    let readers: Vec<_> = readers.collect();
    for (volume, mut reader) in readers {
        until(volume, Duration::from_secs(120), || {
            reader.try_wait().expect("a child of ours").is_some()
        });
        assert!(
            !reader.wait().expect("a child of ours").success(),
            "{volume}: who answered?"
        );
        println!(
            "hung engine, deadline 4 s, {volume}: EIO after {:?}",
            started.elapsed()
        );
    }
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(3), "nobody waited");
    assert!(
        waited < Duration::from_secs(60),
        "they waited one after the other, 72 s: {waited:?}"
    );
    // Told of at most once a minute, however many are refused.
    for _ in 0..8 {
        let missing = instance.mount().join("__all__/Missing");
        let looked = Command::new("stat").arg(missing).output();
        assert!(!looked.expect("stat runs").status.success());
        std::thread::sleep(Duration::from_millis(300));
    }
    let told = instance.log().matches("waited too long").count();
    assert!((1..=2).contains(&told), "{told} lines");
    kill_process(engine, Signal::CONT).expect("going on");
    let mut read = spawn_once(&instance.mount().join(&below), 1 << 30);
    until("a read goes through", Duration::from_secs(120), || {
        read.try_wait().expect("a child of ours").is_some()
    });
    assert!(read.wait().expect("a child of ours").success());
    assert_eq!(instance.engine_child(), Some(engine));
}
