//! Attached mode: keeper and engine are started apart, and the engine is replaced by another build in other namespaces, under a reader.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Instance, Reader, Settings, Simulator, connection, film, until};

/// A process of ours that is killed when the test ends.
struct Part(Child);

impl Part {
    fn kill(mut self) {
        self.0.kill().expect("a child of ours");
        self.0.wait().expect("a child of ours");
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_build_in_other_namespaces_takes_over_under_a_reader() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let settings = Settings {
        keeper: "mode = \"attached\"".into(),
        ..Settings::default()
    };
    let instance = Instance::prepare(&simulator, settings);
    let log = || {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(instance.runtime().join("log"))
            .expect("log")
    };
    let keeper = Part(
        Command::new(env!("CARGO_BIN_EXE_debridfs"))
            .args(["keeper", "--config"])
            .arg(instance.config())
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .expect("the keeper starts"),
    );
    until("the keeper mounts", Duration::from_secs(10), || {
        connection(&instance.mount()).is_some()
    });
    // Another build: the same program at another path, as another image would bring it, in mount and PID namespaces of its own.
    let other = instance.runtime().join("another-build");
    fs::copy(env!("CARGO_BIN_EXE_debridfs"), &other).expect("copied");
    let engine = |program: &std::path::Path| {
        Part(
            Command::new("unshare")
                .args(["--mount", "--pid", "--fork", "--kill-child"])
                .arg(program)
                .args(["engine", "--config"])
                .arg(instance.config())
                .stdin(Stdio::null())
                .stdout(log())
                .stderr(log())
                .spawn()
                .expect("the engine starts"),
        )
    };
    let mut current = engine(std::path::Path::new(env!("CARGO_BIN_EXE_debridfs")));
    instance.wait_synced();
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    let readers =
        ["buffered", "direct", "mmap"].map(|mode| (mode, Reader::start(mode, &path, key)));
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(400));
        current.kill();
        std::thread::sleep(Duration::from_millis(200));
        let program = if round % 2 == 0 {
            other.as_path()
        } else {
            std::path::Path::new(env!("CARGO_BIN_EXE_debridfs"))
        };
        current = engine(program);
        instance.engine_pid();
    }
    for (mode, reader) in readers {
        reader.finish().assert_clean(mode);
    }
    assert_eq!(
        simulator.unrestricted(),
        1,
        "a new engine costs no new link"
    );
    drop(current);
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&keeper.0),
        rustix::process::Signal::TERM,
    )
    .expect("a child of ours");
    until("the keeper unmounts", Duration::from_secs(10), || {
        connection(&instance.mount()).is_none()
    });
}
