//! Which volumes heal: what consumers see that have bound the library in every way in which people do, while keeper and engine are killed,
//! stopped and started again.

use std::path::{Path, PathBuf};

use debridfs_cri::{Container, Propagation, Volume};
use serde_json::Value;

use super::image;
use super::library::{Library, RELEASE};
use super::node::{Media, Node, Running};

/// What a consumer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// The release.
    Library,
    /// The mount of a keeper that is gone: "Transport endpoint is not connected".
    Dead,
    /// The directory below, in which nothing is.
    Empty,
}

/// A consumer, and where it has the library.
struct Consumer {
    running: Running,
    /// Its volume.
    volume: Volume,
    place: PathBuf,
}

impl Consumer {
    /// With `source` as the volume `/NAME`; the library is at `below` in it.
    fn start(
        node: &Node,
        name: &str,
        source: PathBuf,
        below: &str,
        propagation: Propagation,
    ) -> Self {
        let volume = Volume {
            source,
            target: Path::new("/").join(name),
            read_only: false,
            propagation,
        };
        Self {
            running: node.consumer(name, vec![volume.clone()]),
            place: volume.target.join(below),
            volume,
        }
    }

    fn sees(&self, node: &Node) -> Sight {
        // The kernel may still remember a listing; it never answers `statfs` by itself.
        let place = self.place.display();
        let script = format!("stat -f {place} >/dev/null && ls {place}/__all__");
        let listed = node.exec(&self.running, &["sh", "-c", &script]);
        match (listed.code, listed.stdout.trim(), listed.stderr.as_str()) {
            (0, RELEASE, _) => Sight::Library,
            (_, _, said) if said.contains("Transport endpoint is not connected") => Sight::Dead,
            (_, _, said) if said.contains("No such file or directory") => Sight::Empty,
            _ => panic!("{}: {listed:?}", self.running.name),
        }
    }

    /// Starts it again, as the doctor says.
    fn restart(&mut self, node: &Node) {
        node.end(&self.running, std::time::Duration::ZERO);
        let name = format!("{}-again", self.running.name);
        self.running = node.consumer(&name, vec![self.volume.clone()]);
    }
}

/// Who sees what, by name.
fn sights<'a>(node: &Node, consumers: &'a [Consumer]) -> Vec<(&'a str, Sight)> {
    let seen = consumers.iter();
    seen.map(|one| (one.running.name.as_str(), one.sees(node)))
        .collect()
}

/// What the doctor says of containers, on the node.
fn doctor(node: &Node) -> Vec<String> {
    let media = node.media();
    let report = node.json(&["doctor", "--json", "--path", media.to_str().expect("text")]);
    let checks = report["checks"].as_array().expect("checks").iter();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    checks
        .filter(|check| check["outcome"] == "warning")
        .filter(|check| check["name"] == "containers" || check["name"] == "subPath")
        .map(|check| format!("{} | {}", text(check, "seen"), text(check, "fix")))
        .collect()
}

/// True when the doctor names this place as one that has to be mended by a restart.
fn warned(said: &[String], what: &str, place: &str) -> bool {
    let wanted = format!("{what} at {place}");
    said.iter()
        .any(|line| line.contains(&wanted) && line.contains("restart that container"))
}

#[test]
fn every_way_to_bind_it_through_kills_and_a_stop() {
    use Propagation::{Bidirectional, HostToContainer, None as Private};
    use Sight::{Dead, Empty, Library as Seen};
    let node = Node::start(Media::Shared);
    let mut library = Library::prepare(&node);
    let (parent, point) = (node.media(), node.media().join("dfs"));
    let start = |name, source: &PathBuf, below, propagation| {
        Consumer::start(&node, name, source.clone(), below, propagation)
    };
    let mut all = vec![
        start("parent-early", &parent, "dfs", HostToContainer),
        start("parent-early-private", &parent, "dfs", Private),
        // The runtime makes the directory, as it does for everybody whose library is not mounted yet.
        start("point-early", &point, "", HostToContainer),
    ];
    assert!(sights(&node, &all).iter().all(|(_, sight)| *sight == Empty));
    library.start();

    // As the kubelet makes a subPath: bound by itself, without what is mounted below.
    let sub_path = node.sub_path("sonarr");
    let (from, to) = (
        point.to_str().expect("text"),
        sub_path.to_str().expect("text"),
    );
    node.run(&["mount", "--bind", from, to]);
    all.extend([
        start("parent-late", &parent, "dfs", HostToContainer),
        start("parent-late-both-ways", &parent, "dfs", Bidirectional),
        start("point-late", &point, "", HostToContainer),
        start("point-late-private", &point, "", Private),
        start("sub-path-late", &sub_path, "", HostToContainer),
    ]);
    let inside = inside(&node);
    let served = [
        ("parent-early", Seen),
        ("parent-early-private", Empty),
        ("point-early", Seen),
        ("parent-late", Seen),
        ("parent-late-both-ways", Seen),
        ("point-late", Seen),
        ("point-late-private", Seen),
        ("sub-path-late", Seen),
    ];
    assert_eq!(sights(&node, &all), served);
    assert_eq!(
        doctor(&node)
            .iter()
            .filter(|said| said.contains("dead library"))
            .count(),
        0
    );

    // An engine, or a keeper, comes and goes: nobody sees anything of it.
    library.kill_engine();
    library.start_engine();
    assert_eq!(sights(&node, &all), served);
    library.kill_keeper();
    library.start_keeper();
    library.keeper_says("took ");
    assert_eq!(sights(&node, &all), served);

    // Both at once: the connection is gone.
    library.kill_keeper();
    library.kill_engine();
    let gone = served.map(|(name, sight)| (name, if sight == Seen { Dead } else { sight }));
    assert_eq!(sights(&node, &all), gone);

    // The next keeper stacks its mount on the dead one, and that reaches copies of it as well.
    library.start();
    let stacked = served.map(|(name, sight)| match name {
        "point-late-private" => (name, Dead),
        _ => (name, sight),
    });
    assert_eq!(sights(&node, &all), stacked);
    let said = doctor(&node);
    assert!(
        warned(&said, "hold a dead library", "/point-late-private"),
        "{said:#?}"
    );
    // What was opened in the dead mount stays there.
    std::fs::write(node.share().join("go"), "").expect("file");
    assert_eq!(node.ended(&inside), 0, "{}", node.log(&inside));

    // After an orderly stop nothing is left to stack on.
    library.stop();
    let stopped = served.map(|(name, _)| match name {
        "point-late" | "point-late-private" | "sub-path-late" => (name, Dead),
        _ => (name, Empty),
    });
    assert_eq!(sights(&node, &all), stopped);
    for consumer in all.iter().filter(|one| one.sees(&node) == Empty) {
        let file = consumer.place.join("x");
        let wrote = node.exec(&consumer.running, &["touch", file.to_str().expect("text")]);
        // Below the mount, where it would fill the node's disk.
        assert!(
            wrote.stderr.contains("Operation not permitted"),
            "{wrote:?}"
        );
    }
    library.start();
    let again = served.map(|(name, sight)| match name {
        "point-late" | "point-late-private" | "sub-path-late" => (name, Dead),
        _ => (name, sight),
    });
    assert_eq!(sights(&node, &all), again);
    let said = doctor(&node);
    for (name, sight) in again {
        let place = format!("/{name}");
        let named = warned(&said, "hold a dead library", &place);
        assert_eq!(named, sight == Dead, "{name}: {said:#?}");
    }
    let sub_path_named = said
        .iter()
        .any(|line| line.contains("container sonarr of pod") && line.contains("without subPath"));
    assert!(sub_path_named, "{said:#?}");

    // A restart mends what the doctor names.
    let point = all.iter_mut().find(|one| one.running.name == "point-late");
    let point = point.expect("started");
    point.restart(&node);
    assert_eq!(point.sees(&node), Seen);
    // What the kubelet bound for a subPath has to be taken away first.
    library.stop();
    for consumer in &all {
        node.end(&consumer.running, std::time::Duration::ZERO);
    }
    node.end(&inside, std::time::Duration::ZERO);
    node.run(&["umount", "--lazy", to]);
    node.finish();
}

/// A process that has its working directory in the mount: ends with 0 when that is dead although the path leads to a new mount.
fn inside(node: &Node) -> Running {
    let script = "cd /media/dfs/__all__ && while [ ! -e /share/go ]; do sleep 0.1; done
        if stat -f . 2>&1; then exit 1; fi
        cd /media/dfs/__all__ && stat -f .";
    let volume = |source, target: &str, propagation| Volume {
        source,
        target: target.into(),
        read_only: true,
        propagation,
    };
    node.container(Container {
        name: "inside".into(),
        image: image::NAME.into(),
        command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        volumes: vec![
            volume(node.media(), "/media", Propagation::HostToContainer),
            volume(node.share(), "/share", Propagation::None),
        ],
        ..Container::default()
    })
}
