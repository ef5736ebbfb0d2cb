//! The engine is killed under readers, and nobody notices.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Instance, Outcome, Reader, Settings, Simulator, film, once, until};

/// How often the engine is killed in a round; `make soak` sets more.
fn kills() -> u32 {
    std::env::var("DEBRIDFS_TEST_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(50)
}

/// Every kind of reader at once.
struct Crowd {
    readers: Vec<(&'static str, Reader)>,
}

impl Crowd {
    fn start(instance: &Instance, simulator: &Simulator) -> Self {
        let all = instance.mount().join("__all__");
        let (name, key) = simulator.file("Film.2024.1080p.mkv");
        let path = all.join("Film.2024.1080p").join(name);
        let mut readers: Vec<_> = ["buffered", "direct", "mmap", "handle"]
            .map(|mode| (mode, Reader::start(mode, &path, key)))
            .into();
        readers.push(("walk", Reader::start("walk", &instance.mount(), 0)));
        Self { readers }
    }

    fn finish(self) -> Vec<(&'static str, Outcome)> {
        self.readers
            .into_iter()
            .map(|(mode, reader)| (mode, reader.finish()))
            .collect()
    }
}

/// Pauses of 20 to 420 ms that differ from kill to kill.
fn pause(round: u32) -> Duration {
    Duration::from_millis(20 + u64::from(round.wrapping_mul(2_654_435_761) >> 8) % 400)
}

/// Every fifth engine is killed at any moment of its start, the others some time after they began to serve: were none ever to serve, the
/// keeper would take it for a crash loop and wait longer and longer, on a slow machine until the readers' deadline.
fn kill_rounds(instance: &Instance, rounds: u32, signal: Signal) {
    for round in 0..rounds {
        if round % 5 != 4 {
            instance.wait_listed();
        }
        std::thread::sleep(pause(round));
        until("an engine to kill", Duration::from_secs(120), || {
            instance.signal_engine(signal)
        });
    }
}

fn survives(what: &str, settings: Settings, rounds: u32, signal: Signal) {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let crowd = Crowd::start(&instance, &simulator);
    until("the film is read", Duration::from_secs(120), || {
        simulator.unrestricted() > 0
    });
    // The link is stored before anybody uses it.
    until("bytes are asked for", Duration::from_secs(120), || {
        simulator.transfers() > 0
    });
    let first = instance.engine_pid();
    kill_rounds(&instance, rounds, signal);
    let last = instance.engine_pid();
    let outcomes = crowd.finish();
    let stall = outcomes
        .iter()
        .map(|(_, outcome)| outcome.worst_ms)
        .fold(0.0, f64::max);
    println!("{what}: {rounds} kills, worst operation {stall:.0} ms");
    for (mode, outcome) in &outcomes {
        println!("  {mode}: {outcome:?}");
        outcome.assert_clean(mode);
    }
    assert_ne!(first, last);
    assert_eq!(simulator.unrestricted(), 1, "a restart costs no new link");
}

#[test]
fn sigkill_goes_unnoticed_with_the_journal() {
    survives(
        "SIGKILL, journal",
        Settings::default(),
        kills(),
        Signal::KILL,
    );
}

#[test]
fn sigsegv_goes_unnoticed() {
    survives(
        "SIGSEGV, journal",
        Settings::default(),
        kills() / 5,
        Signal::SEGV,
    );
}

#[test]
fn sigkill_goes_unnoticed_with_resend() {
    let settings = Settings {
        keeper: "recovery = \"resend\"".into(),
        ..Settings::default()
    };
    survives("SIGKILL, RESEND", settings, kills() / 5, Signal::KILL);
}

/// A reader that waits for the CDN while its engine is killed; the CDN is well again when the next engine serves.
fn killed_under_a_waiting_read(settings: Settings) -> (Child, Instance, Simulator) {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let (name, _) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    simulator.stall();
    let reader = once(&path, 1 << 30);
    until(
        "the read waits for the CDN",
        Duration::from_secs(120),
        || simulator.transfers() > 0,
    );
    let victim = instance.engine_pid();
    instance.signal_engine(Signal::KILL);
    simulator.clear_faults();
    until("another engine serves", Duration::from_secs(120), || {
        instance.engine_pid() != victim
    });
    (reader, instance, simulator)
}

/// The counterpart of the tests above: they would not pass by luck.
#[test]
fn without_journal_and_resend_readers_are_stuck() {
    let settings = Settings {
        keeper: "recovery = \"none\"".into(),
        ..Settings::default()
    };
    let (mut reader, instance, _simulator) = killed_under_a_waiting_read(settings);
    std::thread::sleep(Duration::from_secs(3));
    assert!(
        reader.try_wait().expect("a child of ours").is_none(),
        "the read was answered by nobody"
    );
    let _ = reader.kill();
    instance.abort();
    let _ = reader.wait();
}

/// The same read as in the test above, with the journal.
#[test]
fn a_read_that_waits_for_the_cdn_is_answered_by_the_next_engine() {
    let (mut reader, _instance, _simulator) = killed_under_a_waiting_read(Settings::default());
    until("the read ends", Duration::from_secs(120), || {
        reader.try_wait().expect("a child of ours").is_some()
    });
    assert!(reader.wait().expect("a child of ours").success());
}

#[test]
fn a_large_library_survives_kills() {
    let simulator = Simulator::start_generated(10_000, 10);
    let instance = Instance::start(
        &simulator,
        Settings {
            provider: "calls_per_minute = 100000".into(),
            ..Settings::default()
        },
    );
    instance.wait_synced();
    let started = Instant::now();
    let walker = Reader::start("walk", &instance.mount().join("__all__"), 0);
    for round in 0..5 {
        instance.wait_listed();
        std::thread::sleep(pause(round) * 3);
        until("an engine to kill", Duration::from_secs(120), || {
            instance.signal_engine(Signal::KILL)
        });
    }
    let outcome = walker.finish();
    println!("100 000 files: {outcome:?} in {:?}", started.elapsed());
    outcome.assert_clean("walk");
}

#[test]
fn a_request_that_crashes_the_engine_twice_gets_eio_and_hurts_nobody_else() {
    let simulator = Simulator::start(vec![
        film("Film.2024.1080p", 8 << 30),
        film("Poison.2024", 1 << 30),
    ]);
    let settings = Settings {
        env: vec![
            (
                "DEBRIDFS_TEST_CRASH".into(),
                "lookup:Poison.2024.mkv".into(),
            ),
            ("DEBRIDFS_ALLOW_TEST_HOOKS".into(), "1".into()),
        ],
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let crowd_path = instance.mount().join("__all__/Film.2024.1080p");
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let reader = Reader::start("buffered", &crowd_path.join(name), key);
    let error = std::fs::metadata(instance.mount().join("__all__/Poison.2024/Poison.2024.mkv"))
        .expect_err("this name makes the engine crash");
    assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}");
    reader.finish().assert_clean("buffered");
    let restarts = instance.status()["keeper"]["restarts"].as_u64();
    assert_eq!(restarts, Some(2), "two engines died of it");
}

/// The kernel's own killer: a memory cgroup that is too small.
#[test]
fn the_out_of_memory_killer_goes_unnoticed() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let crowd = Crowd::start(&instance, &simulator);
    until("the film is read", Duration::from_secs(120), || {
        simulator.unrestricted() > 0
    });
    for _ in 0..3 {
        let victim = instance.engine_pid();
        let group = MemoryGroup::new();
        group.take(victim.as_raw_nonzero().get());
        until("the engine is killed", Duration::from_secs(120), || {
            group.squeeze();
            instance.engine_child() != Some(victim)
        });
        instance.engine_pid();
    }
    for (mode, outcome) in crowd.finish() {
        outcome.assert_clean(mode);
    }
}

/// A memory cgroup (version 1 or 2, whichever has the controller); removed when dropped.
struct MemoryGroup {
    path: std::path::PathBuf,
    limit: &'static str,
}

impl MemoryGroup {
    fn new() -> Self {
        let v1 = std::path::Path::new("/sys/fs/cgroup/memory");
        let (root, limit) = if v1.exists() {
            (v1, "memory.limit_in_bytes")
        } else {
            (std::path::Path::new("/sys/fs/cgroup"), "memory.max")
        };
        let path = root.join(format!("debridfs-test-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a memory cgroup");
        Self { path, limit }
    }

    fn take(&self, pid: i32) {
        std::fs::write(self.path.join("cgroup.procs"), pid.to_string()).expect("moved");
    }

    fn squeeze(&self) {
        // Refused while too much is in use that cannot be reclaimed; new memory is charged here in any case.
        let _ = std::fs::write(self.path.join(self.limit), (4 << 20).to_string());
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A test that failed has left an engine in it, which nobody may leave behind; a panic here would end all other tests.
        let started = Instant::now();
        while std::fs::remove_dir(&self.path).is_err() && started.elapsed().as_secs() < 60 {
            let left = std::fs::read_to_string(self.path.join("cgroup.procs"));
            for pid in left.unwrap_or_default().lines() {
                let above = self.path.with_file_name("cgroup.procs");
                let _ = std::fs::write(above, pid);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
