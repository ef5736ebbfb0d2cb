//! Nodes on which nothing is shared, and containers that have less than they need.

use std::path::PathBuf;
use std::time::Duration;

use debridfs_cri::{Container, Propagation, Seccomp, Volume};
use serde_json::Value;

use super::image;
use super::node::{Media, Node, PROGRAM, Running, assert_gone};

/// A producer that is asked to stop has to unmount.
const GRACE: Duration = Duration::from_secs(60);

/// A part of the propagation test in a container.
fn part(node: &Node, name: &str, propagation: Propagation, arguments: &[&str]) -> Container {
    let media = node.media();
    let mut command = vec![PROGRAM.to_owned(), "propagation-test".into()];
    command.extend(arguments.iter().map(|&word| word.to_owned()));
    command.extend(["--dir".into(), media.to_str().expect("text").into()]);
    Container {
        name: name.into(),
        image: image::NAME.into(),
        command,
        volumes: vec![Volume {
            source: media.clone(),
            target: media,
            read_only: false,
            propagation,
        }],
        ..Container::default()
    }
}

fn producer(node: &Node, name: &str) -> Container {
    part(node, name, Propagation::Bidirectional, &["producer"])
}

fn consumer(node: &Node, name: &str) -> Container {
    part(node, name, Propagation::HostToContainer, &["consumer"])
}

/// The host's part, on the node itself.
fn host(node: &Node, step: &str) -> Value {
    let media = node.media();
    node.json(&[
        "propagation-test",
        "host",
        step,
        "--json",
        "--dir",
        media.to_str().expect("text"),
    ])
}

fn assert_fails(node: &Node, running: &Running, code: &str) {
    assert_eq!(node.ended(running), 1, "{}", node.log(running));
    let said = node.log(running);
    assert!(said.contains(&format!("FAILURE: {code}: ")), "{said}");
}

fn clean(node: Node) {
    assert_eq!(host(&node, "clean")["ok"], true);
    node.finish();
}

#[test]
fn a_node_that_shares_nothing_says_so_and_can_be_mended() {
    let node = Node::start(Media::Private);
    let report = host(&node, "set-up");
    assert_eq!(report["code"], "HOST_NOT_SHARED");
    // The runtime's own words, which the doctor has to explain.
    let refused = node.try_start(Container {
        privileged: true,
        ..producer(&node, "refused")
    });
    let words = refused.expect_err("refused");
    assert!(words.contains("but it is not a shared mount"), "{words}");
    let refused = node.try_start(consumer(&node, "refused-too"));
    let words = refused.expect_err("refused");
    assert!(
        words.contains("but it is not a shared or slave mount"),
        "{words}"
    );

    let media = node.media();
    let media = media.to_str().expect("text");
    let doctor = |more: &[&str]| {
        let arguments = [&["doctor", "--json", "--path", media], more].concat();
        let report = node.json(&arguments);
        let checks = report["checks"].as_array().expect("checks").clone();
        let mut checks = checks.into_iter();
        checks
            .find(|check| check["name"] == "propagation")
            .expect("checked")
    };
    let found = doctor(&[]);
    assert_eq!(found["outcome"], "failed", "{found}");
    assert!(
        found["fix"]
            .as_str()
            .is_some_and(|fix| fix.contains("--make-rshared")),
        "{found}"
    );
    assert_eq!(doctor(&["--fix", "--yes"])["outcome"], "ok");

    assert_eq!(host(&node, "set-up")["ok"], true);
    let producer = node.container(Container {
        privileged: true,
        ..producer(&node, "producer")
    });
    node.says(&producer, "serving at");
    assert_eq!(host(&node, "look")["ok"], true);
    let consumer = node.container(consumer(&node, "consumer"));
    assert_eq!(node.ended(&consumer), 0, "{}", node.log(&consumer));
    assert!(
        node.log(&consumer)
            .contains("\nSUCCESS: Producer marker found at 20")
    );
    node.end(&producer, GRACE);
    clean(node);
}

#[test]
fn what_a_producer_needs_and_what_it_is_told_without_it() {
    let node = Node::start(Media::Shared);
    assert_eq!(host(&node, "set-up")["ok"], true);
    let device = || vec![PathBuf::from("/dev/fuse")];
    let admin = || vec!["SYS_ADMIN".to_owned()];

    let none = node.container(producer(&node, "nothing"));
    assert_fails(&node, &none, "DEVICE_DENIED");
    let incapable = node.container(Container {
        devices: device(),
        ..producer(&node, "device-alone")
    });
    assert_fails(&node, &incapable, "NO_SYS_ADMIN");
    let blind = node.container(Container {
        add_capabilities: admin(),
        ..producer(&node, "capability-alone")
    });
    assert_fails(&node, &blind, "DEVICE_DENIED");
    // As a hostPath the device is there, and the control group denies it.
    let mut bound = Container {
        add_capabilities: admin(),
        ..producer(&node, "device-as-volume")
    };
    bound.volumes.push(Volume {
        source: "/dev/fuse".into(),
        target: "/dev/fuse".into(),
        read_only: false,
        propagation: Propagation::None,
    });
    let bound = node.container(bound);
    assert_fails(&node, &bound, "DEVICE_DENIED");
    // A volume that was not asked to give back.
    let one_way = Container {
        privileged: true,
        ..part(
            &node,
            "one-way",
            Propagation::HostToContainer,
            &["producer"],
        )
    };
    let one_way = node.container(one_way);
    assert_fails(&node, &one_way, "RUNTIME_DROPPED_PROPAGATION");

    // Enough for a runtime; the API of Kubernetes asks for privileged.
    let enough = Container {
        devices: device(),
        add_capabilities: admin(),
        ..producer(&node, "enough")
    };
    let enough = node.container(enough);
    node.says(&enough, "serving at");
    node.end(&enough, GRACE);

    let serving = node.container(Container {
        privileged: true,
        ..producer(&node, "privileged")
    });
    node.says(&serving, "serving at");
    let restricted = Container {
        user: Some(1000),
        drop_capabilities: vec!["ALL".into()],
        no_new_privileges: true,
        seccomp: Seccomp::RuntimeDefault,
        ..consumer(&node, "restricted")
    };
    let mut read_only = consumer(&node, "read-only");
    read_only.volumes[0].read_only = true;
    let user = Container {
        user: Some(1000),
        ..consumer(&node, "user")
    };
    for container in [consumer(&node, "root"), user, restricted, read_only] {
        let running = node.container(container);
        assert_eq!(
            node.ended(&running),
            0,
            "{}: {}",
            running.name,
            node.log(&running)
        );
    }
    let private = part(
        &node,
        "private",
        Propagation::None,
        &["consumer", "--wait", "2"],
    );
    let private = node.container(private);
    assert_fails(&node, &private, "RUNTIME_DROPPED_PROPAGATION");
    node.end(&serving, GRACE);
    clean(node);
}

#[test]
fn a_test_that_fails_leaves_nothing() {
    let mut traces = None;
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let node = Node::start(Media::Shared);
        assert_eq!(host(&node, "set-up")["ok"], true);
        let container = Container {
            privileged: true,
            ..producer(&node, "abandoned")
        };
        let running = node.container(container);
        node.says(&running, "serving at");
        assert!(!node.mounts().is_empty());
        traces = Some(node.traces());
        panic!("as a test that fails");
    }));
    assert!(failed.is_err());
    let (place, groups) = traces.expect("it came so far");
    assert!(!groups.is_empty());
    assert_gone(&place, &groups);
}
