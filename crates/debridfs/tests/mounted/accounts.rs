//! `debridfs provider ls`, `test` and `move` at a running instance with two accounts.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output};
use std::time::Duration;

use debridfs_sim::{FileSpec, Kind, ReleaseSpec};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Instance, Settings, Simulator, film, until};

const HASH: &str = "00112233445566778899aabbccddeeff00112233";
const LIMIT: Duration = Duration::from_secs(120);

fn command(instance: &Instance, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_debridfs"));
    let socket = instance.runtime().join("control.sock");
    command.arg("provider").args(arguments);
    command.arg("--socket").arg(socket);
    command
}

/// How `debridfs provider …` ended, and what it printed.
fn said(instance: &Instance, arguments: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(instance, arguments)
        .output()
        .expect("debridfs runs");
    let words = [stdout, stderr].concat();
    (status.code(), String::from_utf8(words).expect("text"))
}

fn json(instance: &Instance, arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, words) = said(instance, &[arguments, &["--json"]].concat());
    let value = serde_json::from_str(&words);
    (
        code,
        value.unwrap_or_else(|error| panic!("{error}: {words}")),
    )
}

/// Accounts at Real-Debrid, which has a film and a show, and at TorBox, which has to download the show.
fn accounts() -> (Simulator, Simulator, Instance) {
    let show = |copies: u32| ReleaseSpec {
        hash: Some(HASH.to_owned()),
        copies,
        cached: false,
        ..ReleaseSpec::new(
            "Show.S01",
            (1..=2)
                .map(|n| FileSpec::generated(format!("/Show.S01E{n:02}.mkv"), 8 << 20))
                .collect(),
        )
    };
    let rd = Simulator::start(vec![film("Film.2024", 8 << 20), show(1)]);
    let tb = Simulator::of(Kind::TorBox, vec![film("Other.2020", 8 << 20)]);
    tb.add_spec(show(0));
    let settings = Settings {
        toml: format!(
            "[provider.tb]\nkind = \"torbox\"\ntoken = \"{}\"\napi_url = \"{}\"\n",
            tb.token(),
            tb.api_url()
        ),
        ..Settings::default()
    };
    let instance = Instance::start(&rd, settings);
    instance.wait_synced();
    (rd, tb, instance)
}

#[test]
fn accounts_are_listed_and_tried_and_trouble_is_an_exit_code() {
    let (_rd, tb, instance) = accounts();
    let (code, words) = said(&instance, &["ls"]);
    assert_eq!(code, Some(0), "{words}");
    for part in [
        "rd (real-debrid): ok",
        "tb (torbox): ok",
        "plan pro",
        "slots",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let (code, listed) = json(&instance, &["ls"]);
    assert_eq!(code, Some(0), "{listed}");
    let listed = listed.as_array().expect("a list");
    let names: Vec<_> = listed.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["rd", "tb"]);
    for name in ["rd", "tb"] {
        let (code, steps) = json(&instance, &["test", name]);
        assert_eq!(code, Some(0), "{steps}");
        let steps = steps.as_array().expect("a list");
        let ok = steps.iter().all(|step| step["ok"] == true);
        assert!(ok && steps.len() == 4, "{name}: {steps:?}");
    }
    let (code, words) = said(&instance, &["test", "nobody"]);
    assert!(code != Some(0) && words.contains("nobody"), "{words}");

    tb.revoke(true);
    let (code, words) = said(&instance, &["test", "tb"]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("token  FAILED"), "{words}");
    until("the list says so too", LIMIT, || {
        let (code, words) = said(&instance, &["ls"]);
        code == Some(1) && words.contains("tb (torbox): FAILING")
    });
}

#[test]
fn a_move_is_shown_outlives_a_kill_and_is_done_once() {
    let (rd, tb, instance) = accounts();
    let path = instance.mount().join("__all__/Show.S01/Show.S01E01.mkv");
    let inode = fs::metadata(&path).expect("there").ino();
    let (code, words) = said(&instance, &["move", "Nothing.Like.It", "--to", "tb"]);
    assert!(
        code != Some(0) && words.contains("Nothing.Like.It"),
        "{words}"
    );
    tb.download_slowly();
    let mut moving = command(&instance, &["move", "Show.S01", "--to", "tb"]);
    let moving = moving
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("debridfs runs");
    until("it is added there", LIMIT, || tb.torrents_of(HASH) == 1);
    assert!(instance.signal_engine(Signal::KILL));
    instance.wait_listed();
    let (code, listed) = json(&instance, &["move"]);
    assert_eq!(
        (code, &listed[0]["name"]),
        (Some(0), &"Show.S01".into()),
        "{listed}"
    );
    tb.download_quickly();
    tb.advance(Duration::from_secs(3600));
    let shown = moving.wait_with_output().expect("a child of ours");
    let words = String::from_utf8(shown.stdout).expect("text");
    assert!(shown.status.success(), "{words}");
    assert!(words.contains("Show.S01 to tb: waiting"), "{words}");
    assert!(words.contains("2 files were compared"), "{words}");
    assert_eq!((rd.torrents_of(HASH), tb.torrents_of(HASH)), (1, 1));
    assert_eq!(fs::metadata(&path).expect("there").ino(), inode);
}
