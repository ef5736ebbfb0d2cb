//! What an engine that was taken over can do to its keeper: nothing that the next engine, who asks
//! for the status or who says stop would notice.

use std::os::unix::fs::PermissionsExt;
use std::process::Child;
use std::time::{Duration, Instant};

use debridfs_handover::EngineState;
use rustix::process::Signal;

use crate::cases::{SOON, ends_well, reads};
use crate::world::{World, ends_within, signal};

/// Whose processes they are.
const USER: u32 = 54_321;

/// How long a keeper that is attacked may take to say how it does.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Longer than the heir of an engine lives.
const HEIR: Duration = Duration::from_millis(1500);

/// How long the engines of one mode do their worst.
fn time_of_trouble() -> Duration {
    let seconds = std::env::var("DEBRIDFS_TEST_HOSTILE_SECONDS");
    Duration::from_secs(seconds.map_or(4, |seconds| seconds.parse().unwrap()))
}

/// A place where another user may come to the socket and write.
fn open_world() -> World {
    let world = World::empty();
    let scratch = world.scratch();
    std::fs::create_dir(&scratch).unwrap();
    for (path, mode) in [
        (world.root().to_path_buf(), 0o755),
        (world.control(), 0o777),
        (scratch, 0o777),
    ] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    world
}

fn is_kept(world: &World) {
    world.until("kept", |world| world.status().is_some());
}

#[track_caller]
fn answers(world: &World) -> debridfs_handover::KeeperStatus {
    let asked = Instant::now();
    let status = debridfs_handover::status(&world.socket(), ANSWER_LIMIT);
    status.unwrap_or_else(|error| panic!("{error} after {:?}\n{}", asked.elapsed(), world.log()))
}

/// Kills the engine, and waits until its keeper has seen that.
fn ends(engine: u32, world: &World) {
    signal(engine, Signal::KILL);
    world.until("noticed", |world| answers(world).engine_pid != Some(engine));
}

/// Whoever waits is served by the honest engine that is there now, or was given wrong answers and
/// has ended; nobody is caught.
fn nobody_is_caught(readers: &mut [Child], world: &World) {
    for reader in readers {
        if ends_within(reader, Duration::from_millis(500)).is_none() {
            signal(reader.id(), Signal::KILL);
            let ended = ends_within(reader, SOON);
            assert!(ended.is_some(), "survives SIGKILL\n{}", world.log());
        }
    }
}

fn stops_when_told(world: &mut World) {
    let told = Instant::now();
    assert!(world.end_keeper(Signal::TERM), "{}", world.log());
    assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
}

pub fn engines_that_were_taken_over(mode: &str) {
    let mut world = open_world();
    let seed = std::env::var("DEBRIDFS_TEST_HOSTILE_SEED").unwrap_or_else(|_| "1".into());
    std::fs::write(world.control().join("taken-over"), &seed).unwrap();
    world.keep(&[mode, "uid=54321", "heartbeat=300", "start=2000"]);
    is_kept(&world);
    let mut readers = Vec::new();
    let begun = Instant::now();
    let mut turn = 0;
    while begun.elapsed() < time_of_trouble() {
        let status = answers(&world);
        if mode == "attached" && status.engine_pid.is_none() {
            world.reap();
            world.attach_as(USER);
        }
        if turn % 16 == 0 && readers.len() < 64 {
            readers.push(world.reader(&["read", &world.file("data"), "direct"]));
        }
        turn += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = answers(&world);
    println!("{mode}: {} engines, seed {seed}", status.restarts + 1);
    assert!(status.restarts >= 3, "{status:?}\n{}", world.log());
    let lines = |text: &str| {
        let written = |line: &&str| {
            ["INFO ", "WARN ", "ERROR "]
                .iter()
                .any(|l| line.starts_with(l))
        };
        text.lines().filter(written).count()
    };
    let budget = 200 + begun.elapsed().as_secs() as usize + 2;
    assert!(
        lines(&world.log()) <= budget,
        "{} lines",
        lines(&world.log())
    );

    world.unset("taken-over");
    if mode == "attached" {
        world.attach_as(USER);
    }
    world.until("served by an honest engine", |world| {
        world.status().is_some_and(|status| {
            status.engine_state == EngineState::Serving
                && status.engine_version.as_deref() == Some("honest")
        })
    });
    if mode == "attached" {
        // Nobody ends an heir there (docs/security.md). While it lives it takes requests, and
        // interrupts as well: whoever is killed then waits for the end of the connection.
        std::thread::sleep(HEIR);
    }
    nobody_is_caught(&mut readers, &world);
    // What was told of the names before is forgotten after a moment.
    reads(&world, "data");
    assert_eq!(world.status().unwrap().remounts, 0, "{}", world.log());
    stops_when_told(&mut world);
}

/// `O_NONBLOCK` belongs to the open file, which keeper and engine share.
pub fn an_engine_that_makes_reads_block() {
    let mut world = open_world();
    world.keep(&["attached", "uid=54321", "heartbeat=1000"]);
    is_kept(&world);
    world.set("blocks");
    let hostile = world.attach_as(USER);
    world.until_served();
    let mut reader = world.reader(&["read", &world.file("data"), "direct"]);
    for _ in 0..50 {
        answers(&world);
        std::thread::sleep(Duration::from_millis(10));
    }
    world.unset("blocks");
    ends(hostile, &world);
    world.attach_as(USER);
    world.until_served_by_another(hostile);
    ends_well(&mut reader, &world);
    stops_when_told(&mut world);
}

/// It takes a request, notes it nowhere, and dies.
pub fn an_engine_that_loses_a_request() {
    let mut world = open_world();
    world.keep(&["attached", "uid=54321"]);
    is_kept(&world);
    world.set("loses");
    let hostile = world.attach_as(USER);
    world.until_served();
    let mut reader = world.reader(&["read", &world.file("data"), "direct"]);
    world.until("lost", |world| world.control().join("lost").exists());
    world.unset("loses");
    ends(hostile, &world);
    world.attach_as(USER);
    world.until_served_by_another(hostile);
    ends_well(&mut reader, &world);
    assert!(
        world.log().contains("all was asked for again"),
        "{}",
        world.log()
    );
}

/// As on a kernel that cannot be asked again: whoever waits for what was lost can be ended.
pub fn who_waits_for_a_lost_request_can_be_killed() {
    let mut world = open_world();
    world.keep(&["attached", "none", "uid=54321"]);
    is_kept(&world);
    world.set("loses");
    let hostile = world.attach_as(USER);
    world.until_served();
    let mut reader = world.reader(&["read", &world.file("data"), "direct"]);
    world.until("lost", |world| world.control().join("lost").exists());
    ends(hostile, &world);
    signal(reader.id(), Signal::KILL);
    assert!(ends_within(&mut reader, SOON).is_some(), "survives SIGKILL");
}

/// A file of the very mount, which an engine that answers nothing would have to close.
pub fn a_descriptor_that_hangs_when_it_is_closed() {
    let mut world = open_world();
    world.keep(&["attached", "heartbeat=60000"]);
    is_kept(&world);
    let engine = world.attach();
    world.until_served();
    let mut bringer = world.reader(&[
        "bring",
        &world.file("data"),
        world.socket().to_str().unwrap(),
        &engine.to_string(),
    ]);
    ends_well(&mut bringer, &world);
    answers(&world);
    signal(engine, Signal::CONT);
    reads(&world, "data");
}

/// What an engine leaves behind holds the connection, and would take requests from the next.
pub fn an_heir_is_ended_before_the_next_engine() {
    let mut world = open_world();
    world.set("heir");
    world.keep(&["child", "uid=54321"]);
    is_kept(&world);
    let file = world.control().join("heir-pid");
    let heir = || std::fs::read_to_string(&file).ok()?.parse::<u32>().ok();
    world.until("left behind", |_| heir().is_some());
    let mut reader = world.reader(&["read", &world.file("data"), "direct"]);
    world.unset("heir");
    world.until_served();
    let is_there = |pid: u32| std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(
        !is_there(heir().unwrap()),
        "the heir lives\n{}",
        world.log()
    );
    ends_well(&mut reader, &world);
    reads(&world, "data");
    stops_when_told(&mut world);
}
