//! An arr grabs, imports and removes through the whole program, by symlinks: `docs/arrs.md`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use debridfs_sim::arr::Arr;
use debridfs_sim::{Clip, FileSpec};

use crate::support::{Household, Simulator, film, run, streams, until};

const HASH: &str = "00112233445566778899aabbccddeeff00112233";

fn season() -> Vec<FileSpec> {
    let mut files: Vec<FileSpec> = (1..=3)
        .map(|n| FileSpec::clip(format!("/Grabbed.S01E{n:02}.mkv"), Clip::Episode))
        .collect();
    files.push(FileSpec::clip("/Grabbed.S01E01.srt", Clip::Subtitles));
    files.push(FileSpec::generated("/proof.nfo", 100));
    files
}

#[test]
fn a_magnet_is_grabbed_imported_through_the_mount_and_removed() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    simulator.know(HASH, "Grabbed.S01.1080p", season());
    let household = Household::new(&simulator);
    let magnet = format!("magnet:?xt=urn:btih:{HASH}&dn=Grabbed.S01.1080p");
    household.patiently("the grab", || household.arr.grab_magnet(&magnet));
    let item = household.completed();
    assert_eq!(item.download_id, HASH.to_uppercase());
    assert_eq!(
        item.output_path,
        Some(household.downloads().join("tv/Grabbed.S01.1080p"))
    );

    let imported = household
        .arr
        .import(&item, &household.library())
        .expect("import");
    assert_eq!(imported.len(), 3);
    for film in &imported {
        let shown = streams(film.to_str().expect("text"));
        assert!(
            shown.contains("video") && shown.contains("audio"),
            "{shown}"
        );
        let target = fs::read_link(film).expect("a link");
        assert!(
            target.starts_with(household.instance.mount().join("__all__")),
            "{target:?}"
        );
    }
    let listed = run(
        env!("CARGO_BIN_EXE_debridfs"),
        &[
            "queue",
            "ls",
            "--socket",
            household
                .instance
                .runtime()
                .join("control.sock")
                .to_str()
                .expect("text"),
        ],
    );
    assert!(
        listed.contains(HASH) && listed.contains("complete"),
        "{listed}"
    );
    let status = household.instance.status();
    let jobs = status["queue"]["jobs"].as_array().expect("steps").clone();
    assert!(
        jobs.iter()
            .any(|step| step["step"] == "complete" && step["jobs"] == 1),
        "{jobs:?}"
    );

    household.patiently("the removal", || household.arr.remove(&item));
    assert!(household.poll().is_empty());
    assert!(!household.downloads().join("tv/Grabbed.S01.1080p").exists());
    // Configured so; by default the account keeps it, and what was imported plays on.
    until(
        "it is deleted from the account",
        Duration::from_secs(120),
        || simulator.torrents_of(HASH) == 0,
    );
}

#[test]
fn what_a_grab_was_told_is_not_asked_again() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    simulator.know(HASH, "Grabbed.S01.1080p", season());
    let household = Household::new(&simulator);
    household.instance.wait_synced();
    let before = simulator.calls_of("torrents/info");
    let magnet = format!("magnet:?xt=urn:btih:{HASH}&dn=Grabbed.S01.1080p");
    household.patiently("the grab", || household.arr.grab_magnet(&magnet));
    household.completed();
    let asked = simulator.calls_of("torrents/info") - before;
    assert_eq!(asked, 2, "before and after its files were selected");
}

#[test]
fn a_download_is_followed_until_it_is_over() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    simulator.know(HASH, "Grabbed.S01.1080p", season());
    let household = Household::new(&simulator);
    // It cannot be probed, so it is not complete.
    simulator.stall();
    let magnet = format!("magnet:?xt=urn:btih:{HASH}&dn=Grabbed.S01.1080p");
    household.patiently("the grab", || household.arr.grab_magnet(&magnet));
    let mut watch = Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .args(["queue", "ls", "--watch", "--socket"])
        .arg(household.instance.runtime().join("control.sock"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("debridfs queue runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert!(first.contains(HASH), "{first}");
    assert!(!first.contains("complete"), "{first}");
    simulator.clear_faults();
    let last = lines.last().expect("another line").expect("text");
    assert!(last.contains(HASH) && last.contains("complete"), "{last}");
    assert!(watch.wait().expect("a child of ours").success());
}

#[test]
fn a_torrent_file_is_grabbed_and_wrong_passwords_are_not_let_in() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let file = b"d4:infod6:lengthi1048576e4:name8:Film.mkv12:piece lengthi1e6:pieces0:ee";
    simulator.know_unknown_hashes();
    let household = Household::new(&simulator);
    household.patiently("the grab", || household.arr.grab_file(file));
    let item = household.completed();
    let imported = household
        .arr
        .import(&item, &household.library())
        .expect("import");
    assert_eq!(
        fs::metadata(&imported[0]).expect("through the link").len(),
        1 << 20
    );

    let listen = household.instance.log();
    assert!(!listen.contains("secret"), "the password is in the log");
    let address = listen
        .lines()
        .find(|line| line.contains("qBittorrent API"))
        .and_then(|line| {
            line.split("address=")
                .nth(1)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .expect("the address is in the log");
    let stranger = Arr::new(address, "arr", "wrong", "tv");
    let refused = household
        .runtime
        .block_on(stranger.test())
        .expect_err("let in");
    assert_eq!(refused.0, "failed to authenticate");
}

/// How often the engine is killed; `make soak` and whoever has the time set more.
fn kills() -> usize {
    std::env::var("DEBRIDFS_TEST_KILLS").map_or(10, |kills| kills.parse().expect("a number"))
}

#[test]
fn an_engine_killed_at_every_point_of_a_job_loses_and_doubles_nothing() {
    let points = [
        "accepted",
        "add-intended",
        "added",
        "add-stored",
        "selected",
        "ready",
        "probed",
        "linking",
        "linked",
        "completed",
    ];
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let household = Household::new(&simulator);
    for (number, point) in (0..kills()).zip(points.into_iter().cycle()) {
        let hash = format!("{:040x}", 0xabc0 + number);
        let name = format!("Killed.{number}");
        let files = vec![FileSpec::clip(format!("/{name}.mkv"), Clip::Film)];
        simulator.know(&hash, &name, files);
        fs::write(household.crashes.join(point), "").expect("a marker");
        let magnet = format!("magnet:?xt=urn:btih:{hash}&dn={name}");
        // An arr that got no answer tries again.
        household.patiently("the grab", || household.arr.grab_magnet(&magnet));
        until("the engine is killed", Duration::from_secs(120), || {
            !household.crashes.join(point).exists()
        });
        let item = household.completed();
        assert_eq!(simulator.torrents_of(&hash), 1, "{point}: added twice");
        let imported = household
            .arr
            .import(&item, &household.library())
            .expect("import");
        assert_eq!(imported.len(), 1, "{point}");
        household.patiently("the removal", || household.arr.remove(&item));
        until(
            "it is deleted from the account",
            Duration::from_secs(120),
            || simulator.torrents_of(&hash) == 0,
        );
    }
    assert!(household.instance.status()["keeper"]["restarts"].as_u64() >= Some(kills() as u64));
}
