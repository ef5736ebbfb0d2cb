//! `propagation-test run`.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::host::{Ended, Host, Running, base};

fn start(host: &Host, more: &[&str]) -> Running {
    let mut arguments = vec!["propagation-test", "run", "--path", host.dir()];
    arguments.extend(more);
    host.debridfs(&arguments)
}

fn run(host: &Host, more: &[&str]) -> Ended {
    start(host, more).end()
}

fn assert_fails(ended: &Ended, code: &str) {
    let report = ended.json();
    assert_eq!(report["code"], code, "{}", ended.stdout);
    assert_eq!((ended.code, &report["ok"]), (Some(1), &false.into()));
    let verdict = report["verdict"].as_array().expect("lines");
    let last = verdict.last().and_then(|line| line.as_str()).expect("text");
    assert!(last.starts_with(&format!("FAILURE: {code}: ")), "{last}");
    assert!(
        report["advice"]["fix"]
            .as_str()
            .is_some_and(|fix| !fix.is_empty())
    );
}

#[test]
fn a_private_root_is_named_and_the_fix_mends_it() {
    let host = Host::private();
    let ended = run(&host, &[]);
    assert_eq!(ended.code, Some(1));
    let fix = format!(
        "mount --rbind {0} {0} && mount --make-rshared {0}",
        host.dir()
    );
    assert!(
        ended.stdout.contains("\nFAILURE: HOST_NOT_SHARED: "),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains(&fix), "{}", ended.stdout);
    host.assert_clean();
    host.shell(&fix);
    let ended = run(&host, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    let last = ended.stdout.lines().last().expect("lines");
    assert!(
        last.starts_with("SUCCESS: Producer marker found at 20"),
        "{last}"
    );
    host.assert_clean();
}

#[test]
fn every_way_heals_or_is_named_as_a_limit() {
    let host = Host::shared();
    let ended = run(&host, &["--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(ended.json()["marker_found"].is_string());
    let none: [[String; 3]; 0] = [];
    assert_eq!(ended.steps("failed"), none);
    assert_eq!(ended.steps("warning"), none);
    let ok = ended.steps("ok");
    let has = |what: &str| ok.iter().any(|step| step[1] == what);
    for way in [
        "parent, HostToContainer, started before",
        "parent, HostToContainer, started while mounted",
        "mount point, HostToContainer, started before",
        "mount point, HostToContainer, started while mounted",
        "subPath, HostToContainer, started while mounted",
    ] {
        assert!(has(way) && has(&format!("{way}, producer killed")), "{way}");
        assert!(
            has(&format!("{way}, after SIGKILL and a new mount over it")),
            "{way}"
        );
    }
    for way in ["started before", "started while mounted"] {
        let way = format!("parent, HostToContainer, {way}");
        assert!(has(&format!("{way}, after SIGTERM")), "{way}");
        assert!(
            has(&format!("{way}, after SIGTERM and a new mount")),
            "{way}"
        );
    }
    for level in ["root", "uid 1000", "restricted"] {
        assert!(has(&format!("reading as {level}")), "{level}");
    }
    let limits = ended.steps("limit");
    for way in ["mount point", "subPath"] {
        let way = format!("{way}, HostToContainer, started while mounted");
        let stale = format!("{way}, after SIGTERM and a new mount");
        assert!(limits.iter().any(|step| step[1] == stale), "{way}");
    }
    assert!(
        limits
            .iter()
            .any(|step| step[1] == "parent, None, started before")
    );
    host.assert_clean();
}

#[test]
fn without_allow_other_users_are_shut_out() {
    let host = Host::shared();
    let ended = run(&host, &["--json", "--no-allow-other"]);
    assert_fails(&ended, "NO_ALLOW_OTHER");
    let failed = ended.steps("failed");
    assert!(
        failed.iter().all(|step| step[1].contains("reading as")),
        "{failed:?}"
    );
    assert_eq!(failed.len(), 2);
    host.assert_clean();
}

#[test]
fn a_device_that_may_not_be_opened() {
    let host = Host::shared();
    host.shell("mount --bind /dev/fuse /dev/fuse && mount -o remount,bind,nodev /dev/fuse");
    assert_fails(&run(&host, &["--json"]), "DEVICE_DENIED");
    host.assert_clean();
}

#[test]
fn no_device() {
    let host = Host::shared();
    host.shell("mount -t tmpfs none /dev && mknod -m 666 /dev/urandom c 1 9 && mknod -m 666 /dev/null c 1 3");
    let ended = run(&host, &["--json"]);
    assert_fails(&ended, "DEVICE_DENIED");
    assert!(ended.stdout.contains("No such file or directory"));
    host.assert_clean();
}

#[test]
fn without_the_capability() {
    let host = Host::shared();
    let starter = ["setpriv", "--bounding-set", "-sys_admin"];
    let arguments = ["propagation-test", "run", "--json", "--path", host.dir()];
    assert_fails(
        &host.debridfs_by(&starter, &arguments).end(),
        "NO_SYS_ADMIN",
    );
    host.assert_clean();
}

#[test]
fn writes_that_would_reach_the_host_are_a_warning() {
    let host = Host::shared();
    // Has no immutable flag.
    host.shell(&format!(
        "mount -t ramfs none {0} && mount --make-shared {0}",
        host.dir()
    ));
    let ended = run(&host, &["--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    let warnings = ended.steps("warning");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0][1], "writing as root while nothing is mounted");
    assert_eq!(warnings[0][2], "WRITES_REACH_HOST_ROOT");
    host.assert_clean();
}

#[test]
fn what_others_put_into_its_directory_is_named_and_left() {
    let host = Host::shared();
    let running = start(&host, &["--json"]);
    let foreign = base(&host).join("foreign");
    host.shell(&format!("touch {}", foreign.display()));
    let ended = running.end();
    assert_fails(&ended, "CLEANUP_INCOMPLETE");
    assert!(ended.stdout.contains("(foreign)"), "{}", ended.stdout);
    assert!(host.mounts().is_empty());
    host.shell(&format!(
        "rm {} && rmdir {}",
        foreign.display(),
        base(&host).display()
    ));
}

#[test]
fn ended_at_any_moment_it_leaves_nothing() {
    let host = Host::shared();
    let signals = [Signal::TERM, Signal::INT, Signal::HUP];
    for (round, signal) in signals.into_iter().cycle().take(9).enumerate() {
        let mut running = start(&host, &["--json"]);
        base(&host);
        std::thread::sleep(Duration::from_millis(70 * round as u64));
        if running.is_running() {
            running.signal(signal);
        }
        let ended = running.end();
        // On a fast machine it may have been over.
        if ended.code != Some(0) {
            assert_fails(&ended, "INTERRUPTED");
        }
        host.assert_clean();
    }
}

#[test]
fn killed_at_any_moment_it_leaves_nothing() {
    let host = Host::shared();
    for round in 0..6_u64 {
        let mut running = start(&host, &["--json"]);
        base(&host);
        std::thread::sleep(Duration::from_millis(110 * round));
        if running.is_running() {
            running.signal(Signal::KILL);
        }
        running.end();
        host.assert_clean();
    }
}

/// The test may be killed between the start of a helper and the moment at which it asks to end with the test. The engine's helper would wait for its
/// keeper for ever.
#[test]
fn a_helper_whose_starter_is_gone_ends_at_once() {
    let host = Host::private();
    let marker = json!({ "nonce": "0", "started": "2026-11-30T00:00:00Z" });
    let socket = format!("{}/no-keeper", host.dir());
    let serve = json!({
        "Serve": { "place": null, "level": "own", "socket": socket, "marker": marker }
    });
    // Process 1 is alive, and did not start it.
    let ended = host
        .debridfs(&["propagation-helper", "--parent=1", &serve.to_string()])
        .end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("No such process"), "{}", ended.stderr);
}

#[test]
fn a_directory_that_is_not_there_is_a_usage_error() {
    let host = Host::private();
    let missing = format!("{}/missing", host.dir());
    let ended = host
        .debridfs(&["propagation-test", "run", "--path", &missing])
        .end();
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("is not a directory"),
        "{}",
        ended.stderr
    );
}
