//! Trouble at the provider leaves the tree as it was, and `status` says so.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::Duration;

use debridfs_sim::{ApiFault, Page};

use crate::support::{Instance, Settings, Simulator, film, find, until};

fn settings() -> Settings {
    Settings {
        // A full list is asked for every second, so that each kind of trouble meets one.
        library: "refresh_interval = \"300ms\"\nfull_interval = \"1s\"".into(),
        provider: "calls_per_minute = 100000".into(),
        ..Settings::default()
    }
}

/// The tree does not change while `begin` holds, `status` speaks of it, and it is over after `end`.
fn stays(what: &str, begin: impl Fn(&Simulator), end: impl Fn(&Simulator)) {
    let simulator = Simulator::start_generated(60, 2);
    let instance = Instance::start(&simulator, settings());
    instance.wait_synced();
    let before = find(&instance.mount(), "%i %p\n");
    assert!(before.len() > 180);
    begin(&simulator);
    let troubled = || {
        instance.try_status().is_some_and(|status| {
            status["healthy"] == false && !status["problems"].as_array().expect("a list").is_empty()
        })
    };
    until(
        &format!("{what}: status says so"),
        Duration::from_secs(120),
        troubled,
    );
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(find(&instance.mount(), "%i %p\n"), before, "{what}");
    println!("{what}: {}", instance.status()["problems"]);
    end(&simulator);
    // A refused token is tried again after 10 s, then after 20 s and so on: the longer a busy machine took so far, the later.
    until(
        &format!("{what}: status is well again"),
        Duration::from_secs(400),
        || {
            instance
                .try_status()
                .is_some_and(|status| status["healthy"] == true)
        },
    );
    assert_eq!(
        find(&instance.mount(), "%i %p\n"),
        before,
        "{what}, afterwards"
    );
}

#[test]
fn an_outage() {
    stays("outage", Simulator::outage, Simulator::outage_over);
}

#[test]
fn a_revoked_token() {
    stays(
        "revoked token",
        |simulator| simulator.revoke(true),
        |simulator| simulator.revoke(false),
    );
}

#[test]
fn an_empty_list() {
    stays(
        "empty list",
        |simulator| {
            simulator.api_fault(ApiFault {
                endpoint: Some("torrents".into()),
                status: Some(204),
                ..ApiFault::default()
            })
        },
        Simulator::clear_faults,
    );
}

#[test]
fn a_list_cut_in_half() {
    stays(
        "cut list",
        |simulator| {
            // 30 entries and then nothing, although the count still tells of 60.
            simulator.api_fault(ApiFault {
                endpoint: Some("torrents".into()),
                contains: Some("offset=30".into()),
                status: Some(204),
                ..ApiFault::default()
            });
            simulator.api_fault(ApiFault {
                endpoint: Some("torrents".into()),
                keep_items: Some(30),
                ..ApiFault::default()
            });
        },
        Simulator::clear_faults,
    );
}

#[test]
fn malformed_answers() {
    for page in [Page::Malformed, Page::Html] {
        stays(
            "malformed list",
            |simulator| {
                simulator.api_fault(ApiFault {
                    endpoint: Some("torrents".into()),
                    page: Some(page),
                    ..ApiFault::default()
                })
            },
            Simulator::clear_faults,
        );
    }
}

#[test]
fn before_the_first_list_views_answer_eio_and_never_look_empty() {
    let simulator = Simulator::start_generated(5, 1);
    simulator.outage();
    let instance = Instance::start_unready(&simulator, settings());
    instance.engine_pid();
    let view = instance.mount().join("__all__");
    until("the root is served", Duration::from_secs(120), || {
        view.exists()
    });
    let error = std::fs::read_dir(&view)
        .and_then(|mut entries| entries.next().expect("an error and no end"))
        .expect_err("nothing is known yet");
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    simulator.outage_over();
    instance.wait_listed();
    assert_eq!(std::fs::read_dir(&view).expect("listed").count(), 5);
}

/// An answer of a proxy: the hour that it asks for is not believed, and a person need not wait even for the rest.
#[test]
fn a_pause_for_an_hour_is_cut_and_can_be_ended() {
    let simulator = Simulator::start(vec![film("Film.2024", 1 << 20)]);
    let instance = Instance::start(&simulator, settings());
    instance.wait_synced();
    let resume = |name: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_debridfs"))
            .args(["provider", "resume", "--socket"])
            .arg(instance.runtime().join("control.sock"))
            .args(name)
            .output()
            .expect("debridfs runs")
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said(&resume(&[])), "nothing paused\n");
    simulator.api_fault(ApiFault {
        status: Some(429),
        page: Some(Page::Html),
        headers: BTreeMap::from([("Retry-After".into(), "3600".into())]),
        times: Some(1),
        ..ApiFault::default()
    });
    let pause = || instance.try_status()?["providers"][0]["cooldown_seconds"].as_f64();
    until("calls pause", Duration::from_secs(60), || pause().is_some());
    assert!(pause().is_none_or(|seconds| seconds <= 60.0));
    let unknown = resume(&["nobody"]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no provider is called \"nobody\""));
    assert!(said(&resume(&[])).starts_with("resumed: "));
    assert_eq!(pause(), None);
    let film = instance.mount().join("__all__/Film.2024/Film.2024.mkv");
    assert_eq!(std::fs::read(film).expect("played").len(), 1 << 20);
}
