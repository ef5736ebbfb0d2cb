//! Nothing can be mounted, from the start or later: all but the mount is served, and the mount comes by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use debridfs_sim::arr::{Dialect, ItemStatus};
use debridfs_sim::{Clip, FileSpec};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::attached::{self, BUILD, Part};
use crate::supervised::probed;
use crate::support::{Household, Instance, Settings, Simulator, film, run, streams, until};

const LINKED: &str = "00112233445566778899aabbccddeeff00112233";
const PLAYED: &str = "ffeeddccbbaa99887766554433221100ffeeddcc";
const SOON: Duration = Duration::from_secs(120);

/// Becomes the program that follows, in a mount namespace whose `/dev` has no `fuse`.
const WITHOUT_DEVICE: &str = "unshare --mount sh -c 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9 && exec \"$@\"' sh";

/// The mount namespace of a keeper.
struct Inside(Pid);

impl Inside {
    fn run(&self, command: &[&str]) {
        let pid = self.0.as_raw_pid().to_string();
        run(
            "nsenter",
            &[&["--mount", "--target", &pid], command].concat(),
        );
    }

    fn give_device(&self) {
        self.run(&["mknod", "-m", "666", "/dev/fuse", "c", "10", "229"]);
    }

    /// The device goes, and then the mount.
    fn take_away(&self, mount: &Path) {
        self.run(&["rm", "/dev/fuse"]);
        self.run(&["umount", "-l", mount.to_str().expect("text")]);
    }

    fn path(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.0.as_raw_pid()));
        root.join(path.strip_prefix("/").expect("absolute"))
    }
}

fn until_state(instance: &Instance, state: &str) -> Value {
    let mut status = Value::Null;
    until(state, SOON, || {
        status = instance.try_status().unwrap_or_default();
        status["engine"]["state"] == state && status["library"]["listed"] == true
    });
    status
}

fn said(instance: &Instance, arguments: &[&str]) -> String {
    let output = Command::new(BUILD)
        .args(arguments)
        .arg("--socket")
        .arg(instance.runtime().join("control.sock"))
        .output()
        .expect("debridfs runs");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn arrs_and_players_go_on_without_a_mount_which_comes_when_it_can() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    for (hash, name) in [(LINKED, "Linked.2024"), (PLAYED, "Played.2024")] {
        let files = vec![FileSpec::clip(format!("/{name}.mkv"), Clip::Film)];
        simulator.know(hash, name, files);
    }
    let settings = Settings {
        launcher: WITHOUT_DEVICE.into(),
        ..Settings::default()
    };
    let rules = "[acquire.category.played]\naction = \"strm\"\n";
    let household = Household::with(&simulator, rules, settings);
    let instance = &household.instance;
    let keeper = Inside(instance.keeper_pid());
    let status = until_state(instance, "unmounted");
    let reason = status["mount"]["trouble"].as_str().expect("a reason");
    assert!(
        reason.contains("/dev/fuse") && reason.contains("os error 2"),
        "{reason}"
    );
    let grave = &status["attention"][0];
    assert_eq!(
        (grave["kind"].as_str(), grave["subject"].as_str()),
        (Some("engine"), Some("mount"))
    );
    assert!(said(instance, &["status"]).contains("NOT MOUNTED"));

    let listen = status["engine"]["listen"].as_str().expect("it listens");
    let listen = listen.parse().expect("an address");
    let (code, body) = probed(listen, "/readyz");
    assert!(code == 503 && body.contains("/dev/fuse"), "{code} {body}");
    assert_eq!(probed(listen, "/readyz?exclude=mount").0, 200);
    let (_, metrics) = probed(listen, "/metrics");
    for line in [
        "debridfs_engine_serving 0.0",
        "debridfs_attention{kind=\"engine\"} 1.0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let token = said(instance, &["token", "new", "player"]);
    let bearer = format!(
        "Authorization: Bearer {}",
        token.split_whitespace().last().expect("a token")
    );
    let dav = |path: &str, more: &[&str]| {
        let address = format!("http://{}/dav/{path}", household.http);
        run(
            "curl",
            &[&["-sSf", "-H", &bearer], more, &[&address]].concat(),
        )
    };
    assert!(dav("__all__/", &["-X", "PROPFIND", "-H", "Depth: 1"]).contains("First.2024"));

    let [links, plays] = [Dialect::Radarr, Dialect::SonarrV5];
    let (links, plays) = (
        household.arr(links, "linked"),
        household.arr(plays, "played"),
    );
    for (arr, hash) in [(&links, LINKED), (&plays, PLAYED)] {
        let magnet = format!("magnet:?xt=urn:btih:{hash}&dn=x");
        household.patiently("the grab", || arr.grab_magnet(&magnet));
    }
    // All of a household's cycle that needs no mount.
    let item = household.completed_of(&plays);
    let imported = plays.import(&item, &household.library()).expect("import");
    let address = fs::read_to_string(&imported[0]).expect("an address");
    let shown = streams(address.trim());
    assert!(
        shown.contains("video") && shown.contains("audio"),
        "{shown}"
    );
    household.patiently("the removal", || plays.remove(&item));

    until("the other waits", SOON, || {
        said(instance, &["queue", "ls"]).contains("is not mounted")
    });
    let waiting = household.patiently("the queue", || links.poll());
    assert!(
        matches!(&waiting[..], [one] if !matches!(one.status, ItemStatus::Failed | ItemStatus::Completed)),
        "{waiting:?}"
    );

    let engine = status["engine"].clone();
    keeper.give_device();
    let item = household.completed_of(&links);
    let linked = item.output_path.expect("a place").join("Linked.2024.mkv");
    let target = fs::read_link(linked).expect("a link");
    assert!(target.starts_with(instance.mount()), "{target:?}");
    assert!(fs::read(keeper.path(&target)).expect("a film") == Clip::Film.bytes());
    let status = until_state(instance, "serving");
    assert_eq!(status["mount"]["trouble"], Value::Null);
    for what in ["pid", "started"] {
        assert_eq!(
            status["engine"][what], engine[what],
            "nothing was started again"
        );
    }

    keeper.take_away(&instance.mount());
    until_state(instance, "unmounted");
    assert!(dav("__all__/", &["-X", "PROPFIND", "-H", "Depth: 1"]).contains("First.2024"));
    keeper.give_device();
    until_state(instance, "serving");
    assert!(fs::read(keeper.path(&target)).expect("a film") == Clip::Film.bytes());
}

fn keeper(instance: &Instance) -> Part {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("exec {WITHOUT_DEVICE} \"$@\""),
        "sh",
        BUILD,
        "keeper",
    ]);
    attached::part(instance, command)
}

/// Neither a keeper that is replaced, as when its container gets the device, nor a lost mount ends the engine's process.
#[test]
fn an_attached_engine_goes_on_with_the_next_keeper_and_the_next_mount() {
    let (_simulator, instance) = attached::prepare();
    let mut first = keeper(&instance);
    let mut engine = attached::engine(&instance, Path::new(BUILD), &[]);
    let started = until_state(&instance, "unmounted")["engine"]["started"].clone();
    let config = instance.config();
    let config = config.to_str().expect("text");
    let probe = || {
        Command::new(BUILD)
            .args(["--config", config, "keeper", "--probe"])
            .output()
    };
    let said = probe().expect("debridfs runs");
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.status.code() == Some(1) && words.contains("is not mounted: "),
        "{words}"
    );
    first.signal(Signal::TERM);
    first.ends();
    // It is still there, and with no keeper.
    assert_eq!(
        until_state(&instance, "unmounted")["engine"]["started"],
        started
    );
    let second = keeper(&instance);
    let inside = Inside(second.pid());
    until("it is a keeper's again", SOON, || {
        instance.log().matches("serves all but the mount").count() == 2
    });
    inside.give_device();
    let status = until_state(&instance, "serving");
    assert_eq!(status["engine"]["started"], started);
    assert!(probe().expect("debridfs runs").status.success());
    let process = engine.inner();
    inside.take_away(&instance.mount());
    until_state(&instance, "unmounted");
    inside.give_device();
    until_state(&instance, "serving");
    assert!(
        !engine.has_ended() && engine.inner() == process,
        "{}",
        instance.log()
    );
    let log = instance.log();
    assert!(!log.contains("did not end by itself"), "{log}");
}

#[test]
fn who_requires_a_mount_is_told_at_the_start_what_is_missing() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let settings = Settings {
        launcher: WITHOUT_DEVICE.into(),
        toml: "[fuse]\nrequired = true\n".into(),
        ..Settings::default()
    };
    let mut instance = Instance::start_unready(&simulator, settings);
    let mut status = None;
    until("it ends", SOON, || {
        status = instance.has_ended();
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(1));
    let log = instance.log();
    assert!(
        log.contains("/dev/fuse") && log.contains("modprobe fuse"),
        "{log}"
    );
}

/// As in a container without `--cap-add SYS_ADMIN`.
#[test]
fn without_the_capability_all_else_is_served_and_status_names_it() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let settings = Settings {
        launcher: "setpriv --bounding-set -sys_admin --inh-caps -sys_admin".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    let status = until_state(&instance, "unmounted");
    let reason = status["mount"]["trouble"].as_str().expect("a reason");
    assert!(
        reason.contains("cannot mount") && reason.contains("--cap-add SYS_ADMIN"),
        "{reason}"
    );
}
