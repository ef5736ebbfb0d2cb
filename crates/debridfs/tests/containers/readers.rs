//! A player in one container, while the containers that serve it are killed and replaced.

use std::fs;
use std::path::Path;
use std::time::Duration;

use debridfs_cri::{Container, Propagation, Seccomp, Volume};
use serde_json::Value;

use super::image;
use super::library::Library;
use super::node::{Media, Node, Running};

/// Where the reader's program is in its container.
const READER: &str = "/usr/local/bin/verified_reader";

/// Reads and checks the film for as long as the file `stop` is missing. A user without any privilege, as players are.
fn reader(node: &Node, library: &Library, mode: &str) -> Running {
    let (film, key) = library.film();
    let script = format!(
        "while [ ! -e /share/stop ]; do sleep 0.1; done | {READER} {mode} /media/dfs/{} {key}",
        film.display()
    );
    // Cargo puts examples beside the binary of the package and builds them for its tests.
    let program =
        Path::new(env!("CARGO_BIN_EXE_debridfs")).with_file_name("examples/verified_reader");
    let volume = |source, target: &str, propagation| Volume {
        source,
        target: target.into(),
        read_only: true,
        propagation,
    };
    node.container(Container {
        name: format!("reader-{mode}"),
        image: image::NAME.into(),
        command: ["/bin/sh", "-c", &script].map(str::to_owned).into(),
        volumes: vec![
            volume(node.media(), "/media", Propagation::HostToContainer),
            volume(node.share(), "/share", Propagation::None),
            volume(program, READER, Propagation::None),
        ],
        user: Some(1000),
        drop_capabilities: vec!["ALL".into()],
        no_new_privileges: true,
        seccomp: Seccomp::RuntimeDefault,
        ..Container::default()
    })
}

#[test]
fn a_player_notices_nothing_of_containers_that_are_killed() {
    let node = Node::start(Media::Shared);
    let mut library = Library::prepare(&node);
    library.start();
    let readers = ["buffered", "direct", "mmap"].map(|mode| reader(&node, &library, mode));
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(400));
        if round % 2 == 0 {
            library.kill_engine();
            std::thread::sleep(Duration::from_millis(200));
            library.start_engine();
            library.wait_listed();
        } else {
            library.kill_keeper();
            std::thread::sleep(Duration::from_millis(200));
            library.start_keeper();
            library.keeper_says("took ");
        }
    }
    std::thread::sleep(Duration::from_millis(400));
    fs::write(node.share().join("stop"), "").expect("file");
    for reader in readers {
        assert_eq!(node.ended(&reader), 0, "{}", node.log(&reader));
        let found: Value = serde_json::from_str(&node.log(&reader)).expect("one line of JSON");
        println!("{}: {found}", reader.name);
        assert_eq!(
            (&found["wrong"], &found["errors"]),
            (&0.into(), &Value::Array(Vec::new())),
            "{found}"
        );
        assert!(found["reads"].as_u64() > Some(10), "{found}");
    }
    library.stop();
    node.finish();
}
