//! Calls against a runtime of a test's own, over a real socket. Its messages are written and read
//! field by field here, by the numbers in the interface's definition and not by the crate's own.

mod fake;
mod protobuf;

use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_cri::{
    Container, CriError, Listed, Pod, Propagation, Runtime, Sandbox, Seccomp, State, Volume,
};

use fake::{Fake, Says};
use protobuf::{Fields, number, text, within};

fn pod() -> Pod {
    Pod {
        name: "pod".into(),
        namespace: "tests".into(),
        uid: "42".into(),
        log_directory: "/var/log/pods/42".into(),
        privileged: true,
        ..Pod::default()
    }
}

fn pair(key: &str, value: &str) -> Vec<u8> {
    [text(1, key), text(2, value)].concat()
}

#[tokio::test]
async fn what_is_not_known_of_an_answer_is_passed_over() {
    let version = [
        text(1, "0.1.0"),
        text(2, "containerd"),
        text(3, "1.7.2"),
        text(4, "v1"),
        number(77, 1 << 40),
    ];
    let image = |tags: &[&str]| {
        let tags: Vec<u8> = tags.iter().flat_map(|tag| text(2, tag)).collect();
        within(1, &[text(1, "sha256:0"), tags, number(4, 7)].concat())
    };
    let images = [
        image(&["pause:3.10", "pause:latest"]),
        image(&[]),
        image(&["plex:1"]),
    ];
    let fake = Fake::new([
        ("Version", Says::Answer(version.concat())),
        ("ListImages", Says::Answer(images.concat())),
    ]);
    let runtime = Runtime::connect(fake.socket()).await.unwrap();
    let version = runtime.version().await.unwrap();
    assert_eq!((&*version.name, &*version.version), ("containerd", "1.7.2"));
    let images = runtime.images().await.unwrap();
    assert_eq!(images, ["pause:3.10", "pause:latest", "plex:1"]);
    let paths: Vec<_> = fake.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(
        paths,
        [
            "/runtime.v1.RuntimeService/Version",
            "/runtime.v1.ImageService/ListImages"
        ]
    );
}

#[tokio::test]
async fn a_sandbox_is_asked_for_as_kubelet_does() {
    let fake = Fake::new([("RunPodSandbox", Says::Answer(text(1, "sandbox-1")))]);
    let runtime = Runtime::connect(fake.socket()).await.unwrap();
    let pod = Pod {
        host_processes: true,
        cgroup_parent: "/kubepods".into(),
        ..pod()
    };
    assert_eq!(runtime.run_sandbox(&pod).await.unwrap(), "sandbox-1");

    let config = fake.only_call("RunPodSandbox").message(1);
    let metadata = config.message(1);
    assert_eq!(metadata.texts(1), ["pod"]);
    assert_eq!(metadata.texts(2), ["42"]);
    assert_eq!(metadata.texts(3), ["tests"]);
    assert_eq!(config.texts(3), ["/var/log/pods/42"]);
    let mut labels: Vec<_> = config.messages(6).iter().map(Fields::pair).collect();
    labels.sort();
    let label = |key: &str, value: &str| (format!("io.kubernetes.pod.{key}"), value.to_owned());
    assert_eq!(
        labels,
        [
            label("name", "pod"),
            label("namespace", "tests"),
            label("uid", "42")
        ]
    );
    let linux = config.message(8);
    assert_eq!(linux.texts(1), ["/kubepods"]);
    let security = linux.message(2);
    assert_eq!(security.number(6), 1, "privileged");
    // Network and processes of the node; ipc of the pod, which is 0 and not sent.
    let namespaces = security.message(1);
    assert_eq!([1, 2, 3].map(|tag| namespaces.number(tag)), [2, 2, 0]);
}

#[tokio::test]
async fn a_container_is_what_it_was_described_as() {
    let fake = Fake::new([
        ("CreateContainer", Says::Answer(text(1, "c-1"))),
        ("StartContainer", Says::Answer(Vec::new())),
    ]);
    let runtime = Runtime::connect(fake.socket()).await.unwrap();
    let volume = |target: &str, read_only, propagation| Volume {
        source: Path::new("/mnt").join(target),
        target: Path::new("/").join(target),
        read_only,
        propagation,
    };
    let container = Container {
        name: "main".into(),
        image: "debridfs:v1".into(),
        command: vec!["debridfs".into(), "keeper".into()],
        environment: vec![("PUID".into(), "1000".into())],
        volumes: vec![
            volume("a", false, Propagation::Bidirectional),
            volume("b", true, Propagation::HostToContainer),
            volume("c", false, Propagation::None),
        ],
        devices: vec![PathBuf::from("/dev/fuse")],
        user: Some(1000),
        drop_capabilities: vec!["ALL".into()],
        seccomp: Seccomp::Unconfined,
        ..Container::default()
    };
    let started = runtime.start("sandbox-1", &pod(), &container).await;
    assert_eq!(started.unwrap(), "c-1");

    let create = fake.only_call("CreateContainer");
    assert_eq!(create.texts(1), ["sandbox-1"]);
    // containerd wants the sandbox's own description once more.
    assert_eq!(create.message(3).message(1).texts(1), ["pod"]);
    let config = create.message(2);
    assert_eq!(config.message(1).texts(1), ["main"]);
    assert_eq!(config.message(2).texts(1), ["debridfs:v1"]);
    assert_eq!(config.texts(3), ["debridfs", "keeper"]);
    assert_eq!(config.message(6).pair(), ("PUID".into(), "1000".into()));
    assert_eq!(config.texts(11), ["main.log"]);
    let mounts: Vec<_> = config
        .messages(7)
        .iter()
        .map(|mount| {
            let paths = [mount.texts(1), mount.texts(2)].concat().join(" ");
            (paths, mount.number(3), mount.number(5))
        })
        .collect();
    let mount = |paths: &str, read_only, propagation| (paths.to_owned(), read_only, propagation);
    assert_eq!(
        mounts,
        [
            mount("/a /mnt/a", 0, 2),
            mount("/b /mnt/b", 1, 1),
            mount("/c /mnt/c", 0, 0)
        ]
    );
    let device = config.message(8);
    assert_eq!(device.texts(2), ["/dev/fuse"]);
    assert_eq!(device.texts(3), ["rwm"]);
    let security = config.message(15).message(2);
    assert_eq!(security.message(1).texts(2), ["ALL"]);
    assert_eq!(security.message(5).number(1), 1000);
    assert_eq!(security.message(12).number(1), 1000);
    assert_eq!(security.message(15).number(1), 1, "unconfined");
    assert_eq!(fake.only_call("StartContainer").texts(1), ["c-1"]);
}

#[tokio::test]
async fn a_container_that_does_not_start_is_removed() {
    let words = "path \"/mnt\" is mounted on \"/\" but it is not a shared mount";
    let fake = Fake::new([
        ("CreateContainer", Says::Answer(text(1, "c-1"))),
        ("StartContainer", Says::Refusal(words)),
        ("RemoveContainer", Says::Answer(Vec::new())),
    ]);
    let runtime = Runtime::connect(fake.socket()).await.unwrap();
    let started = runtime.start("s", &pod(), &Container::default()).await;
    let error = started.unwrap_err();
    assert!(matches!(
        error,
        CriError::Call {
            call: "StartContainer",
            ..
        }
    ));
    assert_eq!(error.to_string(), format!("StartContainer: {words}"));
    assert_eq!(fake.only_call("RemoveContainer").texts(1), ["c-1"]);
}

#[tokio::test]
async fn a_container_lives_until_its_status_says_otherwise() {
    let status = |fields: Vec<Vec<u8>>| within(1, &fields.concat());
    for (answer, state) in [
        (Vec::new(), State::Alive),
        (status(vec![number(3, 0)]), State::Alive),
        (status(vec![text(1, "c-1"), number(3, 1)]), State::Alive),
        (
            status(vec![
                number(3, 2),
                number(7, 137),
                text(10, "OOMKilled"),
                text(11, ""),
            ]),
            State::Ended {
                code: 137,
                reason: "OOMKilled".into(),
            },
        ),
        (
            status(vec![
                number(3, 2),
                text(10, "Error"),
                text(11, "no such file"),
            ]),
            State::Ended {
                code: 0,
                reason: "Error no such file".into(),
            },
        ),
    ] {
        let fake = Fake::new([("ContainerStatus", Says::Answer(answer))]);
        let runtime = Runtime::connect(fake.socket()).await.unwrap();
        assert_eq!(runtime.state("c-1").await.unwrap(), state);
        assert_eq!(fake.only_call("ContainerStatus").texts(1), ["c-1"]);
    }
}

#[tokio::test]
async fn the_first_process_is_in_what_runtimes_tell_beside_the_interface() {
    for (info, pid) in [
        (Some(r#"{"sandboxID":"s","pid":4711}"#), Some(4711)),
        (Some(r#"{"pid":-1}"#), None),
        (Some("not JSON"), None),
        (None, None),
    ] {
        let answer = info.map_or_else(Vec::new, |text| within(2, &pair("info", text)));
        let fake = Fake::new([("ContainerStatus", Says::Answer(answer))]);
        let runtime = Runtime::connect(fake.socket()).await.unwrap();
        assert_eq!(runtime.pid("c-1").await.ok(), pid, "{info:?}");
        assert_eq!(fake.only_call("ContainerStatus").number(2), 1, "verbose");
    }
}

#[tokio::test]
async fn what_the_runtime_has_is_listed_with_whose_it_is() {
    let item = |id: &str, uid: &str, namespace: &str| {
        let metadata = [text(1, "x"), text(2, uid), text(3, namespace)].concat();
        within(1, &[text(1, id), within(2, &metadata)].concat())
    };
    let items = [
        item("a", "1", "tests"),
        item("b", "2", "kube-system"),
        within(1, &text(1, "without metadata")),
    ];
    let metadata = within(3, &text(1, "plex"));
    let container = within(1, &[text(1, "c"), text(2, "b"), metadata].concat());
    let fake = Fake::new([
        ("ListPodSandbox", Says::Answer(items.concat())),
        ("ListContainers", Says::Answer(container)),
    ]);
    let runtime = Runtime::connect(fake.socket()).await.unwrap();
    let sandbox = |id: &str, uid: &str, namespace: &str| Sandbox {
        id: id.into(),
        name: "x".into(),
        namespace: namespace.into(),
        uid: uid.into(),
    };
    let found = runtime.sandboxes().await.unwrap();
    let expected = [sandbox("a", "1", "tests"), sandbox("b", "2", "kube-system")];
    assert_eq!(found, expected);
    let found = runtime.containers().await.unwrap();
    let expected = [Listed {
        id: "c".into(),
        sandbox: "b".into(),
        name: "plex".into(),
    }];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_sandbox_is_stopped_before_it_is_removed() {
    let fake = Fake::new([
        ("StopPodSandbox", Says::Answer(Vec::new())),
        ("RemovePodSandbox", Says::Answer(Vec::new())),
    ]);
    let runtime = Runtime::connect(fake.socket()).await.unwrap();
    runtime.remove_sandbox("s-1").await.unwrap();
    let calls: Vec<_> = fake.calls().iter().map(fake::Call::name).collect();
    assert_eq!(calls, ["StopPodSandbox", "RemovePodSandbox"]);
    for call in fake.calls() {
        assert_eq!(Fields::of(&call.message).texts(1), ["s-1"]);
    }
}

#[tokio::test]
async fn commands_have_a_limit_in_whole_seconds_and_bytes_for_output() {
    let said = [within(1, b"out\n"), within(2, b"err \xff\n"), number(3, 3)];
    let fake = Fake::new([
        ("ExecSync", Says::Answer(said.concat())),
        ("StopContainer", Says::Answer(Vec::new())),
    ]);
    let runtime = Runtime::connect(fake.socket()).await.unwrap();
    let limit = Duration::from_millis(1001);
    let output = runtime.exec("c-1", &["ls", "-l"], limit).await.unwrap();
    assert_eq!((output.code, &*output.stdout), (3, "out\n"));
    assert_eq!(output.stderr, "err \u{fffd}\n");
    let exec = fake.only_call("ExecSync");
    assert_eq!(exec.texts(2), ["ls", "-l"]);
    assert_eq!(exec.number(3), 2, "0 would mean without a limit");

    runtime.stop("c-1", Duration::from_secs(10)).await.unwrap();
    assert_eq!(fake.only_call("StopContainer").number(2), 10);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_says_nothing_is_given_up() {
    let fake = Fake::new([("Version", Says::Nothing)]);
    let runtime = Runtime::connect(fake.socket()).await.unwrap();
    let error = runtime.version().await.unwrap_err();
    assert_eq!(error.to_string(), "Version: no answer within 120 s");
}

#[tokio::test]
async fn a_socket_that_nobody_serves_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("containerd.sock");
    let error = Runtime::connect(&socket).await.unwrap_err();
    assert!(matches!(error, CriError::Connect { .. }));
    let words = error.to_string();
    assert!(words.contains("containerd.sock: "), "{words}");
    assert!(words.contains("No such file"), "{words}");
}
