//! `debridfs doctor` where people run it on a cluster: in the pods of the instance, and in one that sees the node.

use std::path::Path;

use debridfs_cri::{Container, Propagation, Volume};
use serde_json::Value;

use super::image;
use super::library::Library;
use super::node::{Media, Node, PROGRAM, Running};

/// What the doctor says in a container, with its exit code.
fn doctor(node: &Node, running: &Running, more: &[&str]) -> (i32, Value) {
    let mut command = vec![PROGRAM, "doctor", "--json"];
    command.extend(more);
    let ran = node.exec(running, &command);
    let report = serde_json::from_str(&ran.stdout);
    (
        ran.code,
        report.unwrap_or_else(|error| panic!("{error}: {ran:?}")),
    )
}

/// Checks of this name, as outcome, what was seen, and the fix.
fn checks(report: &Value, name: &str) -> Vec<(String, String, String)> {
    let all = report["checks"].as_array().expect("checks").iter();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    all.filter(|check| check["name"] == name)
        .map(|check| {
            let [outcome, seen, fix] = ["outcome", "seen", "fix"].map(|key| text(check, key));
            (outcome, seen, fix)
        })
        .collect()
}

fn only(report: &Value, name: &str) -> (String, String) {
    let mut found = checks(report, name);
    assert_eq!(found.len(), 1, "{name} in {report:#}");
    let (outcome, seen, _) = found.remove(0);
    (outcome, seen)
}

fn stays(name: &str) -> Container {
    Container {
        name: name.into(),
        image: image::NAME.into(),
        command: vec!["/bin/sleep".into(), "1000000".into()],
        ..Container::default()
    }
}

#[test]
fn what_the_node_has_is_looked_for_on_the_node() {
    let node = Node::start(Media::Shared);
    let there = [
        "mount -t tmpfs none /usr/local/sbin",
        // As packages install it where there are alternatives: leads nowhere in a container.
        "ln -s /opt/of-the-node/mount.nfs /usr/local/sbin/mount.nfs",
    ];
    node.run(&["sh", "-c", &there.join(" && ")]);
    let sees_node = node.pod("sees-node", true);
    let privileged = Container {
        privileged: true,
        ..stays("sees-node")
    };
    let privileged = node.try_start_in(&sees_node, privileged).expect("started");
    let (_, report) = doctor(&node, &privileged, &["--node"]);
    let (outcome, seen) = only(&report, "nfs-common");
    assert_eq!(outcome, "ok", "{seen}");
    node.run(&["rm", "/usr/local/sbin/mount.nfs"]);
    let (_, report) = doctor(&node, &privileged, &["--node"]);
    let (outcome, seen) = only(&report, "nfs-common");
    assert_eq!(outcome, "warning");
    assert!(seen.contains("is missing"), "{seen}");

    // A container by itself, and one that sees processes of its pod, but not the node's.
    let alone = node.container(stays("alone"));
    let (_, report) = doctor(&node, &alone, &["--node"]);
    for name in ["nfs-common", "open-iscsi", "containers"] {
        let (outcome, seen) = only(&report, name);
        assert_eq!(outcome, "warning", "{name}");
        assert!(
            seen.contains("cannot be seen from this container"),
            "{name}: {seen}"
        );
    }
    node.end(&alone, std::time::Duration::ZERO);
    node.end_pod(sees_node, &[privileged], std::time::Duration::ZERO);
    node.finish();
}

#[test]
fn an_attached_engine_lacks_nothing() {
    let node = Node::start(Media::Shared);
    let mut library = Library::prepare(&node);
    library.start();
    let config = node.share().join("debridfs.toml");
    let config = ["--config", config.to_str().expect("text")];
    let (code, report) = doctor(&node, library.engine(), &config);
    let failed: Vec<&Value> = report["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["outcome"] == "failed")
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!((code, &report["ok"]), (0, &true.into()));
    let (outcome, seen) = only(&report, "keeper");
    assert_eq!(outcome, "ok", "{seen}");
    for needless in ["fusermount3", "user_allow_other"] {
        assert_eq!(checks(&report, needless), []);
    }

    // A keeper has no account.
    let keeper = library.keeper();
    let runtime_dir = node.share().join("run");
    let runtime_dir = format!("DEBRIDFS__RUNTIME_DIR={}", runtime_dir.display());
    let ran = node.exec(keeper, &["env", &runtime_dir, PROGRAM, "doctor", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let (outcome, seen) = only(&report, "provider");
    assert_eq!(outcome, "warning", "{seen}");
    assert_eq!((ran.code, &report["ok"]), (0, &true.into()), "{report:#}");

    // Whoever mounts still needs all of it.
    let without = node.container(stays("keeper-without-anything"));
    let (code, report) = doctor(&node, &without, &[]);
    assert_eq!((code, only(&report, "/dev/fuse").0.as_str()), (1, "failed"));
    assert_eq!(only(&report, "CAP_SYS_ADMIN").0, "failed");
    node.end(&without, std::time::Duration::ZERO);
    library.stop();
    node.finish();
}

#[test]
fn who_holds_a_dead_library_has_a_name() {
    let node = Node::start(Media::Shared);
    node.run(&[
        "sh",
        "-c",
        &format!(
            "mkdir -p /run/containerd && touch /run/containerd/containerd.sock && mount --bind {} /run/containerd/containerd.sock",
            node.socket().display()
        ),
    ]);
    let mut library = Library::prepare(&node);
    library.start();
    let place = node.pod("plex-7d9f", false);
    let point = Volume {
        source: node.media().join("dfs"),
        target: "/data".into(),
        read_only: false,
        propagation: Propagation::None,
    };
    let holder = Container {
        volumes: vec![point],
        ..stays("plex")
    };
    let holder = node.try_start_in(&place, holder).expect("started");
    // Two layers at one place are one line.
    let bound = node.sub_path("sonarr");
    let (from, to) = (node.media().join("dfs"), bound.to_str().expect("text"));
    node.run(&["mount", "--bind", from.to_str().expect("text"), to]);
    library.kill_keeper();
    library.kill_engine();
    library.start();

    let report = node.json(&["doctor", "--json"]);
    let named: Vec<_> = checks(&report, "containers").into_iter().collect();
    let line = named.iter().find(|(_, seen, _)| seen.contains("/data"));
    let (_, seen, fix) = line.unwrap_or_else(|| panic!("{report:#}"));
    assert!(
        seen.contains("container plex of pod test/plex-7d9f"),
        "{seen}"
    );
    assert!(fix.contains("restart that container"), "{fix}");
    let sub_paths = checks(&report, "subPath");
    assert_eq!(sub_paths.len(), 1, "{sub_paths:#?}");
    let (_, seen, fix) = &sub_paths[0];
    assert!(seen.contains("container sonarr of pod 7f3e"), "{seen}");
    let (after_crash, after_stop) = ("after a crash it sees the new mount", "orderly stop");
    assert!(
        seen.contains(after_crash) && seen.contains(after_stop),
        "{seen}"
    );
    assert!(fix.contains("without subPath"), "{fix}");

    // Where no runtime can be asked there is what the control group tells.
    node.run(&["umount", "/run/containerd/containerd.sock"]);
    let report = node.json(&["doctor", "--json"]);
    let named = checks(&report, "containers");
    let line = named.iter().find(|(_, seen, _)| seen.contains("/data"));
    let (_, seen, _) = line.unwrap_or_else(|| panic!("{report:#}"));
    let id = format!("in container {}", &holder.id[..12]);
    assert!(seen.contains(&id), "{seen}");

    // The same, from a pod that sees the node but not the library.
    let sees_node = node.pod("sees-node", true);
    let privileged = Container {
        privileged: true,
        ..stays("sees-node")
    };
    let privileged = node.try_start_in(&sees_node, privileged).expect("started");
    let (_, report) = doctor(&node, &privileged, &[]);
    let dead: Vec<_> = checks(&report, "containers")
        .into_iter()
        .filter(|(_, seen, _)| seen.contains("dead library"))
        .collect();
    assert_eq!(dead.len(), 1, "{dead:#?}");
    assert!(dead[0].1.contains("/data"), "{dead:#?}");
    assert_eq!(checks(&report, "subPath").len(), 1);
    node.end_pod(sees_node, &[privileged], std::time::Duration::ZERO);
    node.end_pod(place, &[holder], std::time::Duration::ZERO);
    library.stop();
    node.run(&["umount", "--lazy", to]);
    assert!(Path::new(to).exists());
    node.finish();
}
