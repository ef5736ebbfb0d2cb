//! `debridfs why`: what happened to a file, how it stands, and what to do, over a restart of the engine.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use debridfs_sim::{CdnFault, CdnFaultKind, content};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Instance, Settings, Simulator, broken, film, until};

/// `debridfs why --json`: its exit code, report and words on standard error.
fn why(instance: &Instance, path: &str) -> (i32, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .args(["why", "--json", "--socket"])
        .arg(instance.runtime().join("control.sock"))
        .arg(path)
        .output()
        .expect("debridfs why runs");
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("an exit code"), report, words)
}

/// Reads 64 KiB and compares them.
fn read(path: &Path, key: u64, offset: u64) -> std::io::Result<()> {
    let (mut bytes, mut expected) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    File::open(path)?.read_exact_at(&mut bytes, offset)?;
    content::fill(key, offset, &mut expected);
    assert!(bytes == expected, "wrong bytes at {offset}");
    Ok(())
}

/// Kills the engine and waits for the next one.
fn replace_engine(instance: &Instance) {
    let engine = instance.engine_pid();
    assert!(instance.signal_engine(Signal::KILL));
    until("another engine serves", Duration::from_secs(120), || {
        instance.engine_pid() != engine
    });
    instance.wait_listed();
}

fn kinds(file: &Value) -> Vec<&str> {
    let events = file["events"].as_array().expect("a list");
    events
        .iter()
        .filter_map(|event| event["what"].as_str())
        .collect()
}

#[test]
fn a_file_in_trouble_and_well_again() {
    let simulator = Simulator::start(vec![film("Film.2024", 1 << 30), broken("Broken")]);
    let settings = Settings {
        mount: "read_deadline = \"2s\"".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let (name, key) = simulator.file("Film.2024.mkv");
    let path = instance.mount().join("__all__/Film.2024").join(name);
    let text = path.to_str().expect("text");

    let (code, report, _) = why(&instance, text);
    assert_eq!(
        (code, report["state"].as_str()),
        (0, Some("quiet")),
        "{report}"
    );

    let id = simulator.id("Film.2024");
    let copies = &report["release"]["copies"];
    assert_eq!(copies.as_array().expect("copies").len(), 1, "{report}");
    let copy = &copies[0];
    assert_eq!(
        (&copy["id"], &copy["health"]),
        (&id.into(), &"good".into()),
        "{report}"
    );
    assert_eq!(copy["provider"], report["release"]["providers"][0]);
    assert!(copy["verdict"].is_null(), "{report}");

    simulator.fault(CdnFault::everywhere(CdnFaultKind::Status {
        status: 404,
        x_error: Some("link_not_found".into()),
        retry_after: None,
    }));
    read(&path, key, 1 << 20).expect_err("no byte was to be had");
    let in_trouble = |path: &str| {
        let (code, report, _) = why(&instance, path);
        assert_eq!(
            (code, report["state"].as_str()),
            (1, Some("trouble")),
            "{report}"
        );
        let advice = report["advice"][0].as_str().expect("advice");
        assert!(advice.contains("a new link is asked for"), "{advice}");
        let file = &report["files"][0];
        let kinds = kinds(file);
        for kind in ["link_made", "link_refused", "read_failed"] {
            assert!(kinds.contains(&kind), "{kind} in {file}");
        }
        assert!(file.to_string().contains("link_not_found"), "{file}");
        assert!(!file.to_string().contains("http://"), "{file}");
    };
    // As people write it.
    for path in [
        text,
        "__all__/Film.2024/Film.2024.mkv",
        "Film.2024",
        "/elsewhere/dfs/__all__/Film.2024",
    ] {
        in_trouble(path);
    }
    // Written a second after it happened.
    let log = instance.state().join("events.jsonl");
    until("the history is written", Duration::from_secs(120), || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("read_failed"))
    });
    replace_engine(&instance);
    in_trouble(text);

    simulator.clear_faults();
    until("a read goes through", Duration::from_secs(120), || {
        read(&path, key, 2 << 20).is_ok()
    });
    let (code, report, _) = why(&instance, text);
    assert_eq!(
        (code, report["state"].as_str()),
        (0, Some("fine")),
        "{report}"
    );
    assert!(
        kinds(&report["files"][0]).contains(&"recovered"),
        "{report}"
    );

    let (code, report, _) = why(&instance, "__bad__/Broken");
    assert_eq!(
        (code, report["state"].as_str()),
        (1, Some("bad")),
        "{report}"
    );
    assert_eq!(report["release"]["reason"], "missing-links");
    for (path, summary) in [
        ("version.txt", "the program's own file"),
        ("__all__", "a directory of releases"),
    ] {
        let (code, report, _) = why(&instance, path);
        let said = report["summary"].as_str().unwrap_or_default();
        assert!(code == 0 && said.starts_with(summary), "{path}: {report}");
    }
    let (code, _, words) = why(&instance, "__all__/Nothing.Of.That.Name");
    assert_eq!(code, 1);
    assert!(words.contains("is not in the library"), "{words}");
}

/// The second key takes over without an error, and counts outlive the engine.
#[test]
fn keys_take_over_and_counts_outlive_the_engine() {
    let simulator = Simulator::start(vec![film("Film.2024", 1 << 30)]);
    simulator.add_key("SECOND");
    simulator.traffic_cap(4 << 20);
    let settings = Settings {
        provider: "download_tokens = [\"SECOND\"]".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let (name, key) = simulator.file("Film.2024.mkv");
    let path = instance.mount().join("__all__/Film.2024").join(name);
    let keys = || instance.status()["providers"][0]["keys"].clone();
    let mut at = 1u64;
    while keys()[1]["traffic_counted"] == 0 {
        assert!(at < 500, "{}", keys());
        read(&path, key, at << 21).expect("the next key takes over");
        at += 1;
    }
    // Noted a second after it was counted, and what is read ahead may be counted later.
    let noted = instance.state().join("traffic-rd");
    let mut before = Value::Null;
    until("the counts are noted", Duration::from_secs(120), || {
        before = keys();
        let text = std::fs::read_to_string(&noted).unwrap_or_default();
        [0, 1].iter().all(|&number: &usize| {
            let counted = &before[number]["traffic_counted"];
            text.contains(&format!("\"counted\":{counted},"))
        })
    });
    assert_eq!(before[0]["used_up"], true, "{before}");
    assert_eq!(before[1]["used_up"], false, "{before}");
    assert!(
        before[0]["traffic_counted"].as_u64() > Some(1 << 20),
        "{before}"
    );
    assert_eq!(instance.status()["healthy"], true);
    let (_, report, _) = why(&instance, "Film.2024");
    let kinds = kinds(&report["files"][0]);
    assert!(kinds.contains(&"out_of_traffic"), "{report}");

    replace_engine(&instance);
    let after = keys();
    assert_eq!(after[0]["used_up"], true, "{after}");
    for number in [0, 1] {
        assert_eq!(
            after[number]["traffic_counted"], before[number]["traffic_counted"],
            "{after}"
        );
    }
    read(&path, key, at << 21).expect("the second key has traffic");
    for token in ["SECOND", &simulator.token()] {
        assert!(!instance.log().contains(token), "a token in the log");
    }
}
