//! The pods of `deploy/kustomize` on a node, from the text of the manifests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;

use debridfs_cri::{Propagation, Volume};
use serde_json::Value;

use super::kubelet::{Bundle, Kubelet, Started};
use super::library::{Account, RELEASE};
use super::node::{Media, Node, Running, run, until};

/// Where the bundle of the propagation test mounts.
const TEST_DIR: &str = "/mnt/debridfs-propagation-test";

/// The node's `/mnt` is what its tests share.
fn node(media: Media) -> Node {
    let node = Node::start(media);
    let source = node.media();
    node.run(&["mount", "--bind", source.to_str().expect("text"), "/mnt"]);
    node
}

fn status(node: &Node) -> Option<Value> {
    let socket = ["status", "--json", "--socket", "/run/debridfs/control.sock"];
    let output = node
        .command(env!("CARGO_BIN_EXE_debridfs"))
        .args(socket)
        .output();
    serde_json::from_slice(&output.expect("debridfs runs").stdout).ok()
}

/// What a probe of the engine's container gets.
fn probed(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some((code, body.to_owned()))
}

fn until_ready(node: &Node, port: u16, path: &str) {
    let mut last = None;
    until("the engine is ready", || {
        let answer = probed(port, path);
        let ready = answer.as_ref().is_some_and(|(code, _)| *code == 200);
        if !ready && answer != last {
            println!("not ready: {answer:?}");
            last = answer;
        }
        ready
    });
    let status = status(node).expect("an engine");
    assert_eq!(status["library"]["listed"], true, "{status:#}");
}

fn sees(node: &Node, consumer: &Running) {
    let film = format!("/mnt/dfs/__all__/{RELEASE}/{RELEASE}.mkv");
    let said = node.exec(consumer, &["stat", "-c", "%s", &film]);
    assert_eq!(said.stdout.trim(), (8_u64 << 30).to_string(), "{said:?}");
    let script = format!("head -c 65536 {film} | wc -c");
    let said = node.exec(consumer, &["sh", "-c", &script]);
    assert_eq!(said.stdout.trim(), "65536", "{said:?}");
}

/// A port that nobody has: the nodes of all tests are on this machine's network.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The engine listens on loopback, at a port of the test's, and has the simulated account.
fn configure(bundle: &mut Bundle, account: &Account, listen: &str, port: u16) {
    let config = &mut bundle.object("ConfigMap", "debridfs")["data"]["config.toml"];
    let text = config.as_str().expect("text");
    assert!(
        text.contains(listen) && text.trim_end().ends_with("secret/token\""),
        "{text}"
    );
    let text = text.replace(listen, &format!("listen = \"127.0.0.1:{port}\""));
    *config = format!("{text}api_url = \"{}\"\n", account.served.api_url()).into();
}

/// What curl gets: the code of the answer, its headers and its text.
fn asked(port: u16, path: &str, arguments: &[&str]) -> (u16, String) {
    let code = ["--silent", "--include", "--write-out", "\n%{http_code}"];
    let mut command = std::process::Command::new("curl");
    command.args(code).args(arguments);
    let output = command
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output();
    let said = String::from_utf8(output.expect("curl runs").stdout).expect("text");
    let (text, code) = said.rsplit_once('\n').expect("a code");
    (code.parse().expect("a number"), text.to_owned())
}

/// As docs/pages.md has it.
fn hash_of(password: &str) -> String {
    let script = "printf %s \"$1\" | \"$0\" config hash-password";
    let program = env!("CARGO_BIN_EXE_debridfs");
    let mut shell = std::process::Command::new("sh");
    run(shell.args(["-c", script, program, password]))
}

/// Pages behind a login, and a client for arrs with its folder on the node.
#[test]
fn the_components_with_their_keys_in_the_secret() {
    let node = node(Media::Shared);
    let account = Account::of_one_film();
    let mut bundle = Bundle::with_components(&["ingress", "arrs"]);
    let [port, client] = [free_port(), free_port()];
    configure(&mut bundle, &account, "listen = \"0.0.0.0:8282\"", port);
    let engine = bundle.object("Deployment", "debridfs");
    let environment = &mut engine["spec"]["template"]["spec"]["containers"][0]["env"];
    let environment = environment.as_array_mut().expect("variables");
    let named = |one: &&mut Value| one["name"] == "DEBRIDFS__QBITTORRENT__LISTEN";
    let listen = environment.iter_mut().find(named).expect("an address");
    listen["value"] = format!("127.0.0.1:{client}").into();

    let mut kubelet = Kubelet::new(&node, bundle);
    kubelet.secret("debridfs", "token", &account.served.token());
    kubelet.secret("debridfs", "web-password-hash", &hash_of("of-the-pages"));
    kubelet.secret("debridfs", "qbittorrent-password", "of-the-arrs\n");
    let keeper = kubelet.start("DaemonSet", "debridfs-keeper");
    let engine = kubelet.start("Deployment", "debridfs");
    until_ready(&node, port, "/readyz");

    let (code, text) = asked(port, "/", &[]);
    assert!(code == 401 && text.contains("log in"), "{text}");
    let proxy = ["--header", "X-Forwarded-For: 192.0.2.7"];
    assert_eq!(asked(port, "/metrics", &proxy).0, 403);
    assert_eq!(asked(port, "/metrics", &[]).0, 200);

    let folder = node.media().join("downloads");
    let found = std::fs::metadata(&folder).expect("the keeper makes it");
    assert_eq!((found.uid(), found.gid()), (1000, 1000));
    let log_in = |password: &str| {
        let form = format!("username=debridfs&password={password}");
        asked(client, "/api/v2/auth/login", &["--data", &form])
    };
    assert!(!log_in("wrong").1.ends_with("Ok."));
    let (_, text) = log_in("of-the-arrs");
    assert!(text.contains("Ok.") && text.contains("SID"), "{text}");

    kubelet.end(engine);
    kubelet.end(keeper);
    std::fs::remove_dir_all(folder).expect("removed");
    node.run(&[
        "env",
        "DEBRIDFS__MOUNT__PATH=/mnt/dfs",
        env!("CARGO_BIN_EXE_debridfs"),
        "uninstall",
    ]);
    node.finish();
}

#[test]
fn the_streaming_instance() {
    let node = node(Media::Shared);
    let account = Account::of_one_film();
    let mut bundle = Bundle::build(&["streaming/data", "streaming/base", "streaming/cleanup"]);
    let engine =
        &bundle.object("Deployment", "debridfs")["spec"]["template"]["spec"]["containers"][0];
    let path = |probe: &str| {
        engine[probe]["httpGet"]["path"]
            .as_str()
            .expect("a path")
            .to_owned()
    };
    let (readiness, liveness) = (path("readinessProbe"), path("livenessProbe"));
    let named = &engine["ports"][0];
    assert_eq!(engine["readinessProbe"]["httpGet"]["port"], named["name"]);
    let listen = format!("listen = \"0.0.0.0:{}\"", named["containerPort"]);
    // Everything else is as it is in the repository.
    let port = free_port();
    configure(&mut bundle, &account, &listen, port);
    let mut kubelet = Kubelet::new(&node, bundle);
    kubelet.secret("debridfs", "token", &account.served.token());
    let consumer = node.consumer(
        "consumer",
        vec![Volume {
            source: "/mnt".into(),
            target: "/mnt".into(),
            read_only: false,
            propagation: Propagation::HostToContainer,
        }],
    );
    // The order is nobody's to choose.
    let engine = kubelet.start("Deployment", "debridfs");
    until("an engine without a keeper is alive", || {
        probed(port, &liveness).is_some_and(|(code, _)| code == 200)
    });
    assert_eq!(probed(port, &readiness).map(|(code, _)| code), Some(503));
    let keeper = kubelet.start("DaemonSet", "debridfs-keeper");
    until_ready(&node, port, &readiness);
    sees(&node, &consumer);

    // A rollout: the old pod is stopped once the new one is ready.
    let new = kubelet.start("Deployment", "debridfs");
    node.says(engine.running("engine"), "another engine has taken over");
    until_ready(&node, port, &readiness);
    sees(&node, &consumer);
    kubelet.end(engine);
    let engine = new;
    until_ready(&node, port, &readiness);
    sees(&node, &consumer);

    // In another pod, and killed by the keeper all the same: a probe would take longer than readers wait. Its container lives on.
    node.run(&["pkill", "-STOP", "-x", "debridfs-engine"]);
    node.says(engine.running("engine"), "engine was killed by signal 9");
    until_ready(&node, port, &readiness);
    sees(&node, &consumer);

    // The engine keeps the mount until the next one comes.
    kubelet.end(keeper);
    assert_ne!(node.mounts(), [""; 0], "the mount went with its keeper");
    sees(&node, &consumer);
    let keeper = kubelet.start("DaemonSet", "debridfs-keeper");
    node.says(keeper.running("keeper"), "took /mnt/dfs back");
    until_ready(&node, port, &readiness);
    sees(&node, &consumer);

    let refused = kubelet.try_start("DaemonSet", "debridfs-cleanup");
    let refused = refused
        .err()
        .expect("it would take the mount from a keeper");
    assert!(refused.contains("a keeper holds the mount"), "{refused}");
    kubelet.end(engine);
    kubelet.end(keeper);
    // Nobody was left to keep it, and nobody takes the place for an empty library: not even root.
    let refused = node.run(&[
        "sh",
        "-c",
        "ls /mnt/dfs 2>&1; mkdir /mnt/dfs/series 2>&1; true",
    ]);
    assert_eq!(refused.matches("Permission denied").count(), 2, "{refused}");
    let left = std::fs::symlink_metadata(node.media().join("dfs")).expect("it stays");
    assert_eq!(
        left.mode() & 0o7777,
        0,
        "and nobody takes it for an empty library"
    );
    let cleanup = kubelet.start("DaemonSet", "debridfs-cleanup");
    node.says(cleanup.running("done"), "there is no mount point");
    kubelet.end(cleanup);
    assert_eq!(node.mounts(), [""; 0]);
    assert!(!node.media().join("dfs").exists());
    node.end(&consumer, std::time::Duration::ZERO);
    node.finish();
}

/// What the containers of the propagation test have said, one after the other.
fn said(node: &Node, pod: &Started) -> String {
    let all = pod.containers.iter().map(|(name, running)| match running {
        Ok(running) => format!("--- {name}\n{}", node.log(running)),
        Err(refused) => format!("--- {name}\n{refused}\n"),
    });
    all.collect()
}

#[test]
fn the_propagation_test_on_a_node_that_shares() {
    let node = node(Media::Shared);
    let mut kubelet = Kubelet::new(&node, Bundle::build(&["propagation-test"]));
    passes(&node, &mut kubelet);
    node.finish();
}

/// The test is started, succeeds, and leaves nothing.
fn passes(node: &Node, kubelet: &mut Kubelet<'_>) {
    let producer = kubelet.start("Deployment", "fuse-producer");
    let consumer = kubelet.start("Job", "fuse-consumer");
    for name in ["root", "user", "restricted"] {
        let code = node.ended(consumer.running(name));
        let text = said(node, &consumer) + &said(node, &producer);
        assert_eq!(code, 0, "{text}");
        let log = node.log(consumer.running(name));
        assert!(
            log.contains("SUCCESS: Producer marker found at 20"),
            "{log}"
        );
    }
    kubelet.end(consumer);
    kubelet.end(producer);
    assert_eq!(node.mounts(), [""; 0]);
    node.run(&["test", "!", "-e", TEST_DIR]);
}

#[test]
fn the_propagation_test_on_a_node_that_does_not() {
    let node = node(Media::Private);
    let mut kubelet = Kubelet::new(&node, Bundle::build(&["propagation-test"]));
    let producer = kubelet.start("Deployment", "fuse-producer");
    let consumer = kubelet.start("Job", "fuse-consumer");
    assert_eq!(node.ended(producer.running("host")), 1);
    let text = said(&node, &producer);
    assert!(text.contains("FAILURE: HOST_NOT_SHARED: "), "{text}");
    assert!(text.contains("it is not a shared mount"), "{text}");
    let verdict = text.lines().find(|line| line.starts_with("FAILURE: "));
    let fix = verdict.and_then(|line| line.split_once("to mend it: "));
    let (_, fix) = fix.expect("a fix");
    // The directory of the instance, which is a mount here.
    assert_eq!(fix, "mount --make-rshared /mnt");
    assert!(
        consumer.containers.iter().all(|(_, one)| one.is_err()),
        "{}",
        said(&node, &consumer)
    );
    kubelet.end(consumer);
    kubelet.end(producer);
    node.run(&["test", "!", "-e", TEST_DIR]);

    // Done verbatim it is what an instance needs, and the test has its verdict from that.
    node.run(&["sh", "-c", fix]);
    passes(&node, &mut kubelet);
    node.finish();
}
