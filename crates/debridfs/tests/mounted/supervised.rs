//! `debridfs supervise` as process 1 of both containers: a crash is not the end of a container, so nothing waits for its runtime.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::attached::{self, BUILD, Part};
use crate::support::{Instance, Reader, connection, until};

/// How often each of the two is killed.
const ROUNDS: usize = 10;

fn supervised(instance: &Instance, command: &[&str]) -> Part {
    let mut program = Command::new(BUILD);
    program.arg("supervise").args(command);
    attached::part(instance, program)
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
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    let readers = ["buffered", "direct"].map(|mode| (mode, Reader::start(mode, &path, key)));
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
    for (mode, reader) in readers {
        let outcome = reader.finish();
        println!("{mode}: {outcome:?}");
        outcome.assert_clean(mode);
    }
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

/// Or two containers would take over from each other for ever.
#[test]
fn an_engine_that_was_replaced_is_not_started_again() {
    let (_simulator, instance) = attached::prepare();
    let keeper = attached::keeper(&instance);
    attached::wait_mounted(&instance);
    let mut old = supervised(&instance, &["engine"]);
    instance.wait_synced();
    let new = supervised(&instance, &["engine", "--replace"]);
    until("the old one waits", Duration::from_secs(120), || {
        instance.log().contains("waiting to be stopped")
    });
    assert!(old.inner().is_none() && !old.has_ended());
    // The newer one is still started again.
    kill_inner(&new);
    instance.engine_pid();
    old.signal(Signal::TERM);
    assert!(old.ends().success());
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
