//! The machine itself: what it runs, what it reaches, and that it ends.

#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use debridfs_guest::{Forward, GATEWAY, GuestError, Image, Machine, Packages, SERVER, Settings};

/// Answers every connection with a word, as long as the test runs; its port.
fn answering(word: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.write_all(word.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

#[test]
fn a_script_runs_on_debians_kernel_and_reaches_the_ports_of_the_test_alone() {
    let packages = Packages::find().expect("set up");
    let (open, closed) = (answering("open\n"), answering("closed\n"));
    let mut image = Image::new(&packages);
    image.module("nfsv3");
    let program = packages.file("/usr/sbin/exportfs");
    image.program(&program, "/bin/exportfs").expect("libraries");
    image.script(&format!(
        "uname -r\n\
         grep -w nfs /proc/filesystems\n\
         exportfs -h 2>&1 | head -1\n\
         echo ready\n\
         read -r word; echo \"told $word\"\n\
         nc -w 10 {SERVER} 700 </dev/null\n\
         nc -w 1 {SERVER} {closed} </dev/null\n\
         nc -w 1 {GATEWAY} {closed} </dev/null\n\
         exit 3\n",
        closed = closed.port(),
    ));
    let settings = Settings {
        forwards: vec![Forward {
            port: 700,
            to: open,
        }],
        ..Settings::default()
    };
    let mut machine = Machine::start(&image, &settings).expect("QEMU");
    machine.wait_for("ready").expect("booted");
    machine.tell("something").expect("sent");
    let output = machine.finish().expect("a status");
    assert_eq!(output.status, 3, "{output:?}");
    let lines: Vec<&str> = output.text.lines().map(str::trim).collect();
    assert_eq!(lines[0], packages.release(), "{output:?}");
    assert!(lines[1].ends_with("nfs"), "{output:?}");
    assert!(lines[2].starts_with("usage: exportfs"), "{output:?}");
    assert!(lines.contains(&"told something"), "{output:?}");
    assert!(lines.contains(&"open"), "{output:?}");
    assert!(!output.text.contains("closed\n"), "{output:?}");
}

#[test]
fn a_machine_that_takes_too_long_is_ended_and_leaves_nothing() {
    let image = Image::new(&Packages::find().expect("set up"));
    let settings = Settings {
        limit: Duration::from_millis(500),
        ..Settings::default()
    };
    let error = Machine::run(&image, &settings).expect_err("it takes longer to boot");
    assert!(matches!(error, GuestError::TooLong { .. }), "{error}");
    for task in std::fs::read_dir("/proc/self/task").expect("of this process") {
        let children = task.expect("a thread").path().join("children");
        // A thread may have ended.
        for child in std::fs::read_to_string(children)
            .unwrap_or_default()
            .split_whitespace()
        {
            let line =
                std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
            assert!(!line.contains("qemu"), "{line}");
        }
    }
}
