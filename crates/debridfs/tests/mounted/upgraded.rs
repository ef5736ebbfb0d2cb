//! The engine is replaced by the program as it is installed by then, under readers; and what happens when that program is of no use.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Pid;

use crate::support::{Instance, Reader, Settings, Simulator, connection, film, run, until};

const BUILD: &str = env!("CARGO_BIN_EXE_debridfs");
const UPGRADES: u32 = 20;

/// An instance whose program is a file of its own.
struct Bench {
    simulator: Simulator,
    instance: Instance,
    program: PathBuf,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
        let mut instance = Instance::prepare(&simulator, settings);
        let program = instance.runtime().join("../debridfs");
        fs::copy(BUILD, &program).expect("copied");
        instance.launch_program(&program);
        instance.wait_synced();
        Self {
            simulator,
            instance,
            program,
        }
    }

    /// Puts another file in the place of the program, as a package manager would. Its inode.
    fn install(&self, file: &Path) -> u64 {
        let new = self.program.with_extension("new");
        fs::copy(file, &new).expect("copied");
        fs::rename(&new, &self.program).expect("renamed");
        fs::metadata(&self.program).expect("just written").ino()
    }

    fn upgrade(&self) -> Output {
        Command::new(BUILD)
            .args(["upgrade", "--socket"])
            .arg(self.instance.runtime().join("control.sock"))
            .output()
            .expect("debridfs upgrade runs")
    }

    fn readers(&self) -> [(&'static str, Reader); 3] {
        let (name, key) = self.simulator.file("Film.2024.1080p.mkv");
        let path = self.instance.mount().join("__all__/Film.2024.1080p");
        ["buffered", "direct", "mmap"]
            .map(|mode| (mode, Reader::start(mode, &path.join(&name), key)))
    }
}

/// The inode of the program that a process runs.
fn program_of(pid: Pid) -> u64 {
    let link = format!("/proc/{}/exe", pid.as_raw_nonzero());
    fs::metadata(link).expect("a process of ours").ino()
}

#[test]
fn twenty_upgrades_under_readers() {
    let bench = Bench::new(Settings::default());
    let mount = connection(&bench.instance.mount());
    let readers = bench.readers();
    // Whoever is replaced has stored the link by then.
    until("bytes are asked for", Duration::from_secs(120), || {
        bench.simulator.transfers() > 0
    });
    let mut engine = bench.instance.engine_pid();
    for round in 0..UPGRADES {
        let inode = bench.install(Path::new(BUILD));
        if round % 2 == 0 {
            let said = bench.upgrade();
            assert!(said.status.success(), "round {round}: {said:?}");
        } else {
            rustix::process::kill_process(
                bench.instance.keeper_pid(),
                rustix::process::Signal::HUP,
            )
            .expect("a child of ours");
        }
        until("another engine serves", Duration::from_secs(120), || {
            let now = bench.instance.engine_pid();
            now != engine && program_of(now) == inode
        });
        engine = bench.instance.engine_pid();
        assert_eq!(connection(&bench.instance.mount()), mount, "round {round}");
    }
    for (mode, reader) in readers {
        let outcome = reader.finish();
        println!("{mode}: {outcome:?}");
        outcome.assert_clean(mode);
    }
    assert_eq!(bench.simulator.unrestricted(), 1);
    assert_eq!(bench.instance.status()["keeper"]["restarts"], UPGRADES);
}

/// `kill -HUP 1` in a container of `debridfs serve`, where the kernel drops signals that process 1 does not handle.
#[test]
fn process_1_of_a_container_takes_sighup() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let settings = Settings {
        launcher: "unshare --pid --fork --kill-child".into(),
        ..Settings::default()
    };
    let mut instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let mount = connection(&instance.mount());
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    let reader = Reader::start("direct", &path, key);
    until("bytes are asked for", Duration::from_secs(120), || {
        simulator.transfers() > 0
    });
    let outer = instance.keeper_pid().as_raw_nonzero();
    let inner = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
    let inner = inner.expect("it lives").trim().to_owned();
    let engine = instance.engine_pid();
    let tell = |signal: &str| {
        run(
            "nsenter",
            &["--pid", "--target", &inner, "kill", signal, "1"],
        );
    };
    tell("-HUP");
    until("another engine serves", Duration::from_secs(120), || {
        instance.engine_pid() != engine
    });
    assert_eq!(instance.status()["keeper"]["pid"], 1);
    reader.finish().assert_clean("direct");
    assert_eq!(connection(&instance.mount()), mount);
    tell("-TERM");
    until("it ends", Duration::from_secs(60), || {
        instance.has_ended().is_some()
    });
}

#[test]
fn a_program_of_no_use_changes_nothing() {
    let bench = Bench::new(Settings::default());
    let readers = bench.readers();
    let engine = bench.instance.engine_pid();
    bench.install(Path::new("/bin/false"));
    let said = bench.upgrade();
    let text = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(text.contains("before it was ready"), "{text}");
    assert_eq!(bench.instance.engine_pid(), engine);
    // Also for the next engine: the program in use is the one that worked.
    bench.instance.signal_engine(rustix::process::Signal::KILL);
    until("another engine serves", Duration::from_secs(120), || {
        bench.instance.engine_pid() != engine
    });
    fs::remove_file(&bench.program).expect("removed");
    let said = bench.upgrade();
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("No such file"));
    for (mode, reader) in readers {
        reader.finish().assert_clean(mode);
    }
}

#[test]
fn a_program_that_crashes_soon_after_leads_back_to_the_former_one() {
    let bench = Bench::new(Settings {
        env: vec![
            ("DEBRIDFS_TEST_CRASH".into(), "lookup:poison".into()),
            ("DEBRIDFS_ALLOW_TEST_HOOKS".into(), "1".into()),
        ],
        ..Settings::default()
    });
    let former = program_of(bench.instance.engine_pid());
    let new = bench.install(Path::new(BUILD));
    assert_ne!(former, new);
    let readers = bench.readers();
    let said = bench.upgrade();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(program_of(bench.instance.engine_pid()), new);
    // It crashes the new engine, then the former one as well, and is refused.
    assert!(fs::metadata(bench.instance.mount().join("poison")).is_err());
    assert_eq!(program_of(bench.instance.engine_pid()), former);
    let log = bench.instance.log();
    assert!(log.contains("back to the former program"), "{log}");
    for (mode, reader) in readers {
        reader.finish().assert_clean(mode);
    }
}
