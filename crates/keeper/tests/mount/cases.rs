use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use debridfs_base::mountinfo;
use debridfs_handover::{EngineState, KeeperStatus};
use rustix::mount::UnmountFlags;
use rustix::process::Signal;

use crate::as_user::{
    as_a_user_whose_notification_waits_for_a_read, as_a_user_with_fusermount,
    as_a_user_with_fusermount_of_fuse_2, as_a_user_without_fusermount,
};
use crate::hostile::{
    a_descriptor_that_hangs_when_it_is_closed, an_engine_that_loses_a_request,
    an_engine_that_makes_reads_block, an_heir_is_ended_before_the_next_engine,
    engines_that_were_taken_over, who_waits_for_a_lost_request_can_be_killed,
};
use crate::lost::{
    a_dead_mount_is_cleaned_at_start, a_hung_mount_is_ended_and_stacked, a_shared_mount_is_stacked,
    abort, an_engine_that_lets_go_of_a_lost_mount_lives_on, detach,
    foreign_and_living_mounts_are_refused, mount_lost, nothing_is_mounted_where_a_link_leads,
};
use crate::prober::{ProbeError, Prober};
use crate::stopping::{
    a_clean_stop_leaves_nothing, a_directory_that_is_not_empty_is_mounted_over,
    a_first_engine_that_another_instance_refuses_ends_the_keeper,
    a_keeper_that_lingers_closes_the_mount_when_no_engine_comes,
    a_keeper_that_lingers_leaves_the_mount_to_its_engine,
    a_keeper_that_lingers_waits_for_the_next_engine,
    a_stop_does_not_wait_for_a_notification_that_waits_for_a_read,
    a_stop_does_not_wait_for_an_engine_that_let_go,
};
use crate::unmounted::{
    a_mount_comes_when_it_can, a_mount_that_is_required_ends_the_keeper,
    an_engine_that_needs_the_mount_waits_for_it,
};
use crate::world::{World, ends_within, signal};

type Case = (&'static str, fn());

pub const ALL: &[Case] = &[
    ("killed_with_journal_buffered", || {
        killed_while_reading(&[], false)
    }),
    ("killed_with_journal_direct", || {
        killed_while_reading(&[], true)
    }),
    ("killed_with_resend_buffered", || {
        killed_while_reading(&["resend"], false)
    }),
    ("killed_with_resend_direct", || {
        killed_while_reading(&["resend"], true)
    }),
    ("killed_with_neither_hangs", killed_with_neither_hangs),
    ("killed_often", killed_often),
    ("stand_in_without_an_engine", stand_in_without_an_engine),
    (
        "stand_in_for_a_stopped_engine",
        stand_in_for_a_stopped_engine,
    ),
    (
        "a_stopped_engine_gets_what_was_taken_for_it",
        stopped_and_continued,
    ),
    ("what_waits_too_long_gets_eio", what_waits_too_long_gets_eio),
    (
        "a_request_that_kills_two_engines",
        a_request_that_kills_two_engines,
    ),
    ("unmounted_lazily", || {
        mount_lost(|world| detach(world, UnmountFlags::DETACH))
    }),
    ("unmounted_by_force", || {
        mount_lost(|world| detach(world, UnmountFlags::FORCE | UnmountFlags::DETACH));
    }),
    ("connection_aborted", || mount_lost(abort)),
    ("a_shared_mount_is_stacked", a_shared_mount_is_stacked),
    (
        "a_hung_mount_is_ended_and_stacked",
        a_hung_mount_is_ended_and_stacked,
    ),
    ("crash_loop_backs_off", crash_loop_backs_off),
    ("hung_engine_is_replaced", hung_engine_is_replaced),
    (
        "attached_engine_replaced_under_a_reader",
        attached_engine_replaced,
    ),
    (
        "a_second_engine_waits_for_the_first_to_die",
        second_engine_waits,
    ),
    (
        "as_a_user_whose_notification_waits_for_a_read",
        as_a_user_whose_notification_waits_for_a_read,
    ),
    (
        "a_stop_does_not_wait_for_a_notification_that_waits_for_a_read",
        a_stop_does_not_wait_for_a_notification_that_waits_for_a_read,
    ),
    (
        "a_stop_does_not_wait_for_an_engine_that_let_go",
        a_stop_does_not_wait_for_an_engine_that_let_go,
    ),
    (
        "a_keeper_that_lingers_leaves_the_mount_to_its_engine",
        a_keeper_that_lingers_leaves_the_mount_to_its_engine,
    ),
    (
        "a_keeper_that_lingers_closes_the_mount_when_no_engine_comes",
        a_keeper_that_lingers_closes_the_mount_when_no_engine_comes,
    ),
    (
        "a_keeper_that_lingers_waits_for_the_next_engine",
        a_keeper_that_lingers_waits_for_the_next_engine,
    ),
    (
        "a_directory_that_is_not_empty_is_mounted_over",
        a_directory_that_is_not_empty_is_mounted_over,
    ),
    ("hostile_journal", hostile_journal),
    ("hostile_socket", hostile_socket),
    ("engines_that_were_taken_over_as_children", || {
        engines_that_were_taken_over("child")
    }),
    ("engines_that_were_taken_over_and_attached", || {
        engines_that_were_taken_over("attached")
    }),
    (
        "an_engine_that_makes_reads_block",
        an_engine_that_makes_reads_block,
    ),
    (
        "an_engine_that_loses_a_request",
        an_engine_that_loses_a_request,
    ),
    (
        "an_heir_is_ended_before_the_next_engine",
        an_heir_is_ended_before_the_next_engine,
    ),
    (
        "who_waits_for_a_lost_request_can_be_killed",
        who_waits_for_a_lost_request_can_be_killed,
    ),
    (
        "a_descriptor_that_hangs_when_it_is_closed",
        a_descriptor_that_hangs_when_it_is_closed,
    ),
    ("engine_runs_as_its_owner", engine_runs_as_its_owner),
    (
        "a_first_engine_that_another_instance_refuses_ends_the_keeper",
        a_first_engine_that_another_instance_refuses_ends_the_keeper,
    ),
    ("a_clean_stop_leaves_nothing", a_clean_stop_leaves_nothing),
    (
        "a_dead_mount_is_cleaned_at_start",
        a_dead_mount_is_cleaned_at_start,
    ),
    (
        "foreign_and_living_mounts_are_refused",
        foreign_and_living_mounts_are_refused,
    ),
    (
        "nothing_is_mounted_where_a_link_leads",
        nothing_is_mounted_where_a_link_leads,
    ),
    ("probe_is_not_caught", probe_is_not_caught),
    ("as_a_user_with_fusermount", as_a_user_with_fusermount),
    (
        "as_a_user_with_fusermount_of_fuse_2",
        as_a_user_with_fusermount_of_fuse_2,
    ),
    ("as_a_user_without_fusermount", as_a_user_without_fusermount),
    ("a_mount_comes_when_it_can", || {
        a_mount_comes_when_it_can("child")
    }),
    ("a_mount_comes_when_it_can_to_an_attached_engine", || {
        a_mount_comes_when_it_can("attached")
    }),
    (
        "an_engine_that_needs_the_mount_waits_for_it",
        an_engine_that_needs_the_mount_waits_for_it,
    ),
    (
        "a_mount_that_is_required_ends_the_keeper",
        a_mount_that_is_required_ends_the_keeper,
    ),
    (
        "an_engine_that_lets_go_of_a_lost_mount_lives_on",
        an_engine_that_lets_go_of_a_lost_mount_lives_on,
    ),
];

/// What a busy machine may take; less than the 30 s after which what waits in the keeper is given up.
pub const SOON: Duration = Duration::from_secs(20);

#[track_caller]
pub fn ends_well(child: &mut std::process::Child, world: &World) {
    match ends_within(child, SOON) {
        Some(Ok(_)) => {}
        Some(Err(text)) => panic!("failed: {text}\n{:?}\n{}", world.status(), world.log()),
        None => {
            let _ = child.kill();
            panic!("still running\n{:?}\n{}", world.status(), world.log());
        }
    }
}

pub fn reads(world: &World, name: &str) {
    ends_well(&mut world.reader(&["read", &world.file(name)]), world);
}

/// A reader whose request an engine holds, and the pid of that engine.
fn held_reader(world: &World, direct: bool) -> (std::process::Child, u32) {
    world.set("hold");
    let _ = std::fs::remove_file(world.control().join("held"));
    let engine = world.engine();
    let file = world.file("slow");
    let mut words = vec!["read", file.as_str()];
    words.extend(direct.then_some("direct"));
    let reader = world.reader(&words);
    // What the kernel counts as in flight need not have been read yet.
    world.until("taken by the engine", |world| {
        world.control().join("held").exists()
    });
    (reader, engine)
}

fn killed_while_reading(words: &[&str], direct: bool) {
    let world = World::start(words);
    let (mut reader, engine) = held_reader(&world, direct);
    signal(engine, Signal::KILL);
    world.until_served_by_another(engine);
    assert!(
        ends_within(&mut reader, Duration::from_millis(100)).is_none(),
        "not held"
    );
    world.unset("hold");
    ends_well(&mut reader, &world);
}

/// What the journal is for: without it and without RESEND a reader never gets an answer.
fn killed_with_neither_hangs() {
    let world = World::start(&["none"]);
    let (mut reader, engine) = held_reader(&world, true);
    signal(engine, Signal::KILL);
    world.until_served_by_another(engine);
    world.unset("hold");
    let ended = ends_within(&mut reader, Duration::from_secs(1));
    let _ = reader.kill();
    // The kernel believes that an engine has the request; only the end of the connection frees it.
    detach(&world, UnmountFlags::FORCE | UnmountFlags::DETACH);
    let _ = reader.wait();
    assert!(
        ended.is_none(),
        "the test can't see a lost request: {ended:?}"
    );
}

fn killed_often() {
    let world = World::start(&[]);
    for round in 0..25_u64 {
        let file = world.file("data");
        let direct = ["read", &file, "direct"];
        let mut readers: Vec<_> = (0..4)
            .map(|n| world.reader(if n % 2 == 0 { &direct } else { &direct[..2] }))
            .collect();
        let engine = world.engine();
        std::thread::sleep(Duration::from_micros(round * 997 % 12_000));
        signal(engine, Signal::KILL);
        readers
            .iter_mut()
            .for_each(|reader| ends_well(reader, &world));
        world.until_served_by_another(engine);
    }
    assert_eq!(world.status().unwrap().remounts, 0);
}

fn stand_in_answers(world: &World) {
    let root = world.mount();
    ends_well(
        &mut world.reader(&["stat", root.to_str().unwrap(), "10000"]),
        world,
    );
}

fn stand_in_without_an_engine() {
    let mut world = World::start(&["attached"]);
    stand_in_answers(&world);
    let file = world.file("data");
    let mut killed = world.reader(&["read", &file]);
    world.until("waiting", |world| world.in_flight() > 0);
    stand_in_answers(&world);
    gone_when_killed(&mut killed, &world);
    let mut waits = world.reader(&["read", &file]);
    world.until("waiting again", |world| world.in_flight() > 0);
    world.attach();
    ends_well(&mut waits, &world);
}

#[track_caller]
fn gone_when_killed(reader: &mut std::process::Child, world: &World) {
    signal(reader.id(), Signal::KILL);
    let ended = ends_within(reader, SOON);
    assert!(ended.is_some(), "survives SIGKILL\n{}", world.log());
}

fn stand_in_for_a_stopped_engine() {
    let world = World::start(&["heartbeat=60000"]);
    world.set("hold");
    let mut crowd = world.reader(&["crowd", &world.file("slow"), "2000"]);
    world.until("2000 readers wait", |world| world.in_flight() >= 2000);
    stand_in_answers(&world);
    signal(world.engine(), Signal::STOP);
    stand_in_answers(&world);
    let mut late = world.reader(&["read", &world.file("slow"), "direct"]);
    std::thread::sleep(Duration::from_millis(200));
    stand_in_answers(&world);
    let stalled = |status: KeeperStatus| status.engine_state == EngineState::Stalled;
    world.until("stalled", |world| world.status().is_some_and(stalled));
    gone_when_killed(&mut late, &world);
    gone_when_killed(&mut crowd, &world);
    signal(world.engine(), Signal::CONT);
    reads(&world, "data");
}

fn stopped_and_continued() {
    let world = World::start(&["heartbeat=60000"]);
    signal(world.engine(), Signal::STOP);
    let mut readers: Vec<_> = (0..4)
        .map(|_| world.reader(&["read", &world.file("data")]))
        .collect();
    world.until("stalled", |world| {
        world.status().unwrap().engine_state == EngineState::Stalled
    });
    std::thread::sleep(Duration::from_millis(200));
    signal(world.engine(), Signal::CONT);
    readers
        .iter_mut()
        .for_each(|reader| ends_well(reader, &world));
    world.until_served();
    assert_eq!(world.status().unwrap().restarts, 0);
}

fn what_waits_too_long_gets_eio() {
    let world = World::start(&["attached", "deadline=500"]);
    let mut reader = world.reader(&["read", &world.file("data")]);
    let text = ends_within(&mut reader, SOON)
        .expect("ends")
        .expect_err("no engine");
    assert!(text.contains("Input/output error"), "{text}");
    // From now on everybody hears it on arrival, although the kernel lets them look for names one after the other.
    let begun = Instant::now();
    let name = |number: u32| world.file(&format!("absent{number}"));
    let many: Vec<_> = (0..100)
        .map(|number| world.reader(&["read", &name(number)]))
        .collect();
    for mut reader in many {
        let text = ends_within(&mut reader, SOON)
            .expect("ends")
            .expect_err("no engine");
        assert!(text.contains("Input/output error"), "{text}");
    }
    let took = begun.elapsed();
    // One in 250 ms were 25 s; most of what is left is starting a hundred programs.
    assert!(took < Duration::from_secs(8), "{took:?}");
}

fn a_request_that_kills_two_engines() {
    let world = World::start(&[]);
    let (mut other, _) = held_reader(&world, true);
    let mut poison = world.reader(&["read", &world.file("poison"), "direct"]);
    let text = ends_within(&mut poison, SOON)
        .expect("ends")
        .expect_err("has no answer");
    assert!(text.contains("Input/output error"), "{text}");
    world.until_served();
    assert_eq!(world.status().unwrap().restarts, 2, "{}", world.log());
    world.unset("hold");
    ends_well(&mut other, &world);
    reads(&world, "data");
}

fn crash_loop_backs_off() {
    let world = World::start(&[]);
    world.set("crash");
    signal(world.engine(), Signal::KILL);
    let deaths = |count: usize| {
        world.until("dead so often", |world| {
            world.log().matches("engine ended with status 1").count() >= count
        });
    };
    deaths(1);
    let first = Instant::now();
    // 100, 300, 700 ms after the first, or 0, 100, 300 ms when that had been of use.
    deaths(4);
    let took = first.elapsed();
    assert!(
        took > Duration::from_millis(250),
        "{took:?}\n{}",
        world.log()
    );
    world.unset("crash");
    world.until_served();
    reads(&world, "data");
}

fn hung_engine_is_replaced() {
    let world = World::start(&["heartbeat=2000"]);
    let (mut reader, engine) = held_reader(&world, true);
    signal(engine, Signal::STOP);
    world.until_served_by_another(engine);
    world.unset("hold");
    ends_well(&mut reader, &world);
    assert!(world.log().contains("engine hangs"), "{}", world.log());
}

fn attached_engine_replaced() {
    let mut world = World::start(&["attached"]);
    world.set("hold");
    let first = world.attach();
    world.until_served();
    let (mut reader, _) = held_reader(&world, true);
    signal(first, Signal::KILL);
    world.until("noticed", |world| {
        world.status().unwrap().engine_pid.is_none()
    });
    let second = world.attach();
    world.until_served_by_another(first);
    assert_eq!(world.engine(), second);
    world.unset("hold");
    ends_well(&mut reader, &world);
}

fn second_engine_waits() {
    let mut world = World::start(&["attached"]);
    let first = world.attach();
    world.until_served();
    let second = world.attach();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(world.engine(), first);
    signal(first, Signal::KILL);
    world.until_served_by_another(first);
    assert_eq!(world.engine(), second);
    reads(&world, "data");
}

fn hostile_journal() {
    let mut world = World::start(&["attached"]);
    let file = world.file("data");
    for _ in 0..10 {
        world.set("hostile");
        let mut reader = world.reader(&["read", &file, "direct"]);
        std::thread::sleep(Duration::from_millis(20));
        let hostile = world.attach();
        world.until("noticed", |world| {
            world.log().matches("engine ended").count() > 0
                && world
                    .status()
                    .is_some_and(|status| status.engine_pid != Some(hostile))
        });
        stand_in_answers(&world);
        world.reap();
        // Its request may be lost: the engine wrote over it. The reader must not be.
        gone_or_done(&mut reader, &world);
        world.unset("hostile");
    }
    world.attach();
    world.until_served();
    reads(&world, "data");
}

fn gone_or_done(reader: &mut std::process::Child, world: &World) {
    signal(reader.id(), Signal::KILL);
    if ends_within(reader, Duration::from_secs(2)).is_none() {
        // Only the end of the connection frees who waits for a request that was written over.
        abort(world);
        world.until("mounted again", |world| {
            world.status().is_some_and(|status| status.mounted)
                && mountinfo::is_mounted(&world.mount())
        });
        assert!(ends_within(reader, SOON).is_some());
    }
}

fn hostile_socket() {
    use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType};
    let world = World::start(&[]);
    let address = SocketAddrUnix::new(world.socket()).unwrap();
    let mut open = Vec::new();
    for round in 0..200_usize {
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        if rustix::net::connect(&socket, &address).is_err() {
            continue;
        }
        let texts: [&[u8]; 6] = [
            b"{",
            b"{\"type\":\"serving\"}",
            b"{\"type\":\"hello\",\"protocol\":1,\"version\":\"x\",\"pid\":1}",
            b"{\"type\":\"hello\",\"protocol\":9,\"version\":\"x\",\"pid\":1}",
            &[0xff; 60_000],
            b"{\"type\":\"status\"}",
        ];
        let _ = rustix::net::send(&socket, texts[round % texts.len()], SendFlags::NOSIGNAL);
        open.push(socket);
    }
    world.until_served();
    reads(&world, "data");
    assert_eq!(world.status().unwrap().restarts, 0);
}

fn engine_runs_as_its_owner() {
    let world = World::empty();
    // Everybody comes through the one, which has the socket, and writes to the other.
    for (path, mode) in [
        (world.root().to_path_buf(), 0o755),
        (world.control(), 0o777),
    ] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut world = world;
    world.keep(&["uid=1234"]);
    world.until_served();
    assert_eq!(
        std::fs::read_to_string(world.control().join("uid")).unwrap(),
        "1234"
    );
    reads(&world, "data");
    let engine = world.engine();
    let status = std::fs::read_to_string(format!("/proc/{engine}/status")).unwrap();
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    signal(engine, Signal::KILL);
    world.until_served_by_another(engine);
    reads(&world, "data");
}

fn probe_is_not_caught() {
    let mut world = World::start(&["attached"]);
    let mut prober = Prober::default();
    let limit = Duration::from_millis(300);
    let started = Instant::now();
    let first = prober.check(&world.mount(), limit);
    assert!(matches!(first, Err(ProbeError::Timeout)), "{first:?}");
    assert!(started.elapsed() < SOON);
    world.attach();
    world.until("freed", |_| !prober.is_stuck());
    world.until("answers", |world| {
        prober.check(&world.mount(), SOON).is_ok()
    });
    let elsewhere = prober.check(world.root(), SOON);
    assert!(
        matches!(elsewhere, Err(ProbeError::Failed(_))),
        "{elsewhere:?}"
    );
}
