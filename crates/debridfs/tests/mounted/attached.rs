//! Attached mode: keeper and engine are started apart and replaced one after the other, the engine by another build in other namespaces,
//! under readers.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use debridfs_base::mountinfo;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    Instance, Outcome, Reader, ServiceManager, Settings, Simulator, connection, film, until,
};

/// A process of ours that is killed when the test ends.
pub struct Part(Child);

impl Part {
    pub fn kill(&mut self) {
        self.0.kill().expect("a child of ours");
        self.0.wait().expect("a child of ours");
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a child of ours");
    }

    /// What it has started, if there is one such process.
    pub fn inner(&self) -> Option<Pid> {
        let outer = self.0.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
        let children = children.expect("it lives");
        children.trim().parse().ok().and_then(Pid::from_raw)
    }

    /// Signals what it has started.
    pub fn signal_inner(&self, signal: Signal) {
        let inner = self.inner().expect("one child");
        kill_process(inner, signal).expect("a process of ours");
    }

    /// Waits until it has ended by itself.
    pub fn ends(&mut self) -> ExitStatus {
        until("it ends", Duration::from_secs(120), || self.has_ended());
        self.0.wait().expect("a child of ours")
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child of ours").is_some()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let outer = self.0.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
        let _ = self.0.kill();
        let _ = self.0.wait();
        // A supervisor that is killed leaves its program.
        let inner = children.ok().and_then(|pid| pid.trim().parse().ok());
        if let Some(inner) = inner.and_then(Pid::from_raw) {
            let _ = kill_process(inner, Signal::KILL);
        }
    }
}

/// How often one of the two is killed.
const ROUNDS: u32 = 20;

pub const BUILD: &str = env!("CARGO_BIN_EXE_debridfs");

/// An instance whose parts the test starts itself.
pub fn prepare() -> (Simulator, Instance) {
    prepare_with("")
}

/// The same with more TOML.
pub fn prepare_with(toml: &str) -> (Simulator, Instance) {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let settings = Settings {
        keeper: "mode = \"attached\"".into(),
        toml: toml.into(),
        ..Settings::default()
    };
    let instance = Instance::prepare(&simulator, settings);
    (simulator, instance)
}

pub fn part(instance: &Instance, mut command: Command) -> Part {
    let log = || {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(instance.runtime().join("../log"))
            .expect("log")
    };
    command
        .arg("--config")
        .arg(instance.config())
        .stdin(Stdio::null())
        .stdout(log())
        .stderr(log());
    Part(command.spawn().expect("debridfs starts"))
}

pub fn keeper(instance: &Instance) -> Part {
    let mut command = Command::new(BUILD);
    command.arg("keeper");
    part(instance, command)
}

/// As a service.
pub fn keeper_under(instance: &Instance, manager: &ServiceManager) -> Part {
    let mut command = manager.command(Path::new(BUILD));
    command.arg("keeper");
    part(instance, command)
}

/// In mount and PID namespaces of its own, as a container has them.
pub fn engine(instance: &Instance, program: &Path, arguments: &[&str]) -> Part {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--pid", "--fork", "--kill-child"])
        .arg(program)
        .arg("engine")
        .args(arguments);
    part(instance, command)
}

pub fn wait_mounted(instance: &Instance) -> u32 {
    until("the keeper mounts", Duration::from_secs(120), || {
        connection(&instance.mount()).is_some()
    });
    connection(&instance.mount()).expect("just seen")
}

pub fn start_readers(simulator: &Simulator, instance: &Instance) -> [(&'static str, Reader); 3] {
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    let readers =
        ["buffered", "direct", "mmap"].map(|mode| (mode, Reader::start(mode, &path, key)));
    // The link is stored before anybody uses it.
    until("bytes are asked for", Duration::from_secs(120), || {
        simulator.transfers() > 0
    });
    readers
}

/// Every reader's outcome, none with an error or a wrong byte.
pub fn finish(readers: [(&'static str, Reader); 3]) -> Vec<Outcome> {
    readers
        .map(|(mode, reader)| {
            let outcome = reader.finish();
            outcome.assert_clean(mode);
            outcome
        })
        .into()
}

pub fn stop(instance: &Instance, engine: Part, keeper: &Part) {
    drop(engine);
    kill_process(Pid::from_child(&keeper.0), Signal::TERM).expect("a child of ours");
    until(
        "the keeper ends the mount",
        Duration::from_secs(120),
        || {
            let top = mountinfo::find(&instance.mount()).expect("a mount table");
            top.is_none_or(|top| top.is_closed())
        },
    );
}

#[test]
fn another_build_in_other_namespaces_takes_over_under_a_reader() {
    let (simulator, instance) = prepare();
    let keeper = keeper(&instance);
    wait_mounted(&instance);
    // Another build: the same program at another path, as another image would bring it.
    let other = instance.runtime().join("another-build");
    fs::copy(BUILD, &other).expect("copied");
    let mut current = engine(&instance, Path::new(BUILD), &[]);
    instance.wait_synced();
    let readers = start_readers(&simulator, &instance);
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(400));
        current.kill();
        std::thread::sleep(Duration::from_millis(200));
        let program = if round % 2 == 0 {
            other.as_path()
        } else {
            Path::new(BUILD)
        };
        current = engine(&instance, program, &[]);
        instance.engine_pid();
    }
    finish(readers);
    assert_eq!(
        simulator.unrestricted(),
        1,
        "a new engine costs no new link"
    );
    stop(&instance, current, &keeper);
}

#[test]
fn a_new_keeper_takes_the_mount_back_and_both_are_replaced_in_turn() {
    let (simulator, instance) = prepare();
    let mut keeper_part = keeper(&instance);
    let mount = wait_mounted(&instance);
    let mut engine_part = engine(&instance, Path::new(BUILD), &[]);
    instance.wait_synced();
    let readers = start_readers(&simulator, &instance);
    let taken_back = |rounds: usize| {
        until(
            "a new keeper has the mount",
            Duration::from_secs(120),
            || instance.log().matches("took ").count() == rounds,
        );
    };
    let mut returns = 0;
    let mut order = String::new();
    for round in 0..ROUNDS {
        // Any order: which of the two is next follows from the round's number by a spread that has no pattern.
        let keeper_next = round.wrapping_mul(2_654_435_761) >> 16 & 1 == 0;
        order.push(if keeper_next { 'k' } else { 'e' });
        std::thread::sleep(Duration::from_millis(300));
        if keeper_next {
            keeper_part.kill();
            // Without a keeper the engine serves alone.
            std::thread::sleep(Duration::from_millis(300));
            keeper_part = keeper(&instance);
            returns += 1;
            taken_back(returns);
        } else {
            // The connection is held by a keeper that may not have made it.
            engine_part.kill();
            std::thread::sleep(Duration::from_millis(200));
            engine_part = engine(&instance, Path::new(BUILD), &[]);
            instance.engine_pid();
        }
        assert_eq!(connection(&instance.mount()), Some(mount), "round {round}");
    }
    println!("killed in turn: {order}");
    for pair in ["kk", "ke", "ek", "ee"] {
        assert!(order.contains(pair), "{pair} in {order}");
    }
    for outcome in finish(readers) {
        println!("{outcome:?}");
    }
    assert_eq!(connection(&instance.mount()), Some(mount));
    assert_eq!(simulator.unrestricted(), 1);
    stop(&instance, engine_part, &keeper_part);
}

#[test]
fn a_new_engine_takes_over_from_one_that_lives() {
    let (simulator, instance) = prepare();
    let keeper = keeper(&instance);
    wait_mounted(&instance);
    let mut current = engine(&instance, Path::new(BUILD), &[]);
    instance.wait_synced();
    let readers = start_readers(&simulator, &instance);
    for round in 0..4 {
        let next = engine(&instance, Path::new(BUILD), &["--replace"]);
        // Each is process 1 of its namespace: their numbers tell nothing.
        until("the other engine serves", Duration::from_secs(120), || {
            let status = instance.try_status();
            status.is_some_and(|status| status["keeper"]["restarts"] == round + 1)
        });
        until("the old engine ends", Duration::from_secs(120), || {
            current.0.try_wait().expect("a child of ours").is_some()
        });
        assert!(
            current.0.wait().expect("a child of ours").success(),
            "round {round}: it ended by itself"
        );
        current = next;
    }
    finish(readers);
    assert_eq!(simulator.unrestricted(), 1);
    stop(&instance, current, &keeper);
}

/// The engine may make nothing in `/mnt`, where the folder lies that arrs have as well.
#[test]
fn the_keeper_makes_the_downloads_folder_and_takes_it_from_nobody() {
    let (_simulator, instance) = prepare();
    let of_root = instance.state().join("of-root");
    fs::create_dir(&of_root).expect("directory");
    let folders = ["new", "empty", "used", "an-arrs"].map(|name| of_root.join(name));
    let [missing, empty, used, an_arrs] = &folders;
    for folder in [empty, used, an_arrs] {
        fs::create_dir(folder).expect("directory");
    }
    fs::write(used.join("film"), "").expect("file");
    chown(an_arrs, Some(1234), Some(1234)).expect("owner");
    for (folder, owner) in [
        (missing, 65_534),
        (empty, 65_534),
        (used, 0),
        (an_arrs, 1234),
    ] {
        let mut command = Command::new(BUILD);
        command.arg("keeper");
        command.env("DEBRIDFS__ACQUIRE__DOWNLOADS", folder);
        let keeper = part(&instance, command);
        wait_mounted(&instance);
        let found = fs::metadata(folder).expect("it is there");
        assert_eq!((found.uid(), found.gid()), (owner, owner), "{folder:?}");
        assert_eq!(found.mode() & 0o7777, 0o755, "{folder:?}");
        keeper.signal(Signal::TERM);
        until("the keeper unmounts", Duration::from_secs(120), || {
            connection(&instance.mount()).is_none()
        });
        drop(keeper);
    }
    let log = instance.log();
    assert!(!log.contains("downloads folder"), "{log}");
}

#[test]
fn a_keeper_whose_engine_is_gone_too_mounts_anew() {
    let (simulator, instance) = prepare();
    let mut first = keeper(&instance);
    wait_mounted(&instance);
    let mut engine_part = engine(&instance, Path::new(BUILD), &[]);
    instance.wait_synced();
    first.kill();
    engine_part.kill();
    until(
        "nobody holds the connection",
        Duration::from_secs(120),
        || {
            fs::metadata(instance.mount())
                .is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN))
        },
    );
    let second = keeper(&instance);
    until("another mount", Duration::from_secs(120), || {
        instance.log().matches("mounted at").count() == 2
    });
    let engine_part = engine(&instance, Path::new(BUILD), &[]);
    instance.wait_synced();
    let (name, _) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    assert!(fs::metadata(path).is_ok());
    stop(&instance, engine_part, &second);
}
