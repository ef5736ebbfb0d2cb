//! One FUSE backend takes the place of another on a live mount, by command, by the configuration and after a kill.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::attached::{self, BUILD, Part};
use crate::support::{Instance, Reader, Settings, Simulator, connection, film, until};

pub fn backend(instance: &Instance, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .arg("backend")
        .args(arguments)
        .arg("--socket")
        .arg(instance.runtime().join("control.sock"))
        .output()
        .expect("debridfs backend runs")
}

/// Requests that both backends have answered, and those about which they differ.
pub fn compared(instance: &Instance) -> (u64, u64) {
    let said = backend(instance, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&said.stdout).expect("JSON");
    let kinds = status["compared"]["kinds"].as_array().expect("a list");
    let sum = |key: &str| kinds.iter().filter_map(|kind| kind[key].as_u64()).sum();
    (sum("compared"), sum("diverged"))
}

fn switch(instance: &Instance, to: &str) {
    let said = backend(instance, &["switch", to]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(instance.status()["backend"], to);
}

/// Waits for an engine after `before`.
fn wait_for_another(instance: &Instance, before: rustix::process::Pid) {
    until("another engine serves", Duration::from_secs(120), || {
        // Without an engine the keeper tells what it knows, which is no start of an engine.
        instance.try_status().is_some_and(|status| {
            let engine = &status["engine"];
            let pid = i64::from(before.as_raw_nonzero().get());
            !engine["started"].is_null() && engine["pid"] != pid
        })
    });
}

/// Writes another `fuse.backend` into the configuration.
fn set_backend(instance: &Instance, to: &str) {
    let text = fs::read_to_string(instance.config()).expect("the configuration");
    let (before, after) = text.split_once("[fuse]\nbackend = \"").expect("[fuse]");
    let (_, rest) = after.split_once('"').expect("a value");
    let text = format!("{before}[fuse]\nbackend = \"{to}\"{rest}");
    write_settings(instance, &text);
}

fn write_settings(instance: &Instance, text: &str) {
    fs::write(instance.config(), text).expect("written");
}

fn settings(backend: &str) -> Settings {
    Settings {
        toml: format!("[fuse]\nbackend = \"{backend}\"\n"),
        ..Settings::default()
    }
}

#[test]
fn backends_take_each_others_place_under_readers() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let instance = Instance::start(&simulator, settings("fbrs"));
    instance.wait_synced();
    let mount = connection(&instance.mount());
    assert_eq!(instance.status()["backend"], "fbrs");
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p");
    let readers = ["buffered", "direct", "mmap"]
        .map(|mode| (mode, Reader::start(mode, &path.join(&name), key)));
    until("bytes are asked for", Duration::from_secs(120), || {
        simulator.transfers() > 0
    });

    // Nothing was switched, so nothing can be taken back.
    let said = backend(&instance, &["rollback"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    for to in ["native", "fbrs", "native"] {
        switch(&instance, to);
    }
    let said = backend(&instance, &["rollback"]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(instance.status()["backend"], "fbrs");
    let said = backend(&instance, &["switch", "uring"]);
    let words = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(2), "{words}");
    assert!(words.contains("there are native and fbrs"), "{words}");

    // A switch outlives the engine that made it, and so does a rollout.
    switch(&instance, "native");
    let start = ["rollout", "start", "fbrs", "--stages", "60%:1h,100%:1h"];
    let said = backend(&instance, &start);
    assert!(said.status.success(), "{said:?}");
    let engine = instance.engine_pid();
    instance.signal_engine(Signal::KILL);
    wait_for_another(&instance, engine);
    assert_eq!(instance.status()["backend"], "native");
    let said = backend(&instance, &["rollout", "status"]);
    let words = String::from_utf8_lossy(&said.stdout);
    assert!(
        words.contains("fbrs     answers for 60 % of the nodes"),
        "{words}"
    );
    let said = backend(&instance, &["rollback"]);
    let words = String::from_utf8_lossy(&said.stdout);
    assert!(
        words.contains("native answers everything again (by hand)"),
        "{words}"
    );
    assert!(words.contains("fbrs     available"), "{words}");
    assert_eq!(instance.status()["backend"], "native");

    // A setting that changed since is the later word; SIGHUP brings it in.
    let engine = instance.engine_pid();
    set_backend(&instance, "native");
    kill_process(instance.keeper_pid(), Signal::HUP).expect("a child of ours");
    wait_for_another(&instance, engine);
    switch(&instance, "fbrs");
    let engine = instance.engine_pid();
    set_backend(&instance, "fbrs");
    kill_process(instance.keeper_pid(), Signal::HUP).expect("a child of ours");
    wait_for_another(&instance, engine);
    assert_eq!(instance.status()["backend"], "fbrs");

    assert_eq!(connection(&instance.mount()), mount);
    for (mode, reader) in readers {
        let outcome = reader.finish();
        println!("{mode}: {outcome:?}");
        outcome.assert_clean(mode);
    }
}

/// As process 1 of a container.
fn supervised(instance: &Instance) -> Part {
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child", BUILD])
        .args(["supervise", "engine"]);
    attached::part(instance, command)
}

/// `kill -HUP 1` in the engine's container.
#[test]
fn an_attached_engine_takes_sighup() {
    let (simulator, instance) = attached::prepare_with("[fuse]\nbackend = \"native\"\n");
    let keeper = attached::keeper(&instance);
    attached::wait_mounted(&instance);
    let engine = supervised(&instance);
    instance.wait_synced();
    let readers = attached::start_readers(&simulator, &instance);
    let started = || {
        instance
            .try_status()
            .map(|status| status["engine"]["started"].clone())
    };
    let first = started().expect("an engine serves");
    let backend_is = |name: &str| {
        until(name, Duration::from_secs(60), || {
            instance
                .try_status()
                .is_some_and(|status| status["backend"] == name)
        });
    };

    // Only the backend differs: no new engine for that.
    set_backend(&instance, "fbrs");
    engine.signal_inner(Signal::HUP);
    backend_is("fbrs");
    assert_eq!(started(), Some(first.clone()));

    // Wrong settings change nothing.
    let right = fs::read_to_string(instance.config()).expect("the configuration");
    write_settings(&instance, &right.replace("[fuse]", "[fuze]"));
    engine.signal_inner(Signal::HUP);
    until("it is said", Duration::from_secs(60), || {
        instance.log().contains("SIGHUP changes nothing")
    });
    assert_eq!(started(), Some(first.clone()));

    // Anything else takes a new engine.
    let other = right.replace("backend = \"fbrs\"", "backend = \"native\"");
    write_settings(&instance, &format!("{other}\n[log]\nlevel = \"debug\"\n"));
    engine.signal_inner(Signal::HUP);
    until("another engine serves", Duration::from_secs(120), || {
        started().is_some_and(|now| !now.is_null() && now != first)
    });
    backend_is("native");

    for outcome in attached::finish(readers) {
        println!("{outcome:?}");
    }
    assert_eq!(simulator.unrestricted(), 1);
    attached::stop(&instance, engine, &keeper);
}
