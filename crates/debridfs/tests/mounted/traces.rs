//! `debridfs trace` on a running instance.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use debridfs_content::{ReaderClass, TraceLine, parse_trace};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::gettid;

use crate::support::{Instance, Settings, Simulator, film, run, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_debridfs");
const MIB: u64 = 1 << 20;

/// Ended also when the test fails.
struct Recording(Child);

impl Drop for Recording {
    fn drop(&mut self) {
        // An error: it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn reads_through_the_mount_are_recorded() {
    let simulator = Simulator::start(vec![
        film("Film.2024", 1 << 30),
        film("Other.2024", 1 << 30),
    ]);
    let instance = Instance::start(&simulator, Settings::default());
    let films = instance.mount().join("__all__");
    let output = instance.runtime().join("../trace.jsonl");
    let recording = Command::new(PROGRAM)
        .args(["trace", "record", "--path", "__all__/Film.2024", "-o"])
        .arg(&output)
        .arg("--socket")
        .arg(instance.runtime().join("control.sock"))
        .spawn();
    let mut recording = Recording(recording.expect("debridfs trace record runs"));
    let text = || std::fs::read_to_string(&output).unwrap_or_default();
    until("the recording", Duration::from_secs(120), || {
        text().contains("trace")
    });
    let mut bytes = [0; 4096];
    // Who has closed a file reads it no longer.
    let mut open = Vec::new();
    for name in ["Other.2024", "Film.2024"] {
        let file = File::open(films.join(name).join(format!("{name}.mkv"))).expect("a film");
        for place in [0, 100, 200, 300, 400] {
            file.read_exact_at(&mut bytes, place * MIB).expect("read");
        }
        open.push(file);
    }
    until("the reads", Duration::from_secs(120), || {
        text().contains("scan")
    });
    let status = instance.status();
    let reading = status["content"]["reading"].as_array().expect("a list");
    let path = "__all__/Film.2024/Film.2024.mkv";
    let me = reading.iter().find(|one| one["path"] == path);
    let me = me.expect("what is read is shown");
    assert_eq!(
        (&me["front"], &me["class"]),
        (&"fuse".into(), &"scan".into())
    );
    // The kernel names the thread that reads.
    let thread = gettid().as_raw_nonzero();
    assert_eq!(me["client"], format!("pid {thread}"));
    kill_process(Pid::from_child(&recording.0), Signal::INT).expect("it runs");
    assert!(recording.0.wait().expect("it ends").success());
    let lines = parse_trace(&text()).expect("a trace");
    let files = lines
        .iter()
        .filter(|line| matches!(line, TraceLine::File { .. }));
    assert_eq!(files.count(), 1, "{lines:?}");
    let read = |place: u64, expected: ReaderClass| {
        lines.iter().any(|line| {
            matches!(line, TraceLine::Read { offset, class, .. }
                if *offset == place * MIB && *class == expected)
        })
    };
    assert!(
        read(0, ReaderClass::Probe) && read(300, ReaderClass::Scan) && read(400, ReaderClass::Scan),
        "{lines:?}"
    );
    let shown = run(PROGRAM, &["trace", "show", output.to_str().expect("plain")]);
    assert!(shown.contains("1 files, 1 handles"), "{shown}");
}

/// What `debridfs trace record` said, for two seconds at most, when it went wrong.
fn refused(instance: &Instance, path: &str, output: &Path) -> String {
    let done = Command::new(PROGRAM)
        .args(["trace", "record", "--seconds", "2", "--path", path, "-o"])
        .arg(output)
        .arg("--socket")
        .arg(instance.runtime().join("control.sock"))
        .output()
        .expect("debridfs trace record runs");
    assert!(!done.status.success(), "{done:?}");
    String::from_utf8_lossy(&done.stderr).into_owned()
}

#[test]
fn a_recording_that_is_refused_leaves_an_earlier_one_alone() {
    let simulator = Simulator::start(vec![film("Film.2024", 1 << 20)]);
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let dir = instance.runtime();
    let output = dir.join("trace.jsonl");
    std::fs::write(&output, "an hour of work").expect("written");
    let words = refused(&instance, "__all__/Fulm.2024", &output);
    assert!(
        words.contains("__all__/Fulm.2024 is not in the library"),
        "{words}"
    );
    let kept = std::fs::read_to_string(&output).expect("still there");
    assert_eq!(kept, "an hour of work");
    // A place that cannot be written does not keep the engine busy for those who come next.
    for _ in 0..2 {
        let words = refused(
            &instance,
            "__all__/Film.2024",
            &dir.join("none/trace.jsonl"),
        );
        assert!(words.contains("No such file or directory"), "{words}");
    }
}
