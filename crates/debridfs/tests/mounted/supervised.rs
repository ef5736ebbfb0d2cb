//! `debridfs supervise` as process 1 of both containers: a crash is not the end of a container, so nothing waits for its runtime.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::attached::{self, BUILD, Part};
use crate::support::{Instance, Reader, Simulator, connection, free_address, until};

/// How often each of the two is killed.
const ROUNDS: usize = 10;

fn supervised(instance: &Instance, command: &[&str]) -> Part {
    let mut program = Command::new(BUILD);
    program.arg("supervise").args(command);
    attached::part(instance, program)
}

/// As a pod has it: with an address of its own.
fn engine_at(instance: &Instance, address: SocketAddr, replace: bool) -> Part {
    let mut program = Command::new(BUILD);
    program.env("DEBRIDFS__SERVER__LISTEN", address.to_string());
    program.args(["supervise", "engine"]);
    if replace {
        program.arg("--replace");
    }
    attached::part(instance, program)
}

/// What a probe gets: the code of the answer, 0 without any, and its text.
pub fn probed(address: SocketAddr, path: &str) -> (u16, String) {
    let address = format!("http://{address}{path}");
    let limit = [
        "--silent",
        "--max-time",
        "5",
        "--write-out",
        "\n%{http_code}",
    ];
    let output = Command::new("curl").args(limit).arg(address).output();
    let said = String::from_utf8(output.expect("curl runs").stdout).expect("text");
    let (body, code) = said.rsplit_once('\n').expect("a code");
    (code.parse().expect("a number"), body.to_owned())
}

fn until_ready(address: SocketAddr) {
    until("it is ready", Duration::from_secs(120), || {
        probed(address, "/readyz").0 == 200
    });
}

fn film_readers(simulator: &Simulator, instance: &Instance) -> [(&'static str, Reader); 2] {
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    ["buffered", "direct"].map(|mode| (mode, Reader::start(mode, &path, key)))
}

fn finish(readers: [(&'static str, Reader); 2]) {
    for (mode, reader) in readers {
        let outcome = reader.finish();
        println!("{mode}: {outcome:?}");
        outcome.assert_clean(mode);
    }
}

/// Kills what `part` runs, and waits until it runs another one.
fn kill_inner(part: &Part) {
    let before = part.inner().expect("it runs a program");
    part.signal_inner(Signal::KILL);
    another(part, before);
}

fn another(part: &Part, before: Pid) {
    until("it is started again", Duration::from_secs(120), || {
        part.inner().is_some_and(|now| now != before)
    });
}

#[test]
fn ten_kills_of_each_in_turn_are_pauses() {
    let (simulator, instance) = attached::prepare();
    let mut keeper = supervised(&instance, &["keeper"]);
    let mount = attached::wait_mounted(&instance);
    let mut engine = supervised(&instance, &["engine"]);
    instance.wait_synced();
    for (part, shown) in [(&keeper, "debridfs-keeper"), (&engine, "debridfs-engine")] {
        let pid = part.inner().expect("it runs a program").as_raw_pid();
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        assert_eq!(name.expect("it lives").trim(), shown);
    }
    let readers = film_readers(&simulator, &instance);
    for round in 1..=ROUNDS {
        std::thread::sleep(Duration::from_millis(300));
        kill_inner(&engine);
        instance.engine_pid();
        std::thread::sleep(Duration::from_millis(300));
        kill_inner(&keeper);
        until(
            "the new keeper has the mount",
            Duration::from_secs(120),
            || instance.log().matches("took ").count() == round,
        );
    }
    finish(readers);
    assert_eq!(connection(&instance.mount()), Some(mount));
    let log = instance.log();
    for what in ["engine", "keeper"] {
        let last = format!("{what} was killed by signal 9");
        assert_eq!(log.matches(&last).count(), ROUNDS, "{log}");
    }
    assert!(log.contains("started again, for the 10. time"));
    engine.signal(Signal::TERM);
    assert!(engine.ends().success());
    keeper.signal(Signal::TERM);
    assert!(keeper.ends().success());
    assert_eq!(connection(&instance.mount()), None);
}

/// A rollout: the new pod runs beside the old one, which is stopped when the new one has been ready for a while. Were the old one's container
/// restarted because nobody answers its probe, it would take over again.
#[test]
fn an_engine_that_was_replaced_stays_so_and_answers_probes() {
    let (simulator, instance) = attached::prepare();
    let keeper = attached::keeper(&instance);
    attached::wait_mounted(&instance);
    let [at_old, at_new] = [free_address(), free_address()];
    let mut old = engine_at(&instance, at_old, true);
    instance.wait_synced();
    until_ready(at_old);
    let readers = film_readers(&simulator, &instance);
    let new = engine_at(&instance, at_new, true);
    until("the old one waits", Duration::from_secs(120), || {
        instance.log().contains("waiting to be stopped")
    });
    until_ready(at_new);
    until("the old one is alive", Duration::from_secs(20), || {
        probed(at_old, "/livez").0 == 200
    });
    let serving = instance.engine_pid();
    // Longer than an absence of the new one would be borne.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(15) {
        assert_eq!(probed(at_old, "/livez"), (200, "ok\n".into()));
        let (code, reason) = probed(at_old, "/readyz");
        assert_eq!(code, 503);
        assert!(reason.contains("another engine has taken over"), "{reason}");
        assert!(old.inner().is_none() && !old.has_ended());
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(instance.engine_pid(), serving, "{}", instance.log());
    // The newer one is still started again, and at once.
    kill_inner(&new);
    until_ready(at_new);
    assert!(old.inner().is_none());
    old.signal(Signal::TERM);
    assert!(old.ends().success());
    finish(readers);
    attached::stop(&instance, new, &keeper);
}

/// A wrong configuration, and a program that crashes before it can serve: a wrong tag starts nothing at all.
#[test]
fn a_second_engine_that_never_serves_changes_nothing() {
    let (simulator, instance) = attached::prepare();
    let keeper = attached::keeper(&instance);
    attached::wait_mounted(&instance);
    let (at_old, at_new) = (free_address(), free_address());
    let old = engine_at(&instance, at_old, true);
    instance.wait_synced();
    let serving = instance.engine_pid();
    let readers = film_readers(&simulator, &instance);
    let mut wrong = Command::new(BUILD);
    wrong.env("DEBRIDFS__PROVIDER__RD__TOKEN", "");
    wrong.args(["supervise", "engine", "--replace"]);
    let mut wrong = attached::part(&instance, wrong);
    assert_eq!(wrong.ends().code(), Some(2), "{}", instance.log());
    let mut crashing = Command::new(BUILD);
    // The hook is not allowed without another variable, which ends the engine.
    crashing.env("DEBRIDFS_TEST_CRASH", "lookup:film");
    crashing.env("DEBRIDFS__SERVER__LISTEN", at_new.to_string());
    crashing.args(["supervise", "engine", "--replace"]);
    let crashing = attached::part(&instance, crashing);
    until(
        "it crashes again and again",
        Duration::from_secs(120),
        || instance.log().contains("started again, for the 5. time"),
    );
    drop(crashing);
    assert_eq!(instance.engine_pid(), serving);
    until_ready(at_old);
    finish(readers);
    attached::stop(&instance, old, &keeper);
}

/// A third of `mount.read_deadline` without any engine: the one that was replaced serves, until a newer one comes.
#[test]
fn an_engine_that_was_replaced_is_needed_again_when_the_new_one_is_gone() {
    let (simulator, instance) = attached::prepare();
    let keeper = attached::keeper(&instance);
    attached::wait_mounted(&instance);
    let [at_old, at_new] = [free_address(), free_address()];
    let old = engine_at(&instance, at_old, true);
    instance.wait_synced();
    let readers = film_readers(&simulator, &instance);
    let waits = |times: usize| {
        until("the old one waits", Duration::from_secs(120), || {
            instance.log().matches("waiting to be stopped").count() == times
        });
    };
    let new = engine_at(&instance, at_new, true);
    waits(1);
    until_ready(at_new);
    drop(new);
    until_ready(at_old);
    // It came from nowhere but its own supervisor, and gives way again.
    assert!(old.inner().is_some());
    let new = engine_at(&instance, at_new, true);
    waits(2);
    until_ready(at_new);
    kill_inner(&new);
    until_ready(at_new);
    assert!(old.inner().is_none());
    finish(readers);
    drop(old);
    attached::stop(&instance, new, &keeper);
}

#[test]
fn a_wrong_configuration_ends_it_at_once() {
    let (_simulator, instance) = attached::prepare();
    std::fs::write(instance.config(), "[mount]\nno_such_key = 1\n").expect("written");
    let mut engine = supervised(&instance, &["engine"]);
    assert_eq!(engine.ends().code(), Some(2), "{}", instance.log());
    assert!(!Path::new(&instance.mount()).join("__all__").exists());
    assert!(!instance.log().contains("started again"));
}
