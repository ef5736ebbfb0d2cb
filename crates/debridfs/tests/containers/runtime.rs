//! `propagation-test cri`: the whole test in containers of a runtime.

use std::process::Stdio;

use serde_json::Value;

use super::image;
use super::node::{Media, Node, until};

fn arguments(node: &Node, image: &str) -> Vec<String> {
    let text = |path: std::path::PathBuf| path.to_str().expect("text").to_owned();
    let fixed = ["propagation-test", "cri", "--json", "--image", image];
    let mut arguments: Vec<String> = fixed.map(str::to_owned).into();
    arguments.extend(["--socket".into(), text(node.socket())]);
    arguments.extend(["--path".into(), text(node.media())]);
    arguments
}

fn report(node: &Node, image: &str) -> Value {
    let arguments = arguments(node, image);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    node.json(&arguments)
}

/// What was seen in the step that is called so; its outcome.
fn step(report: &Value, what: &str) -> (String, String) {
    let steps = report["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["what"] == what);
    let step = step.unwrap_or_else(|| panic!("no step {what}: {report:#}"));
    let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
    (text("outcome"), text("seen"))
}

#[test]
fn every_phase_in_containers_of_a_runtime() {
    let node = Node::start(Media::Shared);
    let report = report(&node, image::NAME);
    assert_eq!(report["ok"], true, "{report:#}");
    let verdict = report["verdict"][0].as_str().expect("a line");
    assert!(
        verdict.starts_with("SUCCESS: Producer marker found at 20"),
        "{verdict}"
    );
    assert!(
        step(&report, "container runtime")
            .1
            .starts_with("containerd ")
    );
    let (outcome, seen) = step(&report, "a producer with SYS_ADMIN alone");
    assert_eq!(outcome, "ok");
    assert!(seen.contains("DEVICE_DENIED"), "{seen}");
    let (outcome, seen) = step(&report, "a producer with the device alone");
    assert_eq!(outcome, "ok");
    assert!(seen.contains("NO_SYS_ADMIN"), "{seen}");
    for what in [
        "a privileged producer",
        "a container as user 1000",
        "a container of the level restricted",
        "parent, HostToContainer, started before, after SIGTERM and a new mount",
        "subPath, HostToContainer, started while mounted, after SIGKILL and a new mount over it",
    ] {
        assert_eq!(step(&report, what).0, "ok", "{what}");
    }
    for what in ["mount point", "subPath"] {
        let what = format!(
            "{what}, HostToContainer, started while mounted, after SIGTERM and a new mount"
        );
        assert_eq!(step(&report, &what).0, "limit", "{what}");
    }
    node.finish();
}

#[test]
fn a_runtime_that_starts_nothing() {
    let node = Node::start(Media::Shared);
    let report_ = report(&node, "debridfs.test/missing:1");
    assert_eq!(report_["code"], "RUNTIME_FAILED", "{report_:#}");
    let media = node.media();
    let media = media.to_str().expect("text");
    let nobody = [
        "propagation-test",
        "cri",
        "--json",
        "--socket",
        "/nobody",
        "--path",
        media,
    ];
    let report_ = node.json(&nobody);
    assert_eq!(report_["code"], "RUNTIME_FAILED", "{report_:#}");
    node.finish();
}

#[test]
fn a_private_directory_is_named_first() {
    let node = Node::start(Media::Private);
    let report = report(&node, image::NAME);
    assert_eq!(report["code"], "HOST_NOT_SHARED", "{report:#}");
    node.finish();
}

#[test]
fn a_test_that_is_killed_leaves_no_container() {
    let node = Node::start(Media::Shared);
    let mut command = node.command("setsid");
    command
        .arg(env!("CARGO_BIN_EXE_debridfs"))
        .args(arguments(&node, image::NAME));
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("debridfs starts");
    let helpers = || {
        node.run(&[
            "sh",
            "-c",
            "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' || true",
        ])
    };
    until("it has containers", || helpers().contains("\"Stay\""));
    until("it mounts", || !node.mounts().is_empty());
    // `nsenter` is the child, and the program its own.
    let pid = node.run(&["sh", "-c", "pgrep -o -f 'debridfs propagation-test cri'"]);
    let killed = node.run(&["kill", "-KILL", pid.trim()]);
    assert_eq!(killed, "");
    let _ = child.wait();
    until("no container is left", || {
        !helpers().contains("propagation")
    });
    node.finish();
}
